"""A judge of small histories of lists that tries everything: what the checker is compared with.

It shares no line with the checker: edges are pairs of transactions by definition, real time is
every pair, and cycles are found by walking all of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise, product

from test_rig.history import APPEND, FAIL, OK, History

__all__ = ["Lengths", "Pairs", "anomalies", "cycles", "shortest"]

NAMES = ("G0", "G1c", "G-single", "G-nonadjacent", "G2-item")
Pairs = dict[tuple[int, int], set[str]]
#: Anomaly and the smallest transaction of its component -> transactions of its shortest cycle.
Lengths = dict[tuple[str, int], int]


def _reads(history: History) -> Iterator[tuple[int, int, int, tuple[int, ...]]]:
    for number in range(len(history)):
        if history.type[number] == OK:
            for mop in history.mops(number):
                if history.f[mop] != APPEND:
                    yield number, mop, int(history.key[mop]), history.elements(mop)


def _writers(history: History) -> dict[tuple[int, int], tuple[int, int]]:
    """Return transaction and micro-operation by key and value."""
    return {
        (int(history.key[mop]), int(history.value[mop])): (number, mop)
        for number in range(len(history))
        for mop in history.mops(number)
        if history.f[mop] == APPEND
    }


def anomalies(history: History) -> set[tuple[str, int]]:
    """Return the anomalies that are no cycles, each with a transaction that saw it."""
    writers, found = _writers(history), set[tuple[str, int]]()
    updates: dict[tuple[int, tuple[int, ...]], set[int]] = defaultdict(set)
    alive: dict[tuple[int, int], tuple[int, ...]] = {}
    for reader, read, key, seen in _reads(history):
        before = [mop for mop in history.mops(reader) if mop < read and history.key[mop] == key]
        reads = [mop for mop in before if history.f[mop] != APPEND]
        own = [
            int(history.value[m])
            for m in before
            if history.f[m] == APPEND and m > max(reads, default=-1)
        ]
        mine = [v for v in seen if writers.get((key, v), (-1, -1))[0] == reader]
        expected = (*history.elements(reads[-1]), *own) if reads else None
        if (
            (expected is not None and seen != expected)
            or list(seen[len(seen) - len(own) :]) != own
            or any(writers[key, value][1] > read for value in mine)
        ):
            found.add(("internal", reader))
        known = [writers[key, value] for value in seen if (key, value) in writers]
        if len(set(known)) < len(known):
            found.add(("duplicate-elements", reader))
        if len(known) < len(seen):
            found.add(("garbage-read", reader))
        types = [history.type[number] for number, _ in known]
        if FAIL in types:
            found.add(("G1a", reader))
        for place, (number, _) in enumerate(known):
            later = [each for each, _ in known[place + 1 :] if history.type[each] == OK]
            if history.type[number] == FAIL and later:
                found.add(("dirty-update", later[0]))
        if seen and (key, seen[-1]) in writers:
            writer, at = writers[key, seen[-1]]
            more = [m for m in history.mops(writer) if m > at and history.f[m] == APPEND]
            if writer != reader and any(history.key[m] == key for m in more):
                found.add(("G1b", reader))
        alive[reader, read] = tuple(
            v for v in seen if history.type[writers.get((key, v), (reader, 0))[0]] != FAIL
        )
        after = [m for m in history.mops(reader) if m > read and history.f[m] == APPEND]
        if not before and any(history.key[m] == key for m in after):
            updates[key, alive[reader, read]].add(reader)
    unsound = {
        key
        for _, _, key, seen in _reads(history)
        if len(set(seen)) < len(seen) or any((key, value) not in writers for value in seen)
    }
    for one, each, key, _ in _reads(history):
        for two, other, other_key, _ in _reads(history):
            first, second = alive[one, each], alive[two, other]
            if (
                key == other_key
                and first != second[: len(first)]
                and second != first[: len(second)]
            ):
                found |= {("incompatible-order", one), ("incompatible-order", two)}
                unsound.add(key)
    for reader, read, key, _ in _reads(history):
        seen = alive[reader, read]
        for number in range(len(history)) if key not in unsound else ():
            own = [
                int(history.value[mop])
                for mop in history.mops(number)
                if history.f[mop] == APPEND and history.key[mop] == key
            ]
            places = [seen.index(value) if value in seen else len(seen) for value in own]
            if history.type[number] != FAIL and places != sorted(places):
                found.add(("incompatible-order", reader))
    return found | {
        ("lost-update", each) for group in updates.values() if len(group) > 1 for each in group
    }


def _data(history: History) -> tuple[Pairs, set[int]]:
    """Return ww, wr and rw, for a history whose reads all begin one list, and who counts."""
    writers, pairs = _writers(history), Pairs()
    longest: dict[int, tuple[int, ...]] = {}
    counts = {number for number in range(len(history)) if history.type[number] == OK}
    for _, _, key, seen in _reads(history):
        longest[key] = max(longest.get(key, ()), seen, key=len)
        counts |= {writers[key, value][0] for value in seen}

    def add(before: int, after: int, kind: str) -> None:
        if before != after:
            pairs.setdefault((before, after), set()).add(kind)

    keys = {key for key, _ in writers}
    unread = {
        key: [
            number
            for (other, value), (number, _) in writers.items()
            if other == key and value not in longest.get(key, ()) and number in counts
        ]
        for key in keys
    }
    for key, order in longest.items():
        who = [writers[key, value][0] for value in order]
        for before, after in pairwise(who):
            add(before, after, "ww")
        for after in unread.get(key, ()) if who else ():
            add(who[-1], after, "ww")
    for reader, _, key, seen in _reads(history):
        foreign = [n for n in (writers[key, value][0] for value in seen) if n != reader]
        if foreign:
            add(foreign[-1], reader, "wr")
        # Of a version that it saw in part it missed nothing: a version is what its writer left.
        last = writers[key, seen[-1]][0] if seen else reader
        rest = [writers[key, value][0] for value in longest[key][len(seen) :]]
        while last != reader and rest and rest[0] == last:
            rest.pop(0)
        for after in rest[:1] or unread.get(key, ()):
            if after != last:
                add(reader, after, "rw")
    return pairs, counts


def cycles(history: History) -> Lengths:
    """Return the length of the shortest cycle of each class in each component.

    G-nonadjacent is left out where the component has something worse, and so is what has an order
    where it has something as bad without one.
    """
    data, counts = _data(history)
    process, realtime = Pairs(), Pairs()
    for one, two in product(sorted(counts), repeat=2):
        if history.type[one] != OK or one == two:
            continue
        if history.end[one] < history.start[two]:
            realtime[one, two] = {"realtime"}
        same = [n for n in sorted(counts) if history.process[n] == history.process[one]]
        same.sort(key=lambda n: history.start[n])
        if (one, two) in pairwise(same):
            process[one, two] = {"process"}
    return shortest(data, process, realtime, len(history))


def shortest(data: Pairs, process: Pairs, realtime: Pairs, count: int) -> Lengths:
    """Return the length of the shortest cycle of each class, by walking all of them."""
    found: Lengths = {}
    told: list[tuple[int, int]] = []
    for suffix, parts in (
        ("", [data]),
        ("-process", [data, process]),
        ("-realtime", [data, process, realtime]),
    ):
        kinds = Pairs()
        for part in parts:
            for pair, names in part.items():
                kinds.setdefault(pair, set()).update(names)
        lengths: dict[tuple[int, int], int] = {}
        component = _components(kinds)
        for walk in _walks(kinds, count):
            pairs = list(zip(walk, [*walk[1:], walk[0]], strict=True))
            for chosen in product(*(sorted(kinds[pair]) for pair in pairs)):
                if suffix and not {"process", "realtime"} & set(chosen):
                    continue
                what = (_class(chosen), component[walk[0]])
                lengths[what] = min(len(walk), lengths.get(what, 99))
        worst = {
            group: min((rank for rank, node in told if component.get(node) == group), default=9)
            for group in set(component.values())
        }
        for (rank, group), length in sorted(lengths.items()):
            if suffix and rank >= worst[group]:
                continue
            if rank == 3 and any((each, group) in lengths for each in range(3)):
                continue
            found[NAMES[rank] + suffix, group] = length
        told += [(rank, group) for (rank, group) in lengths if not suffix or rank < worst[group]]
    return found


def _components(pairs: Pairs) -> dict[int, int]:
    reach = {node: {node} for pair in pairs for node in pair}
    for _ in reach:
        for before, after in pairs:
            reach[before] |= reach[after]
    return {node: min(other for other in reach[node] if node in reach[other]) for node in reach}


def _walks(pairs: Pairs, count: int) -> Iterator[list[int]]:
    """Yield every cycle once, from its smallest node."""
    after: dict[int, list[int]] = defaultdict(list)
    for before, to in pairs:
        after[before].append(to)

    def extended(walk: list[int]) -> Iterator[list[int]]:
        for to in after[walk[-1]]:
            if to == walk[0] and len(walk) > 1:
                yield walk
            elif to > walk[0] and to not in walk:
                yield from extended([*walk, to])

    for first in range(count):
        yield from extended([first])


def _class(kinds: tuple[str, ...]) -> int:
    anti = [kind == "rw" for kind in kinds]
    if not any(anti):
        return 1 if "wr" in kinds else 0
    if sum(anti) == 1:
        return 2
    is_adjacent = any(a and b for a, b in zip(anti, [*anti[1:], anti[0]], strict=True))
    return 4 if is_adjacent else 3
