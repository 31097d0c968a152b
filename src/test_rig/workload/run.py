"""Runs a workload against a level of a database: the shell around generators and judges.

Theory of operation. Clients work in threads of their own and write to a tape. The thread that
called takes the tape several times a second and hands it to the history and to the judge; another
one asks the judge what it has found, so that the workload is judged while it runs; what is kept in
memory is the judge's, which is bounded. When the time is over, or something ends the run before,
the clients finish what they are doing, those that do not are cut off, a last client reads what is
left, and the verdict is made of what there is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from random import Random

from test_rig.clock import SYSTEM_CLOCK, Clock
from test_rig.errors import TargetError
from test_rig.history import History, OpType
from test_rig.targets import LevelSpec, Scratch, Session
from test_rig.verdict import WorkloadMoment, WorkloadVerdict
from test_rig.workload.admission import Admission
from test_rig.workload.asking import Asking
from test_rig.workload.client import Client, Source, read_level
from test_rig.workload.history_judge import HistoryJudge
from test_rig.workload.judging import is_forbidden, judged
from test_rig.workload.pace import Pace
from test_rig.workload.readiness import make_ready
from test_rig.workload.series import Series
from test_rig.workload.speech import Speech
from test_rig.workload.tape import Entry, Tape
from test_rig.workload.workload import Done, Generator, Judge, Plan, Shown, Workload

__all__ = ["INTERRUPTED", "Progress", "run_workload"]

#: Why a run ended early that a person stopped.
INTERRUPTED = "interrupted"

_TAKE_S = 0.05
#: So often it is told how the run stands.
_TELL_S = 1.0
#: Beyond the limit of a statement, how long a client may take to end.
_GRACE_S = 2.0
#: So many transactions are judged together at the end, where there were too many before.
_WHOLE = 2_000_000
_FINAL_TRIES = 20
_OPEN_TRIES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How a run stands."""

    elapsed_s: float
    ok: int
    fail: int
    info: int
    shown: tuple[Shown, ...]
    #: Clients that have had no connection yet.
    outside: int = 0
    #: The stretches of time that have ended since it was told before.
    moments: tuple[WorkloadMoment, ...] = ()


def _nothing(told: object) -> None:
    del told


def run_workload(
    workload: Workload,
    scratch: Scratch,
    level: LevelSpec,
    plan: Plan,
    *,
    on_entries: Callable[[Sequence[Entry]], None] = _nothing,
    on_history: Callable[[History], None] = _nothing,
    on_progress: Callable[[Progress], None] = _nothing,
    whole: Callable[[], History] | None = None,
    stop_at_first: bool = False,
    clock: Clock = SYSTEM_CLOCK,
) -> WorkloadVerdict:
    """Run a workload and judge what it showed.

    A KeyboardInterrupt ends the run before its time; what it had is judged, and `ended_early` says
    so.

    Args:
        workload: What to run.
        scratch: The private namespace to run in; the workload makes its tables there.
        level: Sessions of this level.
        plan: How much of it.
        on_entries: Given everything that happened, in order, while it happens; nothing of a
            workload whose operations are transactions of lists or registers.
        on_history: Given these transactions about once a second: all that have ended before any
            began that is still open.
        on_progress: Told about once a second how it stands.
        whole: Gives all that `on_history` was given, as one history; asked at the end, where the
            judge has let transactions go and there are no more than 2,000,000.
        stop_at_first: End the run when something was seen that the claimed level forbids.
        clock: For the history's times.

    Raises:
        TargetError: The tables could not be made, the workload cannot work on this database, or
            no client got a connection.
    """
    with scratch.connect("setup", level=level) as session:
        speech = Speech(session, statement_s=max(plan.statement_s, 10.0))
        for sql, values in workload.setup(plan):
            speech.run(sql, *values)
    judge = workload.judge(plan)
    if isinstance(judge, HistoryJudge):
        make_ready(judge.model)
    run = _Run(workload, judge, scratch, level, plan, clock=clock)
    run.on_entries, run.on_history = on_entries, on_history
    run.on_progress, run.stop_at_first = on_progress, stop_at_first
    try:
        run.start()
        run.watch()
    except KeyboardInterrupt:
        run.ended_early = INTERRUPTED
    finally:
        run.stop()
    if run.source.broken is not None:
        raise run.source.broken
    if run.ended_early is None:
        run.admission.check()
    if isinstance(judge, HistoryJudge) and whole is not None:
        judge.shown()
        if judge.gone and judge.total <= _WHOLE:
            judge.judge_whole(whole())
    return run.verdict()


