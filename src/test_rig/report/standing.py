"""How what was seen stands to what was claimed, cell by cell."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from test_rig.isolation import Anomaly, forbids
from test_rig.verdict import Cell, LevelRow, Occurrence, Transcript

__all__ = ["Judged", "Standing", "judged", "judged_cells"]


class Standing(Enum):
    """What a cell of the table says, the most telling first."""

    #: The claim is broken.
    FORBIDDEN = "occurs, forbidden by the claim"
    PERMITTED = "occurs, permitted by the claim"
    UNKNOWN = "not judged"
    PREVENTED = "prevented, as claimed"
    #: More than the claim promises.
    BEYOND = "prevented, beyond the claim"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One cell of the table."""

    anomaly: Anomaly
    standing: Standing
    reason: str
    transcript: Transcript | None = None


def judged(row: LevelRow, cell: Cell) -> Judged:
    """Return how `cell` stands to what its row claims."""
    return Judged(
        anomaly=cell.anomaly,
        standing=_standing(cell.occurrence, forbids(row.claim, cell.anomaly)),
        reason=cell.reason,
        transcript=cell.transcript,
    )


def judged_cells(row: LevelRow) -> tuple[Judged, ...]:
    """Return one cell for every anomaly, in the order of the table.

    Where several scenarios looked for one anomaly, the most telling counts; what no scenario looked
    for, because the run ended before, is not judged.
    """
    order = list(Standing)
    best: dict[Anomaly, Judged] = {}
    for cell in row.cells:
        new = judged(row, cell)
        old = best.get(cell.anomaly)
        if old is None or order.index(new.standing) < order.index(old.standing):
            best[cell.anomaly] = new
    return tuple(
        best.get(anomaly)
        or Judged(anomaly=anomaly, standing=Standing.UNKNOWN, reason="it was not looked for")
        for anomaly in Anomaly
    )


def _standing(occurrence: Occurrence, is_forbidden: bool) -> Standing:
    if occurrence is Occurrence.OCCURS:
        return Standing.FORBIDDEN if is_forbidden else Standing.PERMITTED
    if occurrence is Occurrence.PREVENTED:
        return Standing.PREVENTED if is_forbidden else Standing.BEYOND
    if occurrence is Occurrence.NOT_APPLICABLE:
        return Standing.NOT_APPLICABLE
    return Standing.UNKNOWN
