"""An order of steps that should bring the anomaly of a witness about again.

How to think of it: what was read says what has to come first. A read that saw a value comes after
its write, and after the writer's COMMIT where that can be; one that did not see it comes before it,
or at least before its COMMIT.
Who writes later comes after the first one's COMMIT, since writers may wait for each other. A
transaction of the same session, or one that began after the other's end, comes after it. These
demands are made one after the other, the certain ones first, and one that contradicts the others is
left out: some order always comes out. Where nothing is demanded the order is that of time, with a
transaction's steps spread evenly over its duration.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations, pairwise
from math import inf
from typing import NamedTuple

from test_rig.verdict import WitnessHistory, WitnessStep

__all__ = ["by_search", "witness_steps"]

#: Larger numbers do not fit the tables' columns.
_LARGEST = 2**31 - 1
#: A step by its transaction and its place in it.
_At = tuple[int, int]


class _Wanted(NamedTuple):
    """What has to come before what; or else the next of these, if that cannot be."""

    options: tuple[tuple[_At, _At], ...]
    is_certain: bool = True


def witness_steps(
    witness: WitnessHistory, *, shows_uncommitted: bool = False
) -> tuple[WitnessStep, ...]:
    """Return the steps of a witness in an order that should show it again.

    Args:
        witness: The witness.
        shows_uncommitted: Whether the level lets others see what is not committed; then a read
            that missed a write must come before it, and not only before its COMMIT.
    """
    scripts = _scripts(witness)
    ends = [len(script) - 1 for script in scripts]
    common = [*_demanded(witness, ends)]
    # Where all that was read was committed before its reader began, snapshots show it too.
    demands, is_whole, is_strict = _arranged(scripts, [*_of_snapshots(witness, ends), *common])
    if not is_whole or (shows_uncommitted and not is_strict):
        demands, _, _ = _arranged(scripts, common)
    times = _times(witness, scripts)
    return tuple(scripts[txn][step] for txn, step in demands.order(times))


def by_search(steps: Sequence[WitnessStep]) -> tuple[WitnessStep, ...]:
    """Return steps of registers as steps of rows that are searched for.

    Two registers, of an even number and the one after it, are the rows of a group that may be
    there. Who reads both searches the group, once, and who writes one inserts that row.
    """
    found: list[WitnessStep] = []
    searched: set[tuple[int, int]] = set()
    for step in steps:
        if step.key is None:
            found.append(step)
            continue
        group, row = divmod(step.key, 2)
        if step.do == "write":
            found.append(replace(step, do="insert", key=group, element=row))
        elif (step.txn, group) not in searched:
            searched.add((step.txn, group))
            found.append(replace(step, do="search", key=group))
    return tuple(found)


def _arranged(
    scripts: Sequence[Sequence[WitnessStep]], wanted: Iterable[_Wanted]
) -> tuple[_Demands, bool, bool]:
    """Return what can be had of the demands; whether of all certain ones, and at first choice."""
    demands = _Demands(scripts)
    is_whole = is_strict = True
    for each in wanted:
        chosen = next(
            (n for n, (before, after) in enumerate(each.options) if demands.add(before, after)),
            None,
        )
        if each.is_certain:
            is_whole, is_strict = is_whole and chosen is not None, is_strict and chosen == 0
    return demands, is_whole, is_strict


def _of_snapshots(witness: WitnessHistory, ends: Sequence[int]) -> Iterator[_Wanted]:
    """Yield each writer's end before the beginning of who read what it wrote."""
    writes = _writes(witness)
    for place, each in enumerate(witness.transactions):
        for mop in each.mops:
            seen = mop.value if isinstance(mop.value, tuple) else (mop.value,)
            if mop.f != "r" or each.type != "ok":
                continue
            for value in seen:
                writer = writes.get(mop.key, {}).get(value) if value is not None else None
                if writer is not None and writer[0] != place:
                    yield _Wanted((((writer[0], ends[writer[0]]), (place, 0)),))


