"""Takes passwords out of the process's own arguments, where everybody on the machine can read them.

It happens before anything else is imported, but not before the process exists: whoever looks in
the first milliseconds can see them. The documentation therefore recommends the prompt or the
environment.
"""

from __future__ import annotations

import re
import sys

__all__ = ["mask_arguments", "masked"]

_MASK = "********"
_IN_URL = re.compile(r"(?<=://)([^/@:\s]*):([^/\s]*)@")


def masked(arguments: list[str]) -> list[str]:
    """Return command line arguments with the values of passwords replaced."""
    shown: list[str] = []
    hide_next = False
    for argument in arguments:
        if hide_next:
            shown.append(_MASK)
            hide_next = False
        elif argument.startswith("--password="):
            shown.append(f"--password={_MASK}")
        else:
            hide_next = argument == "--password"
            shown.append(_IN_URL.sub(rf"\1:{_MASK}@", argument))
    return shown


def mask_arguments() -> None:
    """Replace the process's title where its arguments hold a secret."""
    shown = masked(sys.argv)
    if shown != sys.argv:
        from setproctitle import setproctitle

        setproctitle(" ".join([sys.executable, *shown]))
