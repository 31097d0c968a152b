"""A run folder says what happened, also after a kill, and two never meet."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import test_rig.runs
from test_rig.errors import RunFolderError, UnknownName
from test_rig.history import Op, OpType, Origin
from test_rig.isolation import Anomaly
from test_rig.runs import RunFolder, RunStatus, decode_json, encode_json, find_run, list_runs
from test_rig.runs.columns import BATCH_ROWS
from test_rig.telemetry import Alert, Measurement, Severity
from test_rig.verdict import (
    AuditVerdict,
    Cell,
    LevelRow,
    Occurrence,
    StepRecord,
    StepStatus,
    TargetInfo,
    TargetVerdict,
    Transcript,
    Verdict,
)

ORIGIN = Origin(target="sqlite://", level="WAL, BEGIN DEFERRED", scenario="P4")
SOURCES = Path(test_rig.runs.__file__).parents[2]
EMPTY = AuditVerdict(targets=(), verdict=Verdict.UNKNOWN)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 4, 5, 6, 7, 89_000, tzinfo=UTC)

    def now_ns(self) -> int:
        """Return the same nanosecond always."""
        return 0

    def utc(self) -> datetime:
        """Return where the clock stands."""
        return self.at


def op(index: int = 0, **changes: object) -> Op:
    """Return some operation with `changes`."""
    fields: dict[str, object] = {"process": "T1", "type": OpType.OK, "f": "select", "value": None}
    return Op(time_ns=7, index=index, **(fields | changes))  # type: ignore[arg-type]  # any field


def step(**changes: object) -> StepRecord:
    """Return some step with `changes`."""
    fields: dict[str, object] = {
        "session": "T1",
        "step": "read",
        "sql": "SELECT 1;",
        "status": StepStatus.OK,
        "start_ns": 10,
        "end_ns": 20,
    }
    return StepRecord(**(fields | changes))  # type: ignore[arg-type]  # any field


def transcript(*steps: StepRecord) -> Transcript:
    """Return a transcript of `steps`."""
    return Transcript(scenario="s", setup=(), session_setup=(), steps=steps)


def test_a_run_reads_back_what_was_written(tmp_path: Path) -> None:
    """What create, the writer and finish were told is what a reader is told."""
    run = RunFolder.create(
        tmp_path / "runs",
        "audit",
        argv=["audit", "--seed", "3"],
        settings={"runs": {"folder": Path("x")}},
        seed=3,
        targets=["sqlite://"],
        clock=Clock(),
    )
    run.write_results(EMPTY)
    run.finish(Verdict.VALID)
    folder = RunFolder.open(run.path)
    record = folder.record()
    assert run.path.name == f"20260304T050607.089Z-audit-{folder.id}"
    assert (record.command, record.seed, record.targets) == ("audit", 3, ("sqlite://",))
    assert record.settings == {"runs": {"folder": "x"}}
    assert (record.status, record.verdict) == (RunStatus.FINISHED, Verdict.VALID)
    assert record.finished == Clock().at
    assert "python" in record.versions
    assert folder.audit() == EMPTY


def test_history_reads_back(tmp_path: Path) -> None:
    """Operations come back in order with their values, numbered through the file."""
    run = RunFolder.create(tmp_path, "audit")
    ops = [op(value={"rows": [["1", None]]}), op(type=OpType.FAIL, error="deadlock: \ud800")]
    for item in ops:
        run.record_op(ORIGIN, item)
    run.finish(None)
    back = list(RunFolder.open(run.path).history())
    assert [origin for origin, _ in back] == [ORIGIN, ORIGIN]
    assert back[0][1] == ops[0]
    assert (back[1][1].index, back[1][1].error) == (1, "deadlock: \ufffd")


def test_a_run_without_records_leaves_no_streams(tmp_path: Path) -> None:
    """Nothing recorded means no Arrow file, and reading tells of no operation."""
    run = RunFolder.create(tmp_path, "connect")
    run.finish(None)
    assert not (run.path / "history.arrow").exists()
    assert list(RunFolder.open(run.path).history()) == []
    assert list(RunFolder.open(run.path).measurements()) == []


def test_measurements_and_alerts_are_kept(tmp_path: Path) -> None:
    """`emit` puts a measurement into its columns and an alert into the log."""
    run = RunFolder.create(tmp_path, "audit")
    taken = Measurement(
        name="blocked", value=0.5, unit="ms", time_ns=3, labels=(("target", "pg"),), source="x"
    )
    run.emit(taken)
    run.emit(Alert(alert_type="t", severity=Severity.WARNING, message="m", time_ns=1))
    run.finish(None)
    folder = RunFolder.open(run.path)
    assert list(folder.measurements()) == [taken]
    assert [(line["level"], line["alert"]["message"]) for line in folder.log()] == [
        ("warning", "m")
    ]


def test_emit_never_raises_and_the_loss_is_told(tmp_path: Path) -> None:
    """A measurement that cannot be written costs itself; the log says so at the end."""
    run = RunFolder.create(tmp_path, "audit")
    (run.path / "measurements.arrow").mkdir()
    for _ in range(BATCH_ROWS + 1):
        run.emit(Measurement(name="n", value=1.0, unit="s", time_ns=1))
    run.finish(None)
    assert [line["event"] for line in RunFolder.open(run.path).log()] == ["measurements were lost"]


@pytest.mark.parametrize("cut", [1, 9, 40])
def test_a_torn_history_keeps_every_whole_batch(tmp_path: Path, cut: int) -> None:
    """Bytes missing at the end cost the last batch at most."""
    run = RunFolder.create(tmp_path, "audit")
    run.record_transcript(ORIGIN, transcript(step()))
    path = run.path / "history.arrow"
    first = path.stat().st_size
    run.record_transcript(ORIGIN, transcript(step(sql="COMMIT")))
    path.write_bytes(path.read_bytes()[:-cut])
    assert path.stat().st_size > first
    assert [op.f for _, op in RunFolder.open(run.path).history()] == ["select", "select"]
    run.finish(None)


def test_a_history_torn_at_any_byte_can_be_read(tmp_path: Path) -> None:
    """No length of what a kill left behind makes a reader fail or tell anything but a prefix."""
    run = RunFolder.create(tmp_path, "audit")
    for number in range(3):
        run.record_transcript(ORIGIN, transcript(step(sql=f"select{number}")))
    run.finish(None)
    path = run.path / "history.arrow"
    whole = path.read_bytes()
    told = [op.f for _, op in RunFolder.open(run.path).history()]
    assert len(told) == 6
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        got = [op.f for _, op in RunFolder.open(run.path).history()]
        assert got == told[: len(got)]


_KILLED = """
import sys, time
from test_rig.history import Origin
from test_rig.runs import RunFolder
from test_rig.verdict import *
run = RunFolder.create(sys.argv[1], "audit")
origin = Origin(target="t", level="l", scenario="s")
step = StepRecord(session="T1", step="a", sql="SELECT 1", status=StepStatus.OK, end_ns=5)
run.record_transcript(origin, Transcript(scenario="s", setup=(), session_setup=(), steps=(step,)))
run.write_results(AuditVerdict(targets=(), verdict=Verdict.UNKNOWN))
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_killed_run_can_be_read_and_says_so(tmp_path: Path) -> None:
    """Running while its process lives, interrupted once it is killed; what it had is there."""
    child = subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(SOURCES)},
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    folder = find_run(tmp_path, "last")
    assert folder.record().status is RunStatus.RUNNING
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert folder.record().status is RunStatus.INTERRUPTED
    assert folder.audit() == EMPTY
    assert [op.type for _, op in folder.history()] == [OpType.INVOKE, OpType.OK]


