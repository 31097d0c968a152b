"""Large files of operations of the usual shape, straight into columns.

How to think of it: one pass over the bytes reads maps of the shape that Jepsen writes (numbers as
keys and values; whatever stands beside what is needed is skipped), and a second one puts each end
to its invocation. JSON lines are made EDN of the same length before. The passes know nothing of
mistakes: at anything that is not of that shape, or cannot be, they give up, and the general parser,
which is slow, reads the file and says what is wrong and where. So what they accept is read as the
general parser would read it. They are worth it compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from test_rig.history.columns import NEVER, History, Timescale, spread, starts
from test_rig.history.edn_scan import pair, scan
from test_rig.history.jsonl_scan import transcribe
from test_rig.history.op_order import op_order, same_indexes

__all__ = ["columns_of_edn", "columns_of_jsonl", "compiled", "is_worth_it", "names"]

#: Gives a text from a part of the file; raises ValueError where it is none.
TextOf: TypeAlias = Callable[[bytes], str | None]
#: Makes a kernel fast.
Compile: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]

#: So many bytes take the general parser about as long as compiled code takes to be loaded.
_LARGE = 1_000_000


def is_worth_it(size: int) -> bool:
    """Return whether a file of so many bytes is to be tried, and can be."""
    if size < _LARGE:
        return False
    try:
        import numba  # noqa: F401 - it is asked whether it is there
    except ImportError:
        return False
    return True


@cache
def compiled(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Return a kernel compiled."""
    from numba import njit

    try:
        made: Callable[..., Any] = njit(cache=True, nogil=True)(kernel)
    except RuntimeError:  # no folder can be written: it is compiled in every process
        made = njit(nogil=True)(kernel)
    return made


def columns_of_edn(content: bytes, text_of: TextOf, compile_: Compile = compiled) -> History | None:
    """Return the transactions of a file, or None where it is not of the usual shape.

    Args:
        content: The file.
        text_of: Gives an error's text from its EDN.
        compile_: Makes kernels fast.
    """
    data = np.frombuffer(content, dtype=np.uint8)
    return _columns(content, data, text_of, compile_, is_checked=False)


def columns_of_jsonl(
    content: bytes, text_of: TextOf, compile_: Compile = compiled
) -> History | None:
    """Return the transactions of a file of JSON lines, or None where it is not of the usual shape.

    Args:
        content: The file.
        text_of: Gives an error's text from its JSON.
        compile_: Makes kernels fast.
    """
    try:
        content.isascii() or content.decode()
    except UnicodeDecodeError:
        return None
    is_json, data = compile_(transcribe)(np.frombuffer(content, dtype=np.uint8))
    if not is_json:
        return None
    data.setflags(write=False)  # as EDN's bytes are: the scanner is compiled once for both
    return _columns(content, data, lambda span: text_of(_closed(span)), compile_, is_checked=True)


def _closed(span: bytes) -> bytes:
    """Return a part of JSON as it stood before EDN's spaces ended it one byte too early."""
    if span == b"nul":
        return b"null"
    return span + b'"' if span.count(b'"') == 1 else span


