"""Committing a batch to a store that may be gone for a while."""

from __future__ import annotations

import time

from test_rig.errors import WorkflowError
from test_rig.workflow.records import Batch
from test_rig.workflow.store import Store, WorkerLost

__all__ = ["commit_patiently"]


def commit_patiently(
    store: Store, worker: str, batch: Batch, *, patience_s: float
) -> WorkflowError | None:
    """Commit a batch, if need be again and again; return why it is not recorded.

    Every statement of a batch can be said again: a result that is there stays. So an answer that
    was lost does no harm.
    """
    begun, wait_s = time.monotonic(), 0.01
    while True:
        try:
            store.commit(worker, batch)
        except WorkerLost as lost:
            return lost
        except WorkflowError as error:
            if time.monotonic() - begun > patience_s:
                return error
            time.sleep(wait_s)
            wait_s = min(wait_s * 2, 1.0)
        else:
            return None
