"""A campaign's folder: its plan, its progress, its runs, its summary.

====================  =============================================================================
`campaign.json`       the plan, without passwords; when it began and ended
`workflow.sqlite3`    what is recorded of each run, unless another store was named
`runs/`               the folders of its runs
`summary.*`           what it came to: text, JSON, HTML; `junit.xml` for build servers
`lock`                held by the process that works on it
====================  =============================================================================
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from test_rig.campaign.planned import FORMAT, CampaignRecord, Plan, RunOutcome
from test_rig.errors import RunFolderError, UnknownName, UsageError
from test_rig.runs import decode_json, encode_json, versions

__all__ = ["CampaignFolder", "find_campaign", "list_campaigns"]

_NAME = re.compile(r"\d{8}T\d{6}\.\d{3}Z-(?P<name>.+)-(?P<id>[^-]+)")
_ID_LETTERS = "23456789bcdfghjkmnpqrstvwxz"


@dataclass(frozen=True, slots=True)
class CampaignFolder:
    """One campaign on disk."""

    path: Path

    @classmethod
    def create(cls, root: Path, plan: Plan, *, store: str | None) -> CampaignFolder:
        """Make the folder of a new campaign: `<UTC time>-<name>-<short id>`.

        Raises:
            RunFolderError: It cannot be made.
        """
        started = datetime.now(UTC)
        short = "".join(secrets.choice(_ID_LETTERS) for _ in range(6))
        stamp = f"{started:%Y%m%dT%H%M%S}.{started.microsecond // 1000:03d}Z"
        folder = cls(root.absolute() / f"{stamp}-{plan.name}-{short}")
        try:
            if not root.is_dir():
                root.mkdir(parents=True, exist_ok=True)
                (root / ".gitignore").write_text("*\n", encoding="ascii")
            folder.path.mkdir()
            folder.runs.mkdir()
        except OSError as error:
            raise RunFolderError(f"cannot be written: {error.strerror}", where=str(root)) from error
        folder.write(
            CampaignRecord(id=short, plan=plan, started=started, versions=versions(), store=store)
        )
        return folder

    @property
    def id(self) -> str:
        """The short id, from the folder's name."""
        match = _NAME.fullmatch(self.path.name)
        return match["id"] if match else self.path.name

    @property
    def name(self) -> str:
        """The campaign's name, from the folder's."""
        match = _NAME.fullmatch(self.path.name)
        return match["name"] if match else self.path.name

    @property
    def runs(self) -> Path:
        """Where the folders of its runs are."""
        return self.path / "runs"

    def record(self) -> CampaignRecord:
        """Return what the campaign says of itself.

        Raises:
            RunFolderError: It cannot be read, or is of a newer release.
        """
        path = self.path / "campaign.json"
        try:
            text = path.read_bytes()
            written = msgspec.json.decode(text, type=_Format).format
            if written > FORMAT:
                what = f"written in format {written}, and this version reads up to {FORMAT}"
                raise RunFolderError(what, where=str(path), todo="upgrade test-rig")
            return decode_json(text, CampaignRecord)
        except OSError as error:
            raise RunFolderError(f"cannot be read: {error.strerror}", where=str(path)) from error
        except msgspec.DecodeError as error:
            raise RunFolderError(f"is no campaign: {error}", where=str(path)) from error

    def write(self, record: CampaignRecord) -> None:
        """Replace what the campaign says of itself."""
        self.write_file("campaign.json", encode_json(record, pretty=True))

    def finish(self, outcomes: tuple[RunOutcome, ...]) -> CampaignRecord:
        """Record that all runs have ended, and what came of them."""
        record = replace(self.record(), finished=datetime.now(UTC), outcomes=outcomes)
        self.write(record)
        return record

    def write_file(self, name: str, content: bytes) -> Path:
        """Write a file as a whole: a reader sees the old or the new one."""
        path, beside = self.path / name, self.path / f".{name}.new"
        try:
            beside.write_bytes(content)
            beside.replace(path)
        except OSError as error:
            raise RunFolderError(f"cannot be written: {error.strerror}", where=str(path)) from error
        return path

    @property
    def is_worked_on(self) -> bool:
        """Whether some process works on it now."""
        try:
            with (self.path / "lock").open("ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    @property
    def has_begun(self) -> bool:
        """Whether one of its runs has begun, or somebody is about to begin."""
        return self.is_worked_on or any(self.runs.iterdir())

    @contextmanager
    def held(self) -> Iterator[None]:
        """Work on it: nobody else does during this block, nor after a kill is it held.

        Raises:
            UsageError: Another process works on it.
        """
        with (self.path / "lock").open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                what = "another process works on this campaign"
                todo = "wait for it, or look on: test-rig campaign show"
                raise UsageError(what, where=str(self.path), todo=todo) from error
            os.truncate(file.fileno(), 0)
            os.write(file.fileno(), f"{os.getpid()}\n".encode())
            yield


class _Format(msgspec.Struct):
    format: int = FORMAT


def list_campaigns(root: Path) -> tuple[CampaignFolder, ...]:
    """Return the campaigns under `root`, the newest first."""
    if not root.is_dir():
        return ()
    try:
        found = [path for path in root.absolute().iterdir() if (path / "campaign.json").is_file()]
    except OSError as error:
        raise RunFolderError(f"cannot be listed: {error.strerror}", where=str(root)) from error
    return tuple(CampaignFolder(path) for path in sorted(found, key=_by_name, reverse=True))


def _by_name(path: Path) -> str:
    return path.name


def find_campaign(root: Path, name: str) -> CampaignFolder:
    """Return the campaign that a person means: a folder, a short id, a name, or `last`.

    Raises:
        UnknownName: There is none, or more than one of that id.
    """
    if name != "last" and (Path(name) / "campaign.json").is_file():
        return CampaignFolder(Path(name).absolute())
    found = list_campaigns(root)
    if name == "last" and found:
        return found[0]
    meant = [each for each in found if name in (each.id, each.path.name)]
    meant = meant or [each for each in found if each.name == name][:1]
    if len(meant) != 1:
        raise UnknownName("campaign", name, [each.id for each in found[:8]], where=str(root))
    return meant[0]
