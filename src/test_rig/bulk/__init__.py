"""Bulk loads: which run on a server, how far each is, and how long it will take.

`provider_of(session)` knows where its server shows them; `JobMonitor` follows them until they end.
"""

from test_rig.bulk.follow import Following, JobProgress
from test_rig.bulk.job import ImportJob, ImportJobConfig, JobState
from test_rig.bulk.monitor import JobMonitor, WatchResult
from test_rig.bulk.providers import JobProvider, Look, provider_of
from test_rig.bulk.telling import final_line, progress_line

__all__ = [
    "Following",
    "ImportJob",
    "ImportJobConfig",
    "JobMonitor",
    "JobProgress",
    "JobProvider",
    "JobState",
    "Look",
    "WatchResult",
    "final_line",
    "progress_line",
    "provider_of",
]
