"""The loop over the bytes of dbcop's JSON; it can be compiled.

How to think of it: JSON's tokens drive a machine of states, which knows the one order of names in
which dbcop writes them. At anything else it gives up.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["NEXT", "WORDS", "scan_sessions"]

#: The names, each of another length: 4 to 9 letters.
_NAMES = ("Read", "Write", "events", "version", "variable", "committed")
WORDS = np.array([[ord(letter) for letter in name.ljust(9)] for name in _NAMES], dtype=np.uint8)

#: Tokens: names by their length from 0 on, and these.
_TOKENS = {name: place for place, name in enumerate((*_NAMES, *"[]{},:", "n", "null", "t", "f"))}
#: From a state with a token to another state. 0 is the beginning, 1 the end.
# fmt: off
_EDGES = (
    "0 [ 2", "2 [ 4", "2 ] 1", "3 , 27", "3 ] 1", "27 [ 4", "4 { 6", "4 ] 3", "5 , 28", "5 ] 3",
    "28 { 6", "6 events 7", "7 : 8", "8 [ 9", "9 { 11", "9 ] 23", "10 , 29", "10 ] 23", "29 { 11",
    "11 Read 12", "11 Write 12", "12 : 13", "13 { 14", "14 variable 15", "15 : 16", "16 n 17",
    "17 , 18", "18 version 19", "19 : 20", "20 n 21", "20 null 21", "21 } 22", "22 } 10",
    "23 , 24", "24 committed 25", "25 : 26", "26 t 30", "26 f 30", "30 } 5",
)
# fmt: on
NEXT = np.full((31, len(_TOKENS)), -1, dtype=np.int8)
for _state, _token, _to in map(str.split, _EDGES):
    NEXT[int(_state), _TOKENS[_token]] = int(_to)


def scan_sessions(
    data: Any, at: int, following: Any, words: Any, transaction_room: int, event_room: int
) -> Any:
    """Read sessions from a place on.

    Args:
        data: The bytes.
        at: Where the array of sessions begins.
        following: NEXT.
        words: WORDS.
        transaction_room: At least as many as there are transactions and sessions.
        event_room: At least as many as there are events.

    Returns:
        Where the array ends, or -1; how many transactions each session has; of each one whether it
        is committed, and how many events it has; the f of each event as in `History`, and its key
        and value.
    """
    nil = -9223372036854775807 - 1
    size = len(data)
    sessions = np.zeros(transaction_room + 1, dtype=np.int64)
    committed = np.zeros(transaction_room, dtype=np.bool_)
    counts = np.zeros(transaction_room, dtype=np.int64)
    f = np.empty(event_room, dtype=np.uint8)
    key = np.empty(event_room, dtype=np.int64)
    value = np.empty(event_room, dtype=np.int64)
    session, transaction, event = -1, -1, -1
    state = 0
    while state != 1:
        while at < size and (data[at] == 32 or 9 <= data[at] <= 10 or data[at] == 13):
            at += 1
        if at >= size:
            state = -1
            break
        letter = data[at]
        token = -1
        number = 0
        if letter == 34:
            begin = at + 1
            at += 1
            while at < size and data[at] != 34 and at - begin < 10:
                at += 1
            length = at - begin
            if 4 <= length <= 9 and at < size:
                token = length - 4
                for place in range(length):
                    if data[begin + place] != words[token, place]:
                        token = -1
                        break
            at += 1
        elif letter == 45 or 48 <= letter <= 57:
            if letter == 45:
                at += 1
            begin = at
            while at < size and 48 <= data[at] <= 57:
                number = number * 10 + (int(data[at]) - 48)
                at += 1
            length = at - begin
            if 0 < length <= 18 and (length == 1 or data[begin] != 48):
                token = 12
            if letter == 45:
                number = -number
        else:
            at += 1
            if letter == 91:
                token = 6
            elif letter == 93:
                token = 7
            elif letter == 123:
                token = 8
            elif letter == 125:
                token = 9
            elif letter == 44:
                token = 10
            elif letter == 58:
                token = 11
            elif at + 3 <= size and letter == 110:
                if data[at] == 117 and data[at + 1] == 108 and data[at + 2] == 108:
                    token = 13
                    at += 3
            elif at + 3 <= size and letter == 116:
                if data[at] == 114 and data[at + 1] == 117 and data[at + 2] == 101:
                    token = 14
                    at += 3
            elif (
                at + 4 <= size
                and letter == 102
                and data[at] == 97
                and data[at + 1] == 108
                and data[at + 2] == 115
                and data[at + 3] == 101
            ):
                token = 15
                at += 4
        state = following[state, token] if token >= 0 else -1
        if state < 0:
            break
        if state == 4:
            session += 1
        elif state == 6:
            transaction += 1
            sessions[session] += 1
        elif state == 11:
            event += 1
            counts[transaction] += 1
        elif state == 12:
            f[event] = 2 if token == 0 else 1
        elif state == 17:
            key[event] = number
        elif state == 21:
            value[event] = nil if token == 13 else number
            if token == 13 and f[event] == 1:
                state = -1
                break
        elif state == 30:
            committed[transaction] = token == 14
    return (
        at if state == 1 else -1,
        sessions[: session + 1],
        committed[: transaction + 1],
        counts[: transaction + 1],
        f[: event + 1],
        key[: event + 1],
        value[: event + 1],
    )