def test_an_exception_marks_the_run(tmp_path: Path) -> None:
    """Leaving by an exception ends the run as failed, by Ctrl-C as interrupted."""
    with pytest.raises(RuntimeError), RunFolder.create(tmp_path, "audit") as run:
        raise RuntimeError("password=hunter2")
    record = RunFolder.open(run.path).record()
    assert (record.status, record.error) == (RunStatus.FAILED, "RuntimeError")
    with pytest.raises(KeyboardInterrupt), RunFolder.create(tmp_path, "audit") as run:
        raise KeyboardInterrupt
    assert RunFolder.open(run.path).record().status is RunStatus.INTERRUPTED


def test_runs_of_one_moment_do_not_collide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that start in the same millisecond and draw the same letters get their own folders."""
    drawn = iter("bbbbbb" + "bbbbbb" + "cccccc")
    monkeypatch.setattr("secrets.choice", lambda letters: next(drawn))
    runs = [RunFolder.create(tmp_path, "audit", clock=Clock()) for _ in range(2)]
    assert [run.record.id for run in runs] == ["bbbbbb", "cccccc"]
    for run in runs:
        run.finish(None)


def test_runs_are_found_by_what_people_call_them(tmp_path: Path) -> None:
    """`last`, the id, its beginning, the folder's name and its path mean the same run."""
    clock = Clock()
    RunFolder.create(tmp_path, "audit", clock=clock).finish(None)
    clock.at += timedelta(seconds=1)
    RunFolder.create(tmp_path, "load", clock=clock).finish(None)
    newest = find_run(tmp_path, "last")
    assert newest.record().command == "load"
    for name in (newest.id, newest.id[:5], newest.path.name, newest.path):
        assert find_run(tmp_path, name).path == newest.path
    assert [run.record().command for run in list_runs(tmp_path)] == ["load", "audit"]


