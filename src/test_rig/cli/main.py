"""The way in and the way out: arguments masked, commands found, errors turned into exit codes.

| exit code | meaning |
|---|---|
| 0 | fine |
| 1 | findings: a claim is broken, a test failed |
| 2 | wrong use: arguments, settings, files |
| 3 | the target or the rig failed, or nothing could be judged |
| 130, 143 | interrupted by Ctrl-C or SIGTERM, after cleaning up |
"""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import NoReturn

from test_rig.cli.masking import mask_arguments
from test_rig.errors import RigError

__all__ = ["main"]


#: Of the commands whose work is kept: how to go on.
_KEPT = {
    "workflow": "; what is recorded is kept: test-rig workflow resume goes on with a run",
    "campaign": "; what is recorded is kept: test-rig campaign resume goes on with it",
}


class _Interrupts:
    """The first signal unwinds; a second one would interrupt the cleaning up, so it only warns."""

    def __init__(self) -> None:
        self._came: list[int] = []

    @property
    def exit_code(self) -> int | None:
        """The exit code of a command that was interrupted; None where it was not."""
        return 128 + self._came[0] if self._came else None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        del frame
        self._came.append(number)
        if len(self._came) == 2:
            _complain("cleaning up; once more leaves what is not cleaned up yet behind")
            return
        raise KeyboardInterrupt


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run one command and exit with its code; never shows a traceback for a person's mistake."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if arguments is None:
        mask_arguments()
    interrupts = _Interrupts()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, interrupts)
    code = _run(given)
    if interrupts.exit_code is not None:
        # Typer has an exit code of its own for Ctrl-C, and none for SIGTERM.
        _complain(f"interrupted{_KEPT.get(_command(given), ', after cleaning up')}")
    sys.exit(code if interrupts.exit_code is None else interrupts.exit_code)


def _command(arguments: list[str]) -> str:
    return next((each for each in arguments if not each.startswith("-")), "")


def _run(arguments: list[str]) -> int:
    import typer.exceptions

    from test_rig.cli.app import app
    from test_rig.cli.options import take_extension_options

    try:
        code = app(
            args=take_extension_options(arguments), prog_name="test-rig", standalone_mode=False
        )
        return code if isinstance(code, int) else 0
    except RigError as error:
        _complain(str(error))
        return error.exit_code
    except typer.exceptions.Exit as done:
        return int(done.exit_code)
    except (typer.exceptions.Abort, KeyboardInterrupt):
        return 130
    except typer.exceptions.TyperException as error:
        _complain(getattr(error, "format_message", error.__str__)())
        return int(getattr(error, "exit_code", 2))
    except BrokenPipeError:
        sys.stderr.close()  # nobody reads any more: no message can be given
        return 3


def _complain(text: str) -> None:
    print(f"test-rig: {text}", file=sys.stderr)
