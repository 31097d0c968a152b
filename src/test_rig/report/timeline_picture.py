"""A witness as a timeline: a lane for each session, time running to the right.

How to think of it: starts and ends are moments in order, and a transaction spans the moments from
its start to its end. Between two moments there is as much room as the texts need, so the picture
keeps the order of time and not its measure; a transaction overlaps another one in the picture if
and only if it did in the history. Each micro-operation is a line of its transaction; when in it it
was done the history does not tell. Arrows are the edges, from what the one did to what the other
did. What has no end known runs to the right margin.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
from test_rig.report.picture_edges import drawn_edges
from test_rig.report.picture_labels import along, clear_of, edges_of
from test_rig.verdict import WitnessEdge, WitnessHistory

__all__ = ["timeline_picture"]

_PAD, _MARGIN, _GAP = 8, 14, 34
#: The least room between two moments.
_LEAST = 22.0
_AXIS = 30
_NS_PER_MS = 1_000_000


def timeline_picture(anomaly: str, witness: WitnessHistory) -> Picture:
    """Return the timeline of a witness."""
    edges, words = drawn_edges(anomaly, witness)
    title = f"{anomaly} in time: {'; '.join(words or witness.why)}"
    return _Timeline(witness, edges).picture(
        title, [line for text in words for line in in_lines(text)]
    )


class _Timeline:
    """Where everything is."""

    def __init__(self, witness: WitnessHistory, edges: Sequence[WitnessEdge]) -> None:
        self._witness, self._edges = witness, edges
        self._moments = _moments(witness)
        self._lanes = tuple(dict.fromkeys(each.process for each in witness.transactions))
        self._names = [cut(f"session {lane}", 28) for lane in self._lanes]
        self._left = _MARGIN + max(width_of(text) for text, _ in self._names) + 2 * _PAD
        self._texts = [
            [cut(name_of(place, each)), *(cut(mop_text(mop)) for mop in each.mops)]
            for place, each in enumerate(witness.transactions)
        ]
        self._at = self._spread()
        self._top: list[float] = []
        self._height: list[float] = []
        y = float(_MARGIN)
        for lane in self._lanes:
            most = max(
                len(texts)
                for texts, each in zip(self._texts, witness.transactions, strict=True)
                if each.process == lane
            )
            self._top.append(y)
            self._height.append(most * LINE + 2 * _PAD)
            y += self._height[-1] + _GAP
        self._floor = y - _GAP + _PAD

    def _span(self, place: int) -> tuple[int, int]:
        """Return the moments of a transaction's start and end."""
        return self._moments[place]

    def _spread(self) -> list[float]:
        """Return where the moments are, with room for every transaction's texts."""
        rooms = [_LEAST] * max(end for _, end in self._moments)
        for place in sorted(range(len(self._moments)), key=lambda n: _length(self._moments[n])):
            first, last = self._moments[place]
            wanted = max(width_of(text) for text, _ in self._texts[place]) + 2 * _PAD
            lacking = wanted - sum(rooms[first:last])
            for room in range(first, last):
                rooms[room] += max(lacking, 0.0) / (last - first)
        at = [self._left]
        for width in rooms:
            at.append(at[-1] + width)
        return at

    def picture(self, title: str, lines: Sequence[str]) -> Picture:
        """Return the picture, with lines of text below."""
        boxes, labels = self._lanes_drawn()
        for place, texts in enumerate(self._texts):
            box = self._box(place)
            boxes.append(box)
            for number, (text, whole) in enumerate(texts):
                base = box.y + _PAD + LINE * number + 13
                look = "mop" if number else "name"
                labels.append(Label(x=box.x + _PAD, y=base, text=text, kind=look, whole=whole))
        labels += self._below([self._axis(), *lines])
        arrows: list[Arrow] = []
        # One after the other: each label keeps clear of those before it.
        for edge in self._edges:
            arrow, label = self._edge(edge, labels)
            arrows.append(arrow)
            labels.append(label)
        return Picture(
            title=title,
            width=round(max(self._at[-1], *(edges_of(each)[1] for each in labels)) + _MARGIN),
            height=round(self._floor + _AXIS + LINE * len(lines) + _MARGIN),
            boxes=tuple(boxes),
            arrows=tuple(arrows),
            labels=tuple(labels),
        )

    def _lanes_drawn(self) -> tuple[list[Box], list[Label]]:
        boxes: list[Box] = []
        labels: list[Label] = []
        width = self._at[-1] - self._left
        for (text, whole), y, height in zip(self._names, self._top, self._height, strict=True):
            middle = y + height / 2
            labels.append(Label(x=_MARGIN, y=middle + 4, text=text, kind="soft", whole=whole))
            boxes.append(Box(x=self._left, y=middle - 1, width=width, height=2, kind="lane"))
        return boxes, labels

    def _box(self, place: int) -> Box:
        each = self._witness.transactions[place]
        first, last = self._moments[place]
        lane = self._lanes.index(each.process)
        return Box(
            x=self._at[first],
            y=self._top[lane],
            width=self._at[last] - self._at[first],
            height=self._height[lane],
            kind=each.type,
        )

    def _edge(self, edge: WitnessEdge, others: Sequence[Label]) -> tuple[Arrow, Label]:
        """Return an arrow between the lines of two micro-operations, or between two boxes."""
        source, target = self._box(edge.source), self._box(edge.target)
        start = self._anchor(edge.source, edge.source_mop, source, is_source=True)
        end = self._anchor(edge.target, edge.target_mop, target, is_source=False)
        down = 1 if end[1] >= start[1] else -1
        # Arrows that go far turn farther aside, so that they do not lie on shorter ones.
        aside = 20 + abs(end[1] - start[1]) / 3 + (24 if end[1] < start[1] else 0)
        bend = (max(start[0], end[0]) + aside, (start[1] + end[1]) / 2)
        if edge.source_mop is None and end[0] > start[0]:
            bend = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
        elif end[0] - start[0] > 60:
            bend = ((start[0] + end[0]) / 2, start[1] + 12 * down)
        label = Label(x=0, y=0, text=edge.kind, kind=edge.kind, anchor="middle", whole=edge.why)
        label = clear_of(others, label, along(start, end, bend), lowest=self._floor)
        return curve(start, end, bend, edge.kind), label

    def _anchor(
        self, place: int, mop: int | None, box: Box, *, is_source: bool
    ) -> tuple[float, float]:
        if mop is None:
            return (box.x + box.width if is_source else box.x, box.y + box.height / 2)
        line = self._texts[place][mop + 1][0]
        return (box.x + _PAD + width_of(line) + 4, box.y + _PAD + LINE * (mop + 1) + 9)

    def _below(self, texts: Sequence[str]) -> Iterator[Label]:
        for number, text in enumerate(texts):
            base = self._floor + 14 + LINE * number
            yield Label(x=self._left, y=base, text=text, kind="soft")

    def _axis(self) -> str:
        if self._witness.clock != "ns":
            return "time runs to the right; only the order is known"
        starts = [each.start for each in self._witness.transactions]
        ends = [each.end for each in self._witness.transactions if each.end is not None]
        length_ms = (max([*starts, *ends]) - min(starts)) / _NS_PER_MS
        return f"time runs to the right, not to scale; {length_ms:,.3f} ms in all"


def _length(span: tuple[int, int]) -> int:
    return span[1] - span[0]


def _moments(witness: WitnessHistory) -> list[tuple[int, int]]:
    """Return for each transaction the numbers of the moments of its start and end."""
    events: list[tuple[int, int, int]] = []
    for place, each in enumerate(witness.transactions):
        # What ends when another begins had not ended before: starts come first.
        events.append((each.start, 0, place))
        if each.end is not None:
            events.append((each.end, 1, place))
    start: dict[int, int] = {}
    end: dict[int, int] = {}
    moment = -1
    last: tuple[int, int] | None = None
    for time, kind, place in sorted(events):
        moment += (time, kind) != last
        last = (time, kind)
        (end if kind else start)[place] = moment
    final = moment + 1
    return [(start[place], end.get(place, final)) for place in range(len(witness.transactions))]
