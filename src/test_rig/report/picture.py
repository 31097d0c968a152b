"""Boxes, arrows and texts with their places: what a picture of a witness is made of.

Layouts make them, one template draws them (`picture.svg.j2`); nothing here knows SVG but the way a
curve is written.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from math import atan2, cos, sin

from test_rig.report.shown import shown
from test_rig.verdict import WitnessMop, WitnessTransaction

__all__ = [
    "LINE",
    "Arrow",
    "Box",
    "Label",
    "Picture",
    "curve",
    "cut",
    "in_lines",
    "mop_text",
    "name_of",
    "width_of",
]

#: The height of a line of text, and the width of one column of its fixed font.
LINE, _COLUMN = 18, 7.4
#: Longer texts are cut: so many columns. The whole stands in the tooltip.
_MOST = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A line of text; `y` is its base line."""

    x: float
    y: float
    text: str
    #: "name", "mop", "soft" or the kind of an edge.
    kind: str = "mop"
    anchor: str = "start"
    #: The whole, where the text is cut.
    whole: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float
    #: "ok", "fail", "info", "other" or "lane".
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrow:
    """A line with a head."""

    #: As SVG writes paths.
    path: str
    #: The corners of its head.
    head: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture, laid out."""

    #: What a screen reader says of it.
    title: str
    width: int
    height: int
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    labels: tuple[Label, ...]


def cut(text: str, most: int = _MOST) -> tuple[str, str | None]:
    """Return a text of at most so many columns, and the whole where it had to be cut."""
    text = shown(text)
    room = most
    for place, character in enumerate(text):
        room -= _columns(character)
        if room < 0:
            return text[: max(place - 1, 0)] + "…", text
    return text, None


def in_lines(sentence: str) -> list[str]:
    """Return a sentence in lines of at most so many columns; a word that is longer is cut."""
    lines = [""]
    for word in shown(sentence).split():
        short, _ = cut(word)
        longer = f"{lines[-1]} {short}".strip()
        if lines[-1] and sum(map(_columns, longer)) > _MOST:
            lines.append(short)
        else:
            lines[-1] = longer
    return lines


def width_of(text: str) -> float:
    """Return the width of a text in the fixed font."""
    return sum(map(_columns, text)) * _COLUMN


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def mop_text(mop: WitnessMop) -> str:
    """Return what a micro-operation did, in a few words."""
    if mop.f == "append":
        return f"append {mop.value} to {mop.key}"
    if mop.f == "w":
        return f"{mop.key} := {mop.value}"
    found = mop.value
    if isinstance(found, tuple):
        return f"read {mop.key}: [{', '.join(map(str, found))}]"
    return f"read {mop.key}: {'nothing' if found is None else found}"


def name_of(place: int, transaction: WitnessTransaction) -> str:
    """Return what a transaction is called in pictures."""
    ends = {"fail": ", rolled back", "info": ", answer lost"}
    return f"T{place}{ends.get(transaction.type, '')}"


def curve(
    start: tuple[float, float], end: tuple[float, float], bend: tuple[float, float], kind: str
) -> Arrow:
    """Return an arrow from one point to another, drawn towards a third one on its way."""
    (x1, y1), (x2, y2), (bx, by) = start, end, bend
    angle = atan2(y2 - by, x2 - bx)
    corners = [(x2, y2)]
    corners += [(x2 - 9 * cos(angle + turn), y2 - 9 * sin(angle + turn)) for turn in (-0.42, 0.42)]
    # The line ends within the head, so that no blunt end looks out of its tip.
    tip_x, tip_y = x2 - 6 * cos(angle), y2 - 6 * sin(angle)
    return Arrow(
        path=f"M{x1:.1f},{y1:.1f} Q{bx:.1f},{by:.1f} {tip_x:.1f},{tip_y:.1f}",
        head=" ".join(f"{x:.1f},{y:.1f}" for x, y in corners),
        kind=kind,
    )
