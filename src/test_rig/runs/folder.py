"""One run folder: making it, and reading what is in it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from test_rig.clock import SYSTEM_CLOCK, Clock
from test_rig.errors import RunFolderError
from test_rig.history import Op, OpType, Origin
from test_rig.resilience import without_passwords
from test_rig.runs.columns import read_rows
from test_rig.runs.jsontext import decode_json
from test_rig.runs.lock import is_locked
from test_rig.runs.record import FORMAT, RunRecord, RunResults, RunStatus
from test_rig.runs.versions import versions
from test_rig.runs.writer import HISTORY_EVENT, RunWriter, cannot_write
from test_rig.telemetry import Measurement
from test_rig.verdict import AuditVerdict, SuiteVerdict, WorkloadVerdict

__all__ = ["RunFolder"]

_T = TypeVar("_T")
# No letters that look like digits or make words.
_ID_LETTERS = "23456789bcdfghjkmnpqrstvwxz"
_ID_LENGTH = 6
_NAME = re.compile(r"(?P<stamp>\d{8}T\d{6}\.\d{3}Z)-(?P<command>.+)-(?P<id>[^-]+)")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run to read. It may still be written by another process."""

    path: Path

    @staticmethod
    def create(
        root: Path | str,
        command: str,
        *,
        argv: Sequence[str] = (),
        settings: Mapping[str, object] | None = None,
        seed: int | None = None,
        targets: Sequence[str] = (),
        clock: Clock = SYSTEM_CLOCK,
    ) -> RunWriter:
        """Make the folder of a new run, `<UTC time>-<command>-<short id>`, and return its writer.

        Args:
            root: Where the runs are; made if it is not there.
            command: The command in one word ("audit").
            argv: The command line, passwords masked.
            settings: The settings by table and key, without secrets.
            seed: The seed that replays the run.
            targets: The targets' URLs without passwords.
            clock: Gives the times of the run.

        Raises:
            RunFolderError: The folder cannot be made or written.
        """
        started = clock.utc()
        path, run_id = _make_folder(Path(root), command, started)
        record = RunRecord(
            id=run_id,
            command=command,
            # The caller keeps secrets away; a URL that slips through loses its password here.
            argv=tuple(without_passwords(argument) for argument in argv),
            settings=dict(settings or {}),
            seed=seed,
            versions=versions(),
            targets=tuple(without_passwords(target) for target in targets),
            started=started,
        )
        return RunWriter(path, record, clock)

    @staticmethod
    def open(path: Path | str) -> RunFolder:
        """Return the run at `path`.

        Raises:
            RunFolderError: There is no run.
        """
        folder = RunFolder(Path(path))
        if not (folder.path / "run.json").is_file():
            raise RunFolderError(
                "this is no run folder: it has no run.json",
                where=str(path),
                todo="name a folder under test-rig-runs, a run's short id, or `last`",
            )
        return folder

    @property
    def id(self) -> str:
        """The short id, from the folder's name."""
        match = _NAME.fullmatch(self.path.name)
        return match["id"] if match else self.path.name

    def record(self) -> RunRecord:
        """Return what the run says of itself.

        A run whose process is gone without a word is told as interrupted.

        Raises:
            RunFolderError: `run.json` cannot be read.
        """
        record = self._read("run.json", RunRecord)
        self._check_format(record.format)
        if record.status is RunStatus.RUNNING and not is_locked(self.path / "log.jsonl"):
            return replace(
                record,
                status=RunStatus.INTERRUPTED,
                error="the process that wrote the run ended without a word",
            )
        return record

    def audit(self) -> AuditVerdict | None:
        """Return the audit's results, as far as they came; None where there are none.

        Raises:
            RunFolderError: `results.json` is there and cannot be read.
        """
        return self._results().audit

    def suite(self) -> SuiteVerdict | None:
        """Return the results of handlers, as far as they came; None where there are none.

        Raises:
            RunFolderError: `results.json` is there and cannot be read.
        """
        return self._results().suite

    def workloads(self) -> tuple[WorkloadVerdict, ...]:
        """Return what workloads showed, as far as they came.

        Raises:
            RunFolderError: `results.json` is there and cannot be read.
        """
        return self._results().workloads

    def _results(self) -> RunResults:
        if not (self.path / "results.json").exists():
            return RunResults()
        results = self._read("results.json", RunResults)
        self._check_format(results.format)
        if results == RunResults():
            raise RunFolderError(
                "there are no results in it", where=str(self.path / "results.json")
            )
        return results

    def history(self) -> Iterator[tuple[Origin, Op]]:
        """Yield every operation that reached the disk, and what it belongs to."""
        for row in read_rows(self.path / "history.arrow"):
            origin = Origin(target=row["target"], level=row["level"], scenario=row["scenario"])
            yield origin, _op(row)

    def transactions(self) -> tuple[tuple[Origin, Path], ...]:
        """Return the files of histories of transactions, and what each belongs to."""
        return tuple(
            (
                Origin(target=line["target"], level=line["at"], scenario=line["name"]),
                self.path / line["file"],
            )
            for line in self.log()
            if line.get("event") == HISTORY_EVENT
        )

    def measurements(self) -> Iterator[Measurement]:
        """Yield every measurement that reached the disk."""
        for row in read_rows(self.path / "measurements.arrow"):
            labels = decode_json(row["labels"].encode(), tuple[tuple[str, str], ...])
            yield Measurement(**(row | {"labels": labels}))

    def log(self) -> Iterator[dict[str, Any]]:
        """Yield the lines of the log; a torn last one is left out."""
        path = self.path / "log.jsonl"
        if not path.exists():
            return
        with path.open("rb") as file:
            for line in file:
                try:
                    yield decode_json(line, dict[str, Any])
                except msgspec.DecodeError:
                    continue

    def _read(self, name: str, kind: type[_T]) -> _T:
        path = self.path / name
        try:
            return decode_json(path.read_bytes(), kind)
        except OSError as exc:
            raise RunFolderError(f"cannot read: {exc.strerror}", where=str(path)) from exc
        except msgspec.DecodeError as exc:
            raise RunFolderError(
                f"not what this version of the rig writes: {exc}",
                where=str(path),
                todo="read it with the version that its run.json names",
            ) from exc

    def _check_format(self, written: int) -> None:
        if written > FORMAT:
            raise RunFolderError(
                f"written in format {written}, and this version reads up to {FORMAT}",
                where=str(self.path),
                todo="upgrade test-rig",
            )


def _make_folder(root: Path, command: str, started: datetime) -> tuple[Path, str]:
    stamp = f"{started:%Y%m%dT%H%M%S}.{started.microsecond // 1000:03d}Z"
    try:
        _make_root(root)
        while True:
            run_id = "".join(secrets.choice(_ID_LETTERS) for _ in range(_ID_LENGTH))
            path = root / f"{stamp}-{command}-{run_id}"
            try:
                path.mkdir()
            except FileExistsError:
                continue  # another run of this millisecond drew the same letters
            return path, run_id
    except OSError as exc:
        raise cannot_write(root, exc) from exc


def _make_root(root: Path) -> None:
    if root.is_dir():
        return
    root.mkdir(parents=True, exist_ok=True)
    # Runs are nobody's source code: a project that holds them keeps them out of git unasked.
    (root / ".gitignore").write_text("*\n", encoding="ascii")


def _op(row: Mapping[str, Any]) -> Op:
    return Op(
        process=row["process"],
        type=OpType(row["type"]),
        f=row["f"],
        value=decode_json(row["value"].encode(), object),
        time_ns=row["time_ns"],
        index=row["index"],
        error=row["error"],
    )
