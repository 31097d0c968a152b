"""Who depends on whom among transactions that append to lists and read them.

Theory of operation (Adya 1999, chapter 3; for lists, Kingsbury and Alvaro, Elle, VLDB 2020). A list
that was read tells the order of the versions of its key, since each append makes one; the longest
list that was read tells most. From it follow, for committed transactions:

- ww: who appended an element after whom,
- wr: who read a list whose last element another one appended,
- rw: who read a list without the next element, which another one appended.

An append that nobody read gives no dependency: fewer edges, never wrong ones.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = [
    "LISTS",
    "RW",
    "WR",
    "WW",
    "Edge",
    "Edges",
    "Model",
    "Mop",
    "Txn",
    "add_edge",
    "appended",
]

#: ("append" or "w", key, value) or ("r", key, list or None where it is not known).
Mop = tuple[str, int, int | Sequence[int] | None]
WW, WR, RW = range(3)


@dataclass(frozen=True, slots=True)
class Txn:
    """A transaction that was committed, or may have been."""

    number: int
    process: int
    mops: tuple[Mop, ...]
    #: Whether the answer to its COMMIT was lost: then its reads are not known.
    is_unsure: bool = False
    start_ns: int = 0
    end_ns: int = 0


@dataclass(frozen=True, slots=True)
class Edge:
    """Why one transaction comes after another."""

    kind: int
    key: int
    #: The element that the two have to do with.
    element: int


#: By the places of the two transactions in what was given.
Edges = dict[tuple[int, int], Edge]


def outer_reads(txn: Txn) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield key and list of each read, without what the transaction itself appended at its end."""
    own: dict[int, list[int]] = {}
    for f, key, value in txn.mops:
        if f == "append":
            own.setdefault(key, []).append(value)  # type: ignore[arg-type]  # an element
        elif value is not None:
            found = tuple(value)  # type: ignore[arg-type]  # a list
            mine = own.get(key)
            if mine and found[-len(mine) :] == tuple(mine):
                found = found[: -len(mine)]
            yield key, found


def appended(txn: Txn) -> dict[int, list[int]]:
    """Return what a transaction appended, by key."""
    values: dict[int, list[int]] = {}
    for f, key, value in txn.mops:
        if f != "r":
            values.setdefault(key, []).append(value)  # type: ignore[arg-type]  # an element
    return values


def _reads_own(txn: Txn) -> bool:
    own: dict[int, set[int]] = {}
    for f, key, value in txn.mops:
        if f == "append":
            own.setdefault(key, set()).add(value)  # type: ignore[arg-type]  # an element
        elif key in own and not own[key] <= set(value or ()):  # type: ignore[arg-type]  # a list
            return False
    return True


def edges_of(txns: Sequence[Txn], failed: Container[tuple[int, int]]) -> tuple[Edges, list[Txn]]:
    """Return the dependencies, and the transactions whose reads contradict the longest list.

    Args:
        txns: What was committed, or may have been.
        failed: Keys and elements whose append certainly failed: who read one is left out of the
            order, since what it saw never was a version.
    """
    writers = {
        (key, value): place
        for place, txn in enumerate(txns)
        for f, key, value in txn.mops
        if f == "append"
    }
    middle = {
        (key, value)
        for txn in txns
        for key, values in appended(txn).items()
        for value in values[:-1]
    }
    reads = [
        (place, key, found)
        for place, txn in enumerate(txns)
        if not txn.is_unsure
        for key, found in outer_reads(txn)
        if not any((key, element) in failed for element in found)
    ]
    longest: dict[int, tuple[int, ...]] = {}
    for _, key, found in reads:
        if len(found) > len(longest.get(key, ())):
            longest[key] = found
    odd = {place for place, key, found in reads if longest.get(key, ())[: len(found)] != found}
    # An element whose writer is not known to have committed may yet turn out to have failed.
    sure = {what for what, place in writers.items() if not txns[place].is_unsure}
    told = {
        place
        for place, key, found in reads
        if place in odd and all((key, each) in sure for each in (*found, *longest[key]))
    }
    edges: Edges = {}
    for key, order in longest.items():
        for before, after in pairwise(order):
            add_edge(
                edges, writers.get((key, before)), writers.get((key, after)), Edge(WW, key, after)
            )
    for place, key, found in reads:
        if place in odd:
            continue
        if found:
            last = found[-1]
            if (key, last) in middle and writers[key, last] != place:
                continue  # an intermediate read (G1b): what it saw never was a version
            add_edge(edges, writers.get((key, last)), place, Edge(WR, key, last))
        order = longest.get(key, ())
        if len(found) < len(order):
            missed = order[len(found)]
            add_edge(edges, place, writers.get((key, missed)), Edge(RW, key, missed))
    return edges, [txns[place] for place in sorted(told)]


def add_edge(edges: Edges, before: int | None, after: int | None, edge: Edge) -> None:
    """Add an edge between two places that are known and differ."""
    if before is None or after is None or before == after:
        return
    known = edges.get((before, after))
    # Where there are several, the strongest one says which anomaly a cycle is.
    if known is None or edge.kind < known.kind:
        edges[before, after] = edge


@dataclass(frozen=True, slots=True)
class Model:
    """What is read and written, and what follows from it."""

    #: Key and value of the reads that tell of others' writes; a value is a list of elements.
    outer_reads: Callable[[Txn], Iterator[tuple[int, tuple[int, ...]]]]
    edges_of: Callable[[Sequence[Txn], Container[tuple[int, int]]], tuple[Edges, list[Txn]]]
    #: Whether a transaction reads what it wrote itself.
    reads_own: Callable[[Txn], bool]
    #: What a writer did, in a sentence.
    verb: str = "appended"


LISTS = Model(outer_reads, edges_of, _reads_own)
