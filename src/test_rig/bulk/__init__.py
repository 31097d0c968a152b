"""Data in quantity: rows for tests, and bulk loads that are followed until they end.

`provider_of(session)` knows where its server shows bulk loads, `JobMonitor` follows them;
`TestDataFactory` makes rows and deletes just these.
"""

from test_rig.bulk.factory import MadeRow, TestDataFactory
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
    "MadeRow",
    "TestDataFactory",
    "WatchResult",
    "final_line",
    "progress_line",
    "provider_of",
]
