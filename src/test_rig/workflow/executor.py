"""`Executor`: a store, an engine, and what people ask of them."""

from __future__ import annotations

import asyncio
import logging
import math
import time
import uuid
import weakref
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import fields
from datetime import datetime, timedelta
from difflib import get_close_matches
from threading import Lock
from typing import Any

from test_rig.errors import (
    Problem,
    RigError,
    RunRefused,
    UnknownName,
    WorkflowError,
    WorkflowInvalid,
)
from test_rig.workflow.active import Limits, Progress, new_id
from test_rig.workflow.definition import Workflow
from test_rig.workflow.engine import Engine
from test_rig.workflow.ledger import Ledger
from test_rig.workflow.records import RunRow
from test_rig.workflow.result import WorkflowResult
from test_rig.workflow.sql import open_store
from test_rig.workflow.states import RunStatus
from test_rig.workflow.store import Store, read_address
from test_rig.workflow.values import encoded
from test_rig.workflow.waiting import ELSEWHERE

__all__ = ["Executor", "RunHandle"]

_LOG = logging.getLogger("test_rig.workflow")
#: How often a run of another worker is looked at while somebody waits for it.
_LOOK_S = (0.01, 0.25)


class RunHandle:
    """A run that was submitted: wait for it with `result()`, or await it."""

    def __init__(self, executor: Executor, run_id: str) -> None:
        self._executor = executor
        self.run_id = run_id
        self._future = executor.engine.wait_for(run_id)

    def result(self, timeout_s: float | None = None) -> WorkflowResult:
        """Wait for the run's result.

        Raises:
            TimeoutError: It did not come in time; the run goes on.
            WorkflowError: The store cannot be reached, or the executor was closed.
        """
        until = None if timeout_s is None else time.monotonic() + timeout_s
        try:
            found = self._future.result(timeout_s)
        except FutureTimeout as late:
            raise TimeoutError(f"the run {self.run_id} did not end in {timeout_s} s") from late
        return found if found is not None else self._look(until)

    def _look(self, until: float | None) -> WorkflowResult:
        """Wait for a run that another worker has."""
        wait = _LOOK_S[0]
        while True:
            row = self._executor.store.status(self.run_id)
            if row is None:
                raise UnknownName("run", self.run_id, ())
            if row.status.is_final or row.status is RunStatus.PAUSED:
                return self._executor.get(self.run_id)
            if until is not None and time.monotonic() >= until:
                raise TimeoutError(f"the run {self.run_id} is {row.status} after this time")
            time.sleep(wait)
            wait = min(wait * 1.5, _LOOK_S[1])

    def cancel(self) -> bool:
        """End the run; return whether it was not over yet."""
        return self._executor.cancel(self.run_id)

    def __await__(self) -> Generator[Any, None, WorkflowResult]:
        return self._awaited().__await__()

    async def _awaited(self) -> WorkflowResult:
        found = await asyncio.wrap_future(self._future)
        return found if found is not None else await asyncio.to_thread(self.result)


