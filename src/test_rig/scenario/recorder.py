"""Turns what a run learned into its transcript."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from test_rig.errors import FailureKind, TargetError
from test_rig.scenario.client_text import result_set
from test_rig.scenario.moves import Ended, Ending, OnError, RolledBack
from test_rig.scenario.player import Answer
from test_rig.scenario.schedule import Schedule
from test_rig.scenario.script import CHECK, Script
from test_rig.targets import LevelSpec, Result
from test_rig.verdict import ResultSet, StepRecord, StepReport, StepStatus, Transcript

__all__ = ["Recorder"]


class Recorder:
    """Keeps the answers of one run, and makes records of them.

    Args:
        script: What was sent.
        schedule: What is known of each step.
        listener: Told of every step once it has ended.
    """

    def __init__(
        self,
        script: Script,
        schedule: Schedule,
        listener: Callable[[StepRecord], None] | None = None,
    ) -> None:
        self._script, self._schedule, self._listener = script, schedule, listener
        self._start_ns = 0
        self._answers: dict[int, Answer] = {}
        self._extra: list[StepRecord] = []
        self._family = ""
        #: Why the server could not be asked who waits, where it could not.
        self.why_not: str | None = None

    def begin(self, now_ns: int) -> None:
        """Note when the first step was sent."""
        self._start_ns = now_ns

    def note(self, answer: Answer, family: str) -> None:
        """Note the answer to a step, or to the rig's own ROLLBACK."""
        self._family = family
        if isinstance(answer.event, Ended):
            self._answers[answer.event.index] = answer
        elif isinstance(answer.event, RolledBack) and answer.sql:
            session = answer.event.session
            name = f"{session.lower()}-rollback"
            self._extra.append(self._record(answer, session=session, step=name))

    def note_final(self, result: Result, start_ns: int, end_ns: int, family: str) -> None:
        """Note the state that was left at the end."""
        answer = Answer(
            event=Ended(index=-1),
            sql=self._script.final or "",
            start_ns=start_ns,
            end_ns=end_ns,
            result=result,
        )
        self._family = family
        self._extra.append(self._record(answer, session=CHECK, step="final"))

    def tell(self, index: int) -> None:
        """Tell the listener of a step that has ended."""
        if self._listener is not None:
            self._listener(self._step(index))

    def transcript(
        self,
        *,
        level: LevelSpec | None,
        before: tuple[ResultSet, ...],
        after: tuple[ResultSet, ...],
    ) -> Transcript:
        """Return all that was recorded."""
        script, schedule = self._script, self._schedule
        numbers = range(len(script.steps))
        lines = [(self._place_ns(n), n, self._step(n)) for n in numbers]
        lines += [(record.start_ns, len(numbers), record) for record in self._extra]
        lines.sort(key=lambda line: line[:2])
        at = {number: place for place, (_, number, _) in enumerate(lines)}
        problem = schedule.problem
        if problem is not None and self.why_not is not None:
            problem = f"{problem} (the server could not be asked who waits: {self.why_not})"
        return Transcript(
            scenario=script.name,
            level=level.name if level else None,
            setup=script.setup,
            session_setup=tuple((s.name, _level_setup(level) + s.setup) for s in script.sessions),
            steps=tuple(record for _, _, record in lines),
            session_teardown=tuple((s.name, s.teardown) for s in script.sessions if s.teardown),
            teardown=script.teardown,
            reports=tuple(
                StepReport(phase=report.phase, index=at[report.index], text=report.text)
                for report in schedule.reports
            ),
            before=before,
            after=after,
            problem=problem,
            is_impossible=schedule.ending is Ending.IMPOSSIBLE,
        )

    def _place_ns(self, index: int) -> int:
        """Return when a step was sent; one that was not stands behind the last before it."""
        tracks = self._schedule.tracks
        own = tracks[index].sent_ns
        sent = [track.sent_ns for track in tracks[:index] if track.sent_ns is not None]
        return (max(sent, default=self._start_ns) if own is None else own) - self._start_ns

    def _step(self, index: int) -> StepRecord:
        step, track = self._script.steps[index], self._schedule.tracks[index]
        seen_ns, sent_ns = track.blocked_ns, track.sent_ns
        record = StepRecord(
            session=step.session,
            step=step.name,
            sql=step.sql,
            status=StepStatus.SKIPPED if sent_ns is None else StepStatus.UNFINISHED,
            blocked=seen_ns is not None,
            blocked_by=self._who_blocked(index),
            blocked_seen_ns=None if seen_ns is None or sent_ns is None else seen_ns - sent_ns,
            start_ns=0 if sent_ns is None else sent_ns - self._start_ns,
        )
        answer = self._answers.get(index)
        if answer is None:
            return record
        return self._with_answer(record, answer, is_cancelled=track.is_cancelled)

    def _with_answer(
        self, record: StepRecord, answer: Answer, *, is_cancelled: bool = False
    ) -> StepRecord:
        record = replace(record, end_ns=answer.end_ns - self._start_ns)
        if answer.error is not None:
            status = StepStatus.UNFINISHED if is_cancelled else StepStatus.ERROR
            label = answer.error.failure.label()
            return replace(record, status=status, error=label, message=_message(answer.error))
        result = answer.result or Result()
        tables = [result_set(r.columns, r.rows, family=self._family) for r in _results(result)]
        record = replace(
            record,
            status=StepStatus.OK,
            columns=tables[0].columns if tables else (),
            rows=tables[0].rows if tables else (),
            more=tuple(tables[1:]),
            row_count=result.row_count,
            notices=result.notices,
        )
        if result.rolled_back and self._script.on_error is OnError.ABORT:
            # COMMIT said yes and rolled back: whoever judges must not take it for a commit.
            kind = FailureKind.TRANSACTION_ABORTED.value
            record = replace(record, status=StepStatus.ERROR, error=kind, message="rolled back")
        return record

    def _record(self, answer: Answer, *, session: str, step: str) -> StepRecord:
        record = StepRecord(
            session=session,
            step=step,
            sql=answer.sql,
            status=StepStatus.OK,
            start_ns=answer.start_ns - self._start_ns,
        )
        return self._with_answer(record, answer)

    def _who_blocked(self, index: int) -> tuple[str, ...]:
        """Return whom a step waited for: the server's word, or else the only one it can be."""
        track, step = self._schedule.tracks[index], self._script.steps[index]
        if track.blocked_ns is None or track.blocked_by:
            return track.blocked_by
        last: dict[str, str] = {}
        for number, other in enumerate(self._script.steps):
            sent_ns = self._schedule.tracks[number].sent_ns
            if sent_ns is not None and sent_ns < (track.sent_ns or 0):
                last[other.session] = (other.sql.split(None, 1) or [""])[0].upper()
        over = ("BEGIN", "START", "COMMIT", "ROLLBACK")
        holders = [s for s, word in last.items() if s != step.session and word not in over]
        return tuple(holders) if len(holders) == 1 else ()


def _results(result: Result) -> list[Result]:
    """Return the parts of a result that have columns."""
    return [part for part in (result, *result.more) if part.columns]


def _level_setup(level: LevelSpec | None) -> tuple[str, ...]:
    """Return what puts a session of one's own into the level, as a person would type it."""
    if level is None:
        return ()
    modes = (f"PRAGMA journal_mode = {v}" for k, v in level.options if k == "journal_mode")
    return (*modes, *level.session_setup)


def _message(error: TargetError) -> str:
    """Return the server's message without details that differ from run to run."""
    # PostgreSQL's drivers tell the primary message apart from detail, which holds process numbers.
    diagnostic = getattr(error.__cause__, "diag", None)
    primary = getattr(diagnostic, "message_primary", None)
    return str(primary or error.failure.message or error.what)
