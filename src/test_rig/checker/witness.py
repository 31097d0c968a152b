"""What a judge of histories has seen: anomalies, and the edges that show them.

How to think of it: an edge says that one transaction precedes another and has what it follows
from; the words are told from the edges, so that pictures, timelines and replays tell the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

__all__ = ["Edge", "EdgeKind", "Seen", "told"]


class EdgeKind(Enum):
    """Why one transaction precedes another (Adya 1999, chapter 3)."""

    #: It wrote, and the other one wrote the next version.
    WW = "ww"
    #: It wrote what the other one read.
    WR = "wr"
    #: It read, and the other one wrote the next version.
    RW = "rw"
    #: Its session did it before the other one.
    PROCESS = "process"
    #: It had ended before the other one began.
    REALTIME = "realtime"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One transaction precedes another."""

    #: Places of the two transactions in the history.
    source: int
    target: int
    kind: EdgeKind
    #: The key as it was given; None for the orders of sessions and of time, as all that follows.
    key: int | str | None = None
    #: What the source wrote; of rw the value that it read, None where it found nothing. A list's
    #: value is its last element.
    first: int | None = None
    #: What the target wrote; of wr the value of the source that it read.
    second: int | None = None
    #: Places of the two micro-operations in the history.
    first_mop: int | None = None
    second_mop: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One anomaly that the history shows."""

    anomaly: str
    #: Places in the history; those of a cycle in its order.
    transactions: tuple[int, ...]
    #: Who read what of whom, and why the order follows.
    why: tuple[str, ...]
    #: The edges of a cycle in its order, from the first transaction back to it. Of G1a, G1b and
    #: dirty-update the one edge that should not be; of what is no relation of two, none.
    edges: tuple[Edge, ...] = ()
    #: Places of the micro-operations that show it.
    mops: tuple[int, ...] = ()
    #: Of a cycle: whether its component is known to have no shorter one of its class.
    is_shortest: bool = True


def told(edges: Iterable[Edge], *, verb: str = "appended") -> tuple[str, ...]:
    """Return edges in words, a sentence each.

    Args:
        edges: The edges.
        verb: What writers do.
    """
    return tuple(
        f"T{each.source} < T{each.target} ({each.kind.value}): {_reason(each, verb)}"
        for each in edges
    )


def _reason(edge: Edge, verb: str) -> str:
    source, target, key = f"T{edge.source}", f"T{edge.target}", edge.key
    if edge.kind is EdgeKind.PROCESS:
        return f"the session of both did {source} first"
    if edge.kind is EdgeKind.REALTIME:
        return f"{source} had ended before {target} began"
    if edge.kind is EdgeKind.WW:
        return f"{target} {verb} {edge.second} to key {key} after {source}'s {edge.first}"
    if edge.kind is EdgeKind.WR:
        return f"{target} read key {key} with {edge.first}, which {source} {verb}"
    return f"{source} read key {key} without {edge.second}, which {target} {verb}"
