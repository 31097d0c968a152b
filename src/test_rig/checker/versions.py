"""Kernels: the versions of each key, and what each micro-operation has to do with them.

How to think of it: who reads a list of unique values sees who wrote before whom. The longest read
of a key is compared with all others; where each is its beginning, and all it holds was appended by
transactions that were not rolled back, it is the order of the key's versions. The other keys are
troubled: their reads are looked at once more value by value, without what was rolled back, which
never was a version.

All kernels go once over the micro-operations, or over the elements of lists. What a transaction
did to a key before is remembered by key and not searched for, with the transaction's number
beside it, so that nothing needs to be forgotten between transactions.

Micro-operations are counted in 32 bits, elements in 64.
"""

from __future__ import annotations

import numpy as np

from test_rig.checker.compiling import Bytes, Int32s, Ints, Marks

__all__ = [
    "ABORTED",
    "DIRTY",
    "DISORDERED",
    "DUPLICATE",
    "GARBAGE",
    "INCOMPATIBLE",
    "INTERMEDIATE",
    "INTERNAL",
    "LOST",
    "UPDATE",
    "compare",
    "link",
    "order_versions",
    "reorder",
    "scan",
    "sift",
]

# Marks of reads. UPDATE: its transaction appends to the key later, and did nothing to it before.
INCOMPATIBLE, DUPLICATE, GARBAGE, ABORTED, INTERMEDIATE = 1, 2, 4, 8, 16
INTERNAL, DIRTY, UPDATE, LOST, DISORDERED = 32, 64, 128, 256, 512
# Of `test_rig.history`: kernels know numbers only.
_APPEND, _OK, _FAIL, _INFO = 0, 0, 1, 2


def scan(
    type_: Bytes,
    mop_start: Ints,
    f: Bytes,
    value: Ints,
    element_start: Ints,
    element_count: Int32s,
    element: Ints,
    number: Int32s,
    owner: Int32s,
    next_append: Int32s,
    appends: Int32s,
    longest: Int32s,
    marks: Marks,
) -> None:
    """Look at each transaction by itself.

    Fills for each micro-operation its transaction (`owner`), for each append the transaction's
    next one to the key, for each key the number of appends and its longest read (the first of
    them, -1 for none), and marks reads INTERNAL and UPDATE.
    """
    count = len(appends)
    stamp = np.zeros(count, np.int32)  # the last transaction and one
    first = np.empty(count, np.int32)
    last_read = np.empty(count, np.int32)
    since = np.empty(count, np.int32)
    tail = np.empty(count, np.int32)
    for transaction in range(len(type_)):
        is_ok = type_[transaction] == _OK
        for mop in range(mop_start[transaction], mop_start[transaction + 1]):
            key = number[mop]
            owner[mop] = transaction
            next_append[mop] = -1
            is_read = f[mop] != _APPEND
            if is_read and not is_ok:
                continue
            if stamp[key] != transaction + 1:
                stamp[key] = transaction + 1
                first[key] = mop if is_read else -1
                last_read[key] = since[key] = tail[key] = -1
            if not is_read:
                appends[key] += 1
                if tail[key] >= 0:
                    next_append[tail[key]] = mop
                elif first[key] >= 0:
                    marks[first[key]] |= UPDATE
                tail[key] = mop
                if since[key] < 0:
                    since[key] = mop
                continue
            begin, size = element_start[mop], element_count[mop]
            best = longest[key]
            if best < 0 or size > element_count[best]:
                longest[key] = mop
            # What it must have seen: the read before it and its own appends since, or, where there
            # was none, its own appends at the end.
            place = 0
            is_bad = False
            before = last_read[key]
            if before >= 0:
                other = element_start[before]
                place = element_count[before]
                if place > size:
                    is_bad = True
                elif begin != other:
                    for offset in range(place):
                        if element[begin + offset] != element[other + offset]:
                            is_bad = True
                            break
            else:
                place = size
                own = since[key]
                while own >= 0:
                    place -= 1
                    own = next_append[own]
                if place < 0:
                    is_bad = True
            own = since[key]
            while own >= 0 and not is_bad:
                if place >= size or element[begin + place] != value[own]:
                    is_bad = True
                place += 1
                own = next_append[own]
            if is_bad or place != size:
                marks[mop] |= INTERNAL
            last_read[key] = mop
            since[key] = -1


