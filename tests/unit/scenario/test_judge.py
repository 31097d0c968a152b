"""For each anomaly a planted run that shows it is found, and near misses pass."""

from dataclasses import replace

import pytest

from test_rig.isolation import Anomaly
from test_rig.scenario import BUILT_IN
from test_rig.scenario.judge import rule
from test_rig.verdict import Occurrence, StepRecord, StepStatus, Transcript

Answer = dict[int, int] | int | str | None


def run(name: str, final: dict[int, int], **answers: Answer) -> Transcript:
    """Return a run of a scenario in its own order.

    Answers go by step name with underscores: rows of a read, rows changed by a write, the label
    of an error (the session's later steps are then skipped).
    """
    script = BUILT_IN[name].script(None)
    records, dead = [], set()
    for step in script.steps:
        answer = answers.pop(step.name.replace("-", "_"), None)
        record = record_of(step.session, step.name, step.sql, answer)
        if step.session in dead:
            record = replace(record, status=StepStatus.SKIPPED, rows=())
        elif record.status is StepStatus.ERROR:
            dead.add(step.session)
        records.append(record)
    assert not answers, f"the scenario has no step {sorted(answers)}"
    records.append(record_of("check", "final", str(script.final), final))
    return Transcript(scenario=name, setup=(), session_setup=(), steps=tuple(records))


def record_of(session: str, step: str, sql: str, answer: Answer) -> StepRecord:
    """Return one step with its answer."""
    record = StepRecord(session=session, step=step, sql=sql, status=StepStatus.OK)
    if isinstance(answer, str):
        return replace(record, status=StepStatus.ERROR, error=answer, message="m")
    if isinstance(answer, dict):
        rows = tuple((str(key), str(value)) for key, value in answer.items())
        return replace(record, columns=("id", "value"), rows=rows)
    return replace(record, row_count=answer)


START = {1: 10, 2: 20}
DEADLOCK = "deadlock (40P01)"
OCCURRING = [
    run("g0", {1: 12, 2: 21}),
    run("g1a", START, t2_read_1={1: 101, 2: 20}, t2_read_2=START),
    run("g1b", {1: 11, 2: 20}, t2_read_1={1: 101, 2: 20}, t2_read_2={1: 11, 2: 20}),
    run("g1c", {1: 11, 2: 22}, t1_read_1={2: 22}, t2_read_1={1: 11}),
    run("otv", {1: 12, 2: 18}, t3_read_1={1: 12, 2: 19}, t3_read_2={1: 12, 2: 18}),
    run("pmp", {**START, 3: 30}, t1_read_1={}, t1_read_2={3: 30}),
    run("pmp-write", {1: 20, 2: 30}, t2_read_1={2: 20}, t1_write_1=2, t2_write_1=0),
    run("pmp-write", {1: 20}, t2_read_1={2: 20}, t1_write_1=2, t2_write_1=1),
    run("p4", {1: 12, 2: 20}, t1_read_1={1: 10}, t2_read_1={1: 10}),
    run("g-single", {1: 12, 2: 18}, t1_read_1={1: 10}, t1_read_2={2: 18}),
    run("g-single-dep", {1: 12, 2: 20}, t1_read_1=START, t1_read_2={1: 12}),
    run("g-single-w1", {1: 12, 2: 18}, t1_read_1={1: 10}, t2_read_1=START),
    run("g-single-w1", {1: 12}, t1_read_1={1: 10}, t2_read_1=START, t2_write_2=1),
    run("g-single-w2", {1: 17, 2: 18}, t1_read_1={1: 10}),
    run("g2-item", {1: 11, 2: 21}, t1_read_1=START, t2_read_1=START),
    run("g2", {**START, 3: 30, 4: 42}, t1_read_1={}, t2_read_1={}),
    run("g2-2edges", {1: 0, 2: 25}, t1_read_1=START, t3_read_1={1: 10, 2: 25}),
]
PREVENTED = [
    run("g0", {1: 12, 2: 22}),
    run("g0", {1: 11, 2: 21}, t2_write_1=DEADLOCK),
    run("g1a", START, t2_read_1=START, t2_read_2=START),
    run("g1a", START, t2_read_1={1: 101, 2: 20}, t2_read_2=DEADLOCK),
    run("g1b", {1: 11, 2: 20}, t2_read_1=START, t2_read_2={1: 11, 2: 20}),
    run("g1c", {1: 11, 2: 22}, t1_read_1={2: 22}, t2_read_1={1: 10}),
    run("g1c", {1: 11, 2: 20}, t1_read_1={2: 22}, t2_read_1={1: 11}, t2_commit=DEADLOCK),
    run("otv", {1: 12, 2: 18}, t3_read_1={1: 11, 2: 19}, t3_read_2={1: 12, 2: 18}),
    run("otv", {1: 11, 2: 19}, t2_write_1=DEADLOCK, t3_read_1={1: 12, 2: 19}),
    run("pmp", {**START, 3: 30}, t1_read_1={}, t1_read_2={}),
    run("pmp", START, t1_read_1={}, t1_read_2={3: 30}, t2_commit=DEADLOCK),
    run("pmp-write", {1: 20}, t2_read_1={2: 20}, t1_write_1=1, t2_write_1=1),
    run("pmp-write", {2: 30}, t2_read_1={1: 20}, t1_write_1=2, t2_write_1=1),
    run("p4", {1: 12, 2: 20}, t1_read_1={1: 10}, t2_read_1={1: 11}),
    run("p4", {1: 11, 2: 20}, t1_read_1={1: 10}, t2_read_1={1: 10}, t2_write_1=DEADLOCK),
    run("g-single", {1: 12, 2: 18}, t1_read_1={1: 10}, t1_read_2={2: 20}),
    run("g-single", {1: 12, 2: 18}, t1_read_1={1: 12}, t1_read_2={2: 18}),
    run("g-single-dep", {1: 12, 2: 20}, t1_read_1=START, t1_read_2={}),
    run("g-single-w1", {1: 12}, t1_read_1={1: 10}, t2_read_1=START, t2_write_2=0),
    run("g-single-w1", {1: 12, 2: 18}, t1_read_1={1: 12}, t2_read_1=START),
    run("g-single-w2", {1: 12, 2: 18}, t1_read_1={1: 10}),
    run("g2-item", {1: 11, 2: 21}, t1_read_1=START, t2_read_1={1: 11, 2: 20}),
    run("g2-item", {1: 11, 2: 20}, t1_read_1=START, t2_read_1=START, t2_commit=DEADLOCK),
    run("g2", {**START, 3: 30, 4: 42}, t1_read_1={}, t2_read_1={3: 30}),
    run("g2-2edges", {1: 0, 2: 25}, t1_read_1=START, t3_read_1={1: 0, 2: 25}),
    run("g2-2edges", {1: 0, 2: 25}, t1_read_1={1: 10, 2: 25}, t3_read_1={1: 10, 2: 25}),
]


