"""Users' code: found, loaded, and loaded again when it is edited.

How to think of it: a `Source` is a file, a folder or a module that a person names; a `Host` loads
it into a `Generation`, the objects in it that somebody wants (classes of handlers, marked
functions). When files change, the host loads the new text beside the old one and hands out a new
generation only of what is good; of a broken file the last good version stays. Whoever works with an
object keeps it to the end, whatever is loaded meanwhile.

A `Worker` runs a script in a process that can be killed: at a time limit, and when it crashes or
wants too much memory, an answer comes back all the same.

Nothing registers itself by being imported: decorators `mark`, the host looks.
"""

from test_rig.plugins.earlier import earlier_names
from test_rig.plugins.generation import Found, Generation
from test_rig.plugins.host import Host, load
from test_rig.plugins.making import make, missing_settings
from test_rig.plugins.marks import has_mark, mark, marks_of
from test_rig.plugins.source import Source
from test_rig.plugins.watch import FileWatch, watch_files
from test_rig.plugins.worker import Worker, WorkerResting
from test_rig.plugins.worker_answer import (
    Answer,
    Answers,
    Call,
    Each,
    Outcome,
    Sandbox,
    Script,
    WorkerLimits,
    WorkerPlan,
)

__all__ = [
    "Answer",
    "Answers",
    "Call",
    "Each",
    "FileWatch",
    "Found",
    "Generation",
    "Host",
    "Outcome",
    "Sandbox",
    "Script",
    "Source",
    "Worker",
    "WorkerLimits",
    "WorkerPlan",
    "WorkerResting",
    "earlier_names",
    "has_mark",
    "load",
    "make",
    "mark",
    "marks_of",
    "missing_settings",
    "watch_files",
]
