"""`test-rig scenario` as a person uses it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SPECS = ROOT / "tests" / "integration" / "scenario_specs"
EXAMPLE = ROOT / "examples" / "scenarios" / "last_seat.toml"


def rig(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a scenario command in an empty folder."""
    return subprocess.run(
        [sys.executable, "-m", "test_rig", "scenario", *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_list(tmp_path: Path) -> None:
    """Every built-in scenario is listed with its meaning, as text and as data."""
    text, data = rig("list", folder=tmp_path), rig("list", "--json", folder=tmp_path)
    listed = json.loads(data.stdout)
    assert [line.split()[0] for line in text.stdout.splitlines()] == [s["name"] for s in listed]
    assert len(listed) == 15
    assert listed[7]["steps"][0] == ["T1", "BEGIN"]


def test_run_by_name(tmp_path: Path) -> None:
    """Without a target the embedded ones are played; a claim that holds is exit code 0."""
    done = rig("run", "G-single", folder=tmp_path)
    assert done.returncode == 0
    assert "WAL, BEGIN DEFERRED: prevented: T1 read 1: 10 and 2: 20\n" in done.stdout
    assert "shared cache, read_uncommitted: occurs: " in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_broken_claim(tmp_path: Path) -> None:
    """An anomaly that the level's claim forbids is exit code 1, with the SQL to replay."""
    done = rig("run", "g-single-w1", "duckdb://", "--replay", folder=tmp_path)
    assert done.returncode == 1
    assert "DELETE FROM test WHERE value = 20;  -- T1, changes 1 row\n" in done.stdout


def test_own_scenario(tmp_path: Path) -> None:
    """The example passes at every level, and the levels can be chosen."""
    done = rig("run", str(EXAMPLE), "sqlite://", "--json", folder=tmp_path)
    assert done.returncode == 0
    assert {result["status"] for result in json.loads(done.stdout)} == {"passed"}
    one = rig("run", str(EXAMPLE), "sqlite://", "--level", "wal-deferred", folder=tmp_path)
    assert one.stdout == "WAL, BEGIN DEFERRED: passed\n"


def test_broken_expectation(tmp_path: Path) -> None:
    """An expectation that does not hold is exit code 1, and told."""
    file = tmp_path / "seat.toml"
    file.write_text(EXAMPLE.read_text().replace('[["A"], ["B"]]', '[["B"]]'))
    done = rig("run", str(file), "duckdb://", folder=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ("BEGIN TRANSACTION: failed\n  expected that B commit, but A did\n")


def test_spec(tmp_path: Path, postgres_url: str) -> None:
    """A specification prints what the isolation tester prints; an impossible order is code 1."""
    done = rig("run", str(SPECS / "limits.spec"), postgres_url, folder=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith(
        "Parsed test spec with 2 sessions\n\nstarting permutation: s1b s1l s2b s2r s2c s1c\n"
    )
    spec = tmp_path / "impossible.spec"
    spec.write_text(
        "setup { CREATE TABLE t () } teardown { DROP TABLE t }\n"
        "session a step ab { BEGIN; LOCK t } step ac { COMMIT }\n"
        "session b step bl { TABLE t } step b2 { SELECT 1 } step unused {}\n"
        "permutation ab bl b2 ac\n"
    )
    failed = rig("run", str(spec), postgres_url, folder=tmp_path)
    assert failed.returncode == 1
    assert "impossible permutation: step bl of session b waits for a" in failed.stdout
    assert "unused step name: unused" in failed.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nope"], "there is no scenario 'nope' (known: g0,"),
        (["run", "bad.spec"], "bad.spec:1:18: this SQL block has no closing brace"),
        (["run", "bad.toml"], "bad.toml:1: there are no steps\n"),
        (["run", "g0", "--level", "nope", "sqlite://"], "there is no isolation level 'nope'"),
        (["run", "g0", "--max-permutations", "1"], "--max-permutations is for .spec files"),
        (["run", "many.spec", "sqlite://"], "and its steps have 12870 interleavings"),
    ],
)
def test_wrong_use(tmp_path: Path, arguments: list[str], message: str) -> None:
    """Wrong use is one message and exit code 2."""
    (tmp_path / "bad.spec").write_text("session s step a { x")
    (tmp_path / "bad.toml").write_text("stepz = ''")
    many = [f"session {s} " + "".join(f"step {s}{n} {{}} " for n in range(8)) for s in "ab"]
    (tmp_path / "many.spec").write_text("\n".join(many))
    done = rig(*arguments, folder=tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert message in done.stderr.replace("bad.toml:1:1:", "bad.toml:1:")