def _scripts(witness: WitnessHistory) -> list[list[WitnessStep]]:
    keys = _numbers(mop.key for each in witness.transactions for mop in each.mops)
    values = _numbers(
        mop.value for each in witness.transactions for mop in each.mops if mop.f != "r"
    )
    sessions = {
        process: f"S{number}"
        for number, process in enumerate(dict.fromkeys(t.process for t in witness.transactions))
    }
    scripts = []
    for place, each in enumerate(witness.transactions):
        session = sessions[each.process]
        steps = [WitnessStep(txn=place, session=session, do="begin")]
        for mop in each.mops:
            element = values[mop.value] if mop.f != "r" else None
            do = {"append": "append", "w": "write"}.get(mop.f, "read")
            steps.append(
                WitnessStep(txn=place, session=session, do=do, key=keys[mop.key], element=element)
            )
        end = "rollback" if each.type == "fail" else "commit"
        scripts.append([*steps, WitnessStep(txn=place, session=session, do=end)])
    return scripts


def _numbers(found: Iterable[object]) -> Mapping[object, int]:
    """Return numbers that fit the tables: themselves, or else their places in order of sight."""
    distinct = list(dict.fromkeys(found))
    if all(isinstance(each, int) and 0 <= each <= _LARGEST for each in distinct):
        return {each: each for each in distinct if isinstance(each, int)}
    return {each: number for number, each in enumerate(distinct, 1)}


def _demanded(witness: WitnessHistory, ends: Sequence[int]) -> Iterator[_Wanted]:
    """Yield what has to come before what, the most certain first."""
    for edge in witness.edges:
        if edge.kind in ("process", "realtime"):
            yield _Wanted((((edge.source, ends[edge.source]), (edge.target, 0)),))
    # Sessions do one thing at a time.
    last: dict[str, int] = {}
    by_start = sorted(range(len(ends)), key=lambda n: (witness.transactions[n].start, n))
    for place in by_start:
        process = witness.transactions[place].process
        if process in last:
            yield _Wanted((((last[process], ends[last[process]]), (place, 0)),))
        last[process] = place
    later: list[_Wanted] = []
    writes = _writes(witness)
    for place, each in enumerate(witness.transactions):
        for number, mop in enumerate(each.mops, 1):
            if mop.f == "r" and each.type == "ok":
                for wanted in _of_read(witness, (place, number), writes, ends):
                    if wanted.is_certain:
                        yield wanted
                    else:
                        later.append(wanted)
    for edge in witness.edges:
        if edge.kind == "ww" and edge.source_mop is not None and edge.target_mop is not None:
            second = (edge.target, edge.target_mop + 1)
            yield _Wanted((((edge.source, edge.source_mop + 1), second),))
            later.append(_Wanted((((edge.source, ends[edge.source]), second),), is_certain=False))
    # Of a register the edges know more of the order than what was read.
    for edge in witness.edges:
        if edge.kind == "rw" and edge.source_mop is not None and edge.target_mop is not None:
            missed = (edge.target, edge.target_mop + 1)
            yield _unseen((edge.source, edge.source_mop + 1), missed, ends)
    yield from later
    yield from _one_writer_at_a_time(witness, ends)


def _one_writer_at_a_time(witness: WitnessHistory, ends: Sequence[int]) -> Iterator[_Wanted]:
    """Yield each writer's end before what those that ended later write: they might have to wait."""
    every = witness.transactions
    writers = [
        (each.end, place)
        for place, each in enumerate(every)
        if each.end is not None and any(mop.f != "r" for mop in each.mops)
    ]
    for (_, first), (_, second) in combinations(sorted(writers), 2):
        written = next(n for n, mop in enumerate(every[second].mops, 1) if mop.f != "r")
        yield _Wanted((((first, ends[first]), (second, written)),), is_certain=False)


#: Who wrote a key's value, in the order of the witness.
_Writes = Mapping[int | str, Mapping[int, _At]]


def _writes(witness: WitnessHistory) -> _Writes:
    found: dict[int | str, dict[int, _At]] = {}
    for place, each in enumerate(witness.transactions):
        for number, mop in enumerate(each.mops, 1):
            if mop.f != "r" and isinstance(mop.value, int):
                found.setdefault(mop.key, {})[mop.value] = (place, number)
    return found


