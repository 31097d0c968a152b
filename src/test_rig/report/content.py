"""What there is to render: a run and its results, as the folder tells them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from test_rig.history import Origin
from test_rig.runs import RunFolder, RunRecord
from test_rig.verdict import AuditVerdict, SuiteVerdict, Verdict, WorkloadVerdict

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
    #: What workloads showed, where the run was of workloads.
    workloads: tuple[WorkloadVerdict, ...] = ()
    #: The histories of transactions that are kept, and what each belongs to.
    histories: tuple[tuple[Origin, Path], ...] = ()

    @property
    def verdict(self) -> Verdict:
        """What the run concluded as far as it came."""
        if self.suite is not None:
            return self.suite.verdict
        if not self.workloads:
            return self.audit.verdict
        verdicts = {each.verdict for each in self.workloads}
        for verdict in (Verdict.INVALID, Verdict.UNKNOWN):
            if verdict in verdicts:
                return verdict
        return Verdict.VALID

    @staticmethod
    def of(folder: RunFolder) -> Report:
        """Return the report of the run in `folder`.

        Raises:
            RunFolderError: The folder cannot be read.
        """
        audit = folder.audit() or AuditVerdict(targets=(), verdict=Verdict.UNKNOWN)
        return Report(
            record=folder.record(),
            audit=audit,
            path=folder.path,
            suite=folder.suite(),
            workloads=folder.workloads(),
            histories=folder.transactions(),
        )
