"""Choosing the witnesses that a reader should see first."""

from __future__ import annotations

from dataclasses import dataclass

from test_rig.isolation import Anomaly
from test_rig.report.content import Report
from test_rig.report.standing import Judged, Standing, judged_cells
from test_rig.verdict import LevelRow, TargetVerdict, Transcript

__all__ = ["Witness", "most_telling"]

# What costs people money comes first: updates and invariants lost, then reads that never were.
_ORDER = (
    Anomaly.P4,
    Anomaly.G2_ITEM,
    Anomaly.G0,
    Anomaly.G1A,
    Anomaly.G_SINGLE,
    Anomaly.G1B,
    Anomaly.G1C,
    Anomaly.OTV,
    Anomaly.G2,
    Anomaly.PMP,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """An anomaly that occurs, where it does, and how it went."""

    target: TargetVerdict
    row: LevelRow
    cell: Judged
    transcript: Transcript


def most_telling(report: Report, count: int = 2) -> tuple[Witness, ...]:
    """Return up to `count` witnesses of different anomalies.

    What breaks a claim comes before what is permitted, and what occurs in spite of a strong claim
    before what occurs under a weak one; a level that has had its witness lets another go first.
    """
    found = [
        Witness(target=target, row=row, cell=cell, transcript=cell.transcript)
        for target in report.audit.targets
        for row in target.levels
        for cell in judged_cells(row)
        if cell.standing in (Standing.FORBIDDEN, Standing.PERMITTED) and cell.transcript
    ]
    found.sort(key=_rank)
    chosen: list[Witness] = []
    while len(chosen) < count:
        rows = [witness.row for witness in chosen]
        anomalies = [witness.cell.anomaly for witness in chosen]
        left = [witness for witness in found if witness.cell.anomaly not in anomalies]
        if not left:
            break
        broken = [w for w in left if w.cell.standing is Standing.FORBIDDEN]
        elsewhere = [w for w in left if all(w.row is not row for row in rows)]
        chosen.append((broken or elsewhere or left)[0])
    return tuple(chosen)


def _rank(witness: Witness) -> tuple[int, int]:
    anomaly = witness.cell.anomaly
    place = _ORDER.index(anomaly) if anomaly in _ORDER else len(_ORDER)
    return -len(witness.row.claim.info.forbids), place
