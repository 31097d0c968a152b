"""A transcript as a judge reads it: who committed, who read what, what was left.

How to think of it: judges look for a pattern in what *committed* transactions read and wrote. The
story answers such questions and has no opinion.
"""

from __future__ import annotations

from dataclasses import dataclass

from test_rig.errors import FailureKind
from test_rig.scenario.script import CHECK
from test_rig.verdict import StepRecord, StepStatus, Transcript

__all__ = ["Rows", "Story"]

#: Rows of the table (id, value) as a mapping.
Rows = dict[int, int]

#: Errors by which a database keeps transactions apart; any other error says nothing of isolation.
_KEPT_APART = frozenset(
    kind.value
    for kind in (
        FailureKind.DEADLOCK,
        FailureKind.SERIALIZATION,
        FailureKind.LOCK_TIMEOUT,
        FailureKind.BUSY,
        FailureKind.TRANSACTION_ABORTED,
    )
)


@dataclass(frozen=True, slots=True)
class Story:
    """One transcript of a scenario over the table `test (id, value)`."""

    transcript: Transcript

    def of(self, session: str) -> tuple[StepRecord, ...]:
        """Return a session's steps, in order."""
        return tuple(step for step in self.transcript.steps if step.session == session)

    def has_committed(self, *sessions: str) -> bool:
        """Whether the COMMIT of each of them succeeded, with no error before it."""
        return all(
            any(_word(step) == "COMMIT" and step.status is StepStatus.OK for step in self.of(one))
            for one in sessions
        )

    def has_rolled_back(self, session: str) -> bool:
        """Whether a session's own ROLLBACK, or one after an error, ended its transaction."""
        steps = self.of(session)
        return any(_word(step) == "ROLLBACK" and step.status is StepStatus.OK for step in steps)

    def reads(self, session: str) -> tuple[Rows, ...]:
        """Return what each successful SELECT of a session gave, in order."""
        return tuple(
            _rows(step)
            for step in self.of(session)
            if _word(step) == "SELECT" and step.status is StepStatus.OK
        )

    def read(self, session: str, number: int) -> Rows | None:
        """Return what a session's SELECT of that number (from 1) gave; None if it gave nothing."""
        reads = self.reads(session)
        return reads[number - 1] if len(reads) >= number else None

    def changed(self, session: str, number: int) -> int | None:
        """Return how many rows a session's write of that number (from 1) changed, if told."""
        writes = [
            step
            for step in self.of(session)
            if _word(step) in ("INSERT", "UPDATE", "DELETE") and step.status is StepStatus.OK
        ]
        return writes[number - 1].row_count if len(writes) >= number else None

    @property
    def final(self) -> Rows | None:
        """The rows that were left when all transactions were over."""
        return self.read(CHECK, 1)

    @property
    def aborts(self) -> tuple[StepRecord, ...]:
        """The steps whose error is how the database keeps transactions apart."""
        errors = (step for step in self.transcript.steps if step.status is StepStatus.ERROR)
        return tuple(step for step in errors if _kind(step) in _KEPT_APART)

    @property
    def accidents(self) -> tuple[StepRecord, ...]:
        """The steps whose error says nothing of isolation: syntax, a lost connection, ..."""
        errors = (step for step in self.transcript.steps if step.status is StepStatus.ERROR)
        return tuple(step for step in errors if _kind(step) not in _KEPT_APART)

    @property
    def unfinished(self) -> tuple[StepRecord, ...]:
        """The steps that neither ended nor were skipped."""
        return tuple(s for s in self.transcript.steps if s.status is StepStatus.UNFINISHED)

    def waits(self, *sessions: str) -> tuple[StepRecord, ...]:
        """Return the steps that waited for another session, of some sessions or of all."""
        return tuple(
            step
            for step in self.transcript.steps
            if step.blocked and (not sessions or step.session in sessions)
        )


def _word(step: StepRecord) -> str:
    return (step.sql.split(None, 1) or [""])[0].rstrip(";").upper()


def _kind(step: StepRecord) -> str:
    return (step.error or "").split(" (")[0]


def _rows(step: StepRecord) -> Rows:
    return {int(row[0] or 0): int(row[1] or 0) for row in step.rows}
