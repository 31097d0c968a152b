"""A worker always answers, whatever the script does, and the next call is good."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from test_rig.errors import PluginError
from test_rig.plugins import (
    Answer,
    Call,
    Each,
    Outcome,
    Script,
    Worker,
    WorkerLimits,
    WorkerPlan,
    WorkerResting,
)

SCRIPT = Path(__file__).parent / "scripts" / "misbehaving.py"
LIMIT_S = 0.4
#: For calls that must be good, on a busy machine.
PATIENT_S = 30.0
STOPPED = (Outcome.TIMED_OUT,)
#: What the script does -> how the call may end.
FAULTS = {
    "endless_loop": STOPPED,
    "hang_in_c": STOPPED,
    "swallow_everything": STOPPED,
    "block_signals": STOPPED,
    "ignore_signals": STOPPED,
    "raise_error": (Outcome.RAISED,),
    "leave": (Outcome.RAISED,),
    "leave_hard": (Outcome.CRASHED,),
    "abort": (Outcome.CRASHED,),
    "segfault": (Outcome.CRASHED,),
    "recurse": (Outcome.RAISED, Outcome.TIMED_OUT),
    "leak": (Outcome.MEMORY, Outcome.TIMED_OUT),
    "want_much": (Outcome.MEMORY,),
    "close_descriptors": (Outcome.CRASHED,),
    "print_much": (Outcome.RETURNED, Outcome.TIMED_OUT),
    "leave_threads": (Outcome.RETURNED,),
    "fork_bomb": (Outcome.RAISED, Outcome.TIMED_OUT),
    "return_much": (Outcome.RAISED, Outcome.TIMED_OUT),
    "missing_function": (Outcome.RAISED,),
}


def plan(**changes: object) -> WorkerPlan:
    """Return a plan for the script that misbehaves."""
    limits = WorkerLimits(memory_bytes=256 << 20)
    given = {"script": Script(path=SCRIPT), "limits": limits, **changes}
    return WorkerPlan(**given)  # type: ignore[arg-type]  # each test gives what the field wants


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """Return one worker for many faults."""
    with Worker(plan()) as made:
        yield made


def called(worker: Worker, function: str, *arguments: object) -> Answer:
    """Call until the worker has had its rest."""
    until = time.monotonic() + 60
    while True:
        try:
            return worker.call(function, *arguments, timeout_s=PATIENT_S)
        except WorkerResting as resting:
            assert time.monotonic() < until
            time.sleep(resting.after_s)


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_an_answer_and_the_next_call_is_good(worker: Worker, fault: str) -> None:
    """It ends as it should, well within the test's own limit."""
    called(worker, "good")
    limit_s = LIMIT_S if FAULTS[fault] == STOPPED else PATIENT_S
    answer = worker.call(fault, timeout_s=limit_s)
    assert answer.outcome in FAULTS[fault], answer
    assert called(worker, "good", 7).value["value"] == 7


def test_state_is_kept_between_calls_and_over_exceptions() -> None:
    """A soft limit, too, costs only its call."""
    with Worker(plan(limits=WorkerLimits(grace_s=20))) as worker:
        called(worker, "good")
        assert called(worker, "raise_error").outcome is Outcome.RAISED
        assert worker.call("endless_loop", timeout_s=LIMIT_S).outcome is Outcome.TIMED_OUT
        assert called(worker, "good").value["calls"] == 2
        assert worker.starts == 1


def test_a_batch_names_the_guilty_call_and_runs_the_others() -> None:
    """Calls before and after the one that crashed have their own answers."""
    calls = [Call("good"), Call("raise_error"), Call("leave_hard"), Call("good", (b"5",))]
    with Worker(plan()) as worker:
        answers = worker.run(calls, timeout_s=PATIENT_S)
    kinds = [each.outcome for each in answers]
    assert kinds == [Outcome.RETURNED, Outcome.RAISED, Outcome.CRASHED, Outcome.RETURNED]
    assert "exit code 4" in answers[2].error
    assert answers[3].value == {"value": 5, "calls": 1}


@pytest.mark.parametrize("end", ["os._exit(3)", "while True: pass", "bytearray(1 << 40)"])
def test_of_many_calls_each_is_begun_once_though_some_end_the_worker(
    end: str, tmp_path: Path
) -> None:
    """Also those that lay ready for the worker when it ended."""
    script = tmp_path / "script.py"
    script.write_text(
        f"import os\ndef take(number):\n    os.write(file, b'%d\\n' % number)\n"
        f"    if number % 400 == 300:\n        {end}\n    return number if number == 5 else None\n"
        f"file = os.open({str(tmp_path / 'begun')!r}, os.O_CREAT | os.O_APPEND | os.O_WRONLY)\n"
    )
    limits = WorkerLimits(memory_bytes=256 << 20, grace_s=20)
    with Worker(plan(script=Script(path=script), limits=limits)) as worker:
        answers = worker.run(Each("take", range(1000)), timeout_s=2.0)
        again = worker.run(Each("take", [7]), timeout_s=PATIENT_S)
    begun = [int(line) for line in (tmp_path / "begun").read_text().split()]
    assert begun == [*range(1000), 7]
    assert {place for place, each in enumerate(answers) if not each.is_ok} == {300, 700}
    assert answers[5].value == 5
    assert again[0].is_ok