def verdict(transcript: Transcript) -> tuple[Occurrence, str]:
    """Return what the scenario's own judge says."""
    return rule(BUILT_IN[transcript.scenario].pattern, transcript)


@pytest.mark.parametrize("transcript", OCCURRING, ids=lambda t: t.scenario)
def test_planted_anomalies_are_found(transcript: Transcript) -> None:
    """A run in which committed transactions show the pattern occurs."""
    assert verdict(transcript)[0] is Occurrence.OCCURS


@pytest.mark.parametrize("transcript", PREVENTED, ids=lambda t: t.scenario)
def test_near_misses_pass(transcript: Transcript) -> None:
    """A run that one abort, one value or one row keeps from the pattern is prevented."""
    assert verdict(transcript)[0] is Occurrence.PREVENTED


def test_every_anomaly_has_its_scenario() -> None:
    """There is one scenario for each anomaly, each found when planted and passed when missed."""
    assert [scenario.anomaly for scenario in BUILT_IN.values()] == list(Anomaly)
    for cases in (OCCURRING, PREVENTED):
        assert {case.scenario for case in cases} == set(BUILT_IN)


def test_either_victim() -> None:
    """Whichever session is the victim of a deadlock, the anomaly was prevented, and it is named."""
    for session in ("t1", "t2"):
        transcript = run("p4", START, **{f"{session}_write_1": DEADLOCK})
        assert verdict(transcript)[1] == f"{session.upper()} aborted: {DEADLOCK}"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"error": "busy (SQLITE_BUSY)", "step": "t2-begin"}, "T2 could not begin: busy (SQLITE_"),
        ({"error": "busy (SQLITE_BUSY)", "step": "t2-commit"}, "T2 aborted at COMMIT: busy"),
        ({"blocked": True, "blocked_by": ("T1",), "status": StepStatus.OK}, "T2 waited for T1"),
        ({"blocked": True, "status": StepStatus.OK}, "T2 waited"),
    ],
)
def test_reasons(change: dict[str, object], reason: str) -> None:
    """The reason says how the database kept the anomaly away."""
    transcript = run("g0", {1: 12, 2: 22})
    last = {"status": StepStatus.ERROR, **change}
    second = replace(transcript.steps[-2], **last)  # type: ignore[arg-type]  # made of cases
    steps = (*transcript.steps[:-2], second, transcript.steps[-1])
    assert verdict(replace(transcript, steps=steps))[1].startswith(reason)


def test_unsound_runs_are_unknown() -> None:
    """A limit, a step without an end, or a foreign error leaves the answer open, and says why."""
    shown = OCCURRING[1]
    lost = run("g1a", START, t2_read_1={1: 101}, t2_read_2="connection lost (2013)")
    unfinished = replace(shown.steps[-2], status=StepStatus.UNFINISHED)
    cases = {
        "t2-read-2 failed: connection lost (2013): m": lost,
        "after 10 s nothing": replace(shown, problem="after 10 s nothing"),
        "t2-commit did not end": replace(shown, steps=(*shown.steps[:-2], unfinished)),
    }
    for reason, transcript in cases.items():
        assert verdict(transcript) == (Occurrence.UNKNOWN, reason)
