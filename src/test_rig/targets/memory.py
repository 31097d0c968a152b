"""The in-memory stand-in: a real SQLite whose databases are never on disk.

For unit tests of handlers, where no database is meant to be touched. It is SQLite with its own
file system of memory (`vfs=memdb`), which the sessions of one process share: locks, transactions
and errors are real. It is named as what it is wherever a product is named. One difference from
files: while one session writes, the others cannot even read.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from test_rig.targets.dialect import Ask, Dialect, LevelSpec, Wire
from test_rig.targets.sqlite import Sqlite, SqliteWire, begin_level
from test_rig.targets.url import TargetUrl

__all__ = ["MEMORY"]

_LEVELS = tuple(begin_level("memory", kind) for kind in ("deferred", "immediate", "exclusive"))


class _Memory(Sqlite):
    """The dialect. It holds one connection to each place, which would vanish with its last one."""

    product = "SQLite in memory (stand-in)"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._anchors: dict[str, Wire] = {}

    def connect(self, url: TargetUrl, timeout_s: float) -> Wire:
        del timeout_s
        return SqliteWire(url, vfs="memdb")

    def levels(self) -> tuple[LevelSpec, ...]:
        return _LEVELS

    def private_place(self, url: TargetUrl) -> tuple[TargetUrl, Callable[[], object]]:
        place = self._make_place(url, f"private_{secrets.token_hex(5)}")
        return place, partial(self._drop_place, place)

    def create_scratch(self, ask: Ask, url: TargetUrl, name: str) -> TargetUrl:
        del ask
        return self._make_place(url, name)

    def drop_scratch(self, ask: Ask, scratch: TargetUrl, name: str) -> None:
        del ask, name
        self._drop_place(scratch)

    def _make_place(self, url: TargetUrl, name: str) -> TargetUrl:
        # The leading slash is what makes SQLite share it between connections.
        place = replace(url, path=f"/test-rig/{name}")
        with self._lock:
            self._anchors[f"{place.path}"] = self.connect(place, 0)
        return place

    def _drop_place(self, place: TargetUrl) -> None:
        with self._lock:
            anchor = self._anchors.pop(f"{place.path}", None)
        if anchor is not None:
            anchor.close()


MEMORY: Dialect = _Memory()
