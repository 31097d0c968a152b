"""Workloads: random transactions from a seed, many clients at once, and a judge of what they saw.

`run_workload` runs one at one level of a target, in a private namespace, and gives its verdict;
everything that happened is handed out on the way. A `Workload` is a generator of requests, what
performs one, and a judge; `BUILT_IN` has the rig's own.
"""

from test_rig.workload.catalog import BUILT_IN, find_workload
from test_rig.workload.run import INTERRUPTED, Progress, run_workload
from test_rig.workload.speech import Speech
from test_rig.workload.tape import Entry, Sent, Silence, Tape, operation
from test_rig.workload.workload import Done, Flaw, Generator, Judge, Plan, Request, Shown, Workload

__all__ = [
    "BUILT_IN",
    "INTERRUPTED",
    "Done",
    "Entry",
    "Flaw",
    "Generator",
    "Judge",
    "Plan",
    "Progress",
    "Request",
    "Sent",
    "Shown",
    "Silence",
    "Speech",
    "Tape",
    "Workload",
    "find_workload",
    "operation",
    "run_workload",
]