def test_a_password_in_a_url_does_not_reach_the_folder(tmp_path: Path) -> None:
    """Should a caller forget it, the record of the command line masks it."""
    url = "postgresql://me:hunter2@h/d"
    run = RunFolder.create(tmp_path, "audit", argv=["audit", url], targets=[url])
    run.finish(None)
    assert "hunter2" not in (run.path / "run.json").read_text()


def test_a_run_that_is_not_there_is_told(tmp_path: Path) -> None:
    """An unknown id names the known ones; no run at all names the command; a folder is judged."""
    with pytest.raises(RunFolderError, match="test-rig audit"):
        find_run(tmp_path / "none", "last")
    run = RunFolder.create(tmp_path, "audit")
    run.finish(None)
    with pytest.raises(UnknownName, match=find_run(tmp_path, "last").id):
        find_run(tmp_path, "zzzzzz")
    with pytest.raises(RunFolderError, match=r"no run\.json"):
        find_run(tmp_path, tmp_path)


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A file where the folder should be is one error that says what to do."""
    (tmp_path / "runs").write_text("")
    with pytest.raises(RunFolderError, match=r"\[runs\] folder") as caught:
        RunFolder.create(tmp_path / "runs", "audit")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("content", ["", "{", '{"format": 1}', "[]"])
def test_a_broken_record_is_told(tmp_path: Path, content: str) -> None:
    """A run.json that is not ours is one clear error, not a traceback."""
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(RunFolderError, match=r"run\.json"):
        RunFolder.open(tmp_path).record()


def test_a_later_format_is_told(tmp_path: Path) -> None:
    """A folder of a later version asks for an upgrade."""
    run = RunFolder.create(tmp_path, "audit")
    run.finish(None)
    said = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps(said | {"format": 99}))
    with pytest.raises(RunFolderError, match="upgrade"):
        RunFolder.open(run.path).record()


def test_results_are_replaced_whole(tmp_path: Path) -> None:
    """After each level there is one readable results.json, and nothing beside it."""
    run = RunFolder.create(tmp_path, "audit")
    info = TargetInfo(url="sqlite://", product="SQLite", version="3")
    for verdict in Verdict:
        target = TargetVerdict(target=info, levels=(), verdict=verdict)
        run.write_results(AuditVerdict(targets=(target,), verdict=verdict))
        audit = RunFolder.open(run.path).audit()
        assert audit is not None
        assert audit.verdict is verdict
    run.finish(Verdict.VALID)
    assert {path.name for path in run.path.iterdir()} == {"run.json", "results.json", "log.jsonl"}


def test_steps_become_operations() -> None:
    """A step overlaps those sent while it waited; a skipped one was never there."""
    from test_rig.runs.steps import operations

    waits = step(session="T2", sql="UPDATE t", start_ns=20, end_ns=50, blocked=True)
    ends = step(sql="COMMIT", start_ns=30, end_ns=40)
    skipped = step(status=StepStatus.SKIPPED, start_ns=60)
    told = list(operations(transcript(step(), waits, ends, skipped)))
    assert [(o.process, o.type.value, o.f, o.time_ns) for o in told] == [
        ("T1", "invoke", "select", 10),
        ("T1", "ok", "select", 20),
        ("T2", "invoke", "update", 20),
        ("T1", "invoke", "commit", 30),
        ("T1", "ok", "commit", 40),
        ("T2", "ok", "update", 50),
    ]
    assert [o.index for o in told] == list(range(6))


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"status": StepStatus.ERROR, "error": "deadlock (40P01)"}, OpType.FAIL),
        ({"status": StepStatus.ERROR, "error": "connection lost (2013)"}, OpType.INFO),
        ({"status": StepStatus.ERROR, "error": "indeterminate commit"}, OpType.INFO),
        ({"status": StepStatus.UNFINISHED, "end_ns": None}, OpType.INFO),
    ],
)
def test_a_lost_answer_is_never_a_certain_failure(changes: dict[str, object], kind: OpType) -> None:
    """Only what the server refused is `fail`; whatever was lost on the way is `info`."""
    from test_rig.runs.steps import operations

    assert [o.type for o in operations(transcript(step(**changes)))] == [OpType.INVOKE, kind]


TEXT = st.text(max_size=8)
NS = st.integers(0, 2**62)
STEPS = st.builds(
    StepRecord,
    session=TEXT,
    step=TEXT,
    sql=TEXT,
    rows=st.lists(st.tuples(TEXT | st.none()), max_size=2).map(tuple),
    row_count=NS | st.none(),
    error=TEXT | st.none(),
    blocked_by=st.tuples(TEXT),
    start_ns=NS,
    end_ns=NS | st.none(),
    blocked_seen_ns=NS | st.none(),
)


def _tuples(of: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(of, max_size=2).map(tuple)


TRANSCRIPTS = st.builds(
    Transcript, steps=_tuples(STEPS), setup=_tuples(TEXT), session_setup=st.just((("T1", ("x",)),))
)
AUDITS = st.builds(
    AuditVerdict,
    targets=_tuples(
        st.builds(
            TargetVerdict,
            levels=_tuples(
                st.builds(
                    LevelRow,
                    cells=_tuples(st.builds(Cell, transcript=TRANSCRIPTS | st.none())),
                    duration_s=st.floats(0, 1e6),
                )
            ),
            duration_s=st.floats(0, 1e6),
        )
    ),
)


@given(AUDITS)
def test_an_audit_survives_json(audit: AuditVerdict) -> None:
    """Every verdict, with any text in it, comes back equal."""
    assert decode_json(encode_json(audit), AuditVerdict) == audit


def test_half_a_surrogate_is_written_as_the_replacement_character() -> None:
    """Text that UTF-8 cannot hold does not keep a run from being written."""
    cell = Cell(anomaly=Anomaly.P4, occurrence=Occurrence.OCCURS, reason="a\ud800b")
    assert decode_json(encode_json(cell), Cell).reason == "a\ufffdb"
