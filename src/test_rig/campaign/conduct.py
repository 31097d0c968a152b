"""A campaign as a durable workflow: each run a task, each outcome recorded once.

How to think of it: a target is a task that is mapped over its runs, so that what a target bears at
the same time is that task's own limit. What a task does is to have a run done somewhere, in a
process here or on a cluster, and to return the outcome. Whatever a run comes to, its task
completes: only what could not be tried is tried again. When this process is killed, the next one
finds what is recorded, and does the rest.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import msgspec

from test_rig.campaign.folder import CampaignFolder
from test_rig.campaign.order import Order
from test_rig.campaign.planned import (
    CampaignRecord,
    PlannedRun,
    PlannedTarget,
    RunOutcome,
    Standing,
)
from test_rig.errors import RigError, WorkflowError
from test_rig.resilience import without_passwords
from test_rig.runs import decode_json, encode_json
from test_rig.targets import TargetUrl
from test_rig.workflow import (
    Executor,
    Ledger,
    RetryPolicy,
    Task,
    TaskContext,
    TaskResult,
    Workflow,
)

__all__ = ["Doer", "Teller", "conduct", "outcomes_so_far"]

#: How long runs that were interrupted have for removing what they made.
_CLEAN_UP_S = 25.0
_RETRY_DELAY_S = 1.0


class Doer(Protocol):
    """Has a run done somewhere, and waits for what came of it."""

    def __call__(self, order: Order, is_wanted: Callable[[], bool]) -> RunOutcome:
        """Do it; when it is not wanted any more, end it."""
        ...


class Teller(Protocol):
    """Is told how a campaign goes on, from several threads."""

    def began(self, planned: PlannedRun, attempt: int) -> None:
        """Be told that a run began."""
        ...

    def ended(self, outcome: RunOutcome, done: int, total: int) -> None:
        """Be told what came of a run, and how many have ended."""
        ...


class _TryAgainError(RigError):
    """A run that could not be done, and that may be tried once more."""


@dataclass(slots=True, kw_only=True)
class _Conductor:
    folder: CampaignFolder
    record: CampaignRecord
    urls: Mapping[str, TargetUrl]
    do: Doer
    teller: Teller
    config_files: tuple[str, ...] | None
    done: int = 0
    live: int = 0
    is_over: bool = False
    changed: threading.Condition = field(default_factory=threading.Condition)

    def workflow(self) -> Workflow:
        plan = self.record.plan
        tasks = [
            Task(
                task_id=_task_id(target.name),
                function=partial(self.run, target),
                map_over=_task_id(target.name),
                max_concurrent=target.parallel,
                retry=RetryPolicy(
                    retries=plan.limits.retries,
                    delay_s=_RETRY_DELAY_S,
                    only=(_TryAgainError.__name__,),
                ),
            )
            for target in plan.targets
        ]
        return Workflow(_workflow_name(self.record), tasks, version=plan.digest)

    def context(self) -> dict[str, Any]:
        plan = self.record.plan
        return {
            _task_id(target.name): [
                _plain(planned) for planned in plan.runs if planned.target == target.name
            ]
            for target in plan.targets
        }

    def run(self, target: PlannedTarget, context: TaskContext) -> dict[str, Any]:
        """Have one run done, and return its outcome: the body of a task."""
        planned = msgspec.convert(context["item"], PlannedRun)
        plan, attempt = self.record.plan, context.attempt
        order = Order(
            planned=planned,
            target=target,
            url=self.urls[target.name],
            runs=str(self.folder.runs),
            time_limit_s=plan.limits.time_limit_s,
            attempt=attempt,
            config_files=self.config_files,
            settings=plan.settings,
        )
        self.teller.began(planned, attempt)
        with self.changed:
            self.live += 1
        try:
            outcome = self.do(order, lambda: not (context.is_stopped or self.is_over))
        finally:
            with self.changed:
                self.live -= 1
                self.changed.notify_all()
        if outcome.standing is Standing.ERROR and attempt <= plan.limits.retries:
            raise _TryAgainError(outcome.error or "it failed")
        outcome = replace(outcome, folder=self._near(outcome.folder))
        with self.changed:
            self.done += 1
            done = self.done
        self.teller.ended(outcome, done, len(plan.runs))
        return {"outcome": _plain(outcome)}

    def _near(self, folder: str | None) -> str | None:
        if folder is None or not Path(folder).is_relative_to(self.folder.path):
            return folder
        return str(Path(folder).relative_to(self.folder.path))

    def let_end(self) -> None:
        """Wait for runs that were interrupted: they remove what they made on their targets."""
        self.is_over = True
        with self.changed:
            self.changed.wait_for(lambda: self.live == 0, _CLEAN_UP_S)


def conduct(
    folder: CampaignFolder,
    *,
    store_url: str | None,
    urls: Mapping[str, TargetUrl],
    do: Doer,
    teller: Teller,
    config_files: tuple[str, ...] | None,
) -> CampaignRecord:
    """Do all runs of a campaign that have not ended yet, and record what came of them.

    A KeyboardInterrupt ends the runs that are under way; they are done again when somebody goes on.

    Args:
        folder: The campaign's folder.
        store_url: Where its progress is recorded; a file in its folder if None.
        urls: The targets' addresses with the passwords that the file told, by name.
        do: Has a run done.
        teller: Is told how it goes on.
        config_files: Settings files for the runs; None for those of the working folder.

    Raises:
        UsageError: Another process works on it.
        WorkflowError: The store cannot be reached, or somebody cancelled the campaign there.
    """
    with folder.held():
        record = folder.record()
        if record.finished is not None:
            return record
        conductor = _Conductor(
            folder=folder,
            record=record,
            urls=urls,
            do=do,
            teller=teller,
            config_files=config_files,
        )
        workflow = conductor.workflow()
        try:
            with Executor(
                store_url or own_store(folder),
                workflows=[workflow],
                max_tasks=record.plan.limits.parallel,
                max_recoveries=10_000,
            ) as executor:
                handle = executor.submit(workflow, conductor.context(), key=record.id)
                conductor.done = len(_outcomes(executor.get(handle.run_id).task_results.values()))
                result = handle.result()
        finally:
            conductor.let_end()
        outcomes = _outcomes(result.task_results.values())
        missing = [planned for planned in record.plan.runs if planned.id not in outcomes]
        if (missing and not result.status.is_final) or result.status == "Cancelled":
            what = f"the campaign is {result.status} in its store, {len(missing)} runs are left"
            again = "retry" if result.status.is_final else "resume"
            store = without_passwords(store_url or own_store(folder))
            todo = f"go on with it: test-rig workflow {again} {handle.run_id} --store {store}"
            raise WorkflowError(what, where=str(folder.path), todo=todo)
        for planned in missing:
            why = result.error_message or "it was not run"
            outcomes[planned.id] = RunOutcome(planned=planned, standing=Standing.ERROR, error=why)
        return folder.finish(tuple(outcomes[planned.id] for planned in record.plan.runs))


def outcomes_so_far(
    folder: CampaignFolder, record: CampaignRecord, store_url: str | None
) -> tuple[RunOutcome, ...]:
    """Return what is recorded of a campaign, whether it is over or not.

    Raises:
        WorkflowError: The store cannot be reached.
    """
    if record.finished is not None:
        return record.outcomes
    if store_url is None and not (folder.path / _STORE).exists():
        return ()
    with Ledger.open(store_url or own_store(folder)) as ledger:
        runs = ledger.list(workflow=_workflow_name(record), limit=1)
        found = _outcomes(ledger.get(runs[0].run_id).task_results.values()) if runs else {}
    return tuple(found[planned.id] for planned in record.plan.runs if planned.id in found)


_STORE = "workflow.sqlite3"


def own_store(folder: CampaignFolder) -> str:
    """Return the store in a campaign's own folder: as a path, which may hold what a URL may not."""
    return str(folder.path / _STORE)


def _workflow_name(record: CampaignRecord) -> str:
    # Workers take every run of a workflow that they know: each campaign is a workflow of its own.
    return f"campaign {record.plan.name} {record.id}"


def _task_id(target: str) -> str:
    return f"runs on {target}".translate({ord("["): "(", ord("]"): ")"})


def _plain(value: object) -> Any:
    """Return a value as JSON knows it, with lists for tuples."""
    return msgspec.json.decode(encode_json(value))


def _outcomes(results: Iterable[TaskResult]) -> dict[str, RunOutcome]:
    found = {}
    for result in results:
        recorded = result.output.get("outcome")
        if recorded is not None:
            outcome = decode_json(encode_json(recorded), RunOutcome)
            found[outcome.planned.id] = outcome
    return found