class _Run:
    """One run in progress."""

    on_entries: Callable[[Sequence[Entry]], None]
    on_history: Callable[[History], None]
    on_progress: Callable[[Progress], None]
    stop_at_first: bool

    def __init__(
        self,
        workload: Workload,
        judge: Judge,
        scratch: Scratch,
        level: LevelSpec,
        plan: Plan,
        *,
        clock: Clock,
    ) -> None:
        self._workload, self._scratch, self._level, self._plan = workload, scratch, level, plan
        self._tape = Tape(clock)
        self._generator: Generator = workload.generator(
            plan,
            Random(plan.seed),  # noqa: S311 - a workload, no secret
        )
        self.source = Source(self._generator, Pace(plan.rate, self._tape.now_ns))
        self._judge, self._series = judge, Series(plan.time_s)
        #: What the server said of the level, by process.
        self._read_back: dict[int, str] = {}
        self.admission = Admission(plan.clients)
        self._clients = [self._client(number) for number in range(plan.clients)]
        self._threads = [
            threading.Thread(
                target=client.work, args=(self.source,), name=f"client-{number}", daemon=True
            )
            for number, client in enumerate(self._clients)
        ]
        self._asking = Asking(self._judge, self.source)
        self.ended_early: str | None = None
        self._elapsed_s = 0.0

    def _client(self, number: int) -> Client:
        return Client(
            number,
            workload=self._workload,
            plan=self._plan,
            level=self._level,
            tape=self._tape,
            connect=self._connect,
            on_session=self._ask_level,
            admission=self.admission,
        )

    def _connect(self, name: str) -> Session:
        return self._scratch.connect(name, level=self._level)

    def _ask_level(self, process: int, session: Session) -> None:
        """Read the level back; where others hold the locks that a question needs, try again."""
        for _ in range(_OPEN_TRIES):
            try:
                answer = read_level(session, self._level)
            except TargetError:
                if not session.is_usable:
                    return
                with suppress(TargetError):
                    session.rollback()
                if self.source.stopped.wait(0.01):
                    return
            else:
                if answer is not None:
                    self._read_back[process] = str(answer)
                return

    def start(self) -> None:
        """Start the clients, and who asks the judge."""
        for thread in self._threads:
            thread.start()
        self._asking.start()

    def watch(self) -> None:
        """Take and judge what happens until the time is over or something ends it."""
        told_ns = self._tape.now_ns()
        end_ns = told_ns + round(self._plan.time_s * 1e9)
        while (now_ns := self._tape.now_ns()) < end_ns:
            if self.source.stopped.wait(min(_TAKE_S, (end_ns - now_ns) / 1e9)):
                return
            self._take()
            if now_ns - told_ns >= _TELL_S * 1e9:
                told_ns = now_ns
                self._hand_over()
                self._tell()
                if self.ended_early is not None:
                    return

    def _tell(self) -> None:
        shown = self._asking.shown
        self.on_progress(
            Progress(
                elapsed_s=self._tape.now_ns() / 1e9,
                ok=self._series.total(OpType.OK),
                fail=self._series.total(OpType.FAIL),
                info=self._series.total(OpType.INFO),
                shown=shown,
                outside=self.admission.outside,
                moments=self._series.ended(),
            )
        )
        if self.stop_at_first:
            found = [each for each in shown if is_forbidden(each, self._level)]
            if found:
                self.ended_early = f"stopped at the first {found[0].flaw.anomaly}"

    def _take(self) -> None:
        entries = self._tape.take()
        if not isinstance(self._judge, HistoryJudge):
            self.on_entries(entries)
        for entry in entries:
            if isinstance(entry, Done):
                self._asking.feed(entry)
                self._series.feed(entry)
            elif isinstance(self._judge, HistoryJudge):
                self._judge.transactions.begun(entry.process, entry.request, entry.time_ns)

    def _hand_over(self, *, is_over: bool = False) -> None:
        """Hand transactions to the judge and to whoever keeps them."""
        if isinstance(self._judge, HistoryJudge):
            part = self._judge.take(dict(self._read_back), is_over=is_over)
            if len(part):
                self.on_history(part)

    def stop(self) -> None:
        """End the clients, read what is left, and take the rest of the tape."""
        self.source.stopped.set()
        self.admission.end()
        self._elapsed_s = self._tape.now_ns() / 1e9
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(self._plan.statement_s + _GRACE_S if self.ended_early is None else 0.5)
        for client, thread in zip(self._clients, self._threads, strict=True):
            if thread.is_alive():
                client.cut()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(self._plan.statement_s + _GRACE_S)
        has_worked = self.admission.outside < self._plan.clients
        if has_worked and self.ended_early is None and self.source.broken is None:
            self._read_final()
        self._take()
        self._asking.stop()
        self._hand_over(is_over=True)

    def _read_final(self) -> None:
        """Read, with nobody else at work, what the generator wants to know at the end."""
        highest = max((client.process for client in self._clients), default=0)
        client = self._client(highest + 1)
        pause = threading.Event()
        try:
            for request in self._generator.final():
                for attempt in range(_FINAL_TRIES):
                    if client.do(request):
                        break
                    pause.wait(0.01 * (attempt + 1))
        finally:
            client.close()

    def verdict(self) -> WorkloadVerdict:
        """Return what it all shows."""
        verdict = judged(
            self._judge,
            self._series,
            workload=self._workload.name,
            target=self._scratch.target.info,
            level=self._level,
            plan=self._plan,
            read_back=tuple(sorted(set(self._read_back.values()))),
            ended_early=self.ended_early,
            duration_s=self._elapsed_s,
        )
        return replace(
            verdict,
            outside=self.admission.outside,
            given_back=self.admission.given_back,
            refusals=self.admission.refusals(),
        )
