"""What there is to render: a run and its results, as the folder tells them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from test_rig.runs import RunFolder, RunRecord
from test_rig.verdict import AuditVerdict, SuiteVerdict, Verdict

__all__ = ["Report"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that a renderer sees."""

    record: RunRecord
    #: The results as far as they came; without targets where there are none.
    audit: AuditVerdict
    #: The run folder.
    path: Path
    #: The results of handlers, where it is a run of handlers.
    suite: SuiteVerdict | None = None

    @staticmethod
    def of(folder: RunFolder) -> Report:
        """Return the report of the run in `folder`.

        Raises:
            RunFolderError: The folder cannot be read.
        """
        audit = folder.audit() or AuditVerdict(targets=(), verdict=Verdict.UNKNOWN)
        record = folder.record()
        return Report(record=record, audit=audit, path=folder.path, suite=folder.suite())
