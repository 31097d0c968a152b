"""Processes of the rig's own code: what they find, and that nothing of them is left."""

import subprocess
import time
from pathlib import Path

import pytest

from test_rig.processes import ended_how, kill_group, start_own_code


def test_the_working_folder_hides_no_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file named like a library of Python's lies beside people's scripts: it is not imported."""
    (tmp_path / "json.py").write_text("raise SystemExit(7)\n")
    monkeypatch.chdir(tmp_path)
    process = start_own_code("json", "dumps", output=subprocess.PIPE)
    output, _ = process.communicate()
    assert b"dumps() missing 1 required positional argument" in output, output


def test_a_group_is_killed_with_what_it_started(tmp_path: Path) -> None:
    """A grandchild ends with the child, and the pipe that both hold is closed."""
    script = tmp_path / "starting.py"
    script.write_text(
        "import subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print('started', flush=True)\n"
        "sys.stdin.read()\n"
    )
    process = start_own_code("code", "interact", output=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"exec(open({str(script)!r}).read())\n".encode())
    process.stdin.flush()
    while b"started" not in process.stdout.readline():
        pass
    begun = time.monotonic()
    kill_group(process.pid)
    process.stdout.read()  # ends when nobody holds the other end any more
    assert ended_how(process.wait()) == "was ended by SIGKILL"
    assert time.monotonic() - begun < 300
    kill_group(process.pid)  # none is left: nothing happens
    process.stdin.close()
    process.stdout.close()
