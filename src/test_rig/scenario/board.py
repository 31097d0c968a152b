"""What is known in the middle of a run: which steps run, who waits, and for whom.

How to think of it: the board is the core's memory. Events are written on it, the programs of
`schedule` read it. *Blocked* is the server's word, given twice: two observations in a row, both
asked for after the last thing that changed (a step sent, a step ended), say that the session
waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from test_rig.scenario.moves import (
    Ended,
    Event,
    Limits,
    Noticed,
    Observed,
    PlannedStep,
    RolledBack,
    Track,
)
from test_rig.verdict import StepPhase, StepReport

__all__ = ["Board"]

#: How many observations in a row must agree before a step is said to be blocked.
_CONFIRMED = 2


class Board:
    """The core's memory of one run."""

    def __init__(self, steps: Sequence[PlannedStep], limits: Limits) -> None:
        self.steps = tuple(steps)
        self.tracks = tuple(Track() for _ in steps)
        self.limits = limits
        self.reports: list[StepReport] = []
        #: The step that each busy session runs, or has ended without a report yet.
        self.active: dict[str, int] = {}
        #: Sessions whose transaction is being rolled back.
        self.rolling: set[str] = set()
        self.now_ns = 0
        self.changed_ns = 0
        self._waits: Mapping[str, tuple[str, ...]] = {}
        #: Notices that arrived and were not looked at yet, and how many were, by session.
        self._unheard: dict[str, list[str]] = {}
        self._notices: dict[str, int] = {}

    @property
    def running(self) -> tuple[int, ...]:
        """The steps that were sent and have not been answered."""
        return tuple(i for i, track in enumerate(self.tracks) if track.is_running)

    @property
    def notice_count(self) -> int:
        """How many notices were counted, of all sessions."""
        return sum(self._notices.values())

    # Writing

    def learn(self, event: Event) -> None:
        """Take in an event."""
        if isinstance(event, Ended):
            track = self.tracks[event.index]
            track.is_ended, track.is_failed = True, event.is_failed
            self._change()
        elif isinstance(event, RolledBack):
            self.rolling.discard(event.session)
            self._change()
        elif isinstance(event, Noticed):
            self._unheard.setdefault(event.session, []).append(event.text)
        elif isinstance(event, Observed) and event.asked_ns >= self.changed_ns:
            self._count_votes(event)

    def _change(self) -> None:
        """Forget who waited: what just happened may have let them go."""
        self.changed_ns = self.now_ns
        for track in self.tracks:
            track.votes = 0

    def _count_votes(self, event: Observed) -> None:
        self._waits = event.waits
        for session, index in self.active.items():
            track = self.tracks[index]
            if not track.is_running:
                continue
            track.votes = track.votes + 1 if session in event.waits else 0
            if session in event.waits:
                track.blocked_by = event.waits[session] or track.blocked_by
            if track.votes >= _CONFIRMED and track.blocked_ns is None:
                track.blocked_ns = self.now_ns

    def send(self, index: int) -> None:
        """Note that a step is sent now."""
        step, track = self.steps[index], self.tracks[index]
        self._change()
        track.sent_ns = self.now_ns
        self.active[step.session] = index
        for place, blocker in enumerate(step.blockers):
            if blocker.step is not None and blocker.notices is not None:
                so_far = self._notices.get(self._session_of(blocker.step), 0)
                track.notice_goals[place] = so_far + blocker.notices

    def report(self, index: int, phase: StepPhase) -> None:
        """Add a line to the story; one that tells the end frees the step's session."""
        self.hear(index)
        self.reports.append(StepReport(phase=phase, index=index))
        if phase is not StepPhase.WAITING:
            self.tracks[index].is_done = True
            del self.active[self.steps[index].session]

    def hear(self, index: int) -> None:
        """Count and report the notices that a step's session has received."""
        session = self.steps[index].session
        for text in self._unheard.pop(session, ()):
            self._notices[session] = self._notices.get(session, 0) + 1
            self.reports.append(StepReport(phase=StepPhase.NOTICE, index=index, text=text))

    def skip_rest(self, session: str | None = None) -> None:
        """Note that what was not sent yet will not be, of one session or of all."""
        for step, track in zip(self.steps, self.tracks, strict=True):
            if track.sent_ns is None and session in (None, step.session):
                track.is_skipped = True

    # Reading

    def is_blocked(self, index: int) -> bool:
        """Whether the server says, confirmed, that the step waits now."""
        return self.tracks[index].votes >= _CONFIRMED

    def is_in_a_circle(self, index: int) -> bool:
        """Whether the step's session waits, perhaps through others, for one that waits for it."""
        session = self.steps[index].session
        seen: set[str] = set()
        ahead = [session]
        while ahead:
            for other in self._waits.get(ahead.pop(), ()):
                if other == session:
                    return True
                if other not in seen:
                    seen.add(other)
                    ahead.append(other)
        return False

    def idle_sessions_behind(self, index: int) -> tuple[str, ...]:
        """Return the idle sessions that a step waits for, () where something may still move.

        Something may move while any session in the chain runs, is being rolled back, waits for
        somebody who is not told, or waits in a circle, which the server resolves.
        """
        idle: set[str] = set()
        is_hopeless = self._is_hopeless(self.steps[index].session, (), idle)
        idle.discard(self.steps[index].session)
        return tuple(sorted(idle)) if is_hopeless else ()

    def _is_hopeless(self, session: str, path: tuple[str, ...], idle: set[str]) -> bool:
        index = self.active.get(session)
        if index is None or self.tracks[index].is_ended:
            idle.add(session)
            return session not in self.rolling
        blockers = self._waits.get(session, ())
        if session in path or not blockers or not self.is_blocked(index):
            return False
        return all(self._is_hopeless(other, (*path, session), idle) for other in blockers)

    def is_held(self, index: int) -> bool:
        """Whether a marker keeps the step's end from being reported."""
        for place, blocker in enumerate(self.steps[index].blockers):
            if blocker.step is None:
                continue
            if blocker.notices is not None:
                so_far = self._notices.get(self._session_of(blocker.step), 0)
                if so_far < self.tracks[index].notice_goals[place]:
                    return True
            elif any(self.tracks[i].is_open for i in self._places_of(blocker.step)):
                return True
        return False

    def _places_of(self, name: str) -> tuple[int, ...]:
        return tuple(i for i, step in enumerate(self.steps) if step.name == name)

    def _session_of(self, name: str) -> str:
        return self.steps[self._places_of(name)[0]].session
