"""What a judge remembers of an anomaly becomes a history of its own, and its smallest part.

How to think of it: of the transactions in a judge's window those are taken that touch the keys of
the anomaly, with what they did to them. Values that none of them wrote are left out of what was
read, which makes no anomaly. The checker of histories judges the rest and says what is the
smallest part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from test_rig.checker import check, one_of_each, witness_of
from test_rig.errors import HistoryError, UsageError
from test_rig.history import History, HistoryBuilder, Mop, OpType
from test_rig.verdict import WitnessHistory
from test_rig.workload.dependencies import Txn, appended

__all__ = ["gathered"]

_Failed = Mapping[tuple[int, int], Txn]


def gathered(
    anomaly: str,
    members: Sequence[Txn],
    keys: Collection[int],
    *,
    txns: Sequence[Txn],
    failed: _Failed,
    is_lists: bool,
) -> Callable[[], WitnessHistory | None]:
    """Take what concerns some keys, and return what makes its smallest part that shows an anomaly.

    Args:
        anomaly: The flaw's name.
        members: The transactions that the judge named.
        keys: What it is about.
        txns: What was committed, or may have been.
        failed: Keys and elements whose write failed, with their transactions.
        is_lists: Whether a read has a list; else it has a value, as a list of one or none.
    """
    about = [txn for txn in txns if any(key in keys for _, key, _ in txn.mops)]
    refused = list({txn.number: txn for (key, _), txn in failed.items() if key in keys}.values())
    # What others saw may hide it: a key whose reads contradict each other has no order.
    readers = {id(txn) for txn in _longest_readers(about, keys)} | {id(txn) for txn in members}
    few = [txn for txn in about if id(txn) in readers]

    def smallest() -> WitnessHistory | None:
        for part in (few, about):
            history = _history(part, refused, keys, is_lists=is_lists)
            # The checker's names have no blanks.
            name = anomaly.replace(" ", "-")
            try:
                seen = [each for each in one_of_each(check(history).seen) if each.anomaly == name]
            except (HistoryError, UsageError):
                return None  # what the checker does not judge is told in words alone
            if seen:
                return witness_of(history, seen[0])
        return None

    return smallest


def _longest_readers(about: Iterable[Txn], keys: Collection[int]) -> Iterator[Txn]:
    """Yield who tells most of the order of each key."""
    lengths = dict.fromkeys(keys, 0)
    best: dict[int, Txn] = {}
    for txn in about:
        for f, key, value in txn.mops:
            if f != "r" or key not in keys or value is None or isinstance(value, int):
                continue
            if len(value) > lengths[key]:
                lengths[key], best[key] = len(value), txn
    yield from best.values()


def _history(
    about: Iterable[Txn], refused: Iterable[Txn], keys: Collection[int], *, is_lists: bool
) -> History:
    sure = [(txn, OpType.INFO if txn.is_unsure else OpType.OK) for txn in about]
    every = [*sure, *((txn, OpType.FAIL) for txn in refused)]
    every.sort(key=lambda each: each[0].number)
    written = {
        (key, value)
        for txn, _ in every
        for key, values in appended(txn).items()
        for value in values
    }
    builder = HistoryBuilder()
    part = _of_list if is_lists else _of_register
    for txn, kind in every:
        mops = [each for mop in txn.mops if mop[1] in keys for each in part(mop, written)]
        builder.record(str(txn.process), kind, mops, start=txn.start_ns, end=txn.end_ns)
    return builder.history()


def _of_list(mop: Mop, written: set[tuple[int, int]]) -> Iterator[Mop]:
    """Yield a micro-operation without the values that nobody wrote here."""
    f, key, value = mop
    if f != "r" or value is None or isinstance(value, int):
        yield mop
    else:
        yield (f, key, [each for each in value if (key, each) in written])


def _of_register(mop: Mop, written: set[tuple[int, int]]) -> Iterator[Mop]:
    """Yield a micro-operation as histories have it, no read of what nobody wrote here."""
    f, key, value = mop
    if f != "r" or value is None or isinstance(value, int):
        yield mop
    elif not value:
        yield (f, key, None)
    elif (key, value[0]) in written:
        yield (f, key, value[0])
