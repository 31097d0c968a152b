"""Where a value came from, and what it hid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from test_rig.errors import Problem

__all__ = ["Entry", "Layer", "Origin", "Source"]


class Source(Enum):
    """The kinds of sources, the strongest first."""

    EXTENSION = "extension"
    COMMAND_LINE = "command line"
    ENVIRONMENT = "environment"
    FILE = "file"
    #: Handed to `AppConfig(...)` by a script.
    CODE = "code"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One value that one source gives for one key, as it was found there."""

    table: str
    key: str
    value: Any
    source: Source
    #: `tidb_config.toml:12`, `TIDB_HOST`, `--host`.
    where: str

    @property
    def name(self) -> str:
        """The key with its table: `database.host`."""
        return f"{self.table}.{self.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What one source gives. Layers are ordered: the first that has a key wins it."""

    entries: tuple[Entry, ...] = ()
    #: What is wrong with the source, found while it was read.
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where the value in force came from."""

    source: Source
    where: str
    #: The weaker values for the same key, strongest first: where they stand and, unless they
    #: are secret, what they are.
    hid: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        if self.where == self.source.value:
            return self.where
        return f"{self.source.value} {self.where}"

    @property
    def rank(self) -> int:
        """How strong the source is; 0 is the strongest."""
        return _ORDER.index(self.source)


_ORDER: Sequence[Source] = tuple(Source)
