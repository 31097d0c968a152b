"""Has the checker's loops ready before anybody works beside it.

How to think of it: the first judgement of a large history loads the compiled loops, or compiles
them where no installation has yet; that takes processor time which the clients would miss, so that
the rate of the first seconds would be too low. A history that is large and shows a cycle is judged
before: once in a process. From then on the same loops serve for small histories too.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from test_rig.checker import check, prepare
from test_rig.history import (
    APPEND,
    NIL,
    READ,
    READ_LIST,
    WRITE,
    History,
    HistoryBuilder,
    OpType,
    Timescale,
    joined,
)

__all__ = ["make_ready"]

#: More than what is judged without compiled loops.
_MANY = 70_000


@cache
def make_ready(model: str) -> None:
    """Judge something large of that model."""
    is_list = model == "list-append"
    builder = HistoryBuilder()
    write, nothing = ("append", ()) if is_list else ("w", None)
    builder.record("a", OpType.OK, [("r", -1, nothing), (write, -2, 1)], start=0, end=9)
    builder.record("b", OpType.OK, [("r", -2, nothing), (write, -1, 1)], start=0, end=9)
    last = [("r", key, (1,) if is_list else 1) for key in (-1, -2)]
    builder.record("a", OpType.OK, last, start=10, end=19)
    large = joined([builder.history(), _many(is_list=is_list)])
    prepare(large, model=model)
    check(large, model=model)


def _many(*, is_list: bool) -> History:
    """Return many transactions one after the other, each of a key of its own."""
    place = np.arange(_MANY, dtype=np.int64)
    none = np.full(_MANY, -1, dtype=np.int32)
    is_read = np.arange(2 * _MANY) % 2 == 1
    in_list = is_read & is_list
    return History(
        type=np.zeros(_MANY, dtype=np.uint8),
        process=np.zeros(_MANY, dtype=np.int32),
        start=100 + 10 * place,
        end=109 + 10 * place,
        level=none,
        error_class=none,
        error_code=none,
        sql=none,
        mop_start=np.arange(0, 2 * _MANY + 1, 2, dtype=np.int64),
        f=np.where(is_read, READ_LIST if is_list else READ, APPEND if is_list else WRITE).astype(
            np.uint8
        ),
        key=np.repeat(place, 2),
        value=np.where(in_list, NIL, 1),
        element_start=np.where(in_list, np.arange(2 * _MANY) // 2, 0),
        element_count=in_list.astype(np.int32),
        element=np.ones(_MANY if is_list else 0, dtype=np.int64),
        strings=("a", "b"),
        clock=Timescale.NS,
    )
