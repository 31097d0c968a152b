"""A cycle as a picture: its transactions one below the other, and why each precedes the next.

How to think of it: down the left side go the edges from each transaction to the next one, each with
its reason as a line of text beside the arrow, and the last one leads back to the first along the
right side. Texts of any length then have a line of their own, and nothing crosses. An anomaly that
is no cycle is drawn with what its reads tell of others' writes, and its words stand below; so do
transactions without an edge.
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
    in_lines,
    mop_text,
    name_of,
    width_of,
)
from test_rig.report.picture_edges import drawn_edges, is_ring
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
    edges, words = drawn_edges(anomaly, witness)
    is_cycle = is_ring(edges)
    order = list(dict.fromkeys((*(edge.source for edge in edges), *witness.members)))
    if not is_cycle and edges:
        order = list(dict.fromkeys((edges[0].source, edges[0].target, *order)))
    texts = [*(edge.why for edge in edges), *(line for text in words for line in in_lines(text))]
    drawing = _Drawing(witness, order, texts)
    for place in order:
        drawing.add_box(place)
    for edge in edges:
        if order.index(edge.target) == order.index(edge.source) + 1:
            drawing.add_edge(edge)
        else:
            drawing.add_aside(edge)
    for text in words:
        for line in in_lines(text):
            drawing.add_line(line)
    return drawing.picture(f"{anomaly}: {'; '.join(words or witness.why)}")


class _Drawing:
    """A picture while it grows downwards."""

    def __init__(
        self, witness: WitnessHistory, order: Sequence[int], sentences: Sequence[str]
    ) -> None:
        self._witness = witness
        self._texts = {place: _texts(witness, place) for place in order}
        reasons = [cut(text)[0] for text in sentences]
        inner = max(width_of(text) for lines in self._texts.values() for text, _ in lines)
        widest = max(map(width_of, reasons), default=0.0) + _INDENT + _PAD
        self._width = max(inner + 2 * _PAD, widest)
        self._boxes: list[Box] = []
        self._labels: list[Label] = []
        self._arrows: list[Arrow] = []
        #: Top and bottom of each transaction's box.
        self._span: dict[int, tuple[float, float]] = {}
        self._bottom = float(_MARGIN)
        self._asides = 0

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

    def add_aside(self, edge: WitnessEdge) -> None:
        """Add an arrow along the right side, as the way back is, with its reason below."""
        right = _MARGIN + self._width
        start, end = (sum(self._span[place]) / 2 for place in (edge.source, edge.target))
        self._asides += 1
        # Each one goes a little farther out than the one before.
        bend = (right + (1 + self._asides) * _BACK, (start + end) / 2)
        self._arrows.append(curve((right, start), (right, end), bend, edge.kind))
        self.add_line(edge.why, edge.kind)

    def add_line(self, line: str, kind: str = "soft") -> None:
        """Add a line of text below."""
        text, whole = cut(line)
        self._bottom += LINE + 6
        label = Label(x=_MARGIN, y=self._bottom - 4, text=text, kind=kind, whole=whole)
        self._labels.append(label)

    def picture(self, title: str) -> Picture:
        """Return what was drawn."""
        beside = (1 + self._asides) * _BACK / 2 if self._asides else 0
        return Picture(
            title=title,
            width=round(self._width + 2 * _MARGIN + beside),
            height=round(self._bottom + _MARGIN),
            boxes=tuple(self._boxes),
            arrows=tuple(self._arrows),
            labels=tuple(self._labels),
        )


def _texts(witness: WitnessHistory, place: int) -> list[tuple[str, str | None]]:
    transaction = witness.transactions[place]
    title = f"{name_of(place, transaction)}  (session {transaction.process})"
    return [cut(title), *(cut(mop_text(mop)) for mop in transaction.mops)]
