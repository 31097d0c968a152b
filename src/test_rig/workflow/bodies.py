"""Running what people wrote: functions in threads, coroutines on a loop.

How to think of it: a `Job` is one attempt. `Bodies.start` hands it to an idle thread, or to the
loop's thread when it is async; whatever comes of it becomes an `Outcome`, which goes back to the
engine by `deliver`. `stop` ends a job: a coroutine is cancelled, a thread gets an exception at its
next step in Python. A thread that waits in C does not notice; the engine waits for it for a moment
and goes on without it. A coroutine that never awaits does not notice either, and holds up all
others: `release` sends its thread the exception, and further coroutines get a loop of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import inspect
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from test_rig.errors import ContextInvalid
from test_rig.processes import kill_group
from test_rig.workflow.commands import Outcome
from test_rig.workflow.process import run_isolated
from test_rig.workflow.records import Failure
from test_rig.workflow.states import TaskStatus
from test_rig.workflow.task import Task, TaskContext, TaskInfo
from test_rig.workflow.tracing import spanned
from test_rig.workflow.values import encoded

__all__ = ["Bodies", "Job", "TaskStopped", "failure_from"]

_TRACEBACK_CHARS = 20_000


class TaskStopped(BaseException):
    """Raised within a task whose time is over, or that was cancelled."""


@dataclass(slots=True, eq=False, kw_only=True)
class Job:
    """One attempt at one task."""

    run_id: str
    key: str
    attempt: int
    task: Task
    view: dict[str, Any]
    limit: int
    deliver: Callable[[Job, Outcome], None]
    deadline: float | None = None
    started: float = 0.0
    #: Why it was stopped: cancelled, or late.
    stopped: str | None = None
    is_marked: bool = False
    thread: int | None = None
    #: The process of an isolated task.
    process: int | None = None
    coroutine: asyncio.Task[None] | None = None
    #: Where the coroutine runs.
    loop: asyncio.AbstractEventLoop | None = None
    #: Of OpenTelemetry, where somebody collects them.
    span: Any = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    is_hit: bool = False

    @property
    def name(self) -> str:
        """What the attempt is called in errors."""
        return f"{self.task.task_id}"

    def context(self) -> TaskContext:
        """Return the task's own copy of its context."""
        info = TaskInfo(
            run_id=self.run_id,
            task_id=self.key,
            attempt=self.attempt,
            idempotency_key=f"{self.run_id}/{self.key}",
            deadline=self.deadline,
        )
        return TaskContext(self.view, info, lambda: self.stopped is not None)


