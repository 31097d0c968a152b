"""The loop over the bytes of a file of Plume's form; it can be compiled."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["scan_events"]


def scan_events(data: Any, room: int) -> Any:
    """Read events; the first result says whether all were of the usual shape.

    Returns:
        That; the f of each event as in `History`, and its key, value, session and transaction.
    """
    f = np.empty(room, dtype=np.uint8)
    numbers = np.empty((4, room), dtype=np.int64)
    size = len(data)
    events = 0
    at = 0
    is_whole = True
    while is_whole:
        while at < size and (data[at] == 10 or data[at] == 13 or data[at] == 32):
            at += 1
        if at == size:
            break
        letter = data[at]
        if events == room or at + 1 >= size or data[at + 1] != 40:
            is_whole = False
            break
        if letter == 119:
            f[events] = 1
        elif letter == 114:
            f[events] = 2
        else:
            is_whole = False
            break
        at += 2
        for part in range(4):
            while at < size and data[at] == 32:
                at += 1
            is_minus = at < size and data[at] == 45
            if is_minus:
                at += 1
            begin = at
            number = 0
            while at < size and 48 <= data[at] <= 57:
                number = number * 10 + (int(data[at]) - 48)
                at += 1
            length = at - begin
            # A number has one spelling, else two might name the same session.
            if not 0 < length <= 18 or (data[begin] == 48 and (length > 1 or is_minus)):
                is_whole = False
                break
            numbers[part, events] = -number if is_minus else number
            while at < size and data[at] == 32:
                at += 1
            if at >= size or data[at] != (41 if part == 3 else 44):
                is_whole = False
                break
            at += 1
        # One event a line.
        while at < size and data[at] == 32:
            at += 1
        if at < size and data[at] != 10 and data[at] != 13:
            is_whole = False
        events += 1
    return (
        is_whole,
        f[:events],
        numbers[0, :events],
        numbers[1, :events],
        numbers[2, :events],
        numbers[3, :events],
    )
