"""Handlers of files in a machine: bound ones, whole tests, settings, and edits while it runs."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from test_rig.errors import PluginError
from test_rig.machine import (
    DynamicStateMachine,
    Limits,
    PluginHandlers,
    StateMachine,
    load_python_handlers,
)
from test_rig.testing import InMemoryTarget

HEAD = "from test_rig_python import PyStateHandler, PyState\n"


def write(path: Path, text: str) -> Path:
    """Write a file of handlers."""
    path.write_text(HEAD + text)
    return path


def visited(machine: StateMachine) -> list[str]:
    """Run a machine that passes and return the states beyond the standard path."""
    result = machine.run_sync()
    assert result.passed, result.error
    return [str(visit.state) for visit in result.visits()][6:]


def test_bound_handlers_take_their_states_and_the_others_are_tests(tmp_path: Path) -> None:
    """Bound ones run on the machine's way, whole tests behind it in the order of definition."""
    text = """
class SecondHandler(PyStateHandler): ...
class ReportHandler(PyStateHandler):
    state = "reporting"
class FirstHandler(PyStateHandler): ...
"""
    with InMemoryTarget() as target:
        machine = StateMachine(target)
        loaded = load_python_handlers(machine, write(tmp_path / "some_handlers1.py", text))
        assert loaded.names == ("SecondHandler", "ReportHandler", "FirstHandler")
        assert visited(machine) == ["Reporting", "SecondHandler", "FirstHandler"]


def test_settings_come_to_constructors(tmp_path: Path) -> None:
    """For all handlers, or for one under its name; `config` gets what is meant for it."""
    text = """
class OneHandler(PyStateHandler):
    def __init__(self, config, duration, rows=10):
        assert (duration, rows) == (5, 3), (duration, rows)
        assert config == {"duration": 5, "rows": 3}, config
class TwoHandler(PyStateHandler):
    def __init__(self, config: dict):
        assert config in ({}, {"rows": 3}), config
"""
    config = {"rows": 3, "OneHandler": {"duration": 5}}
    with InMemoryTarget() as target:
        machine = StateMachine(target)
        file = write(tmp_path / "settings_handlers1.py", text)
        assert load_python_handlers(machine, file, config=config).problems == ()
        without = load_python_handlers(StateMachine(target), write(file, text + "    x = 1\n"))
        told = [str(problem) for problem in without.problems]
    assert "settings_handlers1.py:3: OneHandler(...) wants duration" in told[0]
    assert "[handlers.NAME]" in told[0]


def test_a_source_without_handlers_is_an_error_that_says_what_one_is(tmp_path: Path) -> None:
    """Or that names what is wrong with the files."""
    with InMemoryTarget() as target:
        machine = StateMachine(target)
        with pytest.raises(PluginError, match="whose name ends in Handler"):
            load_python_handlers(machine, write(tmp_path / "nothing1.py", "x = 1\n"))
        with pytest.raises(PluginError, match=r"broken2.py:2: not Python"):
            load_python_handlers(machine, write(tmp_path / "broken2.py", "class (:\n"))


def test_an_edit_is_taken_over_and_a_removal_too(tmp_path: Path) -> None:
    """A class that is gone, bound now, or free again."""
    file = write(tmp_path / "edited1.py", "class AHandler(PyStateHandler): ...\n")
    with InMemoryTarget() as target:
        machine = DynamicStateMachine(target)
        loaded = load_python_handlers(machine, file)
        assert visited(machine) == ["AHandler"]
        write(file, "class AHandler(PyStateHandler):\n    state = 'own'\n")
        loaded.reload()
        assert visited(machine) == ["own"]
        write(file, "class BHandler(PyStateHandler): ...\n")
        loaded.reload()
        assert visited(machine) == ["BHandler"]
        write(file, "class BHandler(PyStateHandler):\n    def __init__(self, what): ...\n")
        loaded.reload()
        assert visited(machine) == ["BHandler"]
        assert "wants what" in str(loaded.problems[0])


def test_a_run_finishes_a_visit_with_the_version_it_began_with(tmp_path: Path) -> None:
    """Enter, execute and exit are of one version."""
    text = """
import threading
entered, go_on, seen = threading.Event(), threading.Event(), []
class LongHandler(PyStateHandler):
    def enter(self, context):
        entered.set(); go_on.wait(30)
    def execute(self, context):
        context.set_data("version", {0}); return PyState.completed()
"""
    file = write(tmp_path / "long1.py", text.format(1))
    with InMemoryTarget() as target:
        machine = StateMachine(target)
        loaded = load_python_handlers(machine, file)
        module = vars(__import__("long1"))
        running = threading.Thread(target=machine.run_sync)
        running.start()
        assert module["entered"].wait(30)
        write(file, text.format(2))
        assert loaded.reload().number == 2
        module["go_on"].set()
        running.join(30)
        assert machine.get_context().get_data("version") == 1


def test_a_hundred_edits_under_load_fail_no_run(tmp_path: Path) -> None:
    """One in three broken: the last good version serves throughout."""
    text = """
class LoadedHandler(PyStateHandler):
    version = {0}
    def execute(self, context):
        assert context.connection.execute_query("SELECT 1 AS one") == [dict(one=1)]
        context.set_data("version", self.version)
        return PyState.completed()
"""
    file = write(tmp_path / "loaded1.py", text.format(0))
    failures: list[object] = []
    seen: list[int] = []
    done = threading.Event()

    def keep_running(machine: StateMachine, loaded: PluginHandlers) -> None:
        with loaded.watch():
            while not done.is_set():
                result = machine.run_sync()
                if not result.passed:
                    failures.append(result.error)
                seen.append(machine.get_context().get_data("version"))
        loaded.reload()
        machine.run_sync()
        seen.append(machine.get_context().get_data("version"))

    with InMemoryTarget() as target:
        machines = [StateMachine(target, limits=Limits(run_s=60)) for _ in range(2)]
        served = [(machine, load_python_handlers(machine, file)) for machine in machines]
        threads = [threading.Thread(target=keep_running, args=each) for each in served]
        for thread in threads:
            thread.start()
        for number in range(1, 101):
            broken = ("class (:\n", "1 / 0\n", "import no_such_module_9\n")[number // 3 % 3]
            file.write_text(broken if number % 3 == 0 else HEAD + text.format(number))
            time.sleep(0.02)
        done.set()
        for thread in threads:
            thread.join(60)
    assert failures == []
    assert seen[-1] == 100
    assert set(seen) <= {0, *(n for n in range(1, 101) if n % 3)}
    assert len(set(seen)) > 1
