"""A database made of locks alone, in simulated time, to drive a schedule with.

A step is a word: "lock x" takes the lock x, waiting for it while another session has it; "end"
frees the session's locks; "fail" is refused; "hang" never ends and is never said to wait;
"notice" sends a notice and ends; "timeout x" waits for the lock x and fails after 50 ms. A circle
of waiting sessions is broken after `deadlock_ms` by failing the session that came last.
"""

from dataclasses import dataclass, field

from test_rig.scenario.moves import (
    Cancel,
    Ended,
    Limits,
    Noticed,
    Observe,
    Observed,
    OnError,
    PlannedStep,
    Rollback,
    RolledBack,
    Send,
    Tick,
)
from test_rig.scenario.schedule import Schedule
from test_rig.scenario.spec import Blocker

MS = 1_000_000


def planned(*words: str) -> tuple[PlannedStep, ...]:
    """Return steps written as "session:name", with markers after a slash: "s1:a/b,*"."""
    steps = []
    for word in words:
        place, _, marks = word.partition("/")
        session, _, name = place.partition(":")
        blockers = []
        for mark in filter(None, marks.split(",")):
            step, _, count = mark.partition("+")
            blockers.append(
                Blocker()
                if mark == "*"
                else Blocker(step=step, notices=int(count) if count else None)
            )
        steps.append(PlannedStep(session=session, name=name, blockers=tuple(blockers)))
    return tuple(steps)


@dataclass
class World:
    """Sessions and their locks; `run` drives a schedule to its end."""

    steps: tuple[PlannedStep, ...]
    sql: dict[str, str]
    schedule: Schedule
    deadlock_ms: int = 0
    now: int = 0
    locks: dict[str, str] = field(default_factory=dict)
    wanted: dict[str, tuple[str, int]] = field(default_factory=dict)
    pending: list[tuple[int, object]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    since: dict[str, int] = field(default_factory=dict)

    def run(self) -> "World":
        """Drive the schedule until it is over and nothing runs."""
        commands = self.schedule.start(0)
        for _ in range(5000):
            for command in commands:
                self.do(command)
            if self.schedule.is_over and not self.schedule.running:
                return self
            self.pending.sort(key=lambda item: item[0])
            wake = max(self.schedule.wake_at_ns, self.now + 1)
            if self.pending and (self.pending[0][0] <= wake or self.schedule.is_over):
                self.now, event = self.pending.pop(0)
                if isinstance(event, Ended):  # a time limit ends a wait
                    self.wanted.pop(self.steps[event.index].session, None)
            else:
                self.now, event = wake, Tick()
            commands = self.schedule.on(event, self.now)
            self.break_circles()
        raise AssertionError("the schedule does not end")

    def do(self, command: object) -> None:
        """Carry a command out."""
        if isinstance(command, Send):
            self.send(command.index)
        elif isinstance(command, Observe):
            waits = {one: (self.locks[lock],) for one, (lock, _) in self.wanted.items()}
            self.pending.append((self.now, Observed(asked_ns=self.now, waits=waits)))
        elif isinstance(command, Rollback):
            self.log.append(f"rollback {command.session}")
            self.free(command.session)
            self.pending.append((self.now + MS, RolledBack(session=command.session)))
        elif isinstance(command, Cancel):
            step = self.steps[command.index]
            self.log.append(f"cancel {step.name}")
            self.wanted.pop(step.session, None)
            self.pending = [p for p in self.pending if getattr(p[1], "index", -1) != command.index]
            self.pending.append((self.now + MS, Ended(index=command.index, is_failed=True)))

    def send(self, index: int) -> None:
        """Start a step: its session must be idle."""
        step = self.steps[index]
        assert step.session not in self.wanted, "a step was sent to a session that waits"
        assert not [p for p in self.pending if self.session_of(p[1]) == step.session]
        self.log.append(step.name)
        word, _, lock = self.sql[step.name].partition(" ")
        if word in ("lock", "timeout") and self.locks.get(lock, step.session) != step.session:
            self.wanted[step.session] = (lock, index)
            self.since[step.session] = self.now
            if word == "timeout":
                self.pending.append((self.now + 50 * MS, Ended(index=index, is_failed=True)))
        elif word == "lock":
            self.locks[lock] = step.session
            self.answer(index)
        elif word == "end":
            self.free(step.session)
            self.answer(index)
        elif word == "notice":
            self.pending.append((self.now + MS // 2, Noticed(session=step.session)))
            self.answer(index)
        elif word != "hang":
            self.answer(index, is_failed=word == "fail")

    def session_of(self, event: object) -> str | None:
        """Return whose step or rollback an event ends."""
        index = getattr(event, "index", None)
        if index is not None:
            return self.steps[index].session
        return getattr(event, "session", None) if isinstance(event, RolledBack) else None

    def answer(self, index: int, *, is_failed: bool = False) -> None:
        """End a step in a millisecond."""
        self.pending.append((self.now + MS, Ended(index=index, is_failed=is_failed)))

    def free(self, session: str) -> None:
        """Free a session's locks and hand each to the first that waits for it."""
        for lock in [lock for lock, owner in self.locks.items() if owner == session]:
            del self.locks[lock]
            heirs = sorted((self.since[s], s) for s, (w, _) in self.wanted.items() if w == lock)
            if heirs:
                heir = heirs[0][1]
                self.locks[lock] = heir
                self.answer(self.wanted.pop(heir)[1])

    def break_circles(self) -> None:
        """Fail the session that closed a circle, once it has stood long enough."""
        for one in sorted(self.wanted, key=lambda s: -self.since[s]):
            seen, other = [one], self.locks[self.wanted[one][0]]
            while other in self.wanted and other not in seen:
                seen.append(other)
                other = self.locks[self.wanted[other][0]]
            if other == one:
                if self.now - self.since[one] < self.deadlock_ms * MS:
                    return
                _, index = self.wanted.pop(one)
                self.free(one)
                self.answer(index, is_failed=True)
                return

    @property
    def story(self) -> list[str]:
        """The reports, as "name phase"."""
        return [f"{self.steps[r.index].name} {r.phase.value}" for r in self.schedule.reports]


def play(
    script: str,
    sql: dict[str, str],
    *,
    on_error: OnError = OnError.CONTINUE,
    deadlock_ms: int = 0,
    is_patient: bool = False,
) -> World:
    """Run a script, written as words for `planned`, to its end."""
    steps = planned(*script.split())
    schedule = Schedule(
        steps, on_error=on_error, limits=Limits(step_ns=1000 * MS), is_patient=is_patient
    )
    return World(steps, sql, schedule, deadlock_ms=deadlock_ms).run()
