"""`test-rig actions`, as people and programs use it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from acceptance.conftest import Run, Start, command_environment
from servers.private import free_port
from servers.tidb_standin import StandinImport, TidbStandin

RUN = [sys.executable, "-m", "test_rig", "actions", "run"]
SETTINGS = """
[actions.drivers.out]
type = "file"
path = "out.jsonl"
pipe = {PIPE}

[actions.rules.slow]
measurement = "latency"
above = 10.0
clear = 5.0
"""


@pytest.fixture(autouse=True)
def settings(tmp_path: Path) -> Path:
    """Settings with a file as receiver and a rule."""
    path = tmp_path / "test-rig.toml"
    path.write_text(SETTINGS.replace("{PIPE}", "{}"))
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a file."""
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines()]


def fed(folder: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `test-rig actions run` with a text on standard input."""
    return subprocess.run(
        [*RUN, *arguments],
        input=text,
        cwd=folder,
        env=command_environment({}),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


class Host:
    """Running actions that listen."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*RUN, "--listen", "127.0.0.1:0", "--no-stdin", *arguments],
            cwd=folder,
            env=command_environment({}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        self.url = ""
        for line in self.process.stderr:
            if found := re.search(r"listening on (\S+)", line):
                self.url = found[1]
                break
        assert self.url, "it did not start"

    def get(self, path: str, *, host: str = "") -> tuple[int, Any]:
        """Ask, and return code and content."""
        return self._ask("GET", path, headers={"Host": host} if host else {})

    def post(self, path: str, content: Any, kind: str = "application/json") -> tuple[int, Any]:
        """Send, and return code and content."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self._ask("POST", path, body, headers={"Content-Type": kind})

    def _ask(
        self, method: str, path: str, body: bytes | None = None, *, headers: dict[str, str]
    ) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=30)
        with closing(connection):
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
            return answer.status, json.loads(text) if text.startswith(("{", "[")) else text

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it, and return its code."""
        self.process.send_signal(number)
        self.process.communicate(timeout=60)
        return self.process.returncode


@contextmanager
def hosting(folder: Path, *arguments: str) -> Iterator[Host]:
    """Run a host to its end."""
    host = Host(folder, *arguments)
    try:
        yield host
    finally:
        if host.process.poll() is None:
            host.process.kill()
        host.process.communicate()


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


def test_json_lines_become_events_and_alerts(tmp_path: Path) -> None:
    """In the rig's spelling and in the instrument's."""
    text = "\n".join(
        [
            '{"name": "latency", "value": 12, "source": "db", "timestamp": 1700000000.5}',
            '{"concentration_ppm": 400, "source_node_id": "co2", "peak_amplitude": 0.5, '
            '"timestamp": {"secs_since_epoch": 1700000000, "nanos_since_epoch": 5}}',
            '{"name": "latency", "value": 3, "source": "db"}',
            '{"type": "clear_action"}',
        ]
    )
    done = fed(tmp_path, text)
    assert done.returncode == 0, done.stderr
    found = lines(tmp_path / "out.jsonl")
    alerts = [each["status"] for each in found if each["type"] == "alert"]
    assert alerts == ["firing", "resolved"]
    reading = next(each for each in found if "concentration_ppm" in each)
    assert (reading["name"], reading["value"]) == ("concentration_ppm", 400)
    assert reading["timestamp_ns"] == 1_700_000_000_000_000_005
    assert "out: 6 delivered" in done.stderr


def test_the_example_does_what_it_says(tmp_path: Path) -> None:
    """Its program's lines become measurements and grouped alerts."""
    example = Path(__file__).parents[2] / "examples" / "actions"
    for name in ("test-rig.toml", "display.py"):
        (tmp_path / name).write_text((example / name).read_text())
    text = subprocess.run(
        [sys.executable, str(example / "feed.py")], capture_output=True, text=True, check=True
    ).stdout
    assert fed(tmp_path, text).returncode == 0
    first, *later = lines(tmp_path / "alerts.jsonl")
    assert first["message"] == "db: latency is 126.5 ms, 100.0 are allowed"
    assert later


def test_lines_that_are_no_events_are_told_and_the_others_arrive(tmp_path: Path) -> None:
    """With their numbers; the exit code says that there were some."""
    text = (
        '{"name": "a", "value": 1}\n{"nam": "b", "value": 1}\nnonsense\n{"name": "c", "value": 2}'
    )
    done = fed(tmp_path, text, "--json")
    assert done.returncode == 1
    assert "line 2: " in done.stderr
    assert "unknown field `nam`" in done.stderr
    assert "line 3: " in done.stderr
    assert json.loads(done.stdout)["bad_lines"] == 2
    assert [each["name"] for each in lines(tmp_path / "out.jsonl")] == ["a", "c"]


def test_what_runs_can_be_asked_and_fed_over_http(tmp_path: Path, rig: Run) -> None:
    """Health, readiness, numbers, history, statistics, reasons; then it drains and ends."""
    with hosting(tmp_path) as host:
        assert host.get("/healthz") == (200, {"status": "ok"})
        until(lambda: host.get("/readyz")[0] == 200)
        events = [{"name": "latency", "value": value, "id": f"e{value}"} for value in (1, 20)]
        assert host.post("/api/events", events) == (202, {"accepted": 2})
        until(lambda: host.get("/api/actions/out")[1]["delivered"] == 3)
        history = host.get("/api/actions/out/history?limit=2")[1]["history"]
        assert len(history) == 2
        assert {each["fate"] for each in history} == {"delivered"}
        statistics = host.get("/api/actions/out/history/stats")[1]
        assert (statistics["buffer_size"], statistics["driver_type"]) == (3, "file")
        status, one = host.get("/api/actions/out")
        assert (status, one["status"]["is_open"]) == (200, True)
        assert 'test_rig_action_delivered_total{driver="out"} 3.0' in host.get("/metrics")[1]
        assert "fires as warning" in host.get("/api/alerts/slow/explain")[1]["why"][0]
        assert "fires as warning" in rig("actions", "explain", "slow").stdout
        told = json.loads(rig("actions", "status", "--json").stdout)
        assert (told["running"], told["drivers"]["out"]["delivered"]) == (True, 3)
        one = json.loads(rig("actions", "status", "out").stdout)
        assert (one["status"]["is_open"], one["statistics"]["buffer_size"]) == (True, 3)
        past = rig("actions", "history", "out", "--limit", "2").stdout.splitlines()
        assert [": delivered at try 1" in each for each in past] == [True, True]
        assert " e20 latency: " in past[-1]
        assert rig("actions", "history", "nobody").returncode == 2
        assert host.post("/api/clear", {})[0] == 202
        assert host.end() == 143
    assert lines(tmp_path / "out.jsonl")[-1]["type"] == "clear_action"
    offline = rig("actions", "status")
    assert "not running" in offline.stdout
    assert rig("actions", "history", "out").returncode == 3


def test_what_is_wrong_over_http_is_told(tmp_path: Path) -> None:
    """Unknown names, bad events, other pages and other hosts."""
    with hosting(tmp_path) as host:
        assert host.get("/api/actions/nobody")[0] == 404
        assert host.get("/api/alerts/nobody/explain")[0] == 404
        assert host.get("/api/actions/out/history?limit=x")[0] == 400
        status, told = host.post("/api/events", [{"name": "a", "value": 1}, {"name": "b"}])
        assert (status, told["problems"]) == (
            400,
            ["event 2: a measurement needs a value, or concentration_ppm"],
        )
        assert host.post("/api/events", b"{}", "text/plain")[0] == 415
        assert host.get("/healthz", host="evil.example")[0] == 403
        assert host.end() == 143
    assert lines(tmp_path / "out.jsonl") == []


def test_a_driver_that_does_not_come_up_is_not_ready(tmp_path: Path, settings: Path) -> None:
    """The reason is told, and what came is in the spool at the end."""
    with settings.open("a") as file:
        file.write('[actions.drivers.bad]\ntype = "file"\npath = "/dev/null/x/y"\n')
    with hosting(tmp_path, "--drain", "0.2") as host:
        host.post("/api/events", {"name": "a", "value": 1})
        until(lambda: host.get("/readyz")[0] == 503)
        until(lambda: "does not start" in host.get("/readyz")[1]["waiting"]["bad"])
        host.process.send_signal(signal.SIGTERM)
        _, complaint = host.process.communicate(timeout=60)
        assert "bad: 1 events wait in the spool" in complaint


def test_only_a_loopback_address_is_listened_on(rig: Run) -> None:
    """Others are wrong use."""
    done = rig("actions", "run", "--no-stdin", "--listen", "0.0.0.0:0")
    assert done.returncode == 2
    assert "only a loopback address" in done.stderr


def test_check_starts_each_driver_and_sends_nothing(
    tmp_path: Path, rig: Run, settings: Path
) -> None:
    """And tells which does not start; wrong settings are all told at once."""
    done = rig("actions", "check")
    assert (done.returncode, done.stdout) == (0, "out: starts\n1 rules\n")
    with settings.open("a") as file:
        file.write('[actions.drivers.bad]\ntype = "file"\npath = "/dev/null/x/y"\n')
    told = rig("actions", "check", "--json")
    assert told.returncode == 1
    assert [each["ok"] for each in json.loads(told.stdout)["drivers"]] == [True, False]
    with settings.open("a") as file:
        file.write('[actions.drivers.worse]\ntype = "fiel"\n[actions.rules.r]\nmeasuremet = "a"\n')
    wrong = rig("actions", "check", "--offline")
    assert wrong.returncode == 2
    assert "did you mean 'file'" in wrong.stderr
    assert "did you mean 'measurement'" in wrong.stderr
    assert lines(tmp_path / "out.jsonl") == []


def test_test_sends_an_event_of_each_kind_and_prints_the_answers(tmp_path: Path, rig: Run) -> None:
    """Or those of a file; an unknown driver is wrong use."""
    done = rig("actions", "test", "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("delivered") == 2
    (tmp_path / "one.json").write_text('{"name": "n", "value": 7}')
    told = json.loads(rig("actions", "test", "--event", "one.json", "--json").stdout)
    assert told["out"][0]["fate"] == "delivered"
    assert lines(tmp_path / "out.jsonl")[-1]["value"] == 7
    assert rig("actions", "test", "nobody").returncode == 2


def test_dead_letters_are_listed_shown_replayed_and_purged(
    tmp_path: Path, rig: Run, settings: Path
) -> None:
    """A receiver that refuses makes them; the next start sends them again."""
    settings.write_text(
        '[actions.drivers.hook]\ntype = "http"\nurl = "http://127.0.0.1:9/"\n'
        'headers = {X = "{{ labels.level }}"}\n'
    )
    fed(tmp_path, '{"name": "a", "value": 1, "id": "x1"}\n{"name": "b", "value": 2, "id": "x2"}')
    found = json.loads(rig("actions", "dlq", "list", "--json").stdout)
    assert [(each["id"], each["refused"]) for each in found] == [("x1", True), ("x2", True)]
    assert "level" in found[0]["reason"]
    assert json.loads(rig("actions", "dlq", "show", "hook", "1").stdout)["event"]["value"] == 1
    assert "1 dead letters are gone" in rig("actions", "dlq", "purge", "hook", "2").stdout
    assert "will be sent again" in rig("actions", "dlq", "replay", "hook").stdout
    settings.write_text('[actions.drivers.hook]\ntype = "file"\npath = "out.jsonl"\n')
    assert fed(tmp_path, "").returncode == 0
    assert [each["id"] for each in lines(tmp_path / "out.jsonl")] == ["x1"]


def test_an_audit_hands_its_measurements_to_the_actions(
    tmp_path: Path, rig: Run, only_run: Callable[[], Path]
) -> None:
    """And its run can be replayed through them."""
    level = ("--level", "wal-immediate", "--workload-time", "0.2")
    done = rig("audit", "sqlite://", *level, timeout=110)
    assert done.returncode in (0, 1), done.stderr
    measured = [each for each in lines(tmp_path / "out.jsonl") if each["type"] == "measurement"]
    assert measured
    assert abs(measured[0]["timestamp"] - time.time()) < 600
    run = only_run()
    (tmp_path / "out.jsonl").unlink()
    again = rig("actions", "replay", str(run))
    assert again.returncode == 0, again.stderr
    assert len(lines(tmp_path / "out.jsonl")) >= len(measured)


def test_a_killed_host_loses_nothing_that_it_accepted(tmp_path: Path, settings: Path) -> None:
    """At moments of chance, with the spool on; what comes twice has the same id."""
    settings.write_text(SETTINGS.replace("{PIPE}", "{spool = true, batch_size = 16}"))
    # `benchmarks/action_faults.py kills` does it a hundred times.
    sent = [_killed_after(tmp_path, turn, at=0.02 + 0.2 * turn) for turn in range(3)]
    assert fed(tmp_path, "").returncode == 0
    wanted = {f"{turn}-{number}" for turn, count in enumerate(sent) for number in range(count)}
    came = lines(tmp_path / "out.jsonl")
    ids = [each["id"] for each in came if each["type"] == "measurement"]
    assert sum(sent) > 0
    assert wanted - set(ids) == set()
    by_id = {each["id"]: each["value"] for each in came if each["type"] == "measurement"}
    assert all(float(id.split("-")[1]) == value for id, value in by_id.items())


def _killed_after(folder: Path, turn: int, *, at: float) -> int:
    """Feed a host until it is killed; return how many events it had accepted."""
    process = subprocess.Popen(
        [*RUN, "--acks"],
        cwd=folder,
        env=command_environment({}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def feed() -> None:
        number = 0
        try:
            while True:
                text = "".join(
                    json.dumps({"name": "n", "value": each, "id": f"{turn}-{each}"}) + "\n"
                    for each in range(number, number + 50)
                )
                os.write(process.stdin.fileno(), text.encode())
                number += 50
                time.sleep(0.001)
        except OSError:
            return

    feeder = threading.Thread(target=feed)
    feeder.start()
    accepted = 0
    kill_at = None
    for line in process.stdout:
        accepted = json.loads(line)["accepted"] if line.endswith(b"\n") else accepted
        kill_at = kill_at or time.monotonic() + at
        if time.monotonic() >= kill_at:
            process.kill()
    process.wait()
    feeder.join()
    process.stdin.close()
    process.stdout.close()
    return accepted


def test_a_workload_hands_its_measurements_to_the_actions(tmp_path: Path, rig: Run) -> None:
    """With the wall clock's time."""
    begun = time.time()
    done = rig("workload", "run", "bank", "--url", "duckdb://", "--time", "0.5", timeout=110)
    assert done.returncode in (0, 1), done.stderr
    names = {each["name"] for each in lines(tmp_path / "out.jsonl")}
    assert "workload.throughput" in names
    times = [each["timestamp"] for each in lines(tmp_path / "out.jsonl")]
    assert all(begun - 60 < each < time.time() + 60 for each in times)


def test_a_script_that_is_not_there_is_refused_at_the_start(tmp_path: Path, settings: Path) -> None:
    """With every such option of every driver at once, and nothing is begun."""
    settings.write_text(
        settings.read_text()
        + '[actions.drivers.a]\ntype = "python"\nscript_path = "no.py"\nvenv_path = "no-venv"\n'
        + '[actions.drivers.b]\ntype = "python"\nscript_path = "nor.py"\n'
    )
    done = fed(tmp_path, '{"name": "latency", "value": 1}\n')
    assert done.returncode == 2, done.stderr
    for option in ("a.script_path: there is no no.py", "a.venv_path", "b.script_path"):
        assert f"actions.drivers.{option}" in done.stderr
    assert not (tmp_path / "out.jsonl").exists()


def test_a_workflow_hands_its_measurements_and_failures_to_the_actions(
    tmp_path: Path, rig: Run
) -> None:
    """Durations of tasks and of the run; a failure is an alert."""
    (tmp_path / "flow.py").write_text(
        "from test_rig.workflow import task\n@task\ndef good(context): return {}\n"
        "@task(dependencies=[good])\ndef bad(context): raise ValueError('no')\n"
    )
    assert rig("workflow", "run", "flow.py").returncode == 1
    told = lines(tmp_path / "out.jsonl")
    names = [each.get("name") or each["alert_type"] for each in told]
    assert names.count("workflow_task_duration") == 2
    assert names.count("workflow_run_duration") == 1
    assert {"workflow_task_failed", "workflow_failed"} <= set(names)


def test_a_bulk_load_that_is_watched_hands_its_progress_to_the_actions(
    tmp_path: Path, rig: Run
) -> None:
    """Rows, bytes and rates of each job."""
    with TidbStandin() as tidb:
        tidb.imports = [StandinImport(7)]
        done = rig("import", "watch", tidb.url, "--interval", "0.02")
    assert done.returncode == 0, done.stderr
    told = lines(tmp_path / "out.jsonl")
    assert {each["labels"]["job"] for each in told} == {"7"}
    assert max(each["value"] for each in told if each["name"] == "import_rows") == 1000


def alerts_of(folder: Path) -> list[dict[str, Any]]:
    """Return the alerts that reached the driver."""
    return [each for each in lines(folder / "out.jsonl") if each["type"] == "alert"]


def test_a_bulk_load_that_fails_is_an_alert(tmp_path: Path, rig: Run) -> None:
    """With the reason; one that was cancelled is less."""
    with TidbStandin() as tidb:
        tidb.imports = [
            StandinImport(7, end="failed", message="checksum mismatched"),
            StandinImport(8, end="cancelled"),
        ]
        assert rig("import", "watch", tidb.url, "--interval", "0.02").returncode == 1
    told = {each["labels"]["job"]: each for each in alerts_of(tmp_path)}
    assert {job: each["severity"] for job, each in told.items()} == {
        "7": "critical",
        "8": "warning",
    }
    assert {each["alert_type"] for each in told.values()} == {"import_failed"}
    assert "checksum mismatched" in told["7"]["message"]


def test_a_server_that_is_not_there_is_an_alert(tmp_path: Path, rig: Run) -> None:
    """Where a target's connection is why it cannot be judged."""
    rig("audit", f"postgresql://127.0.0.1:{free_port()}/x")
    (told,) = alerts_of(tmp_path)
    assert told["alert_type"] == "connection_lost"
    assert told["labels"]["target"].startswith("postgresql://")


def test_what_a_workload_finds_is_an_alert(tmp_path: Path, rig: Run, mariadb_url: str) -> None:
    """As what an audit finds is."""
    level = ("--level", "repeatable-read", "--time", "60", "--stop-at-first", "--keys", "2")
    assert rig("workload", "run", "lost-update", "--url", mariadb_url, *level).returncode == 1
    (told,) = alerts_of(tmp_path)
    assert told["alert_type"] == "anomaly_found"
    assert "lost-update" in told["data"]["anomalies"]


def test_a_workload_is_told_of_while_it_runs(tmp_path: Path, start_rig: Start) -> None:
    """Not when all is over, so that a rule can tell how long something holds."""
    command = ("workload", "run", "bank", "--url", "sqlite://", "--level", "wal-deferred")
    process = start_rig(*command, "--time", "600")
    end = time.monotonic() + 60
    while not lines(tmp_path / "out.jsonl"):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    told = lines(tmp_path / "out.jsonl")
    times = [each["timestamp"] for each in told if each["name"] == "workload.throughput"]
    assert len(times) == len(set(times)) > 0
