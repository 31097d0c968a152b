"""What was loaded: objects with the place where they stand, and the problems beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from test_rig.errors import PluginError, Problem

__all__ = ["Found", "Generation", "Wanted"]

#: Whether an object of a plugin file, by its name there, is one of those that are looked for.
Wanted = Callable[[str, object], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One object that was looked for."""

    #: Its name in its file.
    name: str
    value: object
    #: The name of its module; of a file, the one without `.py`.
    module: str
    file: Path
    #: Where it is defined, as far as the text tells; counted from 1.
    line: int

    @property
    def where(self) -> str:
        """File and line, for messages."""
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """What a source holds, as of one moment. It never changes; a reload makes another one."""

    #: 1 for what was loaded first.
    number: int
    #: In the order of the files, and within a file in that of their definition.
    found: tuple[Found, ...]
    #: What is wrong now, one for each broken file; each names file and line.
    problems: tuple[Problem, ...]
    #: Every file that was looked at.
    files: tuple[Path, ...]
    #: The broken files whose last good version serves.
    kept: tuple[Path, ...] = ()

    def require(self) -> Generation:
        """Return the generation itself if nothing is wrong.

        Raises:
            PluginError: With all problems.
        """
        if self.problems:
            raise PluginError(self.problems)
        return self
