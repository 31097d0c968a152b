"""The one assembler: settings, targets, scenarios, handlers, run folder and report put together.

Everything below gets its collaborators as arguments; this is where they come from.
"""

from test_rig.rig.audits import AuditRun, audit
from test_rig.rig.handlers import HandlerOptions, SuiteRun, run_handlers
from test_rig.rig.listeners import actions_plan, listening
from test_rig.rig.own_workloads import installed_workloads, workload_named
from test_rig.rig.places import (
    EMBEDDED_URLS,
    STAND_IN_URL,
    absolute_url,
    target_of,
    target_urls,
)
from test_rig.rig.witnesses import ReplayRun, read_witness, replay_witness, save_witnesses
from test_rig.rig.workloads import WorkloadRun, run_workloads

__all__ = [
    "EMBEDDED_URLS",
    "STAND_IN_URL",
    "AuditRun",
    "HandlerOptions",
    "ReplayRun",
    "SuiteRun",
    "WorkloadRun",
    "absolute_url",
    "actions_plan",
    "audit",
    "installed_workloads",
    "listening",
    "read_witness",
    "replay_witness",
    "run_handlers",
    "run_workloads",
    "save_witnesses",
    "target_of",
    "target_urls",
    "workload_named",
]
