"""Writing a run as it happens.

How to think of it: one writer to a folder, held by the process that runs; its methods may be called
from any thread. What is replaced (`run.json`, `results.json`) is written beside its place and moved
there, so that a reader sees the old or the new text and never half of one. What grows (the Arrow
streams, the log) is written in whole batches and lines. The log file is locked as long as the
writer lives; a run that says "running" and whose log nobody locks was killed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import Self

from test_rig.clock import Clock
from test_rig.errors import RigError, RunFolderError
from test_rig.history import History, HistoryFile, Op, Origin
from test_rig.runs.columns import HISTORY_COLUMNS, MEASUREMENT_COLUMNS, ArrowLog
from test_rig.runs.jsontext import encode_json, storable
from test_rig.runs.lock import lock
from test_rig.runs.record import RunRecord, RunResults, RunStatus
from test_rig.runs.steps import operations
from test_rig.telemetry import Alert, Measurement
from test_rig.verdict import AuditVerdict, SuiteVerdict, Transcript, Verdict, WorkloadVerdict

__all__ = ["HISTORY_EVENT", "RunWriter", "cannot_write"]

#: The log's line that says of what a history is.
HISTORY_EVENT = "history"


class RunWriter:
    """The pen of one run; made by `RunFolder.create`.

    As a context manager it ends the run: an exception that passes through marks it as failed, a
    KeyboardInterrupt as interrupted; otherwise `finish` has to be called before.
    """

    def __init__(self, path: Path, record: RunRecord, clock: Clock) -> None:
        self.path = path
        self._record = record
        self._clock = clock
        self._guard = RLock()
        self._op_count = 0
        self._lost: Exception | None = None
        with self._writing():
            self._log = (path / "log.jsonl").open("ab")
            lock(self._log)
            self._history = ArrowLog(path / "history.arrow", HISTORY_COLUMNS)
            self._transactions: dict[Origin, HistoryFile] = {}
            self._places: dict[Origin, Path] = {}
            self._measurements = ArrowLog(path / "measurements.arrow", MEASUREMENT_COLUMNS)
            replace_file(path / "run.json", encode_json(record, pretty=True))

    @property
    def record(self) -> RunRecord:
        """What `run.json` says now."""
        return self._record

    def log(self, event: str, *, level: str = "info", **fields: object) -> None:
        """Add one line to the log.

        Args:
            event: What happened, in a few words that stay the same from run to run.
            level: debug, info, warning or error.
            fields: What it happened to: anything that JSON can say, never a secret.
        """
        line = {"time": self._clock.utc(), "level": level, "event": event, **fields}
        with self._writing():
            self._log.write(encode_json(line) + b"\n")
            self._log.flush()

    def emit(self, item: Measurement | Alert) -> None:
        """Record a measurement, or log an alert; never raises.

        What could not be written is told once, when the run finishes.
        """
        try:
            if isinstance(item, Measurement):
                self._measure(item)
            else:
                self.log("alert", level=item.severity.value, alert=item)
        except Exception as exc:  # noqa: BLE001 - the door of whoever emits: it must go on
            self._lost = self._lost or exc

    def record_op(self, origin: Origin, op: Op) -> None:
        """Add one operation to the history; its index becomes its place in the file."""
        with self._writing():
            self._append_op(origin, op)

    def record_ops(self, origin: Origin, ops: Iterable[Op]) -> None:
        """Add operations to the history; an index is its place there.

        They reach the disk in batches, which cost a fraction of what each by itself would; `flush`
        sends what waits.
        """
        with self._writing():
            for op in ops:
                self._append_op(origin, op)

    def record_transactions(self, origin: Origin, part: History) -> None:
        """Add transactions to the history of what they belong to, and see them on disk.

        Args:
            origin: What they belong to; each has a file of its own in the folder `histories`.
            part: What came since the last call: one builder's, in order.
        """
        with self._writing():
            file = self._transactions.get(origin)
            if file is None:
                folder = self.path / "histories"
                folder.mkdir(exist_ok=True)
                name = _in_a_name(f"{origin.scenario}-{origin.level}")
                path = folder / f"{len(self._transactions) + 1:02}-{name}.arrow"
                file = self._transactions[origin] = HistoryFile(path)
                self._places[origin] = path
                self.log(
                    HISTORY_EVENT,
                    target=origin.target,
                    at=origin.level,
                    name=origin.scenario,
                    file=f"histories/{path.name}",
                )
            file.append(part)

    def transactions_file(self, origin: Origin) -> Path:
        """Return where the transactions of what they belong to are."""
        return self._places[origin]

    def flush(self) -> None:
        """See what was recorded of the history on disk."""
        with self._writing():
            self._history.flush()

    def record_transcript(self, origin: Origin, transcript: Transcript) -> None:
        """Add every step that was sent to the history, and see them on disk."""
        with self._writing():
            for op in operations(transcript):
                self._append_op(origin, op)
            self._history.flush()

    def write_results(
        self,
        audit: AuditVerdict | None = None,
        *,
        suite: SuiteVerdict | None = None,
        workloads: Sequence[WorkloadVerdict] = (),
    ) -> None:
        """Replace the results by those that there are now."""
        with self._writing():
            results = RunResults(audit=audit, suite=suite, workloads=tuple(workloads))
            replace_file(self.path / "results.json", encode_json(results))

    def finish(
        self,
        verdict: Verdict | None,
        *,
        status: RunStatus = RunStatus.FINISHED,
        error: str | None = None,
    ) -> None:
        """End the run: everything is on disk afterwards, and nothing more can be written.

        Args:
            verdict: What the run concluded; None where it concluded nothing.
            status: How it ended.
            error: Why it failed or was interrupted, without secrets.
        """
        with self._writing():
            if self._log.closed:
                return
            if self._lost is not None:
                self.log("measurements were lost", level="warning", error=str(self._lost))
            self._record = replace(
                self._record,
                finished=self._clock.utc(),
                status=status,
                verdict=verdict,
                error=error,
            )
            try:
                self._history.close()
                for file in self._transactions.values():
                    file.close()
                self._measurements.close()
                replace_file(self.path / "run.json", encode_json(self._record, pretty=True))
            finally:
                self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc is None:
            self.finish(self._record.verdict)
        elif isinstance(exc, KeyboardInterrupt):
            self._finish_quietly(RunStatus.INTERRUPTED, "interrupted from the keyboard")
        else:
            # A message of foreign code may quote anything, a password too: only ours is kept.
            told = str(exc) if isinstance(exc, RigError) else kind.__name__ if kind else None
            self._finish_quietly(RunStatus.FAILED, told)

    def _finish_quietly(self, status: RunStatus, error: str | None) -> None:
        # The exception on its way says more than a second one from here would.
        with suppress(RunFolderError):
            self.finish(None, status=status, error=error)

    def _append_op(self, origin: Origin, op: Op) -> None:
        self._history.append(
            self._op_count,
            storable(origin.target),
            storable(origin.level),
            storable(origin.scenario),
            storable(op.process),
            op.type.value,
            storable(op.f),
            encode_json(op.value).decode(),
            op.time_ns,
            None if op.error is None else storable(op.error),
        )
        self._op_count += 1

    def _measure(self, item: Measurement) -> None:
        with self._writing():
            self._measurements.append(
                storable(item.name),
                item.value,
                storable(item.unit),
                item.time_ns,
                encode_json(item.labels).decode(),
                storable(item.source),
            )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._guard:
            try:
                yield
            except OSError as exc:
                raise cannot_write(self.path, exc) from exc


def cannot_write(path: Path, exc: OSError) -> RunFolderError:
    """Return the error for a place that the system would not let us write."""
    return RunFolderError(
        f"cannot write the run: {exc.strerror or exc}",
        where=str(path),
        todo="free space or permissions there, or choose another place with `[runs] folder`",
    )


def _in_a_name(text: str) -> str:
    """Return a text as it may stand in the name of a file."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def replace_file(path: Path, data: bytes, *, sync: Callable[[int], None] = os.fsync) -> None:
    """Put `data` at `path` so that a reader sees the old file or the new one."""
    beside = path.with_name(f".{path.name}.new")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        sync(file.fileno())
    beside.replace(path)