def order_versions(
    type_: Bytes,
    value: Ints,
    element_start: Ints,
    element_count: Int32s,
    element: Ints,
    owner: Int32s,
    index_start: Ints,
    index: Int32s,
    longest: Int32s,
    order_start: Ints,
    order: Int32s,
    position: Int32s,
    is_troubled: Bytes,
    counts: Bytes,
) -> None:
    """Look up the appends of each key's longest read.

    Fills their order by key, the position of each append, which keys are troubled, and which
    transactions of unknown outcome were seen and so count.
    """
    for key in range(len(longest)):
        read = longest[key]
        if read < 0:
            continue
        start = index_start[key]
        mask = index_start[key + 1] - start - 1
        begin = element_start[read]
        for place in range(element_count[read]):
            each = element[begin + place]
            mixed = each ^ (each << 13)
            mixed ^= mixed >> 7
            mixed ^= mixed << 17
            slot = (mixed ^ (mixed >> 32)) & mask
            while index[start + slot] >= 0 and value[index[start + slot]] != each:
                slot = (slot + 1) & mask
            mop = index[start + slot]
            if mop < 0 or position[mop] >= 0 or type_[owner[mop]] == _FAIL:
                is_troubled[key] = 1
                break
            order[order_start[key] + place] = mop
            position[mop] = place
            counts[owner[mop]] = 1


def compare(
    type_: Bytes,
    mop_start: Ints,
    f: Bytes,
    element_start: Ints,
    element_count: Int32s,
    element: Ints,
    number: Int32s,
    longest: Int32s,
    seen: Int32s,
    is_troubled: Bytes,
) -> int:
    """Compare each read with its key's longest; return how many elements troubled reads have.

    Fills how many versions each read saw, -1 for what is no committed read. Elements that reads
    share are compared once.
    """
    # Where the key's read began that was compared last, and one; so far it is as the longest one.
    known = np.zeros(len(longest), np.int64)
    alike = np.empty(len(longest), np.int32)
    for transaction in range(len(type_)):
        is_ok = type_[transaction] == _OK
        for mop in range(mop_start[transaction], mop_start[transaction + 1]):
            seen[mop] = -1
            if not is_ok or f[mop] == _APPEND:
                continue
            key, begin, size = number[mop], element_start[mop], element_count[mop]
            other = element_start[longest[key]]
            seen[mop] = size
            if begin == other:
                continue
            if known[key] != begin + 1:
                known[key] = begin + 1
                alike[key] = 0
            while alike[key] < size:
                if element[begin + alike[key]] != element[other + alike[key]]:
                    is_troubled[key] = 1
                    break
                alike[key] += 1
    total = 0
    for mop in range(len(f)):
        if seen[mop] >= 0 and is_troubled[number[mop]]:
            total += seen[mop]
    return total


