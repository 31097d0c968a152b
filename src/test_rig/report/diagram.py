"""A transcript as lanes: sessions side by side, time downwards.

How to think of it: each row of the picture is a *moment*, in one session's lane: a step is sent, or
the answer of a step comes that had to wait. Between the two its lane is *waiting*, whatever the
other lanes do. A step that was answered before anything else happened is one moment, not two. A
session that only looks at the tables when all the others are done gets no lane: what it saw stands
below the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from test_rig.verdict import StepRecord, StepStatus, Transcript

__all__ = ["Diagram", "Moment", "MomentKind", "draw"]


class MomentKind(Enum):
    """What a row of the picture shows."""

    #: Sent and answered.
    DONE = "done"
    #: Sent; the answer comes in a later row.
    SENT = "sent"
    #: The answer of a step that was sent in an earlier row.
    ANSWERED = "answered"
    #: Not sent: its transaction was over.
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One row of the picture."""

    kind: MomentKind
    step: StepRecord
    #: The lane, counted from 0; beyond the last one for what has none.
    lane: int
    #: Nanoseconds since the transcript's start.
    time_ns: int
    #: The lanes whose session waits while this happens.
    waiting: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagram:
    """The whole picture."""

    #: The sessions with a lane, in their order.
    sessions: tuple[str, ...]
    moments: tuple[Moment, ...]
    #: What sessions without a lane did, when everything else was over.
    after: tuple[Moment, ...] = ()


def draw(transcript: Transcript) -> Diagram:
    """Return the lanes of `transcript`."""
    steps = transcript.steps
    names = [name for name, _ in transcript.session_setup] + [step.session for step in steps]
    used = {step.session for step in steps}
    sessions = tuple(name for name in dict.fromkeys(names) if name in used)
    moments: list[Moment] = []
    waiting: dict[int, int] = {}
    for time_ns, kind, number in _events(steps):
        lane = sessions.index(steps[number].session)
        if kind is MomentKind.ANSWERED:
            waiting.pop(lane, None)
        moments.append(
            Moment(
                kind=kind,
                step=steps[number],
                lane=lane,
                time_ns=time_ns,
                waiting=frozenset(waiting),
            )
        )
        if kind is MomentKind.SENT:
            waiting[lane] = number
    return _without_onlookers(sessions, moments)


def _without_onlookers(sessions: tuple[str, ...], moments: list[Moment]) -> Diagram:
    """Take the lanes away that only begin when all others have ended."""
    lanes, count = len(sessions), len(moments)
    while lanes > 2:
        mine = [number for number in range(count) if moments[number].lane == lanes - 1]
        is_onlooker = mine and mine == list(range(mine[0], count))
        if not is_onlooker or any(moments[n].kind is not MomentKind.DONE for n in mine):
            break
        lanes, count = lanes - 1, mine[0]
    return Diagram(
        sessions=sessions[:lanes], moments=tuple(moments[:count]), after=tuple(moments[count:])
    )


def _events(steps: tuple[StepRecord, ...]) -> list[tuple[int, MomentKind, int]]:
    """Return (time, what, step) in order."""
    last_ns = max((step.end_ns or step.start_ns for step in steps), default=0)
    events: list[tuple[int, int, int, MomentKind]] = []
    reached_ns = 0
    for number, step in enumerate(steps):
        if step.status is StepStatus.SKIPPED:
            # It has no time of its own: it stands where it would have been sent.
            events.append((reached_ns, 1, number, MomentKind.SKIPPED))
            continue
        reached_ns = max(reached_ns, step.start_ns)
        if not _has_to_wait(number, steps):
            events.append((reached_ns, 1, number, MomentKind.DONE))
            continue
        end_ns = last_ns if step.end_ns is None else step.end_ns
        # At equal times the answer stands before what was sent because of it, but never before
        # its own step was sent.
        phase = 0 if end_ns > reached_ns else 2
        events.append((reached_ns, 1, number, MomentKind.SENT))
        events.append((max(end_ns, reached_ns), phase, number, MomentKind.ANSWERED))
    return [(time_ns, kind, number) for time_ns, _, number, kind in sorted(events, key=_in_time)]


def _in_time(event: tuple[int, int, int, MomentKind]) -> tuple[int, int, int]:
    return event[:3]


def _has_to_wait(number: int, steps: tuple[StepRecord, ...]) -> bool:
    """Whether something else happened, or would have, between the step and its answer."""
    step = steps[number]
    if step.blocked or step.status is StepStatus.UNFINISHED or step.end_ns is None:
        return True
    return any(
        step.start_ns <= other.start_ns < step.end_ns
        for other in steps[number + 1 :]
        if other.status is not StepStatus.SKIPPED
    )