class Executor(Ledger):
    """Runs workflows, durably.

    Args:
        database_url: `sqlite:///path`, `sqlite://:memory:`, a file path, or `postgresql://...`.
        workflows: Workflows whose runs it takes, also those that others left behind. A workflow
            that is run is added by itself.
        backend: The only backend that is accepted: "sqlite" or "postgres".
        durability: "full": a recorded result survives a power cut. "normal": it survives the death
            of the process, but a power cut or a crash of the operating system can take the last
            moments with it, so that finished tasks run again.
        on_progress: Is told of each step, on the engine's thread; what it raises goes to the log.
        limits: The fields of `Limits`, by name.

    Raises:
        WorkflowUrlError: It is no URL of this backend.
        WorkflowError: The store cannot be opened, or is of a newer release.
    """

    def __init__(
        self,
        database_url: str,
        *,
        workflows: Iterable[Workflow] = (),
        backend: str | None = None,
        durability: str = "full",
        max_connections: int = 4,
        on_progress: Callable[[Progress], None] | None = None,
        **limits: Any,
    ) -> None:
        if durability not in ("full", "normal"):
            raise UnknownName("durability", durability, ("full", "normal"))
        address = read_address(database_url, backend=backend)
        self.limits = _limits(limits)
        store: Store = open_store(
            address,
            lease_s=self.limits.lease_s,
            max_connections=max_connections,
            is_durable=durability == "full",
        )
        super().__init__(store)
        self.engine = Engine(self.store, self.limits, on_progress and _careful(on_progress))
        self._lock = Lock()
        self._is_closed = False
        self.engine.start()
        #: An executor that nobody closed ends with the last reference to it, or the process.
        self._end = weakref.finalize(self, _end, self.engine, self.store)
        try:
            for workflow in workflows:
                self.engine.know(workflow)
        except RigError:
            self.close()
            raise

    def look(self) -> None:
        """Tell the engine that there is something new in the store."""
        self.engine.look()

    def settle(self) -> None:
        """Wait until what was submitted to this executor is on record.

        Raises:
            WorkflowError: It cannot be recorded.
        """
        if not self._is_closed:
            self.engine.wait_for(ELSEWHERE).result()

    def run(
        self,
        workflow: Workflow,
        context: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
        **options: Any,
    ) -> WorkflowResult:
        """Run a workflow and return its result; see `submit` for the options."""
        return self.submit(workflow, context, **options).result(timeout_s)

    def submit(
        self,
        workflow: Workflow,
        context: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        priority: int | None = None,
        delay: float | timedelta | datetime | None = None,
    ) -> RunHandle:
        """Record a run; it is durable when the first of its tasks starts, or its result is there.

        Args:
            workflow: What to run.
            context: Its input: JSON values by key.
            key: Names the run: a second submission with the same key of the same workflow is the
                same run, also after a crash.
            priority: Higher ones come first.
            delay: When it starts: seconds from now, or a moment.

        Raises:
            WorkflowInvalid: With everything that is wrong with the workflow.
            ContextInvalid: With every value that is not JSON.
        """
        if self._is_closed:
            raise WorkflowError("the executor is closed", todo="make a new one")
        self.engine.know(workflow)
        given: object = {} if context is None else context
        if isinstance(given, Mapping):
            given = dict(given)
        text, values = encoded(given, where="context", limit=self.limits.max_context_bytes)
        now = time.time()
        run = RunRow(
            id=new_id() if key is None else keyed_id(workflow.name, key),
            workflow=workflow.name,
            version=workflow.version,
            status=RunStatus.PENDING,
            input=text,
            created=now,
            priority=workflow.priority if priority is None else priority,
            not_before=_moment(delay, now),
            deadline=None if workflow.timeout_s is None else now + workflow.timeout_s,
        )
        if key is None:
            self.engine.submit(run, workflow, values)
        elif self.store.create(run):
            self.engine.look()
        return RunHandle(self, run.id)

    def handle(self, run_id: str) -> RunHandle:
        """Return a handle on a run that was submitted before, also by another process."""
        return RunHandle(self, self._row(run_id).id)

    def resume(self, run_id: str) -> RunHandle:
        """Go on with a paused run, or wait for one that was interrupted.

        Raises:
            RunRefused: This process does not know the version that the run began with.
        """
        row = self._row(run_id)
        self._needs_version(row)
        self.store.revive(run_id, is_again=False, now=time.time())
        self.engine.look()
        return self.handle(run_id)

    def retry(self, run_id: str) -> RunHandle:
        """Run what failed, was skipped or was cancelled again; what is completed stays.

        Raises:
            RunRefused: There is nothing to run again, or this process does not know its version.
        """
        row = self._row(run_id)
        self._needs_version(row)
        if not self.store.revive(run_id, is_again=True, now=time.time()):
            what = f"the run {run_id} is {row.status}: there is nothing to run again"
            raise RunRefused(what)
        self.engine.look()
        return self.handle(run_id)

    def move(
        self, run_id: str, workflow: Workflow, *, renamed: Mapping[str, str] | None = None
    ) -> None:
        """Let a run that rests go on with another version, which this executor serves from now."""
        super().move(run_id, workflow, renamed=renamed)
        self.engine.know(workflow)
        self.engine.look()

    def submit_many(
        self, workflow: Workflow, contexts: Iterable[Mapping[str, Any] | None], **options: Any
    ) -> list[RunHandle]:
        """Record a run for each context; they share commits. See `submit` for the options.

        Raises:
            WorkflowInvalid: With everything that is wrong with the workflow.
            ContextInvalid: With every value of the first wrong context; none of the runs began.
        """
        given = list(contexts)
        for place, context in enumerate(given):
            plain = dict(context) if isinstance(context, Mapping) else context or {}
            encoded(plain, where=f"contexts[{place}]", limit=self.limits.max_context_bytes)
        return [self.submit(workflow, context, **options) for context in given]

    def _needs_version(self, row: RunRow) -> None:
        if not self.engine.knows(row.workflow, row.version):
            have = self.engine.versions(row.workflow)
            raise RunRefused(
                f"the run {row.id} of {row.workflow!r} began with version {row.version}, and this "
                f"process has {', '.join(have) or 'no version'} of it",
                todo="go on with the code that it began with, or move it: test-rig workflow move",
            )

    def close(self) -> None:
        """Stop. Unfinished runs are kept; the next executor that knows them goes on."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        self._end()


def _end(engine: Engine, store: Store) -> None:
    engine.close()
    store.close()


def _limits(given: Mapping[str, Any]) -> Limits:
    known = [each.name for each in fields(Limits)]
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f" (limits: {', '.join(known)})"
            raise TypeError(f"Executor has no option {name!r}{hint}")
    return Limits(**given)


def _careful(told: Callable[[Progress], None]) -> Callable[[Progress], None]:
    """Return a listener whose mistakes cost no run."""

    def tell(progress: Progress) -> None:
        try:
            told(progress)
        except Exception:  # noqa: BLE001 -- the door to users' code
            _LOG.exception("on_progress failed; the run goes on")

    return tell


def keyed_id(workflow: str, key: str) -> str:
    """Return the id of a run that has a key."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"test-rig:{workflow}:{key}"))


def _moment(delay: float | timedelta | datetime | None, now: float) -> float | None:
    if delay is None:
        return None
    if isinstance(delay, datetime):
        return delay.timestamp()
    wait_s = delay.total_seconds() if isinstance(delay, timedelta) else delay
    if not isinstance(wait_s, int | float) or not math.isfinite(wait_s):
        what, todo = f"{delay!r} is no time", "seconds from now, a timedelta, or a datetime"
        raise WorkflowInvalid([Problem(where="delay", what=what, todo=todo)])
    return now + wait_s
