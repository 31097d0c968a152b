"""A test specification of PostgreSQL's isolation tester, as values.

How to think of it: a spec is sessions with named steps, and permutations: orders in which steps
are sent. A permutation may repeat steps and leave others out; a spec without permutations stands
for all interleavings that keep each session's own order. The values are immutable; `str(spec)`
is a text that reads back as an equal spec. Reading is in `spec_reader`, running in `stage`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import factorial, prod

__all__ = [
    "Blocker",
    "Permutation",
    "PermutationStep",
    "SessionSpec",
    "Spec",
    "Step",
]

#: The words of the language; as names they must be quoted.
KEYWORDS = frozenset({"notices", "permutation", "session", "setup", "step", "teardown"})
_PLAIN = re.compile(r"[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_$\u0080-\U0010ffff]*")


def _quoted(name: str) -> str:
    if _PLAIN.fullmatch(name) and name not in KEYWORDS:
        return name
    return '"' + name.replace('"', '""') + '"'


def _block(word: str, sql: str | None) -> list[str]:
    return [] if sql is None else [f"{word} {{ {sql} }}"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A named piece of SQL: one statement or several, sent as one text."""

    name: str
    sql: str

    def __str__(self) -> str:
        return f"step {_quoted(self.name)} {{ {self.sql} }}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSpec:
    """One connection: what it runs before and after each permutation, and its steps."""

    name: str
    steps: tuple[Step, ...]
    setup: str | None = None
    teardown: str | None = None

    def __str__(self) -> str:
        lines = [f"session {_quoted(self.name)}", *_block("setup", self.setup)]
        return "\n".join([*lines, *map(str, self.steps), *_block("teardown", self.teardown)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocker:
    """What keeps a step from being reported as completed.

    With neither field it is the asterisk: the step is reported as waiting as soon as it was sent.
    """

    #: That other step is not completed yet.
    step: str | None = None
    #: That other step's session has not sent so many notices yet, since this step was sent.
    notices: int | None = None

    def __str__(self) -> str:
        if self.step is None:
            return "*"
        suffix = "" if self.notices is None else f" notices {self.notices}"
        return f"{_quoted(self.step)}{suffix}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PermutationStep:
    """A step's place in a permutation, with its markers."""

    step: str
    blockers: tuple[Blocker, ...] = ()

    def __str__(self) -> str:
        marks = f"({', '.join(map(str, self.blockers))})" if self.blockers else ""
        return f"{_quoted(self.step)}{marks}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Permutation:
    """An order in which steps are sent."""

    steps: tuple[PermutationStep, ...]

    @property
    def name(self) -> str:
        """The steps' names in order, as the isolation tester announces a permutation."""
        return " ".join(step.step for step in self.steps)

    def __str__(self) -> str:
        return " ".join(["permutation", *map(str, self.steps)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A whole specification."""

    #: Each block is sent as one text, in order, before each permutation.
    setup: tuple[str, ...] = ()
    teardown: str | None = None
    sessions: tuple[SessionSpec, ...]
    #: As named in the file; empty stands for all interleavings.
    permutations: tuple[Permutation, ...] = ()

    @property
    def steps(self) -> Mapping[str, tuple[SessionSpec, Step]]:
        """Every step by its name, with the session that it belongs to."""
        return {step.name: (session, step) for session in self.sessions for step in session.steps}

    @property
    def permutation_count(self) -> int:
        """How many permutations there are to run: those named, or else all interleavings."""
        if self.permutations:
            return len(self.permutations)
        lengths = [len(session.steps) for session in self.sessions]
        return factorial(sum(lengths)) // prod(map(factorial, lengths))

    def all_permutations(self) -> Iterator[Permutation]:
        """Yield the permutations named, or else every interleaving, in the tester's own order.

        The interleavings grow beyond any patience with a few steps more: look at
        `permutation_count` first.
        """
        if self.permutations:
            yield from self.permutations
        else:
            yield from _interleavings(self.sessions, (0,) * len(self.sessions), ())

    @property
    def unused_steps(self) -> tuple[str, ...]:
        """The steps that no permutation names, which is worth a warning."""
        if not self.permutations:
            return ()
        used = {step.step for permutation in self.permutations for step in permutation.steps}
        return tuple(name for name in self.steps if name not in used)

    def __str__(self) -> str:
        lines = [f"setup {{ {block} }}" for block in self.setup]
        lines += _block("teardown", self.teardown)
        return "\n".join([*lines, *map(str, self.sessions), *map(str, self.permutations), ""])


def _interleavings(
    sessions: tuple[SessionSpec, ...],
    taken: tuple[int, ...],
    chosen: tuple[PermutationStep, ...],
) -> Iterator[Permutation]:
    """Take the next step of each session in turn; the sessions are like piles of cards."""
    is_over = True
    for number, session in enumerate(sessions):
        if taken[number] < len(session.steps):
            is_over = False
            step = PermutationStep(step=session.steps[taken[number]].name)
            one_more = (*taken[:number], taken[number] + 1, *taken[number + 1 :])
            yield from _interleavings(sessions, one_more, (*chosen, step))
    if is_over:
        yield Permutation(steps=chosen)
