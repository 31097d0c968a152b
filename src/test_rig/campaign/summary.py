"""What a campaign came to: its runs beside each other, and beside those of an earlier one.

How to think of it: runs that differ by their seed only stand at one *place* of the table (target,
level, check). A finding is the same one in two campaigns when target, level, check and anomaly are;
how often it was seen depends on chance and counts for nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from test_rig.campaign.planned import (
    CampaignRecord,
    LeftOut,
    RunOutcome,
    Standing,
)

__all__ = ["Changes", "Finding", "Moved", "Place", "Summary", "summarise"]

#: Target, level, check.
Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """All runs at one target, level and check; they differ by their seed."""

    target: str
    level: str
    check: str
    standing: Standing
    outcomes: tuple[RunOutcome, ...]
    #: In words, where seeds came to different ends: "seed 1: valid; seed 2: invalid (lost update)".
    differences: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One kind of anomaly at one place, over all seeds."""

    target: str
    level: str
    check: str
    what: str
    count: int
    seeds: tuple[int, ...]
    told: str
    folder: str | None

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What makes it the same finding in another campaign."""
        return (self.target, self.level, self.check, self.what)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A level that shows something else than before."""

    target: str
    level: str
    check: str
    before: str
    now: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is different from an earlier campaign."""

    #: The earlier one's name and id.
    against: str
    new: tuple[Finding, ...]
    #: Findings of before that the same runs do not show now.
    gone: tuple[Finding, ...]
    moved: tuple[Moved, ...]
    #: Places that only one of the two has.
    added: tuple[str, ...]
    removed: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing has changed."""
        return not (self.new or self.gone or self.moved or self.added or self.removed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a campaign came to."""

    name: str
    id: str
    description: str
    folder: str
    started: str
    #: From the beginning of the first run to the end of the last one.
    duration_s: float
    total: int
    #: How many runs came to what.
    counts: Mapping[str, int]
    #: "PostgreSQL 15.20" by target.
    targets: Mapping[str, str]
    places: tuple[Place, ...]
    findings: tuple[Finding, ...]
    left_out: tuple[LeftOut, ...]
    changes: Changes | None = None

    @property
    def done(self) -> int:
        """How many runs have ended."""
        return sum(self.counts.values())

    @property
    def exit_code(self) -> int:
        """0 fine, 1 findings, 3 when something could not be judged."""
        if self.counts.get(Standing.INVALID.value):
            return 1
        return 0 if self.counts.get(Standing.VALID.value, 0) == self.total else 3

    @property
    def worst(self) -> tuple[Place, ...]:
        """The places where something is wrong, the worst first."""
        wrong = [place for place in self.places if place.standing is not Standing.VALID]
        return tuple(sorted(wrong, key=_badness, reverse=True))

    @property
    def differing(self) -> tuple[Place, ...]:
        """The places where seeds came to different ends."""
        return tuple(place for place in self.places if place.differences)


def summarise(
    record: CampaignRecord,
    outcomes: Sequence[RunOutcome],
    *,
    folder: str,
    against: tuple[CampaignRecord, Sequence[RunOutcome]] | None = None,
) -> Summary:
    """Put the outcomes of a campaign together, and beside those of an earlier one."""
    plan = record.plan
    findings = findings_of(outcomes)
    begun = [each.started for each in outcomes if each.started]
    ended = [each.started + each.duration_s for each in outcomes if each.started]
    return Summary(
        name=plan.name,
        id=record.id,
        description=plan.description,
        folder=folder,
        started=record.started.isoformat(timespec="seconds"),
        duration_s=max(ended) - min(begun) if begun else 0.0,
        total=len(plan.runs),
        counts=dict(Counter(each.standing.value for each in outcomes)),
        targets={target.name: target.product for target in plan.targets},
        places=places_of(outcomes),
        findings=findings,
        left_out=plan.left_out,
        changes=None if against is None else _changes(record, outcomes, findings, against),
    )


def places_of(outcomes: Iterable[RunOutcome]) -> tuple[Place, ...]:
    """Return the places of a table, in the order of the plan."""
    by_key: dict[Key, list[RunOutcome]] = {}
    for outcome in outcomes:
        by_key.setdefault(outcome.planned.place, []).append(outcome)
    order = list(Standing)
    return tuple(
        Place(
            target=target,
            level=level,
            check=check,
            standing=max((each.standing for each in some), key=order.index),
            outcomes=tuple(some),
            differences=_differences(some),
        )
        for (target, level, check), some in by_key.items()
    )


def _differences(outcomes: Sequence[RunOutcome]) -> str:
    ends = {(each.standing, _broken(each)) for each in outcomes}
    if len(ends) < 2:
        return ""
    told = []
    for outcome in outcomes:
        names = ", ".join(_broken(outcome))
        rest = f" ({names})" if names else ""
        told.append(f"seed {outcome.planned.seed}: {outcome.standing.value}{rest}")
    return "; ".join(told)


def _broken(outcome: RunOutcome) -> tuple[str, ...]:
    return tuple(sorted({found.what for found in outcome.broken}))


def findings_of(outcomes: Iterable[RunOutcome]) -> tuple[Finding, ...]:
    """Return the findings over all seeds, those that were seen most often first."""
    merged: dict[tuple[str, str, str, str], Finding] = {}
    for outcome in outcomes:
        for found in outcome.broken:
            one = Finding(
                target=outcome.planned.target,
                level=found.level,
                check=str(outcome.planned.check),
                what=found.what,
                count=found.count,
                seeds=(outcome.planned.seed,),
                told=found.told,
                folder=outcome.folder,
            )
            before = merged.get(one.key)
            merged[one.key] = one if before is None else _added(before, one)
    return tuple(sorted(merged.values(), key=_by_count))


def _added(before: Finding, one: Finding) -> Finding:
    return Finding(
        target=before.target,
        level=before.level,
        check=before.check,
        what=before.what,
        count=before.count + one.count,
        seeds=tuple(dict.fromkeys((*before.seeds, *one.seeds))),
        told=before.told,
        folder=before.folder,
    )


def _by_count(finding: Finding) -> tuple[int, tuple[str, ...]]:
    return (-finding.count, finding.key)


def _badness(place: Place) -> tuple[int, int, int]:
    return (
        list(Standing).index(place.standing),
        sum(each.standing is place.standing for each in place.outcomes),
        sum(found.count for each in place.outcomes for found in each.broken),
    )


def _changes(
    record: CampaignRecord,
    outcomes: Sequence[RunOutcome],
    findings: Sequence[Finding],
    against: tuple[CampaignRecord, Sequence[RunOutcome]],
) -> Changes:
    earlier, before = against
    old = {finding.key: finding for finding in findings_of(before)}
    now = {finding.key: finding for finding in findings}
    judged = {_judged(each) for each in outcomes if _is_judged(each)}
    was_judged = {_judged(each) for each in before if _is_judged(each)}
    here = {planned.place for planned in record.plan.runs}
    there = {planned.place for planned in earlier.plan.runs}
    return Changes(
        against=f"{earlier.plan.name} {earlier.id}",
        # Of what was not run before nobody knows whether it is new.
        new=tuple(
            finding
            for key, finding in now.items()
            if key not in old and (finding.target, finding.check) in was_judged
        ),
        gone=tuple(
            finding
            for key, finding in old.items()
            if key not in now and (finding.target, finding.check) in judged
        ),
        moved=tuple(_moved(_levels(before), _levels(outcomes))),
        added=tuple(sorted(_said(place) for place in here - there)),
        removed=tuple(sorted(_said(place) for place in there - here)),
    )


def _is_judged(outcome: RunOutcome) -> bool:
    return outcome.standing in (Standing.VALID, Standing.INVALID)


def _judged(outcome: RunOutcome) -> tuple[str, str]:
    return (outcome.planned.target, str(outcome.planned.check))


def _said(place: Key) -> str:
    return " / ".join(part for part in place if part)


def _levels(outcomes: Iterable[RunOutcome]) -> dict[Key, str]:
    """Return what each level showed, over all seeds: the worst, and what an audit observed."""
    found: dict[Key, tuple[Standing, tuple[str, ...]]] = {}
    order = list(Standing)
    for outcome in outcomes:
        for seen in outcome.levels:
            key = (outcome.planned.target, seen.level, str(outcome.planned.check))
            before = found.get(key)
            if before is None or order.index(seen.standing) > order.index(before[0]):
                found[key] = (seen.standing, seen.observed)
    return {
        key: ", ".join((standing.value, *observed)) for key, (standing, observed) in found.items()
    }


def _moved(before: Mapping[Key, str], now: Mapping[Key, str]) -> Iterable[Moved]:
    for key, shown in now.items():
        if key in before and before[key] != shown:
            target, level, check = key
            yield Moved(target=target, level=level, check=check, before=before[key], now=shown)
