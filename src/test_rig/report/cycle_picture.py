"""A cycle as a picture: its transactions one below the other, and why each precedes the next.

How to think of it: down the left side go the edges from each transaction to the next one, each with
its reason as a line of text beside the arrow, and the last one leads back to the first along the
right side. Texts of any length then have a line of their own, and nothing crosses. An anomaly that
is no cycle is drawn as far as it has edges; transactions without one stand below.
"""

from __future__ import annotations

from collections.abc import Sequence

from test_rig.report.picture import (
    LINE,
    Arrow,
    Box,
    Label,
    Picture,
    curve,
    cut,
    mop_text,
    name_of,
    width_of,
)
from test_rig.verdict import WitnessEdge, WitnessHistory

__all__ = ["cycle_picture"]

_PAD, _MARGIN = 10, 14
#: Between two boxes: an arrow, and its reason.
_GAP = 46
#: Room on the right side for the way back.
_BACK = 46
#: Where the reason of an edge begins, right of its arrow.
_INDENT = 30


def cycle_picture(anomaly: str, witness: WitnessHistory) -> Picture:
    """Return the picture of how the transactions of an anomaly precede each other."""
    is_cycle = len(witness.edges) > 1
    forward = witness.edges[:-1] if is_cycle else witness.edges
    order = list(dict.fromkeys((*(edge.source for edge in witness.edges), *witness.members)))
    if not is_cycle and forward:
        order = list(dict.fromkeys((forward[0].source, forward[0].target, *order)))
    drawing = _Drawing(witness, order)
    for place in order:
        drawing.add_box(place)
    for edge in forward:
        drawing.add_edge(edge)
    if is_cycle:
        drawing.add_way_back(witness.edges[-1])
    return drawing.picture(f"{anomaly}: {'; '.join(witness.why)}")


class _Drawing:
    """A picture while it grows downwards."""

    def __init__(self, witness: WitnessHistory, order: Sequence[int]) -> None:
        self._witness = witness
        self._texts = {place: _texts(witness, place) for place in order}
        reasons = [cut(edge.why)[0] for edge in witness.edges]
        inner = max(width_of(text) for lines in self._texts.values() for text, _ in lines)
        widest = max(map(width_of, reasons), default=0.0) + _INDENT + _PAD
        self._width = max(inner + 2 * _PAD, widest)
        self._boxes: list[Box] = []
        self._labels: list[Label] = []
        self._arrows: list[Arrow] = []
        #: Top and bottom of each transaction's box.
        self._span: dict[int, tuple[float, float]] = {}
        self._bottom = float(_MARGIN)
        self._has_way_back = False

    def add_box(self, place: int) -> None:
        """Add a transaction below those that are there."""
        top = self._bottom + (_GAP if self._boxes else 0)
        lines = self._texts[place]
        self._bottom = top + LINE * len(lines) + 2 * _PAD
        kind = self._witness.transactions[place].type
        height = self._bottom - top
        self._boxes.append(Box(x=_MARGIN, y=top, width=self._width, height=height, kind=kind))
        self._span[place] = (top, self._bottom)
        for number, (text, whole) in enumerate(lines):
            look = "mop" if number else "name"
            base = top + _PAD + LINE * number + 13
            self._labels.append(Label(x=_MARGIN + _PAD, y=base, text=text, kind=look, whole=whole))

    def add_edge(self, edge: WitnessEdge) -> None:
        """Add an arrow to the next transaction, with its reason beside it."""
        top, bottom = self._span[edge.source][1], self._span[edge.target][0]
        x, middle = _MARGIN + 16, (top + bottom) / 2
        self._arrows.append(curve((x, top), (x, bottom), (x, middle), edge.kind))
        text, whole = cut(edge.why)
        label = Label(x=_MARGIN + _INDENT, y=middle + 4, text=text, kind=edge.kind, whole=whole)
        self._labels.append(label)

    def add_way_back(self, edge: WitnessEdge) -> None:
        """Add the arrow from the last transaction to the first, with its reason below."""
        right = _MARGIN + self._width
        start, end = (sum(self._span[place]) / 2 for place in (edge.source, edge.target))
        # The farther the way, the wider the curve.
        bend = (right + 2 * _BACK, (start + end) / 2)
        self._arrows.append(curve((right, start), (right, end), bend, edge.kind))
        text, whole = cut(edge.why)
        self._bottom += LINE + 6
        label = Label(x=_MARGIN, y=self._bottom - 4, text=text, kind=edge.kind, whole=whole)
        self._labels.append(label)
        self._has_way_back = True

    def picture(self, title: str) -> Picture:
        """Return what was drawn."""
        return Picture(
            title=title,
            width=round(self._width + 2 * _MARGIN + (_BACK if self._has_way_back else 0)),
            height=round(self._bottom + _MARGIN),
            boxes=tuple(self._boxes),
            arrows=tuple(self._arrows),
            labels=tuple(self._labels),
        )


def _texts(witness: WitnessHistory, place: int) -> list[tuple[str, str | None]]:
    transaction = witness.transactions[place]
    title = f"{name_of(place, transaction)}  (session {transaction.process})"
    return [cut(title), *(cut(mop_text(mop)) for mop in transaction.mops)]
