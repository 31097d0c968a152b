"""The judge of a level: claims against cells."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from test_rig.audit import judge_level, overall, with_workload
from test_rig.isolation import Anomaly, Level
from test_rig.scenario import Expectation
from test_rig.targets import LevelSpec
from test_rig.verdict import (
    Cell,
    Occurrence,
    TargetInfo,
    Verdict,
    WorkloadFinding,
    WorkloadVerdict,
)


def spec(claim: Level) -> LevelSpec:
    """A level of no database that claims `claim`."""
    return LevelSpec(key="x", name="X", claim=claim, claim_source="a manual")


def cells(**found: Occurrence) -> list[Cell]:
    """All anomalies prevented, but for those named by their enum names."""
    return [
        Cell(anomaly=a, occurrence=found.get(a.name, Occurrence.PREVENTED), reason=f"why {a.name}")
        for a in Anomaly
    ]


def test_a_claim_holds_when_nothing_that_it_forbids_occurs() -> None:
    """Snapshot isolation permits write skew, so seeing it breaks nothing."""
    row = judge_level(spec(Level.SNAPSHOT), cells(G2_ITEM=Occurrence.OCCURS), "snapshot")
    assert row.verdict is Verdict.VALID
    assert row.observed == (Level.SNAPSHOT,)
    assert row.comparison == "holds: snapshot isolation"


def test_a_forbidden_anomaly_breaks_the_claim_and_is_a_finding_with_its_witness() -> None:
    """A lost update at repeatable read is told with the reason of the cell that showed it."""
    row = judge_level(spec(Level.REPEATABLE_READ), cells(P4=Occurrence.OCCURS), None)
    assert row.verdict is Verdict.INVALID
    assert [(f.anomaly, f.level, f.witness) for f in row.findings] == [
        (Anomaly.P4, Level.REPEATABLE_READ, "why P4")
    ]
    assert row.comparison == "broken: repeatable read forbids P4"


def test_a_level_can_be_stronger_than_its_claim() -> None:
    """What is seen beyond the claim is told, and the claim holds."""
    row = judge_level(spec(Level.READ_COMMITTED), cells(), "read committed")
    assert row.comparison == "holds, and more: serializable"


def test_an_undecided_forbidden_anomaly_leaves_the_claim_unjudged() -> None:
    """Doubt about what the claim forbids is never taken for its absence."""
    row = judge_level(spec(Level.SERIALIZABLE), cells(G2=Occurrence.UNKNOWN), None)
    assert row.verdict is Verdict.UNKNOWN
    assert row.comparison == "not judged: G2 could not be decided"
    assert Level.SERIALIZABLE not in row.observed


def test_a_level_of_which_nothing_was_decided_shows_no_level() -> None:
    """Where nothing was looked for, nothing rules the weakest level out."""
    row = judge_level(
        spec(Level.SERIALIZABLE), cells(**{a.name: Occurrence.UNKNOWN for a in Anomaly}), None
    )
    assert (row.verdict, row.observed) == (Verdict.UNKNOWN, ())
    weak = judge_level(spec(Level.SERIALIZABLE), cells(G0=Occurrence.OCCURS), None)
    assert weak.observed == (Level.NONE,)


def test_an_undecided_permitted_anomaly_does_not_matter_to_the_claim() -> None:
    """What the claim does not forbid need not be known to judge it."""
    row = judge_level(spec(Level.READ_COMMITTED), cells(G2=Occurrence.UNKNOWN), None)
    assert row.verdict is Verdict.VALID


def test_a_missing_cell_counts_as_undecided() -> None:
    """A scenario that never ran proves nothing."""
    kept = [cell for cell in cells() if cell.anomaly is not Anomaly.P4]
    assert judge_level(spec(Level.SNAPSHOT), kept, None).verdict is Verdict.UNKNOWN


def test_what_differs_from_what_is_known_of_the_product_is_told() -> None:
    """A version unlike the known ones breaks no claim by that, but a reader wants to know."""
    known = Expectation(occurs=frozenset({Anomaly.G2_ITEM}), source="a table")
    row = judge_level(spec(Level.SNAPSHOT), cells(G2=Occurrence.OCCURS), None, known=known)
    assert row.verdict is Verdict.VALID
    assert row.comparison.endswith("unlike what is known of this product: G2-item, G2 (a table)")


@given(st.dictionaries(st.sampled_from(Anomaly), st.sampled_from(Occurrence)))
def test_a_claim_is_broken_exactly_when_something_forbidden_occurs(
    found: dict[Anomaly, Occurrence],
) -> None:
    """Whatever the cells say, `invalid` and findings go together, and only with occurrences."""
    for claim in Level:
        row = judge_level(spec(claim), cells(**{a.name: o for a, o in found.items()}), None)
        forbidden = {a for a, o in found.items() if o is Occurrence.OCCURS} & claim.info.forbids
        assert (row.verdict is Verdict.INVALID) == bool(forbidden)
        assert {finding.anomaly for finding in row.findings} == forbidden


def test_one_broken_level_breaks_the_whole_and_one_doubt_leaves_it_open() -> None:
    """The whole is only as good as its worst part; nothing judged is no verdict."""
    valid, invalid, unknown = Verdict.VALID, Verdict.INVALID, Verdict.UNKNOWN
    assert overall([valid, unknown, invalid]) is invalid
    assert overall([valid, unknown]) is unknown
    assert overall([valid, valid]) is valid
    assert overall([]) is unknown


def shown(
    claim: Level,
    *forbidden: str,
    verdict: Verdict = Verdict.VALID,
    permitted: Sequence[str] = (),
) -> WorkloadVerdict:
    """What list-append showed at a level: anomalies that the claim forbids, and others."""
    return WorkloadVerdict(
        workload="list-append",
        target=TargetInfo(url="x://", product="X", version="1"),
        level="X",
        claim=claim,
        claim_source="a manual",
        read_back=(),
        verdict=Verdict.INVALID if forbidden else verdict,
        comparison="not judged: nothing was committed",
        findings=tuple(
            WorkloadFinding(
                anomaly=name, means="", count=1, is_forbidden=name in forbidden, witnesses=("w",)
            )
            for name in (*forbidden, *permitted)
        ),
        coverage=(),
        ok=9,
        fail=0,
        info=0,
        errors=(),
        moments=(),
        clients=1,
        seed=1,
        duration_s=1.0,
    )


def test_a_workload_breaks_a_claim_that_the_scenarios_left_standing() -> None:
    """Proof counts whoever has it, and that the other has none is told."""
    row = judge_level(spec(Level.SERIALIZABLE), cells(), None)
    both = with_workload(row, shown(Level.SERIALIZABLE, "G2-item"))
    assert both.verdict is Verdict.INVALID
    assert both.comparison.endswith(
        "list-append disagrees: it shows G2-item, which serializable forbids"
    )


def test_a_workload_that_shows_nothing_takes_nothing_back() -> None:
    """What a scenario showed has happened; that chance did not meet it is told."""
    row = judge_level(spec(Level.REPEATABLE_READ), cells(P4=Occurrence.OCCURS), None)
    both = with_workload(row, shown(Level.REPEATABLE_READ))
    assert both.verdict is Verdict.INVALID
    assert both.comparison.endswith("list-append disagrees: it shows none of it in 9 transactions")


def test_a_workload_is_not_said_to_disagree_about_what_it_cannot_show() -> None:
    """Without predicates there are no phantoms to be seen."""
    row = judge_level(spec(Level.SNAPSHOT), cells(PMP_WRITE=Occurrence.OCCURS), None)
    both = with_workload(row, shown(Level.SNAPSHOT))
    assert both.comparison.endswith("list-append cannot show it: it reads by key alone")


def test_what_is_permitted_and_only_chance_shows_is_told() -> None:
    """A scenario that looked for it and did not see it is one order of statements of many."""
    seen = ["lost-update", "G-single", "G1a", "G2-item-realtime"]
    occurring = {"G_SINGLE": Occurrence.OCCURS, "G1A": Occurrence.UNKNOWN}
    row = judge_level(spec(Level.READ_UNCOMMITTED), cells(**occurring), None)
    both = with_workload(row, shown(Level.READ_UNCOMMITTED, permitted=seen))
    assert both.verdict is row.verdict
    assert both.comparison == (
        f"{row.comparison}; list-append shows lost-update too, which no scenario did"
    )


def test_verdicts_that_agree_need_no_words() -> None:
    """The comparison stays as it is, broken or not."""
    good = judge_level(spec(Level.SNAPSHOT), cells(), None)
    assert with_workload(good, shown(Level.SNAPSHOT)).comparison == good.comparison
    bad = judge_level(spec(Level.SNAPSHOT), cells(P4=Occurrence.OCCURS), None)
    assert with_workload(bad, shown(Level.SNAPSHOT, "lost-update")).comparison == bad.comparison


def test_a_workload_without_a_verdict_leaves_the_scenarios_theirs() -> None:
    """Its reason is told."""
    row = judge_level(spec(Level.SNAPSHOT), cells(), None)
    both = with_workload(row, shown(Level.SNAPSHOT, verdict=Verdict.UNKNOWN))
    assert both.verdict is row.verdict
    assert both.comparison.endswith("list-append: not judged: nothing was committed")