def _columns(
    content: bytes, data: Any, text_of: TextOf, compile_: Compile, *, is_checked: bool
) -> History | None:
    """Return the transactions of EDN whose parts stand in `content` at the same places."""
    lists = content.count(b"[")
    # Elements stand apart by spaces or commas, or begin a list.
    apart = content.count(b" ") + content.count(b",") + content.count(b"\n")
    rooms = (content.count(b"{"), lists, apart + lists)
    scanned = compile_(scan)(data, *rooms)
    is_whole, kinds, processes, times, indexes, counts, errors, skipped, *columns = scanned
    f, key, value, lengths, elements = columns
    if not is_whole or not (is_checked or _are_edn(content, skipped, text_of)):
        return None
    ordered = _ordered(processes, indexes, times)
    if ordered is None:
        return None
    order, is_timed = ordered
    mop_start = starts(np.maximum(counts, 0))
    ends_only = not (kinds == 0).any()
    if ends_only:
        paired = _ends(order, kinds, processes)
    else:
        paired = _paired(order, kinds, processes, (counts, mop_start, f, key, value), compile_)
    if paired is None:
        return None
    sent, done = paired
    is_done = done >= 0
    ends = np.where(is_done, done, sent)
    type_ = np.where(is_done, kinds[ends] - 1, 2).astype(np.uint8)
    source = np.where(is_done & (counts[ends] >= 0), ends, sent)
    if (counts[source] < 0).any():
        return None
    if ends_only:
        start, end, clock = _of_sessions(len(ends))
    elif is_timed:
        start, end, clock = times[sent], times[ends], Timescale.NS
    else:
        places = np.empty(len(kinds), dtype=np.int64)
        places[order] = np.arange(len(order), dtype=np.int64)
        start, end, clock = places[sent], places[ends], Timescale.PLACE
    places = spread(mop_start[source], counts[source])
    is_known = np.repeat(type_ == 0, counts[source])
    f, value = f[places], value[places]
    is_silent = (type_ == 0) & (counts[ends] < 0)
    if is_silent.any() and (f[np.repeat(is_silent, counts[source])] >= 2).any():
        return None
    is_hidden = (f >= 2) & ~is_known
    nil = np.iinfo(np.int64).min
    codes, strings = names(processes[sent])
    error_codes = _errors(content, errors, np.where(is_done, done, -1), strings, text_of)
    if error_codes is None:
        return None
    nothing = np.full(len(sent), -1, dtype=np.int32)
    return History(
        type=type_,
        process=codes,
        start=start,
        end=np.where(type_ == 2, NEVER, end),
        level=nothing,
        error_class=error_codes,
        error_code=nothing,
        sql=nothing,
        mop_start=starts(counts[source]),
        f=np.where(is_hidden, 2, f).astype(np.uint8),
        key=key[places],
        value=np.where(is_hidden, nil, value),
        element_start=starts(lengths)[places],
        element_count=np.where(is_hidden, 0, lengths[places]).astype(np.int32),
        element=elements,
        strings=tuple(strings),
        clock=clock,
    )


def _ordered(processes: Any, indexes: Any, times: Any) -> tuple[Any, bool] | None:
    """Return the operations of sessions, as they follow each other, and whether times say so."""
    order = np.flatnonzero(processes >= 0)
    has_remarks = len(order) < len(processes)
    if has_remarks:
        indexes, times = indexes[order], times[order]
    if same_indexes(indexes):
        return None
    found = op_order(indexes, times)
    return order if found.places is None else order[found.places], found.is_timed


def _paired(
    order: Any, kinds: Any, processes: Any, mops: tuple[Any, ...], compile_: Compile
) -> tuple[Any, Any] | None:
    """Return for each transaction its invocation and its end, -1 for none."""
    numbers, who = np.unique(processes, return_inverse=True)
    is_paired, sent, done = compile_(pair)(order, kinds, who.astype(np.int64), len(numbers), mops)
    return (sent, done) if is_paired else None


def _ends(ends: Any, kinds: Any, processes: Any) -> tuple[Any, Any] | None:
    """Return the same of operations that are ends alone: each one is a transaction."""
    order = ends[np.argsort(processes[ends], kind="stable")]
    goes_on = processes[order[1:]] == processes[order[:-1]]
    if not len(ends) or (goes_on & (kinds[order[:-1]] == 3)).any():
        return None
    return ends, ends


def _of_sessions(count: int) -> tuple[Any, Any, Timescale]:
    """Return the moments of transactions of which nothing is known but who did what before."""
    places = 2 * np.arange(count, dtype=np.int64)
    return places, places + 1, Timescale.SESSION


def _are_edn(content: bytes, spans: Any, text_of: TextOf) -> bool:
    """Return whether each of these parts is one value."""
    try:
        for span in {content[begin:end] for begin, end in spans.tolist()}:
            text_of(span)
    except ValueError:
        return False
    return True


def names(processes: Any) -> tuple[Any, list[str]]:
    """Return codes of processes, and their names in the order in which they appear."""
    found, first, inverse = np.unique(processes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(found), dtype=np.int32)
    rank[order] = np.arange(len(found), dtype=np.int32)
    return rank[inverse], [str(each) for each in found[order].tolist()]


def _errors(
    content: bytes,
    errors: Any,
    done: Any,
    strings: list[str],
    text_of: TextOf,
) -> Any:
    """Return the code of each transaction's error; its text is added to the strings."""
    codes = np.full(len(done), -1, dtype=np.int32)
    texts: dict[bytes, str | None] = {}
    known = {text: code for code, text in enumerate(strings)}
    begins = np.where(done >= 0, errors[done, 0], -1)
    for place in np.flatnonzero(begins >= 0).tolist():
        span = content[errors[done[place], 0] : errors[done[place], 1]]
        if span not in texts:
            try:
                texts[span] = text_of(span)
            except ValueError:
                return None
        text = texts[span]
        if text is not None:
            codes[place] = known.setdefault(text, len(known))
    strings[:] = known
    return codes