def sift(
    type_: Bytes,
    value: Ints,
    element_start: Ints,
    element_count: Int32s,
    element: Ints,
    number: Int32s,
    owner: Int32s,
    next_append: Int32s,
    index_start: Ints,
    index: Int32s,
    is_troubled: Bytes,
    seen: Int32s,
    marks: Marks,
    sifted_start: Ints,
    sifted: Ints,
    counts: Bytes,
    is_unsound: Bytes,
    before: Int32s,
) -> None:
    """Look at the reads of troubled keys value by value, and keep what was not rolled back.

    Marks reads DUPLICATE, GARBAGE, ABORTED, DIRTY, INTERMEDIATE, and INTERNAL where one saw what
    its transaction appended only later; fills the sifted values of each read from `sifted_start`
    on, how many they are (`seen`), and the last append of another transaction among them (`before`,
    which stays -1 where there is none).
    """
    stamp = np.zeros(len(seen), np.int32)  # the last read and one
    total = 0
    for read in range(len(seen)):
        sifted_start[read] = total
        key = number[read]
        if seen[read] < 0 or not is_troubled[key]:
            continue
        start = index_start[key]
        mask = index_start[key + 1] - start - 1
        is_dirty = False
        mop = np.int32(-1)
        for at in range(element_start[read], element_start[read] + element_count[read]):
            each = element[at]
            mixed = each ^ (each << 13)
            mixed ^= mixed >> 7
            mixed ^= mixed << 17
            slot = (mixed ^ (mixed >> 32)) & mask
            while index[start + slot] >= 0 and value[index[start + slot]] != each:
                slot = (slot + 1) & mask
            mop = index[start + slot]
            if mop < 0:
                marks[read] |= GARBAGE
                is_unsound[key] = 1
            else:
                if stamp[mop] == read + 1:
                    marks[read] |= DUPLICATE
                    is_unsound[key] = 1
                stamp[mop] = read + 1
                if type_[owner[mop]] == _FAIL:
                    marks[read] |= ABORTED
                    is_dirty = True
                    continue
                if is_dirty and type_[owner[mop]] == _OK:
                    marks[read] |= DIRTY
                counts[owner[mop]] = 1
                if owner[mop] != owner[read]:
                    before[read] = mop
                elif mop > read:
                    marks[read] |= INTERNAL
            sifted[total] = each
            total += 1
        if mop >= 0 and next_append[mop] >= 0 and owner[mop] != owner[read]:
            marks[read] |= INTERMEDIATE
        seen[read] = total - sifted_start[read]


def reorder(
    value: Ints,
    number: Int32s,
    index_start: Ints,
    index: Int32s,
    is_troubled: Bytes,
    is_unsound: Bytes,
    seen: Int32s,
    marks: Marks,
    sifted_start: Ints,
    sifted: Ints,
    longest: Int32s,
    order_start: Ints,
    order: Int32s,
    order_size: Int32s,
    position: Int32s,
) -> None:
    """Find the order of troubled keys anew, from sifted reads.

    Marks reads INCOMPATIBLE, and keys unsound whose reads no order explains.
    """
    for key in range(len(longest)):
        if is_troubled[key]:
            longest[key] = -1
            order_size[key] = 0
    for mop in range(len(seen)):
        key = number[mop]
        if not is_troubled[key]:
            continue
        position[mop] = -1
        if seen[mop] > order_size[key] or (seen[mop] >= 0 and longest[key] < 0):
            longest[key] = mop
            order_size[key] = seen[mop]
    for mop in range(len(seen)):
        key = number[mop]
        if seen[mop] < 0 or not is_troubled[key]:
            continue
        begin, other = sifted_start[mop], sifted_start[longest[key]]
        for place in range(seen[mop]):
            if sifted[begin + place] != sifted[other + place]:
                marks[mop] |= INCOMPATIBLE
                is_unsound[key] = 1
                break
    for key in range(len(longest)):
        if not is_troubled[key] or is_unsound[key]:
            continue
        start = index_start[key]
        mask = index_start[key + 1] - start - 1
        begin = sifted_start[longest[key]]
        for place in range(order_size[key]):
            each = sifted[begin + place]
            mixed = each ^ (each << 13)
            mixed ^= mixed >> 7
            mixed ^= mixed << 17
            slot = (mixed ^ (mixed >> 32)) & mask
            while value[index[start + slot]] != each:
                slot = (slot + 1) & mask
            order[order_start[key] + place] = index[start + slot]
            position[index[start + slot]] = place


