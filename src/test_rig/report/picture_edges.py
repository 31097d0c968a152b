"""Which arrows a picture of a witness has, and which words stand below it.

How to think of it: a cycle has its edges. What is no cycle has none, or one; then the picture shows
what follows from the reads and writes of the witness itself: who read what of whom, and of a lost
update that each read before the other's write. Nothing is drawn that the witness does not hold.
"""

from __future__ import annotations

from collections.abc import Iterator

from test_rig.verdict import WitnessEdge, WitnessHistory, WitnessMop, WitnessTransaction

__all__ = ["drawn_edges", "is_ring"]


def is_ring(edges: tuple[WitnessEdge, ...]) -> bool:
    """Return whether each edge begins where the one before it ends, the first one as well."""
    return len(edges) > 1 and all(
        edges[place - 1].target == edge.source for place, edge in enumerate(edges)
    )


def drawn_edges(
    anomaly: str, witness: WitnessHistory
) -> tuple[tuple[WitnessEdge, ...], tuple[str, ...]]:
    """Return the arrows of a picture, and the sentences that they do not tell."""
    if witness.edges:
        return witness.edges, ()
    if anomaly == "lost-update":
        edges, lost = _lost_update(witness)
        if edges:
            return edges, (*witness.why, lost)
    return tuple(_reads_of_others(witness)), witness.why


def _lost_update(witness: WitnessHistory) -> tuple[tuple[WitnessEdge, ...], str]:
    """Return that each read before the other's write, and whose update was lost."""
    places = witness.members
    if len(places) < 2:
        return (), ""
    edges: list[WitnessEdge] = []
    updates: dict[int, WitnessMop] = {}
    for source, target in zip(places, (*places[1:], places[0]), strict=True):
        found = _same_read(witness.transactions[source], witness.transactions[target])
        if found is None:
            return (), ""
        read, write = found
        updates[target] = update = witness.transactions[target].mops[write]
        verb = "appended" if update.f == "append" else "wrote"
        why = (
            f"T{source} < T{target} (rw): T{source} read key {update.key} without "
            f"{update.value}, which T{target} {verb}"
        )
        edges.append(
            WitnessEdge(
                source=source,
                target=target,
                kind="rw",
                why=why,
                key=update.key,
                source_mop=read,
                target_mop=write,
            )
        )
    return tuple(edges), _whose(witness, updates)


def _same_read(source: WitnessTransaction, target: WitnessTransaction) -> tuple[int, int] | None:
    """Return the source's read and the target's write of a key that both updated from one value."""
    for read, _ in _updates(source):
        for other, write in _updates(target):
            one, same = source.mops[read], target.mops[other]
            if (one.key, one.value) == (same.key, same.value):
                return read, write
    return None


def _updates(transaction: WitnessTransaction) -> Iterator[tuple[int, int]]:
    """Yield the places of reads with those of the first write of the same key after each."""
    for read, mop in enumerate(transaction.mops):
        if mop.f != "r":
            continue
        for write, later in enumerate(transaction.mops[read + 1 :], read + 1):
            if later.f != "r" and later.key == mop.key:
                yield read, write
                break


def _whose(witness: WitnessHistory, updates: dict[int, WitnessMop]) -> str:
    """Return whose update was lost, where a read of the witness tells their order."""
    key = next(iter(updates.values())).key
    for read in (mop.value for each in witness.transactions for mop in each.mops if mop.key == key):
        if not isinstance(read, tuple):
            continue
        order = [each for value in read for each in updates if updates[each].value == value]
        if len(order) == len(updates):
            lost = " and ".join(f"T{each}" for each in order[:-1])
            return f"the update of {lost} was lost: T{order[-1]} wrote after it and had not read it"
    return "one of the updates was lost; this history does not tell which"


def _reads_of_others(witness: WitnessHistory) -> Iterator[WitnessEdge]:
    """Yield for each member of whom it read, once."""
    for target in witness.members:
        told: set[int] = set()
        for place, mop in enumerate(witness.transactions[target].mops):
            if mop.f != "r":
                continue
            for source, write, value in _written(witness, mop):
                if source == target or source in told:
                    continue
                told.add(source)
                verb = "appended" if isinstance(mop.value, tuple) else "wrote"
                yield WitnessEdge(
                    source=source,
                    target=target,
                    kind="wr",
                    why=(
                        f"T{source} < T{target} (wr): T{target} read key {mop.key} with {value}, "
                        f"which T{source} {verb}"
                    ),
                    key=mop.key,
                    source_mop=write,
                    target_mop=place,
                )


def _written(witness: WitnessHistory, read: WitnessMop) -> Iterator[tuple[int, int, int]]:
    """Yield who wrote what a read saw: transaction, place in it, value."""
    values = read.value if isinstance(read.value, tuple) else (read.value,)
    for source, transaction in enumerate(witness.transactions):
        for place, mop in enumerate(transaction.mops):
            is_write = mop.f != "r" and mop.key == read.key
            if is_write and isinstance(mop.value, int) and mop.value in values:
                yield source, place, mop.value