def test_a_limit_holds_for_each_call_and_not_for_all_together(tmp_path: Path) -> None:
    """Many calls may take longer than one, and the one that is too long is stopped."""
    script = tmp_path / "script.py"
    script.write_text("import time\ndef wait(seconds):\n    time.sleep(seconds)\n")
    waits = [0.2] * 9 + [60.0] + [0.2] * 3
    with Worker(plan(script=Script(path=script), limits=WorkerLimits(grace_s=20))) as worker:
        answers = worker.run(Each("wait", waits), timeout_s=1.5)
    assert [each.is_ok for each in answers] == [True] * 9 + [False] + [True] * 3
    assert worker.starts == 1


def test_calls_that_begin_too_late_are_not_begun(tmp_path: Path) -> None:
    """Neither those of the part that is under way nor of the next; the worker stays good."""
    script = tmp_path / "script.py"
    script.write_text("import time\ndef wait(number):\n    time.sleep(0.002)\n")
    with Worker(plan(script=Script(path=script))) as worker:
        answers = worker.run(Each("wait", range(2000)), timeout_s=PATIENT_S, budget_s=0.2)
        assert worker.run(Each("wait", [1]), timeout_s=PATIENT_S)[0].is_ok
    assert 0 < answers.done < 2000
    assert answers[answers.done].outcome is Outcome.NOT_RUN
    assert answers[1999].outcome is Outcome.NOT_RUN
    assert worker.starts == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("float('nan')", None),
        ("[1, float('inf')]", [1, None]),
        ("10 ** 30", 10**30),
        ("'\\ud800'", "\ud800"),
        ("{1, 2}", "{1, 2}"),
        ("{'a': object}", {"a": "<class 'object'>"}),
    ],
)
def test_odd_values_come_back_as_json_has_them(text: str, told: object, tmp_path: Path) -> None:
    """And cost no process."""
    script = tmp_path / "script.py"
    script.write_text(f"def give():\n    return {text}\n")
    with Worker(plan(script=Script(path=script))) as worker:
        assert called(worker, "give").value == told
        assert called(worker, "give").is_ok
        assert worker.starts == 1


def test_a_kill_tells_where_the_script_stood() -> None:
    """With file, line and function."""
    with Worker(plan(limits=WorkerLimits(dump_s=20))) as worker:
        called(worker, "good")
        answer = worker.call("swallow_everything", timeout_s=LIMIT_S)
        crash = called(worker, "segfault")
    assert answer.is_fresh_after
    assert "misbehaving.py" in answer.detail
    assert "in swallow_everything" in answer.detail
    assert "in segfault" in crash.detail


def test_an_exception_comes_with_its_traceback_and_no_frames_of_ours() -> None:
    """The script's file and line are in it."""
    with Worker(plan()) as worker:
        answer = called(worker, "raise_error")
    assert answer.error == "ValueError: no such thing"
    assert "misbehaving.py" in answer.detail
    assert "worker_child" not in answer.detail


def test_children_of_the_script_end_with_it(tmp_path: Path) -> None:
    """Also when they have a session of their own and the script crashed."""
    with Worker(plan()) as worker:
        left = called(worker, "leave_child").value
        assert Path(f"/proc/{left}").exists()
        file = tmp_path / "pid"
        assert called(worker, "leave_child_and_die", str(file)).outcome is Outcome.CRASHED
        orphan = int(file.read_text())
    for pid in (left, orphan):
        assert not Path(f"/proc/{pid}").exists()


def test_the_environment_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """PATH, HOME, LANG, TZ and what is passed on; nothing of the rig's."""
    monkeypatch.setenv("TIDB_PASSWORD", "hidden")
    monkeypatch.setenv("SITE", "north")
    with Worker(plan(pass_env=["SITE"])) as worker:
        found = called(worker, "environment").value
    assert found["SITE"] == "north"
    assert set(found) <= {"PATH", "HOME", "LANG", "TZ", "SITE", "LC_CTYPE"}