def link(
    counts: Bytes,
    mop_start: Ints,
    f: Bytes,
    number: Int32s,
    owner: Int32s,
    next_append: Int32s,
    is_troubled: Bytes,
    is_unsound: Bytes,
    seen: Int32s,
    marks: Marks,
    order_start: Ints,
    order: Int32s,
    order_size: Int32s,
    position: Int32s,
    longest: Int32s,
    unread: Int32s,
    unread_first: Int32s,
    updater: Int32s,
    before: Int32s,
    after: Int32s,
) -> int:
    """Find the version before and after each micro-operation; return how many edges follow.

    Fills for each append the append of the version before it (`before`, which is -1 so far but for
    reads of unsound keys), for each read the last append of another transaction that it saw
    (`before`) and the one of the next version (`after`); -1 for none, also where it is the
    transaction's own, -2 for all appends that nobody read of a key that has several, -3 for all but
    those of the transaction that was read. Marks reads
    INTERMEDIATE, INTERNAL (one that saw what its transaction appended only later), LOST, and
    DISORDERED (a key's longest) where a transaction's appends are not in its order.

    `updater` has zeros for each number of versions of each key: who read so many first, and then
    appended to it, is put there, counted from one.
    """
    count = len(order_size)
    for mop in range(len(f)):
        key = number[mop]
        if f[mop] != _APPEND or position[mop] >= 0 or is_unsound[key]:
            continue
        if counts[owner[mop]]:
            if unread[key] == 0:
                unread_first[key] = mop
            unread[key] += 1
    stamp = np.zeros(count, np.int32)  # the last transaction and one
    most = np.empty(count, np.int32)
    widest = np.empty(count, np.int32)
    edges = 0
    for transaction in range(len(counts)):
        for mop in range(mop_start[transaction], mop_start[transaction + 1]):
            key = number[mop]
            after[mop] = -1
            saw = seen[mop]
            start, size = order_start[key], order_size[key]
            if f[mop] == _APPEND:
                place = position[mop]
                if is_unsound[key]:
                    continue
                if stamp[key] == transaction + 1 and 0 <= place < most[key]:
                    marks[widest[key]] |= INTERNAL
                later = next_append[mop]
                if later >= 0 and position[later] >= 0 and not 0 <= place < position[later]:
                    marks[longest[key]] |= DISORDERED
                if place > 0:
                    before[mop] = order[start + place - 1]
                elif place < 0 and size > 0 and counts[transaction]:
                    before[mop] = order[start + size - 1]
                if before[mop] >= 0 and owner[before[mop]] == transaction:
                    before[mop] = -1
                if before[mop] >= 0:
                    edges += 1
                continue
            if saw < 0:
                continue
            if marks[mop] & UPDATE and not marks[mop] & INCOMPATIBLE:
                other = updater[start + key + saw]
                if other == 0:
                    updater[start + key + saw] = mop + 1
                else:
                    marks[other - 1] |= LOST
                    marks[mop] |= LOST
            if is_unsound[key]:
                # Whom it read is certain, whatever the order of versions is.
                if before[mop] >= 0:
                    edges += 1
                continue
            if stamp[key] != transaction + 1 or saw > most[key]:
                stamp[key] = transaction + 1
                most[key] = saw
                widest[key] = mop
            if saw > 0 and not is_troubled[key]:
                found = order[start + saw - 1]
                if next_append[found] >= 0 and owner[found] != transaction:
                    marks[mop] |= INTERMEDIATE
            place = saw - 1
            while place >= 0 and owner[order[start + place]] == transaction:
                place -= 1
            before[mop] = -1
            if place >= 0:
                before[mop] = order[start + place]
                edges += 1
            # A version is what its transaction left: who read it half written missed others' only.
            writer = owner[order[start + saw - 1]] if saw > 0 else -1
            if writer != transaction:
                while saw < size and owner[order[start + saw]] == writer:
                    saw += 1
            if saw < size:
                after[mop] = order[start + saw]
            elif unread[key] == 1:
                after[mop] = unread_first[key]
            elif unread[key] > 1:
                after[mop] = -2 if writer < 0 or writer == transaction else -3
            if after[mop] >= 0 and (
                owner[after[mop]] == transaction or owner[after[mop]] == writer
            ):
                after[mop] = -1
            if after[mop] >= 0:
                edges += 1
    return edges
