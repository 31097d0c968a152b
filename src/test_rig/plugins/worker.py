"""A worker: a script in a process that can be killed, replaced when it has to be.

How to think of it: `call` always comes back, at the latest a little after its limit, with an answer
that says what became of the call. At its limit an exception is raised in the script, which may
clean up and keeps its state; if the script does not end by that, the process is killed with all
that it started, and the next call finds a new one that has loaded the script again.

It is for threads: one call at a time, further ones wait. Asynchronous code calls it by
`asyncio.to_thread`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from test_rig.errors import PluginError, Problem
from test_rig.plugins.worker_answer import Answer, Answers, Call, Each, WorkerPlan
from test_rig.plugins.worker_guardian import Guardian
from test_rig.plugins.worker_process import WorkerProcess

__all__ = ["Worker", "WorkerResting"]

#: Deaths in a row that are followed by a new process at once.
_FREE_DEATHS = 3
_FIRST_REST_S = 0.1
_LONGEST_REST_S = 10.0
_ENCODE = msgspec.json.Encoder(enc_hook=str).encode


class WorkerResting(Exception):  # noqa: N818 - it says what is, not what went wrong
    """The worker died too often in a row: it may be called again after a pause."""

    def __init__(self, after_s: float, reason: str) -> None:
        super().__init__(f"{reason}; started again in {after_s:.1f} s")
        self.after_s = after_s


def _drop_line(line: str) -> None:
    del line


class Worker:
    """A killable script. A context manager.

    Args:
        plan: What it runs.
        prepare: Called with each new process's `run` after the script is loaded; what it raises as
            `PluginError` fails the start.
        on_line: Given what the script prints, on another thread.
    """

    def __init__(
        self,
        plan: WorkerPlan,
        *,
        prepare: Callable[[Worker], None] | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> None:
        self.plan = plan
        self._prepare, self._on_line = prepare, on_line or _drop_line
        self._guard = threading.RLock()
        self._process: WorkerProcess | None = None
        #: What the last process was forked from, where it is free.
        self._guardian: Guardian | None = None
        self._deaths = 0
        self._rests_until = 0.0
        self._last_death = ""
        self._is_closed = False
        #: Processes that were started.
        self.starts = 0

    def start(self) -> None:
        """Start the process and load the script, if that is not done.

        Raises:
            PluginError: It cannot be loaded; the problem has the traceback.
        """
        with self._guard:
            self._ready()

    def call(self, function: str, *arguments: Any, timeout_s: float) -> Answer:
        """Call a function with JSON values and return what became of it.

        Args:
            function: Its name in the module; dots lead into classes.
            arguments: What JSON can say.
            timeout_s: When it is stopped.

        Raises:
            PluginError: The script cannot be loaded any more.
            WorkerResting: It died too often in a row.
        """
        call = Call(function, tuple(_ENCODE(each) for each in arguments))
        return self.run([call], timeout_s=timeout_s)[0]

    def run(
        self, calls: Sequence[Call] | Each, *, timeout_s: float, budget_s: float | None = None
    ) -> Answers:
        """Run calls in turn, also on after one that ends the process.

        Args:
            calls: What to call; `Each` costs the least where it is one function.
            timeout_s: The limit of each.
            budget_s: No call is begun after this time; what is left then is `NOT_RUN`.

        Raises:
            PluginError: The script cannot be loaded any more, and nothing was run.
            WorkerResting: It died too often in a row, and nothing was run.
        """
        started = time.monotonic()
        answers = Answers(len(calls.values if isinstance(calls, Each) else calls))
        with self._guard:
            while answers.done < len(answers):
                left_s = None if budget_s is None else budget_s - (time.monotonic() - started)
                if answers.done and left_s is not None and left_s <= 0:
                    break
                try:
                    process = self._ready()
                except (PluginError, WorkerResting):
                    if not answers.done:
                        raise
                    break
                rest = _after(calls, answers.done) if answers.done else calls
                made = process.run(rest, limit_s=timeout_s, budget_s=left_s)
                self._note(process, made)
                answers.join(made)
        return answers

    def functions(self, *names: str) -> frozenset[str]:
        """Return which of these the script has."""
        asked = self.call("?has", *names, timeout_s=self.plan.limits.start_s)
        return frozenset(asked.value or ())

    @property
    def is_running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None and not self._process.is_spent

    def lines(self) -> list[str]:
        """Return the newest lines that the present process printed."""
        process = self._process
        return [] if process is None else list(process.output.lines)

    def close(self) -> None:
        """End the process. Calling it again does nothing."""
        with self._guard:
            self._is_closed = True
            self._drop()

    def kill(self) -> None:
        """End the process now, also in the middle of a call; no other is started.

        For any thread: whoever is in a call gets its answer.
        """
        self._is_closed = True
        process = self._process
        if process is not None:
            process.interrupt()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # -- one process after the other ---------------------------------------------------------

    def _ready(self) -> WorkerProcess:
        if self._is_closed:
            raise PluginError([Problem(where=self.plan.script.name, what="the worker is closed")])
        if self._process is not None and self._process.is_alive:
            return self._process
        if self._process is not None:
            self._drop()
        rest_s = self._rests_until - time.monotonic()
        if rest_s > 0:
            raise WorkerResting(rest_s, self._last_death)
        try:
            return self._begin()
        except PluginError as error:
            self._drop()
            self._died(str(error))
            raise

    def _begin(self) -> WorkerProcess:
        self.starts += 1
        try:
            guardian, self._guardian = self._guardian, None
            if guardian is not None and not guardian.is_free:
                guardian.close()
                guardian = None
            process = self._process = WorkerProcess(self.plan, self._on_line, guardian)
            load = Call("?load", (_ENCODE(self._load_order()),))
        except OSError as error:
            where = self.plan.python or str(self.plan.script.path)
            raise PluginError([Problem(where=where, what=f"cannot be run: {error}")]) from error
        answer = process.run([load], limit_s=self.plan.limits.start_s)[0]
        self.require(answer, "loading")
        if self._prepare is not None:
            self._prepare(self)
        return process

    def _load_order(self) -> dict[str, Any]:
        script = self.plan.script
        if script.module is not None or script.path is None:
            return {"module": script.name}
        text = script.text
        if text is None:
            text = script.path.read_text("utf-8", "replace")
        return {"path": str(script.path), "text": text, "name": script.name}

    def require(self, answer: Answer, doing: str) -> Answer:
        """Return an answer that is a value.

        Raises:
            PluginError: It is none.
        """
        if answer.is_ok:
            return answer
        where = str(self.plan.script.path or self.plan.script.name)
        what = f"{doing}: {answer.outcome.value}: {answer.error}\n{answer.detail}".rstrip()
        raise PluginError([Problem(where=where, what=what)])

    def _note(self, process: WorkerProcess, answers: Answers) -> None:
        if not process.is_spent:
            if any(each.is_ok for each in answers.odd.values()) or len(answers.odd) < answers.done:
                self._deaths = 0
            return
        self._drop()
        ends = (each.error for each in answers.odd.values() if each.is_fresh_after)
        self._died(next(ends, "it ended"))

    def _died(self, why: str) -> None:
        self._deaths += 1
        self._last_death = why.splitlines()[0] if why else "it ended"
        over = self._deaths - _FREE_DEATHS
        if over > 0:
            pause_s = min(_LONGEST_REST_S, _FIRST_REST_S * 2 ** min(over, 10))
            self._rests_until = time.monotonic() + pause_s

    def _drop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with suppress(OSError):
                process.close()
            if process.guardian.is_free:
                self._guardian = process.guardian
        if self._is_closed and self._guardian is not None:
            self._guardian.close()
            self._guardian = None


def _after(calls: Sequence[Call] | Each, done: int) -> Sequence[Call] | Each:
    if isinstance(calls, Each):
        return Each(calls.function, calls.values[done:])
    return calls[done:]