NOSY = """
import os
def look():
    pids, found = [os.getpid()], []
    while len(pids) < 3:
        status = open(f"/proc/{pids[-1]}/status").read()
        pids.append(int(status.split("PPid:")[1].split()[0]))
    return [open(f"/proc/{pid}/environ", "rb").read().decode() for pid in pids]
"""
ASKING = """
import ctypes, os, sys
from pathlib import Path
from test_rig.plugins import Script, Worker, WorkerPlan
with Worker(WorkerPlan(script=Script(path=Path(sys.argv[1])))) as worker:
    seen = worker.call("look", timeout_s=30).value
getenv = ctypes.CDLL(None).getenv
getenv.restype = ctypes.c_char_p
assert os.environ["TIDB_PASSWORD"] == getenv(b"TIDB_PASSWORD").decode() == "hunter2"
assert len(seen) == 3, seen
assert "PATH=" in seen[0]
print("".join(seen))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_script_finds_no_secret_in_the_environment_of_the_rig(tmp_path: Path) -> None:
    """Of the process that calls it, either: that one itself still has all its variables."""
    (tmp_path / "nosy.py").write_text(NOSY)
    command = [sys.executable, "-c", ASKING, str(tmp_path / "nosy.py")]
    secret = {**os.environ, "TIDB_PASSWORD": "hunter2"}
    done = subprocess.run(command, env=secret, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "hunter2" not in done.stdout


def test_the_next_process_comes_from_where_no_script_was_loaded() -> None:
    """Its parent stays, so that no interpreter has to be started."""
    with Worker(plan()) as worker:
        parent = called(worker, "parent").value
        assert called(worker, "leave_hard").outcome is Outcome.CRASHED
        assert called(worker, "parent").value == parent
        assert called(worker, "good").value["calls"] == 1


@pytest.mark.parametrize("when", ["in a call", "between processes"])
def test_a_parent_that_is_gone_is_replaced(when: str) -> None:
    """Whoever killed it."""
    with Worker(plan()) as worker:
        parent = called(worker, "parent").value
        if when == "in a call":
            assert called(worker, "kill_parent").outcome is Outcome.CRASHED
        else:
            assert called(worker, "leave_hard").outcome is Outcome.CRASHED
            os.kill(parent, signal.SIGKILL)
            os.waitid(os.P_PID, parent, os.WEXITED | os.WNOWAIT)
        assert called(worker, "good").value["calls"] == 1


def test_what_json_cannot_say_is_made_plain() -> None:
    """No number is null; other objects are text."""
    with Worker(plan()) as worker:
        value = called(worker, "return_odd").value
    assert value["nan"] is None
    assert value["set"] == "{1}"


def test_output_becomes_lines_and_is_bounded() -> None:
    """Much more than is kept is counted, and holds nobody up."""
    lines: list[str] = []
    with Worker(plan(), on_line=lines.append) as worker:
        assert called(worker, "print_much").is_ok
    assert lines[0] == "x" * 60
    assert any("bytes of output dropped" in line for line in lines)
    assert len(lines) < 100_000


def test_a_script_that_cannot_be_loaded_is_told(tmp_path: Path) -> None:
    """With its file and the reason."""
    broken = tmp_path / "broken.py"
    broken.write_text("def f(:\n")
    with Worker(plan(script=Script(path=broken))) as worker, pytest.raises(PluginError) as caught:
        worker.start()
    assert "broken.py" in str(caught.value)
    assert "SyntaxError" in str(caught.value)


def test_a_worker_that_dies_again_and_again_rests() -> None:
    """The pause is told, so that whoever calls can come back."""

    def die_often(worker: Worker) -> None:
        for _ in range(20):
            worker.call("leave_hard", timeout_s=PATIENT_S)

    with Worker(plan()) as worker, pytest.raises(WorkerResting) as caught:
        die_often(worker)
    assert 0 < caught.value.after_s <= 10


def test_threads_may_share_a_worker() -> None:
    """Each gets its own answer."""
    found: dict[int, object] = {}
    with Worker(plan()) as worker:

        def ask(number: int) -> None:
            found[number] = called(worker, "good", number).value["value"]

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert found == {number: number for number in range(8)}


def test_a_module_can_be_called_by_qualified_name() -> None:
    """As tasks of workflows are."""
    with Worker(WorkerPlan(script=Script(module="json"))) as worker:
        assert worker.call("loads", "[5]", timeout_s=PATIENT_S).value == [5]
        assert worker.functions("JSONDecoder.decode", "nothing") == {"JSONDecoder.decode"}


def _older_python() -> str | None:
    """Return a Python 3.8 that really starts: a name on the path may be an empty shim."""
    own = sorted(Path("~/.pyenv/versions").expanduser().glob("3.8.*/bin/python"))
    found = [str(own[-1])] if own else []
    for each in [*found, shutil.which("python3.8")]:
        if each and subprocess.run([each, "-c", ""], capture_output=True).returncode == 0:
            return each
    return None


@pytest.mark.skipif(sys.platform != "linux", reason="pythons are looked for on Linux")
def test_an_old_python_serves_too() -> None:
    """The worker's file needs 3.8 and the standard library."""
    python = _older_python()
    if python is None:
        pytest.skip("there is no Python 3.8 here")
    with Worker(plan(python=python)) as worker:
        assert called(worker, "version").value == [3, 8]
        assert worker.call("endless_loop", timeout_s=LIMIT_S).outcome is Outcome.TIMED_OUT
        assert called(worker, "leave_hard").outcome is Outcome.CRASHED
        assert called(worker, "good").is_ok
