"""The flaws that the judges here look for.

Which level forbids what follows Adya's phenomena (see `test_rig.isolation`). A judge that cannot
tell two phenomena apart names the one that the weaker levels permit, so that no level is accused
of what it may do.
"""

from __future__ import annotations

from functools import cache

from test_rig.isolation import Anomaly, Level, history_levels
from test_rig.workload.workload import Flaw

__all__ = [
    "ABORTED_READ",
    "FRACTURED_READ",
    "LOST_ELEMENT",
    "LOST_UPDATE",
    "PHANTOM_SKEW",
    "READ_SKEW",
    "SESSION_BACKWARDS",
    "STALE_ELEMENT",
    "UNREPEATABLE",
    "seen_in_history",
]


def _forbidding(anomaly: Anomaly) -> frozenset[Level]:
    return frozenset(level for level in Level if anomaly in level.info.forbids)


_EVERY = _forbidding(Anomaly.G0)
_SINGLE = _forbidding(Anomaly.G_SINGLE)

ABORTED_READ = Flaw("G1a", "read what was rolled back", _forbidding(Anomaly.G1A))
READ_SKEW = Flaw("G-single", "read some rows from before a transaction and some after", _SINGLE)
UNREPEATABLE = Flaw("G-single", "read a row twice and got two values", _SINGLE)
#: Later than OTV's definition asks for: an older state of the same row after a newer one.
FRACTURED_READ = Flaw("OTV", "went back to an older state", _forbidding(Anomaly.OTV))
LOST_UPDATE = Flaw("lost-update", "overwrote an update unseen", _forbidding(Anomaly.P4))
PHANTOM_SKEW = Flaw("G2", "acted on an absence that the other ended", _forbidding(Anomaly.G2))
LOST_ELEMENT = Flaw("lost-element", "a committed element is not there", _EVERY)
#: Of these two no isolation level speaks: they are about real time, and about one session.
STALE_ELEMENT = Flaw("stale-read", "did not see what was committed before", frozenset())
SESSION_BACKWARDS = Flaw("monotonic-reads", "a session saw an older state than before", frozenset())

#: What the checker of histories finds, in words; a cycle's name may end in an order.
_MEANS = {
    "G0": "a cycle of writes",
    "G1a": "read what was rolled back",
    "G1b": "read what its writer overwrote before committing",
    "G1c": "a cycle of writes and reads",
    "G-single": "a cycle with one anti-dependency",
    "G-nonadjacent": "a cycle with anti-dependencies that do not follow each other (long fork)",
    "G2-item": "a cycle with several anti-dependencies (write skew)",
    "OTV": "went back to an older state of a transaction that it had seen",
    "fractured-read": "saw a transaction in part",
    "causality-violation": "did not see what came before what it saw",
    "dirty-update": "built upon what was rolled back",
    "lost-update": "overwrote an update unseen",
    "internal": "did not read its own write, or read twice and got two values",
    "incompatible-order": "reads that no order of the writes explains",
    "duplicate-elements": "a value is there twice",
    "cyclic-versions": "versions that were each made of the other",
    "garbage-read": "read what nobody wrote",
    "read-your-writes": "a session did not see its own earlier write",
    "monotonic-reads": "a session saw an older state than before",
    "monotonic-writes": "a session's writes were seen in another order",
    "writes-follow-reads": "a write was seen without what its session had read before",
}
_ORDERS = {
    "-process": ", by the order of a session",
    "-realtime": ", by the order of time",
}


@cache
def seen_in_history(anomaly: str) -> Flaw:
    """Return the flaw of a name that the checker of histories gives."""
    means = _MEANS.get(anomaly, anomaly)
    for order, words in _ORDERS.items():
        if anomaly.endswith(order):
            means = _MEANS[anomaly.removesuffix(order)] + words
    # Registers have all levels that lists have, and the same is forbidden there.
    levels = history_levels("rw-register")
    forbidding = (level for level in Level if anomaly in levels.get(level.value, ()))
    return Flaw(anomaly, means, frozenset(forbidding))
