"""The driver `python`: scripts as people have them, faults, and versions that come and go."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import venv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from test_rig.actions import (
    AlertEvent,
    ClearEvent,
    Delivery,
    DriverContext,
    Event,
    Fate,
    MeasurementEvent,
    create_driver,
    read_plan,
)
from test_rig.actions.drivers.python import PythonDriver
from test_rig.errors import PluginError, SettingsError

LIMIT_S = 60.0

SCRIPT = """
seen = []

def initialize():
    seen.append("init")

def on_measurement(data):
    seen.append(data["source_node_id"])
    if data["value"] < 0:
        raise ValueError("below zero")
    if data["value"] == 13:
        import os
        os._exit(1)
    return {"n": len(seen)}

def on_alert(alert):
    seen.append(alert["severity"])

def get_status():
    return '{"seen": %d}' % len(seen)

def clear_action():
    seen.append("clear")

def shutdown():
    with open("ended", "w") as file:
        file.write(",".join(seen))
"""


def measurement(value: float = 1.0, source: str = "node-1") -> MeasurementEvent:
    """Return a measurement of the instrument."""
    return MeasurementEvent(
        id=f"m{value}",
        name="concentration_ppm",
        value=value,
        concentration_ppm=value,
        source_node_id=source,
        timestamp=1.5,
        timestamp_ns=1_500_000_000,
    )


ALERT = AlertEvent(
    id="a", alert_type="t", severity="critical", message="m", timestamp=2.0, timestamp_ns=2 * 10**9
)
CLEAR = ClearEvent(id="c", timestamp=3.0, timestamp_ns=3 * 10**9)


class Running:
    """A started driver, called from a test's own thread."""

    def __init__(self, folder: Path, text: str = SCRIPT, **options: Any) -> None:
        self.path = folder / "script.py"
        if text:
            self.path.write_text(text)
        self.alerts: list[Any] = []
        kept = folder / "kept"
        kept.mkdir(exist_ok=True)
        given = {"script_path": str(self.path), "working_dir": str(folder), **options}
        context = DriverContext(name="display", folder=kept, emit=self.alerts.append)
        driver = create_driver("python", given, context=context)
        assert isinstance(driver, PythonDriver)
        self.driver = driver

    def __enter__(self) -> Running:
        asyncio.run(self.driver.start())
        return self

    def __exit__(self, *exc: object) -> None:
        asyncio.run(self.driver.stop(timeout_s=LIMIT_S))

    def send(self, *events: Event) -> Sequence[Delivery]:
        """Send a batch."""
        return asyncio.run(self.driver.send(events))

    def status(self) -> Mapping[str, Any]:
        """Return the status."""
        return asyncio.run(self.driver.status())

    def wait_status(self, key: str, is_right: Callable[[Any], bool]) -> Mapping[str, Any]:
        """Wait until the status has something."""
        until = time.monotonic() + LIMIT_S
        while not is_right(self.status()[key]):
            assert time.monotonic() < until, self.status()
            time.sleep(0.05)
        return self.status()


def test_every_function_is_called_and_the_module_keeps_its_state(tmp_path: Path) -> None:
    """Also `clear_action` and `shutdown`."""
    with Running(tmp_path) as running:
        answers = running.send(measurement(), ALERT, CLEAR, measurement(2, "node-2"))
        assert all(answer.fate is Fate.DELIVERED for answer in answers)
        status = running.status()
    assert status["python_status"] == {"seen": 5}
    assert status["last_result"] == {"n": 5}
    assert (tmp_path / "ended").read_text() == "init,node-1,critical,clear,node-2"


ROLES = ("update", "alert", "init", "shutdown", "status", "clear")


@pytest.mark.parametrize(
    "names",
    [
        {"functions": {role: f"my_{role}" for role in ROLES}},
        {f"{role}_function": f"my_{role}" for role in ROLES},
    ],
)
def test_functions_are_found_in_both_spellings(tmp_path: Path, names: dict[str, Any]) -> None:
    """A table and flat names mean the same: each function is called by its own name."""
    text = (
        "def note(what):\n    with open('called', 'a') as file:\n        file.write(what + ' ')\n"
    )
    for role in ROLES:
        text += f"def my_{role}(*event):\n    note('{role}')\n    return '{role}'\n"
    with Running(tmp_path, text, **names) as running:
        running.send(measurement(), ALERT, CLEAR)
        assert running.status()["python_status"] == "status"
    assert (tmp_path / "called").read_text().split() == [
        *("init", "update", "alert", "clear", "status", "shutdown")
    ]