class Bodies:
    """Threads for functions and one loop for coroutines; both are made when first needed."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._idle = 0
        self._threads = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread: threading.Thread | None = None
        #: Loops that were held up: what they have goes on there, once they can.
        self._left: list[tuple[asyncio.AbstractEventLoop, threading.Thread]] = []

    def start(self, job: Job) -> None:
        """Start an attempt."""
        job.started = time.time()
        if job.task.is_async and not job.task.isolated:
            job.loop = self._running_loop()
            job.loop.call_soon_threadsafe(self._begin, job)
            return
        with self._lock:
            is_idle = self._idle > 0
            if is_idle:
                self._idle -= 1
            else:
                self._threads += 1
        if is_idle:
            self._jobs.put(job)
        else:
            name = f"{self._name}-task-{self._threads}"
            threading.Thread(target=self._serve, args=(job,), name=name, daemon=True).start()

    def stop(self, job: Job, why: str) -> None:
        """End an attempt that nobody waits for any more, or whose time is over."""
        job.stopped = job.stopped or why
        if job.task.isolated:
            with job.lock:
                if job.process is not None:
                    kill_group(job.process)
            return
        if job.loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has come to its end meanwhile
                job.loop.call_soon_threadsafe(_cancel, job)
            return
        with job.lock:
            if job.thread is not None and not job.is_hit:
                job.is_hit = True
                _raise_in(job.thread, TaskStopped)

    def release(self, job: Job) -> bool:
        """Send the exception to a stopped coroutine that holds up its loop; return whether it does.

        Its loop, which may wait in C for long, gets no further coroutines.
        """
        loop, held = job.loop, job.coroutine
        if loop is None or held is None or held.done() or asyncio.current_task(loop) is not held:
            return False
        if self._loop is loop and self._loop_thread is not None:
            self._left = [each for each in self._left if each[1].is_alive()]
            self._left.append((loop, self._loop_thread))
            self._loop = self._loop_thread = None
            loop.call_soon_threadsafe(lambda: loop.create_task(_wound_up()))
        if job.thread is not None and not job.is_hit:
            job.is_hit = True
            _raise_in(job.thread, TaskStopped)
        return True

    def close(self, *, wait_s: float = 2.0) -> None:
        """End the idle threads and the loops."""
        with self._lock:
            count, self._idle = self._idle, 0
        for _ in range(count):
            self._jobs.put(None)
        loops = list(self._left)
        if self._loop is not None and self._loop_thread is not None:
            loops.append((self._loop, self._loop_thread))
        for loop, thread in loops:
            with contextlib.suppress(RuntimeError):  # it has come to its end meanwhile
                loop.call_soon_threadsafe(loop.stop)
            thread.join(wait_s)

    def run_here(self, job: Job) -> Outcome:
        """Run an attempt in this thread and return its outcome: for a process of its own."""
        job.started = time.time()
        if job.task.is_async:
            found: list[Outcome] = []
            job.deliver = lambda _, outcome: found.append(outcome)
            asyncio.run(_awaited(job))
            return found[0]
        return self._run(job)

    # Threads

    def _serve(self, job: Job | None) -> None:
        while job is not None:
            outcome = self._run(job)
            with self._lock:
                # Before the outcome is delivered: what it sets free finds this thread idle.
                self._idle += 1
            job.deliver(job, outcome)
            del outcome
            job = self._jobs.get()

    def _run(self, job: Job) -> Outcome:
        if job.task.isolated:
            return run_isolated(job) or _stopped(job)
        with job.lock:
            if job.stopped is not None:
                return _stopped(job)
            job.thread = threading.get_ident()
        is_absorbed = False
        try:
            outcome = _called(job)
        except TaskStopped:
            is_absorbed, outcome = True, _stopped(job)
        finally:
            with contextlib.suppress(TaskStopped):
                with job.lock:
                    job.thread = None
                if job.is_hit and not is_absorbed:
                    _absorb()
        return outcome

    # The loop

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            loop = self._loop = asyncio.new_event_loop()

            def run() -> None:
                asyncio.set_event_loop(loop)
                try:
                    while not loop.is_closed():
                        try:
                            loop.run_forever()
                            break
                        except TaskStopped:  # it came when its coroutine had just let go
                            continue
                finally:
                    left = asyncio.all_tasks(loop)
                    for each in left:
                        each.cancel()
                    if left:
                        loop.run_until_complete(asyncio.wait(left, timeout=1))
                    loop.run_until_complete(loop.shutdown_asyncgens())
                    loop.close()

            self._loop_thread = threading.Thread(target=run, name=f"{self._name}-loop", daemon=True)
            self._loop_thread.start()
        return self._loop

    def _begin(self, job: Job) -> None:
        if job.stopped is not None:
            job.deliver(job, _stopped(job))
            return
        job.thread = threading.get_ident()
        job.coroutine = asyncio.get_running_loop().create_task(_awaited(job))


async def _wound_up() -> None:
    """End a loop that gets no further coroutines when those that it has are done."""
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others)
    asyncio.get_running_loop().stop()


def _cancel(job: Job) -> None:
    if job.coroutine is not None:
        job.coroutine.cancel()


def _raise_in(thread: int, kind: type[BaseException]) -> None:
    # The C API's PyThreadState_SetAsyncExc, "Initialization, Finalization, and Threads".
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(kind))


def _absorb() -> None:
    """Give an exception that was sent too late the steps that it needs to arrive here."""
    until = time.monotonic() + 0.1
    while time.monotonic() < until:
        pass


def _called(job: Job) -> Outcome:
    try:
        context = job.context()
        if not _is_wanted(job, context):
            return _unwanted(job)
        returned = spanned(job.task.function, job.span, is_async=False)(context)
        if inspect.isawaitable(returned):
            returned = asyncio.run(_finished(returned))
        return completed(job, context, returned)
    except TaskStopped:
        raise
    except BaseException as error:  # noqa: BLE001 -- the door to users' code: SystemExit too
        return failed(job, error)


async def _finished(awaitable: Any) -> Any:
    return await awaitable


async def _awaited(job: Job) -> None:
    try:
        context = job.context()
        if _is_wanted(job, context):
            function = spanned(job.task.function, job.span, is_async=True)
            outcome = completed(job, context, await function(context))
        else:
            outcome = _unwanted(job)
    except (asyncio.CancelledError, TaskStopped):
        outcome = _stopped(job)
    except BaseException as error:  # noqa: BLE001 -- the door to users' code: SystemExit too
        outcome = failed(job, error)
    job.deliver(job, outcome)


def _is_wanted(job: Job, context: TaskContext) -> bool:
    rule = job.task.rule
    return rule.kind != "function" or rule.function is None or bool(rule.function(context))


def _unwanted(job: Job) -> Outcome:
    failure = Failure(type="Skipped", message=f"its rule does not hold: {job.task.rule}")
    return Outcome(TaskStatus.SKIPPED, job.started, time.time(), failure=failure)


def completed(job: Job, context: TaskContext, returned: object) -> Outcome:
    """Return the outcome of a task that came to its end."""
    if returned is not None and returned is not context:
        if not isinstance(returned, dict):
            kind = type(returned).__name__
            what = f"a task returns a dict of updates or None, {job.name} returned a {kind}"
            failure = Failure(type="ContextInvalid", message=what)
            return Outcome(TaskStatus.FAILED, job.started, time.time(), failure=failure)
        context.update(returned)
    delta = context.changes()
    if not delta:
        return Outcome(TaskStatus.COMPLETED, job.started, time.time())
    text, back = encoded(delta, where=job.name, limit=job.limit)
    return Outcome(TaskStatus.COMPLETED, job.started, time.time(), back, text)


def failed(job: Job, error: BaseException) -> Outcome:
    """Return the outcome of a task that raised."""
    return Outcome(TaskStatus.FAILED, job.started, time.time(), failure=failure_from(error))


def failure_from(error: BaseException) -> Failure:
    """Return an exception as a value."""
    if isinstance(error, ContextInvalid):
        return Failure(type="ContextInvalid", message=str(error), names=("ContextInvalid",))
    # The frames of this file say nothing to whoever wrote the task.
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    text = "".join(traceback.format_exception(type(error), error, trace or error.__traceback__))
    names = tuple(kind.__name__ for kind in type(error).__mro__ if kind is not object)
    message = str(error) or ("" if not isinstance(error, SystemExit) else f"exit({error.code})")
    return Failure(
        type=type(error).__name__, message=message, traceback=text[-_TRACEBACK_CHARS:], names=names
    )


def _stopped(job: Job) -> Outcome:
    is_late = job.stopped == "late"
    limit = job.task.timeout_s
    what = f"the task took longer than {limit} s" if is_late else "the task was cancelled"
    status = TaskStatus.TIMED_OUT if is_late else TaskStatus.CANCELLED
    kind = "TaskTimeout" if is_late else "Cancelled"
    failure = Failure(type=kind, message=what, names=(kind, "TimeoutError") if is_late else (kind,))
    return Outcome(status, job.started, time.time(), failure=failure)


def abandoned(job: Job) -> Outcome:
    """Return the outcome of a job that was stopped and did not end."""
    outcome = _stopped(job)
    what = f"{outcome.failure.message if outcome.failure else ''}, and could not be ended: its "
    what += "thread still runs; isolated=True gives it a process that can be killed"
    names = outcome.failure.names if outcome.failure else ()
    failure = Failure(
        type=outcome.failure.type if outcome.failure else "", message=what, names=names
    )
    return Outcome(outcome.status, outcome.started, outcome.finished, failure=failure)
