"""Keeps a source loaded: the last good version of every file, and a new generation on demand."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from test_rig.errors import PluginError, Problem
from test_rig.plugins.generation import Found, Generation, Wanted
from test_rig.plugins.load import LOADING, NO_TEXT, Loaded, digest_of, load_unit
from test_rig.plugins.source import Source, Unit

__all__ = ["Host", "load"]


def load(source: Source | str | os.PathLike[str], wanted: Wanted) -> Generation:
    """Load a source once.

    Args:
        source: A file, a folder, or a module's dotted name.
        wanted: Chooses among the objects that each file defines, by name and value; a class or
            function that a file only imports is not asked about.

    Raises:
        UsageError: There is no such file, folder or module. What is wrong within a file is no
            exception but in the generation's `problems`.
    """
    return Host(source, wanted).generation


class Host:
    """Loads a source, and again what has changed since.

    What it serves is `generation`; whoever took an object from an earlier one may go on with it.
    Its methods may be called from any thread.

    Raises:
        UsageError: There is no such file, folder or module.
    """

    def __init__(self, source: Source | str | os.PathLike[str], wanted: Wanted) -> None:
        self.source = source if isinstance(source, Source) else Source.of(source)
        self._wanted = wanted
        self._guard = threading.Lock()
        self._good: dict[Path, Loaded] = {}
        #: By file: the text that was refused, and why.
        self._refused: dict[Path, tuple[str, Sequence[Problem]]] = {}
        self._neighbours: dict[Path, tuple[str, str]] = {}
        self._generation = self._next(0, self.source.units(), is_all_new=True)

    @property
    def generation(self) -> Generation:
        """What serves now."""
        return self._generation

    def reload(self) -> Generation:
        """Load what has changed and return what serves from now on.

        It is the same generation where no text has changed, and one that differs only in its
        `problems` where what changed is not good. A new file joins, a file that is gone leaves.
        """
        with self._guard:
            units = self.source.units()
            is_all_new = self._neighbour_changed()
            if is_all_new or self._has_changed(units):
                self._generation = self._next(self._generation.number, units, is_all_new=is_all_new)
            return self._generation

    def _has_changed(self, units: Sequence[Unit]) -> bool:
        files = {unit.file for unit in units}
        return files != set(self._generation.files) or any(map(self._is_new, files))

    def _is_new(self, file: Path) -> bool:
        digest, good = digest_of(file), self._good.get(file)
        refused = self._refused.get(file)
        known = (refused[0] if refused else None) or (good.digest if good else None)
        return digest != known

    def _neighbour_changed(self) -> bool:
        return any(digest_of(file) != digest for file, (_, digest) in self._neighbours.items())

    def _next(self, number: int, units: Sequence[Unit], *, is_all_new: bool) -> Generation:
        with LOADING:
            due = units if is_all_new else self._due(units)
            set_aside = self._set_aside(due, with_neighbours=is_all_new)
            for unit in due:
                self._try(unit)
            for name, module in set_aside.items():
                sys.modules.setdefault(name, module)
        files = tuple(unit.file for unit in units)
        for gone in set(self._good) - set(files):
            del self._good[gone]
        self._refused = {file: why for file, why in self._refused.items() if file in files}
        return self._served(number + 1, files)

    def _due(self, units: Sequence[Unit]) -> list[Unit]:
        """Return what is to be loaded: what has changed, what was refused, what imports those."""
        due = {unit.file for unit in units if unit.file in self._refused or self._is_new(unit.file)}
        while True:
            names = {file.stem for file in due}
            more = {file for file, good in self._good.items() if good.imports & names} - due
            if not more:
                return [unit for unit in units if unit.file in due]
            due |= more

    def _set_aside(self, due: Sequence[Unit], *, with_neighbours: bool) -> dict[str, ModuleType]:
        """Take out of the loaded modules what is to be loaded anew, whoever imports it first."""
        places = {
            unit.file: self._good[unit.file].module for unit in due if unit.file in self._good
        }
        if with_neighbours:
            places |= {file: name for file, (name, _) in self._neighbours.items()}
            # What is wrong with one stays known by its text, whoever imports it next.
            self._neighbours = {
                file: (name, digest_of(file)) for file, (name, _) in self._neighbours.items()
            }
        return {
            name: sys.modules.pop(name)
            for file, name in places.items()
            if getattr(sys.modules.get(name), "__file__", None) == str(file)
        }

    def _try(self, unit: Unit) -> None:
        digest = digest_of(unit.file)
        try:
            loaded = self._load(unit, digest)
        except PluginError as error:
            self._refused[unit.file] = (digest, error.problems)
        else:
            self._good[unit.file] = loaded
            self._neighbours.update(loaded.neighbours)
            self._refused.pop(unit.file, None)

    def _load(self, unit: Unit, digest: str) -> Loaded:
        before = self._good.get(unit.file)
        # Many editors empty a file before they write it: nobody means to serve nothing.
        if before is not None and before.found and digest == NO_TEXT:
            raise PluginError([Problem(where=str(unit.file), what="the file is empty")])
        return load_unit(unit, self._wanted)

    def _served(self, number: int, files: Sequence[Path]) -> Generation:
        found: list[Found] = []
        for file in files:
            found += self._good[file].found if file in self._good else ()
        return Generation(
            number=number,
            found=tuple(found),
            problems=tuple(
                dict.fromkeys(problem for _, why in self._refused.values() for problem in why)
            ),
            files=tuple(files),
            kept=tuple(file for file in files if file in self._refused and file in self._good),
        )