def test_a_function_has_one_name(tmp_path: Path) -> None:
    """Two spellings may not differ, and a role must be one."""
    with pytest.raises(SettingsError, match="two names"):
        Running(tmp_path, "", functions={"update": "a"}, update_function="b")
    with pytest.raises(SettingsError, match="unknown"):
        Running(tmp_path, "", functions={"updat": "a"})


def test_the_guilty_event_is_refused_and_the_others_are_delivered(tmp_path: Path) -> None:
    """An exception and a crash cost one event each."""
    batch = [measurement(value) for value in (1.0, -1.0, 2.0, 13.0, 3.0)]
    with Running(tmp_path) as running:
        answers = running.send(*batch)
        history = running.driver.history()
        numbers = running.driver.statistics()
    fates = [answer.fate for answer in answers]
    assert fates == [*(Fate.DELIVERED, Fate.REJECTED) * 2, Fate.DELIVERED]
    assert "ValueError: below zero" in answers[1].detail
    assert "crashed" in answers[3].reason
    assert [each["outcome"] for each in history[1:4]] == ["raised", "returned", "crashed"]
    assert numbers["calls"] == {"returned": 3, "raised": 1, "crashed": 1}


def test_a_hanging_call_is_stopped_and_named(tmp_path: Path) -> None:
    """What was not reached is tried again, and that is no attempt of it."""
    text = "def on_measurement(data):\n    while data['value'] == 5: pass\n"
    with Running(tmp_path, text, timeout_seconds=2) as running:
        first, second = running.send(measurement(5), measurement(6))
        assert first.fate is Fate.REJECTED
        assert "timed out" in first.reason
        assert 1.9 <= running.driver.history()[0]["duration_s"] < 25  # by default it would be 30
        assert second.fate is Fate.DELIVERED or not second.was_tried
        assert running.send(measurement(6))[0].fate is Fate.DELIVERED


def test_the_history_is_bounded(tmp_path: Path) -> None:
    """The newest stands last."""
    with Running(tmp_path, max_history=3) as running:
        running.send(*(measurement(value) for value in range(1, 6)))
        assert [each["value"] for each in running.driver.history()] == [3, 4, 5]
        assert [each["value"] for each in running.driver.history(1)] == [5]
        assert running.driver.statistics()["max_size"] == 3


def test_memory_is_limited(tmp_path: Path) -> None:
    """What is too much costs the call."""
    text = "def on_measurement(data):\n    return len(bytearray(4 << 30))\n"
    with Running(tmp_path, text, memory_limit_mb=128) as running:
        (answer,) = running.send(measurement())
    assert answer.fate is Fate.REJECTED
    assert "out of memory" in answer.reason


def test_paths_folder_and_environment_are_those_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing else of the rig's environment."""
    monkeypatch.setenv("TIDB_PASSWORD", "hidden")
    monkeypatch.setenv("SITE", "north")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "neighbour.py").write_text("NAME = 'found'\n")
    text = (
        "import os, neighbour\n"
        "def on_measurement(data):\n"
        "    return [neighbour.NAME, os.getcwd(), os.environ.get('SITE'),"
        " 'TIDB_PASSWORD' in os.environ]\n"
    )
    paths = [str(tmp_path / "more")]
    with Running(tmp_path, text, python_paths=paths, pass_env=["SITE"]) as running:
        running.send(measurement())
        assert running.status()["last_result"] == ["found", str(tmp_path), "north", False]


@pytest.mark.parametrize(
    ("option", "place"), [("venv_path", "env"), ("python_executable", "env/bin/python")]
)
def test_a_virtual_environment_is_used(tmp_path: Path, option: str, place: str) -> None:
    """The script runs in its Python, whichever way that is named."""
    venv.create(tmp_path / "env", with_pip=False)
    text = "import sys\ndef on_measurement(data):\n    return sys.prefix\n"
    options: dict[str, Any] = {option: str(tmp_path / place)}
    with Running(tmp_path, text, **options) as running:
        running.send(measurement())
        assert running.status()["last_result"] == str(tmp_path / "env")


def test_isolated_runs_each_call_in_a_process_of_its_own(tmp_path: Path) -> None:
    """Functions, and programs that read standard input."""
    text = "n = 0\ndef on_measurement(data):\n    global n\n    n += 1\n    return n\n"
    with Running(tmp_path, text, isolated=True, python_executable=sys.executable) as running:
        running.send(measurement(), measurement())
        assert running.status()["last_result"] == 1
    program = (
        "import json, sys\nif __name__ == '__main__':\n"
        "    open('got', 'w').write(str(json.load(sys.stdin)['value']))\n    sys.exit(0)\n"
    )
    with Running(tmp_path, program, isolated=True) as running:
        assert running.send(measurement(7.5))[0].fate is Fate.DELIVERED
    assert (tmp_path / "got").read_text() == "7.5"


