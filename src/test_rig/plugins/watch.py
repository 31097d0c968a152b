"""Watching files: a thread that calls back when something in a folder was saved."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from test_rig.errors import MissingExtra

__all__ = ["FileWatch", "watch_files"]

#: Editors write a file in several steps: changes are told together when none came for so long.
QUIET_MS = 100
_JOIN_S = 5.0
_LOG = logging.getLogger(__name__)


class FileWatch:
    """Watches until it is closed. A context manager; made by `watch_files`.

    Args:
        folders: What to watch, with all that is below.
        on_change: Called on the watching thread with the Python files that changed. What it raises
            is logged, and the watch goes on.
    """

    def __init__(
        self, folders: Sequence[Path], on_change: Callable[[frozenset[Path]], None]
    ) -> None:
        try:
            from watchfiles import PythonFilter, watch
        except ImportError as error:
            raise MissingExtra(
                "watching files needs watchfiles, which is not installed", extra="watch"
            ) from error
        # It tells of every change; who watches says what came of it.
        logging.getLogger("watchfiles").setLevel(logging.WARNING)
        self._on_change = on_change
        self._stop = threading.Event()
        self._is_ready = threading.Event()
        self._changes = watch(
            *folders,
            watch_filter=PythonFilter(),
            stop_event=self._stop,
            step=QUIET_MS // 2,
            debounce=QUIET_MS * 10,
            rust_timeout=200,
            yield_on_timeout=True,
            raise_interrupt=False,
        )
        self._thread = threading.Thread(target=self._keep, name="test-rig-watch", daemon=True)
        self._thread.start()

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait until changes are seen; return whether they are."""
        return self._is_ready.wait(timeout_s)

    def _keep(self) -> None:
        for changes in self._changes:
            self._is_ready.set()  # the first turn is over: everything from now on is seen
            if not changes:
                continue
            try:
                self._on_change(frozenset(Path(path) for _, path in changes))
            except Exception:  # noqa: BLE001 - thread top: watching goes on
                _LOG.exception("what changed could not be taken over")

    def close(self) -> None:
        """Stop watching."""
        self._stop.set()
        if self._thread is not threading.current_thread():
            self._thread.join(_JOIN_S)

    def __enter__(self) -> FileWatch:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def watch_files(folders: Sequence[Path], on_change: Callable[[frozenset[Path]], None]) -> FileWatch:
    """Call back whenever Python files in these folders, or below them, have changed.

    Raises:
        MissingExtra: The library for it is not installed.
    """
    return FileWatch(folders, on_change)
