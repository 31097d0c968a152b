"""A script that serves, and its next version that is tried beside it: blue and green.

Theory of operation: a version is a text with a worker that has loaded it. An edited text gets a
worker of its own, where it is compiled, initialized and, if it has a `self_test`, tested, while the
old version goes on. Only then calls are held for a moment, the state is handed over (`get_state` of
the old one, `set_state` of the new one), and the new one serves. What is not good never serves. The
text of the last good version is kept, so that a restart with a broken file serves that.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from test_rig.errors import PluginError, Problem
from test_rig.plugins import Answer, Answers, Call, Each, Outcome, Worker, WorkerPlan, WorkerResting

__all__ = ["FunctionNames", "LiveScript"]

_LOG = logging.getLogger("test_rig.actions")
_OUTPUT = logging.getLogger("test_rig.actions.script")
_GET_STATE, _SET_STATE, _SELF_TEST = "get_state", "set_state", "self_test"


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionNames:
    """What the script's functions are called."""

    update: str = "on_measurement"
    alert: str = "on_alert"
    init: str = "initialize"
    shutdown: str = "shutdown"
    status: str = "get_status"
    clear: str = "clear_action"

    @property
    def all(self) -> tuple[str, ...]:
        """Every name."""
        return (self.update, self.alert, self.init, self.shutdown, self.status, self.clear)


@dataclass(slots=True)
class _Version:
    text: str
    digest: str
    worker: Worker
    has: frozenset[str] = frozenset()
    #: Whether it has come into service: a new process of it need not show that it is good.
    has_served: bool = False