BAD = {
    "syntax": "def on_measurement(:\n",
    "raises at import": "raise RuntimeError('no')\n",
    "hangs at import": "while True: pass\n",
    "crashes at import": "import os\nos._exit(9)\n",
    "initialize raises": "def initialize():\n    raise OSError('no')\ndef on_alert(a): pass\n",
    "no function": "x = 1\n",
    "self_test": "def on_alert(a): pass\ndef self_test():\n    return False\n",
    "empty": "",
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_version_never_serves(tmp_path: Path, bad: str) -> None:
    """It is told why, and the old one goes on with its state."""
    with Running(tmp_path, auto_reload=True, timeout_seconds=5) as running:
        running.send(measurement())
        running.path.write_text(BAD[bad])
        running.wait_status("refused", bool)
        running.send(measurement())
        status = running.status()
        assert status["last_result"] == {"n": 3}
        assert status["versions"] == 1
    assert [alert.alert_type for alert in running.alerts] == ["plugin_rejected"]


def test_a_good_version_takes_over_with_the_state(tmp_path: Path) -> None:
    """`get_state` of the old one reaches `set_state` of the new one."""
    text = (
        "n = 0\nVERSION = 1\ndef on_measurement(data):\n    global n\n    n += 1\n"
        "    return [VERSION, n]\ndef get_state():\n    return n\n"
        "def set_state(state):\n    global n\n    n = state\n"
    )
    with Running(tmp_path, text, auto_reload=True) as running:
        running.send(measurement(), measurement())
        running.path.write_text(text.replace("VERSION = 1", "VERSION = 2"))
        running.wait_status("versions", lambda count: count == 2)
        running.send(measurement())
        assert running.status()["last_result"] == [2, 3]


def test_a_restart_with_a_broken_file_serves_the_last_good_one(tmp_path: Path) -> None:
    """And says so."""
    with Running(tmp_path):
        pass
    (tmp_path / "script.py").write_text("def broken(:\n")
    with Running(tmp_path, "") as running:
        running.send(measurement())
        status = running.status()
    assert status["last_result"] == {"n": 2}
    assert "the last good version serves" in status["refused"]
    assert running.alerts


def test_a_broken_file_without_a_good_one_is_told(tmp_path: Path) -> None:
    """With the line."""
    running = Running(tmp_path, "def broken(:\n")
    with pytest.raises(PluginError, match=r"script\.py"):
        asyncio.run(running.driver.start())
    asyncio.run(running.driver.stop(timeout_s=LIMIT_S))


def test_reloads_under_traffic_fail_no_call(tmp_path: Path) -> None:
    """Versions come in order; every event is delivered."""
    text = "VERSION = {}\ndef on_measurement(data):\n    return VERSION\n"
    answers: list[Delivery] = []
    versions: list[int] = []
    done = threading.Event()
    with Running(tmp_path, text.format(0)) as running:

        def traffic() -> None:
            while not done.is_set():
                answers.extend(running.send(measurement()))
                versions.append(running.status()["last_result"])

        thread = threading.Thread(target=traffic)
        thread.start()
        swapped = 0
        while swapped < 10:  # `benchmarks/action_faults.py reloads` does a hundred
            running.path.write_text(text.format(swapped + 1))
            swapped += running.driver.reload()
        done.set()
        thread.join(LIMIT_S)
    assert all(answer.fate is Fate.DELIVERED for answer in answers)
    assert versions == sorted(versions)


def test_the_pipe_waits_longer_than_the_script_may_take(tmp_path: Path) -> None:
    """And tells as much history, unless the settings say otherwise."""
    table = {"type": "python", "script_path": "s.py", "timeout_seconds": 40, "max_history": 7}
    (plan,) = read_plan(tmp_path, drivers={"display": table}).drivers
    assert plan.pipe.timeout_s > 40
    assert plan.pipe.history == 7


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"venv_path": "v", "python_executable": "p"}, "both say which Python"),
        ({"isolated": True, "auto_reload": True}, "auto_reload has no meaning"),
        ({"sandbox_writable": ["."]}, "need sandbox = true"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, Any], told: str) -> None:
    """Rather than one of them being left out of account."""
    with pytest.raises(SettingsError, match=told):
        create_driver("python", {"script_path": "s.py", **options})
