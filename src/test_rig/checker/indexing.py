"""Kernels: keys as small numbers, and appends found by key and value.

How to think of it: hash tables with open addressing, of which each key has a part of its own, so
that what is looked up together lies together. A hash is made of shifts (G. Marsaglia, "Xorshift
RNGs", 2003), since a product does not fit into the numbers that are used where nothing is compiled.
"""

from __future__ import annotations

import numpy as np

from test_rig.checker.compiling import Bytes, Int32s, Ints

__all__ = ["fill_index", "number_keys"]

_APPEND = 0


def number_keys(key: Ints, number: Int32s) -> int:
    """Number the keys in the order in which they first occur; return how many there are."""
    size, count = 1024, 0
    slots = np.zeros(size, np.int32)  # a key's number and one; 0 is free
    known = np.empty(size, np.int64)
    for mop in range(len(key)):
        each = key[mop]
        mask = size - 1
        mixed = each ^ (each << 13)
        mixed ^= mixed >> 7
        mixed ^= mixed << 17
        slot = (mixed ^ (mixed >> 32)) & mask
        while slots[slot] > 0 and known[slots[slot] - 1] != each:
            slot = (slot + 1) & mask
        if slots[slot] == 0:
            known[count] = each
            count += 1
            slots[slot] = count
        number[mop] = slots[slot] - 1
        if 2 * count > size:
            size *= 2
            mask = size - 1
            larger = np.empty(size, np.int64)
            slots = np.zeros(size, np.int32)
            for place in range(count):
                each = known[place]
                larger[place] = each
                mixed = each ^ (each << 13)
                mixed ^= mixed >> 7
                mixed ^= mixed << 17
                slot = (mixed ^ (mixed >> 32)) & mask
                while slots[slot] > 0:
                    slot = (slot + 1) & mask
                slots[slot] = place + 1
            known = larger
    return count


def fill_index(f: Bytes, value: Ints, number: Int32s, index_start: Ints, index: Int32s) -> int:
    """Put each append where its key and value say; return how many are there twice.

    Args:
        f: APPEND, or a read, for each micro-operation.
        value: What was appended.
        number: The key's number for each micro-operation.
        index_start: Where each key's part of the index begins; a power of two long.
        index: The index, -1 for what is free.
    """
    twice = 0
    for mop in range(len(f)):
        if f[mop] != _APPEND:
            continue
        start = index_start[number[mop]]
        mask = index_start[number[mop] + 1] - start - 1
        each = value[mop]
        mixed = each ^ (each << 13)
        mixed ^= mixed >> 7
        mixed ^= mixed << 17
        slot = (mixed ^ (mixed >> 32)) & mask
        while index[start + slot] >= 0:
            if value[index[start + slot]] == each:
                twice += 1
                break
            slot = (slot + 1) & mask
        index[start + slot] = mop
    return twice