class LiveScript:
    """Serves one script. Its methods block, and may be called from any thread.

    Args:
        path: The script's file.
        plan: How its workers run; the script of it is replaced by each version's text.
        names: What its functions are called.
        timeout_s: The limit of each call.
        folder: Where the last good text is kept; None: nowhere.
        on_refused: Told why a version does not serve.
    """

    def __init__(
        self,
        path: Path,
        plan: WorkerPlan,
        *,
        names: FunctionNames,
        timeout_s: float,
        folder: Path | None,
        on_refused: Callable[[str], None],
    ) -> None:
        self._path, self._plan, self._names = path, plan, names
        self._timeout_s, self._on_refused = timeout_s, on_refused
        self._kept = None if folder is None else folder / f"last-good-{path.name}"
        self._guard = threading.RLock()
        self._reloading = threading.Lock()
        self._now: _Version | None = None
        self._refused_digest = ""
        #: Why the file's text does not serve; empty where it does.
        self.refusal = ""
        #: Versions that came into service.
        self.versions = 0

    def start(self) -> None:
        """Begin to serve: the file's text, or the last good one where that is not good.

        Raises:
            PluginError: Neither can be loaded.
        """
        with self._guard:
            if self._now is not None:
                return
            text = self._read()
            try:
                self._serve(self._boot(text, is_first=True))
            except PluginError as error:
                kept = self._last_good()
                if kept is None or kept == text:
                    raise
                self._serve(self._boot(kept, is_first=True))
                self._refuse(_digest(text), f"{error}\nthe last good version serves")

    def run(self, calls: Sequence[Call] | Each, *, budget_s: float | None = None) -> Answers:
        """Run calls; those not begun within `budget_s`, or the limit of one, are `NOT_RUN`.

        Raises:
            PluginError: The script cannot be loaded.
            WorkerResting: It died too often in a row.
        """
        with self._guard:
            return self._serving().worker.run(
                calls,
                timeout_s=self._timeout_s,
                budget_s=self._timeout_s if budget_s is None else budget_s,
            )

    def ask(self, function: str, *, wait_s: float) -> Answer | None:
        """Call a function that may not be there; None if it is not, or the script is busy.

        Its limit is that of every call: to be asked must not end a script sooner.
        """
        if not self._guard.acquire(timeout=wait_s):
            return None
        try:
            if self._now is None or function not in self._now.has:
                return None
            return self._now.worker.call(function, timeout_s=self._timeout_s)
        except (PluginError, WorkerResting):
            return None
        finally:
            self._guard.release()

    def has(self, function: str) -> bool:
        """Return whether the version that serves has a function."""
        return self._now is not None and function in self._now.has

    def reload(self) -> bool:
        """Look at the file; return whether a new version has come into service."""
        with self._reloading:
            try:
                text = self._read()
            except PluginError:
                return False  # between two steps of an editor, or gone: what serves goes on
            digest, old = _digest(text), self._now
            if old is None or digest == self._refused_digest:
                return False
            if digest == old.digest:
                self.refusal, self._refused_digest = "", ""
                return False
            try:
                new = self._boot(text, is_first=False)
                self._swap(new)
            except (PluginError, WorkerResting) as error:
                self._refuse(digest, str(error))
                return False
            self._shut_down(old)
            return True

    def stop(self) -> None:
        """Call `shutdown` and end the worker. Calling it again does nothing."""
        with self._reloading, self._guard:
            old = self._now
            if old is not None:
                self._shut_down(old)
            self._now = None

    def kill(self) -> None:
        """End the worker now, also in the middle of a call. For any thread."""
        now = self._now
        if now is not None:
            now.worker.kill()

    @property
    def digest(self) -> str:
        """What tells the text that serves from others."""
        return "" if self._now is None else self._now.digest

    @property
    def starts(self) -> int:
        """How many processes the present version has had."""
        return 0 if self._now is None else self._now.worker.starts

    def lines(self) -> list[str]:
        """Return the newest lines that the script printed."""
        return [] if self._now is None else self._now.worker.lines()

    # -- versions ----------------------------------------------------------------------------

    def _serving(self) -> _Version:
        if self._now is None:
            raise PluginError([Problem(where=str(self._path), what="the script is not running")])
        return self._now

    def _read(self) -> str:
        try:
            return self._path.read_bytes().decode("utf-8", "replace")
        except OSError as error:
            what = f"cannot be read: {error.strerror}"
            raise PluginError([Problem(where=str(self._path), what=what)]) from error

    def _boot(self, text: str, *, is_first: bool) -> _Version:
        script = replace(self._plan.script, path=self._path, text=text)

        def prepare(worker: Worker) -> None:
            self._prepare(version, worker, is_tried=not is_first and not version.has_served)

        worker = Worker(replace(self._plan, script=script), prepare=prepare, on_line=self._printed)
        version = _Version(text, _digest(text), worker)
        try:
            version.worker.start()
        except BaseException:
            version.worker.close()
            raise
        return version

    def _prepare(self, version: _Version, worker: Worker, *, is_tried: bool) -> None:
        names = (*self._names.all, _GET_STATE, _SET_STATE, _SELF_TEST)
        version.has = worker.functions(*names)
        lost = self._lost(version) if is_tried else ""
        if lost:
            raise PluginError([Problem(where=str(self._path), what=lost)])
        if self._names.init in version.has:
            answer = worker.call(self._names.init, timeout_s=self._timeout_s)
            is_alive = answer.is_ok or not answer.is_fresh_after
            if is_tried or not is_alive:
                worker.require(answer, self._names.init)
            elif not answer.is_ok:
                _LOG.warning("%s: %s: %s", self._path, self._names.init, answer.error)
        if _SELF_TEST in version.has and is_tried:
            answer = worker.require(worker.call(_SELF_TEST, timeout_s=self._timeout_s), _SELF_TEST)
            if answer.value is False:
                what = f"{_SELF_TEST} returned False"
                raise PluginError([Problem(where=str(self._path), what=what)])

    def _lost(self, version: _Version) -> str:
        """Return what a new version lacks that serves now; without it events would be dropped."""
        if not version.has & set(self._names.all):
            return f"has none of the functions {', '.join(self._names.all)}"
        wanted = {self._names.update, self._names.alert, self._names.clear}
        lost = sorted((self._serving().has - version.has) & wanted)
        return f"has no longer the functions {', '.join(lost)}" if lost else ""

    def _swap(self, new: _Version) -> None:
        with self._guard:
            old = self._serving()
            try:
                if _GET_STATE in old.has and _SET_STATE in new.has:
                    state = old.worker.call(_GET_STATE, timeout_s=self._timeout_s)
                    old.worker.require(state, _GET_STATE)
                    given = new.worker.call(_SET_STATE, state.value, timeout_s=self._timeout_s)
                    new.worker.require(given, _SET_STATE)
            except BaseException:
                new.worker.close()
                raise
            self._serve(new)

    def _serve(self, version: _Version) -> None:
        self._now, version.has_served = version, True
        self.versions += 1
        self.refusal, self._refused_digest = "", ""
        if self._kept is not None:
            part = self._kept.with_suffix(".part")
            with suppress(OSError):
                part.write_bytes(version.text.encode("utf-8", "replace"))
                os.replace(part, self._kept)  # noqa: PTH105 -- both are one step either way

    def _last_good(self) -> str | None:
        if self._kept is None or not self._kept.exists():
            return None
        return self._kept.read_bytes().decode("utf-8", "replace")

    def _refuse(self, digest: str, why: str) -> None:
        self._refused_digest, self.refusal = digest, why
        _LOG.warning("%s: the new version does not serve: %s", self._path, why)
        self._on_refused(why)

    def _shut_down(self, version: _Version) -> None:
        if self._names.shutdown in version.has and version.worker.is_running:
            with suppress(PluginError, WorkerResting):
                answer = version.worker.call(self._names.shutdown, timeout_s=self._timeout_s)
                if answer.outcome is not Outcome.RETURNED:
                    _LOG.warning("%s: %s: %s", self._path, self._names.shutdown, answer.error)
        version.worker.close()

    def _printed(self, line: str) -> None:
        _OUTPUT.info("%s: %s", self._path.name, line)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
