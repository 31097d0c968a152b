"""Where plugins are: a file, a folder or a module, and the files that this means."""

from __future__ import annotations

import importlib.util
import os
import pkgutil
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from test_rig.errors import UsageError

__all__ = ["Source", "Unit", "cwd_on_path"]

#: What is loaded of a folder.
PATTERN = "test_*.py"
_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
#: The earlier rig's own module has a name that the pattern takes.
_NOT_PLUGINS = {"test_rig_python.py"}
_NOT_ENTERED = {"__pycache__", "node_modules", "test-rig-runs"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One file to load."""

    file: Path
    #: The folder that `import` finds its neighbours in, as it does for a script.
    folder: Path
    #: The dotted name of a module that is loaded under it; None for a file.
    module: str | None = None
    #: It is a package's own file.
    is_package: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a person named."""

    #: As it was named.
    given: str
    #: A file or a folder; None for a module.
    path: Path | None = None

    @classmethod
    def of(cls, given: str | os.PathLike[str]) -> Source:
        """Return the source of that name: an existing file or folder, or else a module.

        A folder is searched for `test_*.py`; a package of the working folder that has none is
        taken as the module that it is.

        Raises:
            UsageError: It is neither.
        """
        text = os.fspath(given)
        path = Path(text)
        if path.is_file() and path.suffix != ".py":
            raise UsageError("no Python file", where=text, todo="its name has to end in .py")
        # A package without files of tests is meant as a module.
        is_package = (path / "__init__.py").is_file() and _MODULE.fullmatch(text)
        if path.exists() and not (is_package and next(_files(path), None) is None):
            return cls(given=text, path=path.absolute())
        if path.suffix == ".py" or not _MODULE.fullmatch(text):
            raise UsageError("there is no such file or folder", where=text)
        return cls(given=text)

    @property
    def folder(self) -> Path | None:
        """What to watch for changes; None for a module that cannot be found."""
        if self.path is not None:
            return self.path if self.path.is_dir() else self.path.parent
        units = self.units()
        return units[0].file.parent if units else None

    def units(self) -> tuple[Unit, ...]:
        """Return the files that there are now, in the order in which they are loaded.

        Raises:
            UsageError: The module cannot be found, or is no Python file.
        """
        if self.path is None:
            return tuple(_units_of_module(self.given))
        if self.path.is_dir():
            return tuple(Unit(file=file, folder=file.parent) for file in _files(self.path))
        return (Unit(file=self.path, folder=self.path.parent),)


def _files(folder: Path) -> Iterator[Path]:
    """Yield the plugin files of a folder and those below it, in order."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(each for each in folders if _is_entered(Path(place, each)))
        found = (Path(place, name) for name in sorted(files) if name not in _NOT_PLUGINS)
        yield from (file for file in found if file.match(PATTERN))


def _is_entered(folder: Path) -> bool:
    is_environment = (folder / "pyvenv.cfg").exists()
    return not (folder.name.startswith(".") or folder.name in _NOT_ENTERED or is_environment)


def cwd_on_path() -> None:
    """Let modules of the working folder be imported, as `python -m` does; others come first."""
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)


def _units_of_module(name: str) -> Iterator[Unit]:
    cwd_on_path()
    importlib.invalidate_caches()
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"there is no module {error.name!r}", where=name, todo=_where_to_put(name)
        ) from error
    except Exception as error:
        raise UsageError(
            f"cannot be imported: {type(error).__name__}: {error}", where=name
        ) from error
    if spec is None:
        raise UsageError("there is no such module", where=name, todo=_where_to_put(name))
    if spec.origin is not None and spec.origin.endswith(".py"):
        file = Path(spec.origin)
        is_package = spec.submodule_search_locations is not None
        yield Unit(file=file, folder=file.parent, module=name, is_package=is_package)
    elif not spec.submodule_search_locations:
        raise UsageError("this module is no Python file", where=name)
    for inner in pkgutil.iter_modules(spec.submodule_search_locations or []):
        yield from _units_of_module(f"{name}.{inner.name}")


def _where_to_put(name: str) -> str:
    near = f"{name.replace('.', '/')}.py"
    return f"modules are looked for in {Path.cwd()} and on PYTHONPATH; a file is named as ./{near}"
