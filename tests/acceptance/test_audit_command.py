"""`test-rig audit` against real databases, as a user runs it."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from test_rig.targets import Target

Run = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., subprocess.Popen[str]]


def verdicts(result: subprocess.CompletedProcess[str]) -> dict[str, dict[str, str]]:
    """Level name -> anomaly -> what it did, of the only target of a JSON result."""
    (target,) = json.loads(result.stdout)["audit"]["targets"]
    return {
        level["name"]: {cell["anomaly"]: cell["occurrence"] for cell in level["cells"]}
        for level in target["levels"]
    }


def scratch_name(folder: Path) -> str | None:
    """The private namespace that a run's log names, once it does."""
    log = folder / "log.jsonl"
    lines = log.read_text().splitlines() if log.exists() else []
    names = [json.loads(line).get("name") for line in lines if "namespace made" in line]
    return names[0] if names else None


def is_there(url: str, namespace: str) -> bool:
    """Whether a schema or database of that name is on the server."""
    with Target.open(url) as target, target.connect() as session:
        return bool(
            session.execute_query(
                "SELECT schema_name FROM information_schema.schemata WHERE schema_name = %s",
                [namespace],
            )
        )


def test_without_a_url_the_embedded_databases_are_audited_side_by_side(
    rig: Run, only_run: Callable[[], Path]
) -> None:
    """SQLite keeps its promise, DuckDB 2.0 does not quite; the page is where it says."""
    result = rig("audit")
    assert result.returncode in (0, 1), result.stderr
    assert "SQLite" in result.stdout
    assert "DuckDB" in result.stdout
    page = only_run() / "report.html"
    assert str(page.relative_to(page.parents[2])) in result.stdout
    assert page.read_text().startswith("<!doctype html>")


def test_a_run_folder_keeps_everything(rig: Run, only_run: Callable[[], Path]) -> None:
    """Settings, history, results, measurements, log and page are all there afterwards."""
    assert rig("audit", "sqlite://").returncode == 0
    names = {path.name for path in only_run().iterdir()}
    assert names >= {
        "run.json",
        "results.json",
        "history.arrow",
        "measurements.arrow",
        "log.jsonl",
        "report.html",
    }


def test_postgresql_gives_what_its_manual_promises(rig: Run, postgres_url: str) -> None:
    """Every claim holds, and the anomalies of each level are the published ones."""
    result = rig("audit", postgres_url, "--json")
    assert result.returncode == 0, result.stderr
    table = verdicts(result)
    occurring = {
        level: {anomaly for anomaly, found in cells.items() if found == "occurs"}
        for level, cells in table.items()
    }
    weak = {
        "PMP",
        "PMP-write",
        "P4",
        "G-single",
        "G-single-dep",
        "G-single-w1",
        "G-single-w2",
        "G2-item",
        "G2",
        "G2-2edges",
    }
    assert occurring == {
        "READ UNCOMMITTED": weak,
        "READ COMMITTED": weak,
        "REPEATABLE READ": {"G2-item", "G2", "G2-2edges"},
        "SERIALIZABLE": set(),
    }


def test_mariadb_loses_updates_at_repeatable_read_and_the_exit_code_says_so(
    rig: Run, mariadb_url: str
) -> None:
    """The broken claim is a finding: exit code 1, and a transcript that anyone can replay."""
    result = rig("audit", mariadb_url, "--level", "repeatable-read", "--json")
    assert result.returncode == 1, result.stderr
    assert verdicts(result)["REPEATABLE READ"]["P4"] == "occurs"
    (target,) = json.loads(result.stdout)["audit"]["targets"]
    assert "P4" in {finding["anomaly"] for finding in target["levels"][0]["findings"]}


def test_the_junit_and_html_files_are_written_where_they_are_asked_for(
    rig: Run, tmp_path: Path
) -> None:
    """Both files are there beside the run folder."""
    assert rig("audit", "sqlite://", "--junit", "a.xml", "--html", "a.html").returncode == 0
    assert "<testsuite" in (tmp_path / "a.xml").read_text()
    assert "<html" in (tmp_path / "a.html").read_text()


