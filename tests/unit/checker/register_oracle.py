"""The definitions of levels of registers, tried out on every order of a handful of transactions.

A history is a list of sessions; a session a list of transactions; a transaction a list of
micro-operations. All are committed, and every value of a key is written once.

Source: R. Biswas and C. Enea, "On the Complexity of Checking Transactional Consistency", OOPSLA
2019, figures 2 and 3: a level holds if one total order of the transactions, which keeps sessions
and reads, satisfies its axiom.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

from test_rig.history import Mop

__all__ = ["allows"]

Session = list[list[Mop]]
#: A read: its transaction, its place in it, its key, whom it read from (-1: nothing was found).
Read = tuple[int, int, int | str, int]


class _Facts:
    def __init__(self, sessions: list[Session], *, has_sessions: bool) -> None:
        self.transactions = [each for session in sessions for each in session]
        self.writes: list[set[int | str]] = [
            {key for f, key, _ in mops if f == "w"} for mops in self.transactions
        ]
        writer = {
            (key, value): place
            for place, mops in enumerate(self.transactions)
            for f, key, value in mops
            if f == "w"
        }
        self.reads: list[Read] = []
        for place, mops in enumerate(self.transactions):
            own: set[int | str] = set()
            for number, (f, key, value) in enumerate(mops):
                if f == "w":
                    own.add(key)
                elif key not in own:
                    source = -1 if value is None else writer[key, value]
                    self.reads.append((place, number, key, source))
        self.before: set[tuple[int, int]] = set()
        at = 0
        for session in sessions:
            numbers = range(at, at + len(session))
            at += len(session)
            if has_sessions:
                self.before |= {(a, b) for a in numbers for b in numbers if a < b}
        self.seen = {(source, place) for place, _, _, source in self.reads if source >= 0}
        self.causal = _closed(self.before | self.seen)


def _closed(pairs: set[tuple[int, int]]) -> set[tuple[int, int]]:
    closed = set(pairs)
    while more := {(a, d) for a, b in closed for c, d in closed if b == c} - closed:
        closed |= more
    return closed


def _visible(facts: _Facts, level: str, read: Read, rank: dict[int, int]) -> Iterator[int]:
    """Yield the writers of its key that a read's transaction must not have overlooked."""
    place, number, key, source = read
    for other, keys in enumerate(facts.writes):
        if key not in keys or other in (source, place):
            continue
        is_seen = (other, place) in facts.seen
        if level == "monotonic atomic view":
            ok = any(
                (who, from_) == (place, other) and at < number for who, at, _, from_ in facts.reads
            )
        elif level == "read atomic":
            ok = is_seen or (other, place) in facts.before
        elif level == "causal consistency":
            ok = (other, place) in facts.causal
        else:
            ok = level == "serializable" and rank[other] < rank[place]
        if ok:
            yield other


def allows(sessions: list[Session], level: str, *, has_sessions: bool) -> bool:
    """Return whether some order of the transactions satisfies the level.

    Args:
        sessions: The history.
        level: "read committed", "monotonic atomic view", "read atomic", "causal consistency" or
            "serializable".
        has_sessions: Whether sessions count.
    """
    facts = _Facts(sessions, has_sessions=has_sessions)
    for order in permutations(range(len(facts.transactions))):
        rank = {each: place for place, each in enumerate(order)}
        rank[-1] = -1
        if any(rank[a] > rank[b] for a, b in facts.before | facts.seen):
            continue
        if all(
            rank[other] < rank[read[3]]
            for read in facts.reads
            for other in _visible(facts, level, read, rank)
        ):
            return True
    return False
