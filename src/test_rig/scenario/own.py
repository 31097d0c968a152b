"""A person's own scenario: steps, and what is expected of them at each isolation level.

How to think of it: the steps are played as those of the built-in scenarios are (an error rolls its
session back and skips the rest, the steps of a blocked session are put off). Instead of a pattern
there are expectations, each for some levels: who commits, who waits, which step fails how, which
rows are read and left. The most specific one for a level is taken, and all that it says must hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from test_rig.scenario.hermitage import steps_of
from test_rig.scenario.moves import OnError
from test_rig.scenario.script import CHECK, Script, ScriptSession
from test_rig.scenario.story import Story
from test_rig.targets import LevelSpec
from test_rig.verdict import ResultStatus, StepRecord, StepStatus, Transcript

__all__ = ["Expect", "OwnResult", "OwnScenario", "TextRows", "judged"]

#: Rows as texts; None is NULL.
TextRows = tuple[tuple[str | None, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect:
    """What is expected at some levels. What is None or empty may be anything."""

    #: Level keys ("read-committed"), with a product before a slash where only that one is meant
    #: ("mariadb/repeatable-read"), or "*" for any other.
    levels: tuple[str, ...]
    #: The sessions that commit: one of these sets, no more and no fewer.
    commits: tuple[frozenset[str], ...] = ()
    #: Steps that wait for another session.
    waits: tuple[str, ...] = ()
    #: Steps that fail, with the kind of failure ("deadlock", "serialization failure", "busy").
    errors: Mapping[str, str]
    #: Rows that a step reads.
    rows: Mapping[str, TextRows]
    #: Rows that the final read finds.
    final: TextRows | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnScenario:
    """A scenario from a file."""

    name: str
    title: str
    setup: tuple[str, ...]
    #: (session, SQL) in the order in which they are sent; BEGIN starts the level under test.
    steps: tuple[tuple[str, str], ...]
    final: str | None
    teardown: tuple[str, ...]
    expect: tuple[Expect, ...]

    @property
    def sessions(self) -> tuple[str, ...]:
        """The sessions, in the order of their first steps."""
        return tuple(dict.fromkeys(session for session, _ in self.steps))

    def script(self, level: LevelSpec | None) -> Script:
        """Return the script for one level; None stands for the server's default."""
        return Script(
            name=self.name,
            setup=self.setup,
            sessions=tuple(ScriptSession(name=name) for name in self.sessions),
            steps=steps_of(self.steps, level.begin if level else ("BEGIN",)),
            final=self.final,
            teardown=self.teardown,
            on_error=OnError.ABORT,
        )

    def expectation(self, product: str, level_key: str) -> Expect | None:
        """Return the most specific expectation for a product's level, or None."""
        for name in (f"{product.lower()}/{level_key}", level_key, "*"):
            for expect in self.expect:
                if name in expect.levels:
                    return expect
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnResult:
    """What one run of a person's own scenario gave."""

    status: ResultStatus
    #: What did not hold, or why nothing could be said; empty where all held.
    reasons: tuple[str, ...]
    transcript: Transcript


def judged(expect: Expect | None, transcript: Transcript) -> OwnResult:
    """Return whether a run gave what was expected of it."""
    story = Story(transcript)
    if transcript.problem is not None or story.unfinished:
        why = transcript.problem or f"{story.unfinished[0].step} did not end"
        return OwnResult(status=ResultStatus.ERROR, reasons=(why,), transcript=transcript)
    if expect is None:
        why = "nothing is expected at this level"
        return OwnResult(status=ResultStatus.SKIPPED, reasons=(why,), transcript=transcript)
    reasons = tuple(reason for check in _CHECKS for reason in check(expect, story))
    reasons += tuple(
        f"{step.step} failed: {step.error}: {step.message}"
        for step in story.accidents
        if step.step not in expect.errors
    )
    status = ResultStatus.FAILED if reasons else ResultStatus.PASSED
    return OwnResult(status=status, reasons=reasons, transcript=transcript)


def _commits(expect: Expect, story: Story) -> list[str]:
    names = dict.fromkeys(step.session for step in story.transcript.steps if step.session != CHECK)
    committed = {name for name in names if story.has_committed(name)}
    if not expect.commits or committed in expect.commits:
        return []
    wanted = " or ".join(_told(one) for one in expect.commits)
    return [f"expected that {wanted} commit, but {_told(committed)} did"]


def _told(names: set[str] | frozenset[str]) -> str:
    return " and ".join(sorted(names)) or "nobody"


def _waits(expect: Expect, story: Story) -> list[str]:
    waited = {step.step for step in story.waits()}
    return [
        f"expected that {name} waits, but it did not" for name in expect.waits if name not in waited
    ]


def _errors(expect: Expect, story: Story) -> list[str]:
    failed = {
        step.step: (step.error or "").split(" (")[0]
        for step in story.transcript.steps
        if step.status is StepStatus.ERROR
    }
    return [
        f"expected that {name} fails by {kind}, but it {_end(failed.get(name))}"
        for name, kind in expect.errors.items()
        if failed.get(name) != kind
    ]


def _end(kind: str | None) -> str:
    return "did not fail" if kind is None else f"failed by {kind}"


def _rows(expect: Expect, story: Story) -> list[str]:
    wanted = [*expect.rows.items(), *([] if expect.final is None else [("final", expect.final)])]
    steps = {step.step: step for step in story.transcript.steps}
    return [
        f"expected that {name} reads {_table(rows)}, but it read {_read(steps.get(name))}"
        for name, rows in wanted
        if (step := steps.get(name)) is None
        or step.status is not StepStatus.OK
        or step.rows != rows
    ]


def _read(step: StepRecord | None) -> str:
    if step is None or step.status is not StepStatus.OK:
        return "nothing, since it did not succeed"
    return _table(step.rows)


def _table(rows: TextRows) -> str:
    told = "; ".join(", ".join("NULL" if v is None else v for v in row) for row in rows)
    return told or "no row"


_CHECKS: tuple[Callable[[Expect, Story], list[str]], ...] = (_commits, _waits, _errors, _rows)