def test_a_report_can_be_rendered_again_from_the_folder_alone(rig: Run) -> None:
    """Text, JSON, JUnit and HTML come from the run folder, without the database."""
    rig("audit", "duckdb://")
    for form in ("text", "json", "junit", "html"):
        result = rig("report", "last", "--format", form)
        assert result.returncode == 0, result.stderr
        assert "DuckDB" in result.stdout


BAD_INPUT: list[tuple[list[str], int, str]] = [
    (["audit", "oracle://scott@h/db"], 2, "unknown scheme 'oracle'"),
    (["audit", "mysql://root@127.0.0.1:notaport/x"], 2, "port"),
    (["audit", "postgresql://postgres@127.0.0.1:1/test"], 3, "127.0.0.1:1"),
    (["audit", "sqlite:////nowhere/at/all.db"], 3, "folder"),
    (["audit", "sqlite:///file.db", "--level", "chaos"], 2, "wal-deferred"),
    (["audit", "--no-such-option"], 2, "--no-such-option"),
    (["scenario", "run", "no-such.spec"], 2, "no-such.spec"),
    (["report", "no-such-run"], 2, "no-such-run"),
]


@pytest.mark.parametrize(("arguments", "code", "word"), BAD_INPUT, ids=lambda x: str(x)[:40])
def test_bad_input_gets_one_clear_message_and_its_exit_code(
    rig: Run, arguments: list[str], code: int, word: str
) -> None:
    """The message names what is wrong; there is no traceback."""
    result = rig(*arguments)
    assert result.returncode == code, result.stderr
    assert word in result.stderr
    assert "Traceback" not in result.stderr


def test_a_broken_settings_file_is_told_with_all_its_problems(rig: Run, tmp_path: Path) -> None:
    """Every wrong key and value is named with file and line, in one go."""
    (tmp_path / "test-rig.toml").write_text(
        "[database]\nhots = 'x'\npool_size = 'many'\n[nonsense]\na = 1\n"
    )
    result = rig("audit")
    assert result.returncode == 2
    for fragment in ("test-rig.toml:2", "hots", "test-rig.toml:3", "pool_size", "nonsense"):
        assert fragment in result.stderr


def test_a_broken_spec_file_is_told_with_line_and_column(rig: Run, tmp_path: Path) -> None:
    """The place of the mistake is named as file:line:column."""
    (tmp_path / "bad.spec").write_text("session s1\nstep a { SELECT 1; }\nstep { }\n")
    result = rig("scenario", "run", "bad.spec")
    assert result.returncode == 2
    assert "bad.spec:3:" in result.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_audit_leaves_nothing_behind_and_keeps_what_it_had(
    start_rig: Start,
    only_run: Callable[[], Path],
    tmp_path: Path,
    postgres_url: str,
    number: signal.Signals,
) -> None:
    """Ctrl-C and SIGTERM in the middle: the schema is gone, the run says interrupted."""
    process = start_rig("audit", postgres_url)
    until = time.monotonic() + 30
    name = None
    while name is None and time.monotonic() < until:
        time.sleep(0.02)
        runs = [path for path in tmp_path.glob("test-rig-runs/*-audit-*") if path.is_dir()]
        name = scratch_name(runs[0]) if runs else None
    assert name is not None
    assert is_there(postgres_url, name)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert "Traceback" not in errors
    assert not is_there(postgres_url, name)
    assert json.loads((only_run() / "run.json").read_text())["status"] == "interrupted"


def test_tables_that_the_audit_did_not_make_stay_as_they_were(rig: Run, mariadb_url: str) -> None:
    """A table of the scenarios' own name in the user's database is neither used nor changed."""
    with Target.open(mariadb_url) as target, target.connect() as session:
        session.query_drop("CREATE OR REPLACE TABLE test (id INT PRIMARY KEY, value INT)")
        session.query_drop("INSERT INTO test VALUES (7, 70)")
        try:
            rig("audit", mariadb_url, "--level", "read-committed")
            rows: list[Any] = session.execute_query("SELECT * FROM test")
            assert rows == [{"id": 7, "value": 70}]
        finally:
            session.query_drop("DROP TABLE test")


