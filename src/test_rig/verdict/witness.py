"""A witness: the smallest history that shows an anomaly, and how to try it again."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "Witness",
    "WitnessEdge",
    "WitnessHistory",
    "WitnessMop",
    "WitnessStep",
    "WitnessTransaction",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessMop:
    """One micro-operation: an append, a write (`w`) or a read (`r`) of a key."""

    f: str
    key: int | str
    #: The value; of a list that was read its elements; None where nothing was found.
    value: int | tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessTransaction:
    """One transaction of a witness."""

    process: str
    #: "ok", "fail" or "info".
    type: str
    #: By the history's clock; no end where its answer was lost.
    start: int
    end: int | None
    mops: tuple[WitnessMop, ...]
    #: Its place in the history that the witness was taken from.
    origin: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessEdge:
    """One transaction of a witness precedes another; both are told by their places in it."""

    source: int
    target: int
    #: "ww", "wr", "rw", "process" or "realtime".
    kind: str
    why: str
    #: What follows is None for the orders of sessions and of time.
    key: int | str | None = None
    #: Places of the micro-operations in their transactions.
    source_mop: int | None = None
    target_mop: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessHistory:
    """The smallest history that shows an anomaly, and how it does."""

    transactions: tuple[WitnessTransaction, ...]
    #: The transactions of the anomaly by their places; those of a cycle in its order.
    members: tuple[int, ...]
    edges: tuple[WitnessEdge, ...]
    #: In words: who read what of whom, and why the order follows.
    why: tuple[str, ...]
    #: What starts and ends are: "ns", "place" in a file, or "session": its own order alone.
    clock: str = "ns"
    #: Whether nothing more can be left out.
    is_minimal: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessStep:
    """One step of a witness that can be replayed."""

    #: Its transaction, by the place in the witness.
    txn: int
    #: Which session does it: "S0", "S1", ...
    session: str
    #: "begin", "append", "write", "read", "commit" or "rollback"; of rows that a search finds
    #: "search" and "insert".
    do: str
    #: Of a search and an insert the group of rows that is meant.
    key: int | None = None
    #: What is appended, written or inserted.
    element: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """What shows an anomaly, and an order of steps that should show it again."""

    anomaly: str
    #: What was seen, in a sentence.
    told: str
    #: An order of statements that should show it again; empty where none is known.
    steps: tuple[WitnessStep, ...]
    history: WitnessHistory | None = None
    #: The workload that showed it; None where it is of a history from elsewhere.
    workload: str | None = None
    #: Where it was seen: the target's URL without its password, and the level.
    target: str | None = None
    level: str | None = None
