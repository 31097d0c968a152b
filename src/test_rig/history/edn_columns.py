"""Large EDN files of the usual shape, straight into columns.

How to think of it: one pass over the bytes reads maps of the shape that Jepsen writes (numbers as
keys and values; whatever stands beside what is needed is skipped), and a second one puts each end
to its invocation. Both know nothing of mistakes: at anything that is not of that shape, or cannot
be, they give up, and the general parser, which is slow, reads the file and says what is wrong and
where. So what they accept is read as the general parser would read it. They are worth it compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from test_rig.history.columns import NEVER, History, Timescale, spread, starts
from test_rig.history.edn_scan import pair, scan

__all__ = ["columns_of_edn", "is_worth_it"]

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


def columns_of_edn(
    content: bytes,
    text_of: Callable[[bytes], str | None],
    compile_: Callable[[Callable[..., Any]], Callable[..., Any]] = compiled,
) -> History | None:
    """Return the transactions of a file, or None where it is not of the usual shape.

    Args:
        content: The file.
        text_of: Gives an error's text from its EDN.
        compile_: Makes kernels fast.
    """
    data = np.frombuffer(content, dtype=np.uint8)
    lists = content.count(b"[")
    # Elements stand apart by spaces or commas, or begin a list.
    apart = content.count(b" ") + content.count(b",") + content.count(b"\n")
    rooms = (content.count(b"{"), lists, apart + lists)
    scanned = compile_(scan)(data, *rooms)
    is_whole, kinds, processes, times, counts, errors, skipped, *columns = scanned
    f, key, value, lengths, elements = columns
    if not is_whole or not (kinds == 0).any() or not _are_edn(content, skipped, text_of):
        return None
    is_timed = bool((times[1:] >= times[:-1]).all() and times.any())
    moments = times if is_timed else np.arange(len(times), dtype=np.int64)
    numbers, who = np.unique(processes, return_inverse=True)
    paired = compile_(pair)(kinds, who.astype(np.int64), processes < 0, len(numbers))
    is_paired, sent, done = paired
    if not is_paired:
        return None
    is_done = done >= 0
    ends = np.where(is_done, done, sent)
    type_ = np.where(is_done, kinds[ends] - 1, 2).astype(np.uint8)
    source = np.where(is_done & (counts[ends] >= 0), ends, sent)
    if (counts[source] < 0).any():
        return None
    mop_start = starts(np.maximum(counts, 0))
    places = spread(mop_start[source], counts[source])
    is_known = np.repeat(type_ == 0, counts[source])
    f, value = f[places], value[places]
    is_hidden = (f >= 2) & ~is_known
    nil = np.iinfo(np.int64).min
    codes, strings = _names(processes[sent])
    error_codes = _errors(content, errors, np.where(is_done, done, -1), strings, text_of)
    if error_codes is None:
        return None
    nothing = np.full(len(sent), -1, dtype=np.int32)
    return History(
        type=type_,
        process=codes,
        start=moments[sent],
        end=np.where(type_ == 2, NEVER, moments[ends]),
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
        clock=Timescale.NS if is_timed else Timescale.PLACE,
    )


def _are_edn(content: bytes, spans: Any, text_of: Callable[[bytes], str | None]) -> bool:
    """Return whether each of these parts is one value."""
    try:
        for span in {content[begin:end] for begin, end in spans.tolist()}:
            text_of(span)
    except ValueError:
        return False
    return True


def _names(processes: Any) -> tuple[Any, list[str]]:
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
    text_of: Callable[[bytes], str | None],
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
