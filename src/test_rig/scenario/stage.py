"""Runs scenarios and specifications against a target's scratch namespace.

This is what the audit and the command line call: a built-in scenario gives a `Cell`, a
specification gives one transcript for each permutation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

from test_rig.clock import SYSTEM_CLOCK, Clock
from test_rig.errors import UnknownName, UsageError
from test_rig.scenario.hermitage import BUILT_IN, Scenario
from test_rig.scenario.judge import rule
from test_rig.scenario.moves import Limits
from test_rig.scenario.own import OwnResult, OwnScenario, judged
from test_rig.scenario.run import Listener, play
from test_rig.scenario.script import script_of
from test_rig.scenario.spec import Permutation, Spec
from test_rig.targets import LevelSpec, Scratch
from test_rig.verdict import Cell, Transcript

__all__ = ["MAX_INTERLEAVINGS", "find_scenario", "run_own", "run_scenario", "run_spec"]

#: More interleavings than this run only if somebody says how many.
MAX_INTERLEAVINGS = 2000

#: Told before each permutation: its number from 1, how many there are to run, and which it is.
PermutationListener = Callable[[int, int, Permutation], None]

# A specification brings its own: who is the victim of a deadlock depends on whose time limit
# passes first, and expected outcomes are written for the server's default.
_OPENING = {"postgresql": ("RESET deadlock_timeout",)}


def find_scenario(name: str) -> Scenario:
    """Return the built-in scenario of that name, in any case.

    Raises:
        UnknownName: There is none; the message lists those there are.
    """
    if (scenario := BUILT_IN.get(name.lower())) is None:
        raise UnknownName("scenario", name, list(BUILT_IN))
    return scenario


def run_scenario(
    scenario: Scenario,
    scratch: Scratch,
    level: LevelSpec | None,
    *,
    limits: Limits | None = None,
    clock: Clock = SYSTEM_CLOCK,
    on_step: Listener | None = None,
) -> Cell:
    """Play a scenario once at one level and judge it.

    Args:
        scenario: What to play.
        scratch: The private namespace to play in.
        level: The level of its transactions; the server's default if None.
        limits: Times.
        clock: For the transcript's times.
        on_step: Told of every step once it has ended.

    Raises:
        TargetError: A session could not be opened, or the table could not be made.
    """
    transcript = play(
        scenario.script(level), scratch, level=level, limits=limits, clock=clock, listener=on_step
    )
    occurrence, reason = rule(scenario.pattern, transcript)
    return Cell(
        anomaly=scenario.anomaly, occurrence=occurrence, reason=reason, transcript=transcript
    )


def run_own(
    scenario: OwnScenario,
    scratch: Scratch,
    level: LevelSpec,
    *,
    limits: Limits | None = None,
    clock: Clock = SYSTEM_CLOCK,
    on_step: Listener | None = None,
) -> OwnResult:
    """Play a person's own scenario once at one level, and compare with what it expects there.

    Args:
        scenario: What to play.
        scratch: The private namespace to play in.
        level: The level of its transactions.
        limits: Times.
        clock: For the transcript's times.
        on_step: Told of every step once it has ended.

    Raises:
        TargetError: A session could not be opened, or a setup statement failed.
    """
    transcript = play(
        scenario.script(level), scratch, level=level, limits=limits, clock=clock, listener=on_step
    )
    return judged(scenario.expectation(scratch.dialect.product, level.key), transcript)


def run_spec(
    spec: Spec,
    scratch: Scratch,
    *,
    level: LevelSpec | None = None,
    max_permutations: int | None = None,
    limits: Limits | None = None,
    clock: Clock = SYSTEM_CLOCK,
    on_permutation: PermutationListener | None = None,
    on_step: Listener | None = None,
) -> Iterator[Transcript]:
    """Play a specification's permutations one after another, and yield each one's transcript.

    Args:
        spec: What to play.
        scratch: The private namespace to play in.
        level: The sessions' level; the server's default if None.
        max_permutations: Run the first so many only.
        limits: Times.
        clock: For the transcripts' times.
        on_permutation: Told before each permutation.
        on_step: Told of every step once it has ended.

    Raises:
        UsageError: The specification names no permutations, and has more interleavings than
            `MAX_INTERLEAVINGS`, and `max_permutations` is not given.
        TargetError: A session could not be opened, or a setup failed.
    """
    count = spec.permutation_count
    if max_permutations is None and not spec.permutations and count > MAX_INTERLEAVINGS:
        raise UsageError(
            f"the specification names no permutations, and its steps have {count} interleavings",
            todo="name permutations, or say how many of them to run",
        )
    total = count if max_permutations is None else min(count, max_permutations)
    opening = _OPENING.get(scratch.dialect.family, ())
    for number, permutation in enumerate(islice(spec.all_permutations(), total), start=1):
        if on_permutation is not None:
            on_permutation(number, total, permutation)
        yield play(
            script_of(spec, permutation),
            scratch,
            level=level,
            opening=opening,
            limits=limits,
            clock=clock,
            listener=on_step,
        )
