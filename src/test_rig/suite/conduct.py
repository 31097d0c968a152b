"""The conductor: gives files to workers, watches over them, and keeps what they tell.

Theory of operation. One thread for each of the files that are run at the same time; each has one
worker at a time. A handler has the limit that its worker enforces; the conductor's own is a little
later, and ends the worker's whole process group. Then the sessions of which the worker told are
ended on the server, since a server that is busy for a client does not notice that it is gone.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from test_rig.errors import RigError, TargetError
from test_rig.suite.child import Child, Ended
from test_rig.suite.evidence import noted
from test_rig.suite.logs import write_log
from test_rig.suite.order import Message, Order
from test_rig.targets import Target
from test_rig.telemetry import Emit
from test_rig.verdict import HandlerResult, Remark, RemarkKind, ResultStatus

__all__ = ["FileDone", "FileTask", "HandlerBegan", "HandlerDone", "SuiteEvent", "conduct"]

#: How much later than the worker's own limits the conductor's are.
SLACK_S = 15.0
#: How long an interrupted run waits for each thread to remove what it made.
_CLEAN_UP_S = 30.0
_EXIT_NOTE = "its exit did not run; its sessions were ended on the server"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTask:
    """One file, or one module, to run."""

    source: str
    folder: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerBegan:
    """A handler began."""

    source: str
    handler: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerDone:
    """A handler has ended."""

    source: str
    result: HandlerResult


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDone:
    """A file was run to its end."""

    source: str
    results: tuple[HandlerResult, ...]
    problems: tuple[str, ...]
    #: The names of its classes and files, as settings call them.
    named: frozenset[str]


SuiteEvent = HandlerBegan | HandlerDone | FileDone


def conduct(
    tasks: Sequence[FileTask],
    order: Order,
    target: Target,
    *,
    jobs: int = 1,
    in_scratch: bool = False,
    on_event: Callable[[SuiteEvent], None],
    on_output: Callable[[str], None],
    emit: Emit,
) -> list[FileDone]:
    """Run files, and return what came of each, in their order.

    Args:
        tasks: The files.
        order: What is the same for all.
        target: The database.
        jobs: How many are run at the same time.
        in_scratch: Give each file a private place on the target, removed afterwards.
        on_event: Told of what happens, from several threads, one at a time.
        on_output: Given what handlers print, as they print it.
        emit: Gets what handlers measure.

    Raises:
        TargetError: The target could not be used.
    """
    conductor = _Conductor(order, target, in_scratch, _one_at_a_time(on_event), on_output, emit)
    return conductor.run_all(tasks, jobs)


def _one_at_a_time(on_event: Callable[[SuiteEvent], None]) -> Callable[[SuiteEvent], None]:
    guard = threading.Lock()

    def tell(event: SuiteEvent) -> None:
        with guard:
            on_event(event)

    return tell


class _Conductor:
    """Runs the files of one run."""

    def __init__(
        self,
        order: Order,
        target: Target,
        in_scratch: bool,
        on_event: Callable[[SuiteEvent], None],
        *rest: Callable[..., None],
    ) -> None:
        self._order, self._target, self._in_scratch = order, target, in_scratch
        self._on_event = on_event
        self._on_output, self._emit = rest
        self._stop = threading.Event()
        self._children: set[Child] = set()
        self._guard = threading.Lock()

    def run_all(self, tasks: Sequence[FileTask], jobs: int) -> list[FileDone]:
        waiting: queue.SimpleQueue[tuple[int, FileTask]] = queue.SimpleQueue()
        for numbered in enumerate(tasks):
            waiting.put(numbered)
        done: dict[int, FileDone] = {}
        #: What each thread ended with. No thread is joined: Python takes one for ended whose join
        #: was interrupted.
        ends: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

        def work() -> None:
            end: BaseException | None = None
            try:
                while not self._stop.is_set():
                    number, task = waiting.get_nowait()
                    done[number] = self._run_file(task)
            except queue.Empty:
                pass
            except BaseException as error:  # noqa: BLE001 - thread top: raised below
                end = error
                self._stop.set()
            ends.put(end)

        count = min(jobs, len(tasks))
        for _ in range(count):
            threading.Thread(target=work, daemon=True).start()
        try:
            found = [ends.get() for _ in range(count)]
        except BaseException:
            self._end_all(ends, count)
            raise
        for error in found:
            if error is not None:
                raise error
        return [done[number] for number in sorted(done)]

    def _end_all(self, ends: queue.SimpleQueue[BaseException | None], count: int) -> None:
        """End every worker, and let the threads remove what they made."""
        self._stop.set()
        with self._guard:
            for child in self._children:
                child.kill()
        with suppress(queue.Empty):
            for _ in range(count):
                ends.get(timeout=_CLEAN_UP_S)

    def _run_file(self, task: FileTask) -> FileDone:
        with ExitStack() as stack:
            order = replace(
                self._order,
                source=task.source,
                folder=None if task.folder is None else str(task.folder),
            )
            if self._in_scratch:
                scratch = stack.enter_context(self._target.scratch())
                order = replace(order, target=scratch.url)
            results: list[HandlerResult] = []
            named: set[str] = set()
            problems = self._work(order, results, named)
        event = FileDone(
            source=task.source,
            results=tuple(results),
            problems=problems,
            named=frozenset(named),
        )
        self._on_event(event)
        return event

    def _work(self, order: Order, results: list[HandlerResult], named: set[str]) -> tuple[str, ...]:
        """Run a file with as many workers as it takes; return what is wrong with it."""
        while not self._stop.is_set():
            with Child(replace(order, skip=len(results)), self._on_output) as child:
                with self._guard:
                    self._children.add(child)
                    if self._stop.is_set():
                        child.kill()
                try:
                    turn = _Turn(self, order, child)
                    problems = turn.listen(results)
                finally:
                    with self._guard:
                        self._children.discard(child)
            named.update(turn.named)
            if turn.is_over:
                return problems
        return ()

    def began(self, source: str, handler: str) -> None:
        self._on_event(HandlerBegan(source=source, handler=handler))

    def ended(self, source: str, result: HandlerResult, message: Message) -> None:
        for measurement in message.measurements:
            self._emit(measurement)
        self._on_event(HandlerDone(source=source, result=result))

    def end_sessions(self, numbers: Sequence[int]) -> None:
        """End sessions of a worker that is gone, as far as they are still there."""
        statements = [self._target.dialect.kill_statement(number) for number in numbers]
        if not any(statements):
            return
        with suppress(TargetError), self._target.connect("cleanup") as session:
            for statement in statements:
                with suppress(RigError):
                    session.execute(statement or "")

    @property
    def is_stopped(self) -> bool:
        return self._stop.is_set()


class _Turn:
    """What one worker tells, until it ends, or is ended."""

    def __init__(self, conductor: _Conductor, order: Order, child: Child) -> None:
        self._conductor, self._order, self._child = conductor, order, child
        self._running: Message | None = None
        self._sessions: list[int] = []
        #: Whether the file is run to its end.
        self.is_over = False
        self.named: tuple[str, ...] = ()

    def listen(self, results: list[HandlerResult]) -> tuple[str, ...]:
        problems: tuple[str, ...] = ()
        limit_s = self._order.limits.handler_s
        slack_s = SLACK_S + self._order.limits.exit_s
        chosen: int | None = None
        while True:
            message = self._child.next_message(limit_s, slack_s)
            if isinstance(message, Ended):
                return problems + self._gone(message, results, chosen)
            if message.problems is not None:
                problems, chosen = message.problems, len(message.chosen)
                self.named = message.named
            elif message.began is not None:
                self._running, self._sessions = message, []
                limit_s = message.limit_s
                self._conductor.began(self._order.source, message.began)
            elif message.session is not None:
                self._sessions.append(message.session)
            elif message.log is not None:
                write_log(message.log)
            elif message.done is not None:
                result = replace(message.done, output=self._child.output())
                self._running = None
                results.append(result)
                self._conductor.ended(self._order.source, result, message)
                if message.is_spoilt:
                    self._child.kill()
                    self._conductor.end_sessions(self._sessions)

    def _gone(
        self, end: Ended, results: list[HandlerResult], chosen: int | None
    ) -> tuple[str, ...]:
        """Account for a worker that told no more; return what is wrong with its file."""
        running = self._running
        if running is None:
            self.is_over = chosen is None or len(results) >= chosen
            if chosen is not None or self._conductor.is_stopped:
                return ()
            return (f"{self._order.source}: while it was loaded, {end.told}",)
        self._conductor.end_sessions(self._sessions)
        if self._conductor.is_stopped:
            self.is_over = True
            return ()
        told = f"{running.began}: {end.told}"
        count, notes = self._child.journal.read()
        result = HandlerResult(
            handler=str(running.began),
            file=self._order.source,
            line=running.line,
            status=ResultStatus.TIMED_OUT if end.is_late else ResultStatus.ERROR,
            reason=told,
            remarks=(Remark(kind=RemarkKind.LEFT, text=_EXIT_NOTE),),
            statements=noted(notes, self._order.target.password),
            statement_count=count,
            output=self._child.output(),
            duration_s=end.after_s,
        )
        results.append(result)
        self._conductor.ended(self._order.source, result, running)
        self.is_over = chosen is not None and len(results) >= chosen
        return ()
