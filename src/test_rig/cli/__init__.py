"""The command line: thin commands over the rooms, one file each.

Results go to standard output, progress and logs to standard error. Rooms are imported inside the
commands, so that `test-rig --help` is there at once.
"""

from test_rig.cli.main import main

__all__ = ["main"]
