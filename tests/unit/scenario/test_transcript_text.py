"""Transcripts read as the isolation tester prints them, and replay as SQL."""

import sqlite3

from test_rig.scenario import (
    find_scenario,
    isolationtester_text,
    replay_sql,
    run_scenario,
    table_text,
)
from test_rig.targets import Target
from test_rig.verdict import (
    ResultSet,
    StepPhase,
    StepRecord,
    StepReport,
    StepStatus,
    Transcript,
)


def test_table() -> None:
    """Numbers stand to the right, everything else to the left; NULL is empty; rows are counted."""
    table = ResultSet(columns=("n", "text", "e"), rows=(("1", "a", None), ("-20", "long", "1e")))
    assert table_text(table) == ("  n|text|e \n---+----+--\n  1|a   |  \n-20|long|1e\n(2 rows)\n")
    assert table_text(ResultSet(columns=("only",), rows=())) == "only\n----\n(0 rows)\n"


WAITED = Transcript(
    scenario="a b",
    level="READ COMMITTED",
    setup=("CREATE TABLE t (v int)",),
    session_setup=(("s1", ()), ("s2", ("SET x = 1",))),
    steps=(
        StepRecord(session="s1", step="a", sql="SELECT 1;", status=StepStatus.OK, columns=("c",)),
        StepRecord(
            session="s2",
            step="b",
            sql="UPDATE t\nSET v = 1",
            status=StepStatus.ERROR,
            error="deadlock (40P01)",
            message="deadlock\ndetected",
            blocked=True,
            blocked_by=("s1",),
        ),
        StepRecord(session="s2", step="c", sql="COMMIT", status=StepStatus.SKIPPED),
    ),
    reports=(
        StepReport(phase=StepPhase.WAITING, index=1),
        StepReport(phase=StepPhase.NOTICE, index=1, text="NOTICE:  n"),
        StepReport(phase=StepPhase.ENDED, index=0),
        StepReport(phase=StepPhase.COMPLETED, index=1),
    ),
    problem="why",
    is_impossible=True,
)


def test_as_the_isolation_tester() -> None:
    """Waiting steps, notices, tables and errors come in the order of the story."""
    assert isolationtester_text(WAITED).splitlines() == [
        "",
        "starting permutation: a b",
        "step b: UPDATE t",
        "SET v = 1 <waiting ...>",
        "s2: NOTICE:  n",
        "step a: SELECT 1;",
        "c",
        "-",
        "(0 rows)",
        "",
        "step b: <... completed>",
        "ERROR:  deadlock",
        "detected",
        "impossible permutation: why",
    ]


def test_replay() -> None:
    """Comments name each session and outcome; what was not sent is left out."""
    assert replay_sql(WAITED).splitlines() == [
        "-- a b, READ COMMITTED",
        "-- Open a client for each of s1, s2, and send each statement in its own.",
        "",
        "CREATE TABLE t (v int);  -- any client, first",
        "SET x = 1;  -- s2",
        "",
        "SELECT 1;  -- s1, gives no row",
        "-- s2, waits for s1, deadlock (40P01): deadlock detected:",
        "UPDATE t",
        "SET v = 1;",
        "",
    ]


def test_replay_shows_the_anomaly() -> None:
    """What is printed, sent by hand through plain clients, gives the rows that the comments say."""
    with Target.open("sqlite://") as target, target.scratch() as scratch:
        level = target.level("shared-cache-read-uncommitted")
        cell = run_scenario(find_scenario("g-single"), scratch, level)
    assert cell.transcript is not None
    uri = "file:replay?mode=memory&cache=shared"
    clients = {
        name: sqlite3.connect(uri, uri=True, isolation_level=None) for name in ("any", "T1", "T2")
    }
    clients["check"] = clients["any"]
    told, got = [], []
    for line in replay_sql(cell.transcript).splitlines():
        sql, _, remark = line.partition(";  -- ")
        if remark:
            rows = clients[remark.replace(",", " ").split()[0]].execute(sql).fetchall()
            if "gives" in remark:
                told.append(remark.split("gives ")[1])
                got.append("; ".join(", ".join(map(str, row)) for row in rows))
    for client in {id(client): client for client in clients.values()}.values():
        client.close()
    assert told == got == ["1, 10", "1, 10", "2, 20", "2, 18", "1, 12; 2, 18"]