def test_two_audits_at_once_on_one_server_do_not_disturb_each_other(
    start_rig: Start, mariadb_url: str
) -> None:
    """Both come to the verdict that one alone comes to, and clean up."""
    pair = [
        start_rig("audit", mariadb_url, "--level", "repeatable-read", "--json") for _ in range(2)
    ]
    outputs = [process.communicate(timeout=100)[0] for process in pair]
    tables = [json.loads(text)["audit"]["targets"][0]["levels"][0] for text in outputs]
    found = [{c["anomaly"]: c["occurrence"] for c in table["cells"]} for table in tables]
    assert found[0] == found[1]
    assert "unknown" not in found[0].values()


def test_ten_audits_in_a_row_agree(rig: Run) -> None:
    """The embedded audit gives the same table every time."""
    results = [rig("audit", "sqlite://", "--level", "wal-deferred", "--json") for _ in range(10)]
    assert all(result.returncode == 0 for result in results)
    first = verdicts(results[0])
    assert all(verdicts(result) == first for result in results[1:])


def test_the_stand_in_and_the_seed_are_in_the_record(
    rig: Run, only_run: Callable[[], Path]
) -> None:
    """Who reads the run later sees that no real database was asked, and the seed that was given."""
    result = rig("audit", "--level", "memory-deferred", "--seed", "7", env={"REAL_DB": "off"})
    assert result.returncode == 0, result.stderr
    assert "SQLite in memory (stand-in)" in result.stdout
    record = json.loads((only_run() / "run.json").read_text())
    assert record["seed"] == 7
    assert record["targets"] == ["memory://"]


def test_a_level_that_is_named_twice_is_audited_once(rig: Run) -> None:
    """Whatever its spelling; one that no target has is told with those that each has."""
    result = rig(
        "audit", "sqlite://", "--level", "wal-deferred", "--level", "WAL-DEFERRED", "--json"
    )
    assert len(verdicts(result)) == 1
    refused = rig("audit", "--level", "nonsense")
    assert refused.returncode == 2
    assert "wal-deferred" in refused.stderr
    assert "snapshot" in refused.stderr


def test_a_workload_that_shows_nothing_where_scenarios_do_is_said_to_disagree(
    rig: Run, mariadb_url: str, tmp_path: Path
) -> None:
    """One client alone meets nobody: in the table, in JSON and on the page."""
    (tmp_path / "test-rig.toml").write_text("[workload]\nclients = 1\n")
    level = ("--level", "repeatable-read", "--workload-time", "0.2")
    result = rig("audit", mariadb_url, *level, "--html", "page.html")
    assert result.returncode == 1, result.stderr
    disagrees = "list-append disagrees: it shows none of it in"
    # The table breaks its lines.
    last = [line.split("  ")[-1].strip() for line in result.stdout.splitlines()]
    assert disagrees in " ".join(last)
    assert disagrees in rig("report", "last", "--json").stdout
    assert disagrees in (tmp_path / "page.html").read_text()


def test_random_transactions_stand_beside_the_scenarios(rig: Run, mariadb_url: str) -> None:
    """Both verdicts are in one table, the history of both in the run; 0 switches one off."""
    result = rig("audit", mariadb_url, "--level", "serializable", "--workload-time", "1")
    assert result.returncode == 0, result.stdout
    assert "workload shows" in result.stdout
    assert "nothing in" in result.stdout
    told = json.loads(rig("report", "last", "--json").stdout)["audit"]["targets"][0]["levels"][0]
    assert told["workload"]["workload"] == "list-append"
    assert told["workload"]["ok"] > 0
    without = rig("audit", mariadb_url, "--level", "serializable", "--workload-time", "0")
    assert "workload shows" not in without.stdout