def _of_read(
    witness: WitnessHistory, read: _At, writes: _Writes, ends: Sequence[int]
) -> Iterator[_Wanted]:
    """Yield what a read demands."""
    mop = witness.transactions[read[0]].mops[read[1] - 1]
    of_key = writes.get(mop.key, {})
    seen = mop.value if isinstance(mop.value, tuple) else () if mop.value is None else (mop.value,)

    def end_of(write: _At) -> _At:
        return (write[0], ends[write[0]])

    for writer in (of_key[value] for value in seen if value in of_key):
        if witness.transactions[writer[0]].type == "fail":
            # What is rolled back must still be there when it is read.
            yield _Wanted(((read, end_of(writer)),))
        yield _Wanted(((writer, read),))
        if writer[0] != read[0]:
            yield _Wanted(((end_of(writer), read),), is_certain=False)
    known = [of_key[value] for value in seen if value in of_key]
    for first, second in pairwise(known):
        if first[0] != second[0]:
            yield _Wanted(((first, second),))
            yield _Wanted(((end_of(first), second),), is_certain=False)
    for value, writer in of_key.items():
        if value in seen or writer[0] == read[0]:
            continue
        unseen = _unseen(read, writer, ends)
        if isinstance(mop.value, tuple) or mop.value is None:
            yield unseen
        elif mop.value in of_key and of_key[mop.value][0] == writer[0]:
            # An intermediate read: before the writer's next value, where that was seen.
            if writer[1] > of_key[mop.value][1]:
                yield _Wanted(unseen.options[:1])
        elif mop.value in of_key and _ended(witness, writer) > _ended(witness, of_key[mop.value]):
            # Of a register nobody tells the order of its values; the later one was not seen yet.
            yield unseen._replace(is_certain=False)


def _unseen(read: _At, write: _At, ends: Sequence[int]) -> _Wanted:
    """Return that a read missed a write.

    It came before the write; or while nobody saw it; or, of a snapshot, began there.
    """
    end = (write[0], ends[write[0]])
    return _Wanted(((read, write), (read, end), ((read[0], 1), end)))


def _ended(witness: WitnessHistory, at: _At) -> float:
    end = witness.transactions[at[0]].end
    return inf if end is None else end


def _times(witness: WitnessHistory, scripts: Sequence[Sequence[WitnessStep]]) -> Mapping[_At, int]:
    latest = max(
        (max(each.start, each.end or each.start) for each in witness.transactions), default=0
    )
    times: dict[_At, int] = {}
    for place, each in enumerate(witness.transactions):
        end = latest if each.end is None else each.end
        steps = len(scripts[place]) - 1
        for step in range(steps + 1):
            times[place, step] = each.start + (end - each.start) * step // max(steps, 1)
    return times


class _Demands:
    """Which step comes before which; never contradicts itself."""

    def __init__(self, scripts: Sequence[Sequence[WitnessStep]]) -> None:
        self._after: dict[_At, set[_At]] = {
            (txn, step): set() for txn, script in enumerate(scripts) for step in range(len(script))
        }
        for txn, step in list(self._after):
            if step:
                self._after[txn, step - 1].add((txn, step))

    def add(self, before: _At, after: _At) -> bool:
        """Demand an order, unless it contradicts what was demanded before; say whether."""
        waiting, reached = [after], {after}
        while waiting:
            for each in self._after[waiting.pop()] - reached:
                reached.add(each)
                waiting.append(each)
        if before in reached:
            return False
        self._after[before].add(after)
        return True

    def order(self, times: Mapping[_At, int]) -> list[_At]:
        """Return all steps in order, the earliest of those that may come next first."""
        missing = dict.fromkeys(self._after, 0)
        for followers in self._after.values():
            for each in followers:
                missing[each] += 1
        free = [(times[each], each) for each, count in missing.items() if not count]
        heapq.heapify(free)
        found: list[_At] = []
        while free:
            _, here = heapq.heappop(free)
            found.append(here)
            for each in self._after[here]:
                missing[each] -= 1
                if not missing[each]:
                    heapq.heappush(free, (times[each], each))
        return found
