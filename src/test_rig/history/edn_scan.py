"""The loops over the bytes of an EDN file of the usual shape; they can be compiled.

How to think of it: a machine over bytes, numbers as ASCII has them. It accepts less than EDN and
tells nothing of mistakes: `op_columns` says what happens then.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["pair", "scan"]


def scan(data: Any, op_room: int, mop_room: int, element_room: int) -> Any:
    """Read maps of operations; the first result says whether all was of the usual shape."""
    nil = -9223372036854775807 - 1
    size = len(data)
    kinds = np.empty(op_room, dtype=np.int8)
    processes = np.empty(op_room, dtype=np.int64)
    # -1 as UNTOLD.
    times = np.full(op_room, -1, dtype=np.int64)
    indexes = np.full(op_room, -1, dtype=np.int64)
    counts = np.full(op_room, -1, dtype=np.int64)
    errors = np.full((op_room + 1, 2), -1, dtype=np.int64)
    f = np.empty(mop_room, dtype=np.uint8)
    key = np.empty(mop_room, dtype=np.int64)
    value = np.empty(mop_room, dtype=np.int64)
    lengths = np.zeros(mop_room, dtype=np.int64)
    elements = np.empty(element_room, dtype=np.int64)
    # What is neither needed nor a plain word: whether it is EDN at all is looked at later.
    skipped = np.empty((4 * op_room + 1, 2), dtype=np.int64)
    ops, mops, some, skips = 0, 0, 0, 0
    at = 0
    is_whole = True
    while True:
        while at < size and (data[at] <= 32 or data[at] == 44):
            at += 1
        if at == size:
            break
        if data[at] == 35:  # a tag, such as #jepsen.history.Op
            at += 1
            if at < size and data[at] == 46:
                is_whole = False
                break
            while at < size and (97 <= data[at] <= 122 or 65 <= data[at] <= 90 or data[at] == 46):
                at += 1
        # A bare # makes a set.
        if at == size or data[at] != 123 or data[at - 1] == 35:
            is_whole = False
            break
        at += 1
        seen = 0  # 1: type, 2: process, 4: value, 8: time, 16: error, 32: index
        is_plain = True
        while is_whole:
            while at < size and (data[at] <= 32 or data[at] == 44):
                at += 1
            if at < size and data[at] == 125:
                at += 1
                break
            if at >= size or data[at] != 58:
                is_whole = False
                break
            name_at = at + 1
            at += 1
            while at < size and (97 <= data[at] <= 122 or data[at] == 45):
                at += 1
            length = at - name_at
            if at >= size or data[at] != 32 or length == 0:
                is_whole = False
                break
            while at < size and data[at] == 32:
                at += 1
            if at >= size:
                is_whole = False
                break
            first = data[name_at]
            what = 0
            if length == 4 and first == 116:
                third = data[name_at + 2]
                if data[name_at + 1] == 121 and third == 112 and data[name_at + 3] == 101:
                    what = 1
                elif data[name_at + 1] == 105 and third == 109 and data[name_at + 3] == 101:
                    what = 8
            elif length == 7 and first == 112:
                if data[name_at + 1] == 114 and data[name_at + 2] == 111:
                    what = 2
                    for place, letter in enumerate((99, 101, 115, 115)):
                        if data[name_at + 3 + place] != letter:
                            what = 0
            elif length == 5 and first == 118:
                what = 4
                for place, letter in enumerate((97, 108, 117, 101)):
                    if data[name_at + 1 + place] != letter:
                        what = 0
            elif length == 5 and first == 101:
                what = 16
                for place, letter in enumerate((114, 114, 111, 114)):
                    if data[name_at + 1 + place] != letter:
                        what = 0
            elif length == 5 and first == 105:
                what = 32
                for place, letter in enumerate((110, 100, 101, 120)):
                    if data[name_at + 1 + place] != letter:
                        what = 0
            if what and seen & what:
                is_whole = False
                break
            seen |= what
            begin = at
            is_read = False
            if what == 1:
                word_at = at + 1
                at += 1
                while at < size and 97 <= data[at] <= 122:
                    at += 1
                length = at - word_at
                letter = data[word_at] if length else 0
                kind = -1
                if data[begin] == 58:
                    if length == 6 and letter == 105 and data[word_at + 2] == 118:
                        kind = 0
                    elif length == 2 and letter == 111 and data[word_at + 1] == 107:
                        kind = 1
                    elif length == 4 and letter == 102 and data[word_at + 1] == 97:
                        kind = 2
                    elif length == 4 and letter == 105 and data[word_at + 1] == 110:
                        kind = 3
                spelled = (
                    (105, 110, 118, 111, 107, 101),
                    (111, 107, 0, 0, 0, 0),
                    (102, 97, 105, 108, 0, 0),
                    (105, 110, 102, 111, 0, 0),
                )
                if kind >= 0:
                    for place in range(length):
                        if data[word_at + place] != spelled[kind][place]:
                            kind = -1
                            break
                if kind < 0:
                    is_whole = False
                    break
                kinds[ops] = kind
                is_read = True
            elif what == 2 or what == 8 or what == 32:
                if 48 <= data[at] <= 57:
                    number = 0
                    while at < size and 48 <= data[at] <= 57:
                        number = number * 10 + (int(data[at]) - 48)
                        at += 1
                    if at - begin > 18 or (data[begin] == 48 and at - begin > 1):
                        is_whole = False
                        break
                    if what == 2:
                        processes[ops] = number
                    elif what == 8:
                        times[ops] = number
                    else:
                        indexes[ops] = number
                    is_read = True
                elif what == 2 and data[at] == 58:
                    is_plain = False
                    processes[ops] = -1
                else:
                    is_whole = False
                    break
            elif what == 4 and data[at] == 110 and at + 3 < size:
                if data[at + 1] == 105 and data[at + 2] == 108:
                    at += 3
                    is_read = True
            elif what == 4 and data[at] == 91:
                # Micro-operations: [:f key value], where a value may be a list.
                mops_before, some_before = mops, some
                at += 1
                is_good = True
                while is_good:
                    while at < size and (data[at] == 32 or data[at] == 44):
                        at += 1
                    if at < size and data[at] == 93:
                        at += 1
                        is_read = True
                        break
                    if at + 8 > size or data[at] != 91 or data[at + 1] != 58:
                        break
                    at += 2
                    word_at = at
                    while at < size and 97 <= data[at] <= 122:
                        at += 1
                    length = at - word_at
                    letter = data[word_at]
                    kind = -1
                    if length == 1 and letter == 114:
                        kind = 2
                    elif length == 1 and letter == 119:
                        kind = 1
                    elif length == 6 and letter == 97:
                        kind = 0
                        for place, letter in enumerate((112, 112, 101, 110, 100)):
                            if data[word_at + 1 + place] != letter:
                                kind = -1
                    if kind < 0 or at >= size or data[at] != 32:
                        break
                    # The key, and a value; numbers of a list follow in the same loop.
                    part = 0
                    is_list = False
                    while True:
                        while at < size and (data[at] == 32 or data[at] == 44):
                            at += 1
                        if at >= size:
                            is_good = False
                            break
                        letter = data[at]
                        if letter == 93:
                            at += 1
                            if is_list:
                                is_list = False
                                part = 2
                                continue
                            is_good = part == 2
                            break
                        if part == 2:
                            is_good = False
                            break
                        if letter == 91:
                            if part != 1 or is_list or kind != 2:
                                is_good = False
                                break
                            is_list = True
                            at += 1
                            kind = 3
                            value[mops] = nil
                            continue
                        if letter == 110:
                            if (
                                part != 1
                                or is_list
                                or kind != 2
                                or at + 3 >= size
                                or data[at + 1] != 105
                                or data[at + 2] != 108
                            ):
                                is_good = False
                                break
                            at += 3
                            value[mops] = nil
                            part = 2
                        else:
                            is_minus = letter == 45
                            if is_minus:
                                at += 1
                            number_at = at
                            number = 0
                            while at < size and 48 <= data[at] <= 57:
                                number = number * 10 + (int(data[at]) - 48)
                                at += 1
                            if at == number_at or at - number_at > 18:
                                is_good = False
                                break
                            if is_minus:
                                number = -number
                            if is_list:
                                elements[some] = number
                                some += 1
                                lengths[mops] += 1
                            elif part == 0:
                                key[mops] = number
                                lengths[mops] = 0
                                part = 1
                            else:
                                value[mops] = number
                                part = 2
                        if at >= size or (data[at] != 32 and data[at] != 44 and data[at] != 93):
                            is_good = False
                            break
                    if not is_good:
                        break
                    f[mops] = kind
                    mops += 1
                if is_read:
                    counts[ops] = mops - mops_before
                else:
                    if is_plain and seen & 2:
                        is_whole = False
                        break
                    mops, some = mops_before, some_before
                    counts[ops] = -2
            if not is_read:
                # Whatever it is, up to its end: brackets and texts are counted, no more.
                at = begin
                depth = 0
                is_atom = data[at] == 58 or 48 <= data[at] <= 57
                while at < size:
                    letter = data[at]
                    if letter == 34:
                        at += 1
                        while at < size and data[at] != 34:
                            at += 2 if data[at] == 92 else 1
                        at += 1
                        is_whole &= not is_atom
                    elif letter == 91 or letter == 123 or letter == 40:
                        depth += 1
                        at += 1
                        is_whole &= not is_atom
                    elif letter == 93 or letter == 125 or letter == 41:
                        if depth == 0:
                            break
                        depth -= 1
                        at += 1
                    elif depth == 0 and (letter <= 32 or letter == 44):
                        break
                    elif letter == 59 or letter == 92:
                        is_whole = False
                        break
                    else:
                        is_whole &= not is_atom or letter != 35
                        at += 1
                    if depth == 0 and (letter == 34 or letter == 93 or letter == 125):
                        break
                if depth or at > size:
                    is_whole = False
                if what == 4:
                    counts[ops] = -2
                if what == 16:
                    errors[ops, 0], errors[ops, 1] = begin, at
                if not is_atom:
                    skipped[skips, 0], skipped[skips, 1] = begin, at
                    skips += 1
                    is_whole &= skips < len(skipped)
            if at < size and not (data[at] <= 32 or data[at] == 44 or data[at] == 125):
                is_whole = False
        if not is_whole or seen & 3 != 3 or (is_plain and counts[ops] == -2):
            is_whole = False
            break
        if not is_plain and (kinds[ops] != 3 or (counts[ops] == -2 and not seen & 4)):
            is_whole = False
            break
        ops += 1
    return (
        is_whole,
        kinds[:ops],
        processes[:ops],
        times[:ops],
        indexes[:ops],
        counts[:ops],
        errors[: ops + 1],
        skipped[:skips],
        f[:mops],
        key[:mops],
        value[:mops],
        lengths[:mops],
        elements[:some],
    )


def pair(order: Any, kinds: Any, who: Any, processes: int, mops: Any) -> Any:
    """Put each end to its invocation; the first result says whether all fit.

    Args:
        order: The operations, as they follow each other.
        kinds: What each one is.
        who: The process of each one.
        processes: How many there are.
        mops: How many micro-operations each one has, where they begin, their f, keys and values.
    """
    counts, begins, f, key, value = mops
    waiting = np.full(processes, -1, dtype=np.int64)
    is_over = np.zeros(processes, dtype=np.bool_)
    sent = np.empty(len(order), dtype=np.int64)
    done = np.empty(len(order), dtype=np.int64)
    size = 0
    for op in order:
        process = who[op]
        if kinds[op] == 0:
            if waiting[process] >= 0 or is_over[process]:
                return False, sent[:0], done[:0]
            waiting[process] = op
            continue
        begun = waiting[process]
        if begun < 0:
            return False, sent[:0], done[:0]
        if counts[op] >= 0 and counts[begun] >= 0:
            if counts[op] != counts[begun]:
                return False, sent[:0], done[:0]
            for place in range(counts[op]):
                one, other = begins[begun] + place, begins[op] + place
                # Both read, or both write the same value.
                if key[one] != key[other] or (
                    (f[one] < 2 or f[other] < 2)
                    and (f[one] != f[other] or value[one] != value[other])
                ):
                    return False, sent[:0], done[:0]
        sent[size], done[size] = begun, op
        size += 1
        waiting[process] = -1
        if kinds[op] == 3:
            is_over[process] = True
    for op in order:
        if kinds[op] == 0 and waiting[who[op]] == op:
            sent[size], done[size] = op, -1
            size += 1
    return True, sent[:size], done[:size]
