"""Runs of a campaign on an existing cluster of Dask.

How to think of it: the campaign's own process keeps the workflow; a worker of the cluster only does
a run, and answers with its outcome, which is recorded here. When a worker dies the scheduler gives
its runs to another one. When this process dies, its runs on the cluster end, and whoever goes on
with the campaign finds what was recorded. What travels is JSON without passwords: each worker finds
those where it is, by the same variables, files and settings.
"""

from __future__ import annotations

import importlib
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Self

from test_rig.campaign.order import Order
from test_rig.campaign.planned import RunOutcome, Standing
from test_rig.campaign.process import run_order
from test_rig.errors import MissingExtra, WorkflowError
from test_rig.runs import decode_json, encode_json

__all__ = ["Cluster"]

_LOOK_S = 0.05
_CONNECT_S = 15.0


class Cluster:
    """A connection to the scheduler of a cluster.

    Args:
        address: Where it is, such as `tcp://host:8786`.

    Raises:
        MissingExtra: Dask's client is not installed.
        WorkflowError: There is no scheduler.
    """

    def __init__(self, address: str) -> None:
        try:
            # Its types are those of untyped functions: it counts as Any.
            client: Any = importlib.import_module("distributed").Client
        except ImportError as error:
            raise MissingExtra("a cluster needs Dask's `distributed`", extra="cluster") from error
        self.address = address
        try:
            self._client = client(address, timeout=_CONNECT_S, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise WorkflowError(
                f"the scheduler cannot be reached: {error}",
                where=address,
                todo="check the address, and that `dask scheduler` runs there",
            ) from error

    @property
    def worker_count(self) -> int:
        """How many workers there are now."""
        return len(self._client.scheduler_info(n_workers=-1)["workers"])

    def run_order(self, order: Order, is_wanted: Callable[[], bool]) -> RunOutcome:
        """Have a run done by a worker of the cluster, and return what came of it."""
        text = encode_json(replace(order, url=replace(order.url, password=None)))
        # A key of its own: Dask gives two submissions of one key the same answer.
        key = f"test-rig-run-{uuid.uuid4().hex}"
        future = self._client.submit(_perform, text, key=key, pure=False)
        try:
            while not future.done():
                if not is_wanted():
                    raise WorkflowError("the run is not wanted any more")
                # In short steps: what ends a task from outside is noticed between them.
                time.sleep(_LOOK_S)
            return decode_json(_answer(future), RunOutcome)
        except _LostError as lost:
            what = f"the cluster could not do it: {lost}"
            return RunOutcome(planned=order.planned, standing=Standing.ERROR, error=what)
        finally:
            future.release()

    def close(self) -> None:
        """Let go of the cluster; what it still does for this process ends."""
        with suppress(OSError, TimeoutError):
            self._client.close(timeout=5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class _LostError(Exception):
    """The cluster gave up a run."""


def _answer(future: Any) -> bytes:
    if future.status != "finished":
        error = future.exception() if future.status == "error" else None
        told = type(error).__name__ if error else future.status
        raise _LostError(f"{told}: {error}" if error else told)
    return bytes(future.result())


def _perform(text: bytes) -> bytes:
    """Do a run, within a worker of the cluster."""
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def is_wanted() -> bool:
        # When its client goes, a running task is cancelled in the worker's state, and no more.
        task = worker.state.tasks.get(key)
        return task is not None and task.state == "executing"

    return encode_json(run_order(decode_json(text, Order), is_wanted))
