"""A transcript as operations: each step that was sent is an `invoke` and its end."""

from __future__ import annotations

from collections.abc import Iterator

from test_rig.errors import FailureKind
from test_rig.history import Op, OpType
from test_rig.verdict import StepRecord, StepStatus, Transcript

__all__ = ["operations"]

# A failure whose answer was lost may have had its effect; every other one was told by the server,
# which then says that the statement did nothing.
_LOST = {
    kind.value
    for kind in (
        FailureKind.CANCELLED,
        FailureKind.TIMEOUT,
        FailureKind.CONNECTION_LOST,
        FailureKind.INDETERMINATE,
        FailureKind.OTHER,
    )
}


def operations(transcript: Transcript) -> Iterator[Op]:
    """Yield the operations of `transcript` in the order of their times.

    A step that was skipped was never sent and gives none. Times count from the transcript's start,
    the index from 0 within the transcript.
    """
    sent = [step for step in transcript.steps if step.status is not StepStatus.SKIPPED]
    last_ns = max((step.end_ns or step.start_ns for step in sent), default=0)
    events = [(step.start_ns, _START, order) for order, step in enumerate(sent)]
    for order, step in enumerate(sent):
        end_ns = last_ns if step.end_ns is None else step.end_ns
        # At equal times an end stands before a start, which was sent because of it; but a step
        # that ended within one tick of the clock still starts before it ends.
        phase = _END if end_ns > step.start_ns else _END_AT_ONCE
        events.append((max(end_ns, step.start_ns), phase, order))
    for index, (time_ns, phase, order) in enumerate(sorted(events)):
        step = sent[order]
        yield _invocation(step, index) if phase == _START else _end(step, index, time_ns)


_END, _START, _END_AT_ONCE = range(3)


def _invocation(step: StepRecord, index: int) -> Op:
    return Op(
        process=step.session,
        type=OpType.INVOKE,
        f=_verb(step.sql),
        value={"step": step.step, "sql": step.sql},
        time_ns=step.start_ns,
        index=index,
    )


def _end(step: StepRecord, index: int, time_ns: int) -> Op:
    value: dict[str, object] = {"step": step.step}
    if step.columns:
        value |= {"columns": step.columns, "rows": step.rows}
    if step.row_count is not None:
        value["row_count"] = step.row_count
    if step.blocked:
        value |= {"blocked_by": step.blocked_by, "blocked_seen_ns": step.blocked_seen_ns}
    told = ": ".join(text for text in (step.error, step.message) if text)
    return Op(
        process=step.session,
        type=_end_type(step),
        f=_verb(step.sql),
        value=value,
        time_ns=time_ns,
        index=index,
        error=told or None,
    )


def _end_type(step: StepRecord) -> OpType:
    if step.status is StepStatus.OK:
        return OpType.OK
    if step.status is StepStatus.UNFINISHED or step.error is None:
        return OpType.INFO
    # A label is the kind, with the code behind it in brackets.
    kind = step.error.split(" (", 1)[0]
    return OpType.INFO if kind in _LOST else OpType.FAIL


def _verb(sql: str) -> str:
    words = sql.split(None, 1)
    return words[0].rstrip(";").lower() if words else ""
