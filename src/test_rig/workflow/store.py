"""The port between engine and store, and what a store's address looks like."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from test_rig.errors import WorkflowError, WorkflowUrlError
from test_rig.resilience import without_passwords
from test_rig.workflow.moving import Move
from test_rig.workflow.pruning import Pruned, PruneOrder
from test_rig.workflow.records import Batch, RunRow, Saved, SignalRow

__all__ = ["Address", "Cursor", "Known", "Store", "WorkerLost", "read_address"]

#: Where the last few runs ended, when they are gone through: when one was made, and its id.
Cursor = tuple[float, str]
#: The (workflow, version) pairs that a worker can run.
Known = Sequence[tuple[str, str]]


class WorkerLost(WorkflowError):  # noqa: N818 -- like the error tree's members
    """Another worker has taken over what this one had: nothing of it is recorded any more."""


class Store(Protocol):
    """What the engine asks of a store. Every method is one transaction."""

    #: Whether other processes can use the same records.
    is_shared: bool

    def open(self) -> None:
        """Connect, and bring the tables to this release's version."""

    def close(self) -> None:
        """Let go of everything; a store can be closed twice."""

    def enlist(self, worker: str, now: float) -> None:
        """Make a worker known, and hold what shows that it lives."""

    def commit(self, worker: str, batch: Batch) -> None:
        """Record a batch, durably.

        Raises:
            WorkerLost: The worker was taken for dead; nothing was recorded.
        """

    def claim(self, worker: str, known: Known, now: float, limit: int) -> list[Saved]:
        """Take pending runs that are due, those with the highest priority first."""

    def bury(self, worker: str, now: float) -> int:
        """Free the runs of dead workers, so that they are pending; return how many there were."""

    def wanted(self, worker: str) -> tuple[list[tuple[str, str]], list[SignalRow]]:
        """Return what was asked of this worker's runs, and the events that were sent to them."""

    def dismiss(self, worker: str) -> None:
        """Let go of a worker that ends in peace, and free its runs."""

    def watch(self, worker: str, on_news: Callable[[], None]) -> None:
        """Call `on_news`, from another thread, when somebody else wrote something or died."""

    def beat(self, worker: str, now: float) -> None:
        """Say that the worker lives; raises `WorkerLost` as `commit` does."""

    def next_due(self, known: Known, now: float) -> float | None:
        """Return when the next pending run is due, None where there is none."""

    def create(self, run: RunRow) -> bool:
        """Record a run unless its id is there; return whether it was new."""

    def define(self, workflow: str, version: str, graph: str, now: float) -> None:
        """Record what a version of a workflow looks like, unless it is there."""

    def put_schedule(self, row: Sequence[Any], now: float) -> None:
        """Record a schedule: name, workflow, cron, time zone, input, catch-up, next due time."""

    def drop_schedule(self, name: str) -> bool:
        """Remove a schedule; return whether it was there."""

    def fire(self, schedule: str, runs: Sequence[tuple[float, RunRow]], next_due: float) -> int:
        """Record the runs of due times that have none yet; return how many that were."""

    def ask(self, run_id: str, wanted: str | None, now: float) -> bool:
        """Ask a run's owner to cancel or pause it; a run without an owner is ended at once."""

    def signal(self, row: SignalRow) -> bool:
        """Record an event for a run; return whether it is the first of its name."""

    def revive(self, run_id: str, *, is_again: bool, now: float) -> bool:
        """Make a paused run pending, or, with `is_again`, a failed one without its failures."""

    def prune(
        self, order: PruneOrder, after: Cursor, *, is_dry_run: bool
    ) -> tuple[Pruned, Cursor | None]:
        """Delete some runs that are over; return what went, and where to go on."""

    def move(self, run_id: str, version: str, move: Move) -> bool:
        """Let a run that rests go on with another version; return whether it did rest."""

    def read(self, run_id: str) -> Saved | None:
        """Return all that is recorded of a run."""

    def status(self, run_id: str) -> RunRow | None:
        """Return a run's row."""

    def runs(
        self, *, workflow: str | None, status: str | None, limit: int, before: float | None
    ) -> list[RunRow]:
        """Return runs, the newest first."""

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return what a query gives (`?` stands for a value)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a store is."""

    backend: str
    #: A file, `:memory:`, or a PostgreSQL URL.
    place: str

    @property
    def safe(self) -> str:
        """The address without a password."""
        return without_passwords(self.place)


def read_address(url: object, *, backend: str | None = None) -> Address:
    """Return where a database URL leads.

    Args:
        url: `sqlite:///path`, `sqlite://:memory:`, a bare file path, or `postgresql://...`.
        backend: The only backend that is accepted; either where None.

    Raises:
        WorkflowUrlError: It is no URL of this backend.
    """
    text = url if isinstance(url, str) else ""
    found = _postgres(text) or _sqlite(text)
    if found is not None and backend in (None, found.backend):
        return found
    if found is not None:
        todo = f"cloacina_{found.backend} serves it; cloacina and test_rig.workflow serve both"
    else:
        todo = "use sqlite:///path, sqlite://:memory:, a file path, or postgresql://user@host/db"
    shown = without_passwords(text) if isinstance(url, str) else repr(url)
    raise WorkflowUrlError(f"Invalid database URL format for this backend: {shown}", todo=todo)


def _postgres(url: str) -> Address | None:
    if re.match(r"postgres(ql)?://[^\s]+$", url):
        return Address(backend="postgres", place=url)
    return None


def _sqlite(url: str) -> Address | None:
    if url in (":memory:", "sqlite://", "sqlite://:memory:", "sqlite:///:memory:"):
        return Address(backend="sqlite", place=":memory:")
    path = url.split("?", 1)[0] if url.startswith("sqlite:") else url
    if path.startswith("sqlite://"):
        path = path.removeprefix("sqlite://")
        # Three slashes: a relative path; four: an absolute one; two: a bare path, as some write it.
        path = path.removeprefix("/")
    elif path.startswith("sqlite:"):
        path = path.removeprefix("sqlite:")
    if not path.strip() or "\0" in path or re.match(r"[A-Za-z][\w+.-]+:", path):
        return None
    return Address(backend="sqlite", place=path)
