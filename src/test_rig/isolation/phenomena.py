"""What can be seen in a history of transactions, and which level forbids it.

How to think of it: a cycle is named after the anti-dependencies (rw) that it needs: none and only
writes is G0, none is G1c, one is G-single, several of which no two follow each other is
G-nonadjacent, the rest is G2-item. A cycle that closes only by the order of a session's own
transactions is named `-process`, one that needs real time `-realtime`. Each level has three forms:
plain, strong session (it forbids the `-process` forms too), and strong (the `-realtime` forms too).

Sources: A. Adya, "Weak Consistency", MIT 1999, chapter 4; K. Kingsbury and P. Alvaro, "Elle",
VLDB 2020; A. Cerone and A. Gotsman, "Analysing Snapshot Isolation", PODC 2016 (a cycle without
adjacent anti-dependencies is what snapshot isolation forbids); K. Daudjee and K. Salem, "Lazy
Database Replication with Ordering Guarantees", ICDE 2004 (strong session).
"""

from __future__ import annotations

from collections.abc import Iterable

from test_rig.isolation.levels import Level

__all__ = ["CYCLES", "GUARANTEES", "history_levels", "strongest_standing", "weakest_broken"]

#: The names of cycles, the worst first: what forbids one forbids those before it, except that
#: levels below consistent view stop at theirs.
CYCLES = ("G0", "G1c", "G-single", "G-nonadjacent", "G2-item")
#: What sessions are promised where causality is (D. Terry et al., "Session Guarantees for Weakly
#: Consistent Replicated Data", PDIS 1994).
GUARANTEES = ("read-your-writes", "monotonic-reads", "monotonic-writes", "writes-follow-reads")
# What only registers show: a transaction is seen in part, by a later read or by any.
_VIEWS = ("OTV", "fractured-read")
_SESSIONS = frozenset({*GUARANTEES, "causality-violation"})
# What no list and no register may show at any level: it was not one.
_RU = frozenset({"G0", "duplicate-elements", "garbage-read", "cyclic-versions"})
_RC = _RU | {"G1a", "G1b", "G1c", "dirty-update", "incompatible-order"}
_MAV = _RC | {"OTV"}
_RA = _MAV | {"fractured-read", "internal"}
_CV = _RC | {"lost-update", "G-single", *_VIEWS}
_SI = _CV | {"G-nonadjacent", "internal"}
_RR = _CV | {"G-nonadjacent", "G2-item", "internal"}

_BASE: dict[str, frozenset[str]] = {
    Level.READ_UNCOMMITTED.value: _RU,
    Level.READ_COMMITTED.value: _RC,
    "cursor stability": _RC | {"lost-update"},
    Level.CONSISTENT_VIEW.value: _CV,
    Level.SNAPSHOT.value: _SI,
    # Without predicates PL-2.99 and PL-3 forbid the same.
    Level.REPEATABLE_READ.value: _RR,
    Level.SERIALIZABLE.value: _RR,
}
# What is looked for in registers alone (A. Cerone, G. Bernardi, A. Gotsman, "A Framework for
# Transactional Consistency Models with Atomic Visibility", CONCUR 2015: read atomic; R. Biswas and
# C. Enea, OOPSLA 2019: the three, whose read committed is monotonic atomic view here).
_VIEW_LEVELS: dict[str, frozenset[str]] = {
    Level.MONOTONIC_ATOMIC_VIEW.value: _MAV,
    "read atomic": _RA,
}


def history_levels(model: str = "list-append") -> dict[str, frozenset[str]]:
    """Return what each level forbids of what a history can show, plain forms first.

    Args:
        model: "list-append" or "rw-register", of which more levels are judged.
    """
    is_register = model == "rw-register"
    base = {**_BASE, **_VIEW_LEVELS} if is_register else _BASE
    levels = dict(base)
    if is_register:
        levels["causal consistency"] = _RA | _ordered(_RA, "process") | _SESSIONS
    for name, plain in base.items():
        levels[f"strong session {name}"] = plain | _in_sessions(plain)
    for name, plain in base.items():
        levels[f"strong {name}"] = plain | _in_sessions(plain) | _ordered(plain, "realtime")
    return levels


def _in_sessions(plain: frozenset[str]) -> frozenset[str]:
    """Return what strong sessions forbid besides."""
    more = _ordered(plain, "process")
    if "G-single" in plain:
        return more | _SESSIONS
    return more | {"read-your-writes"} if "fractured-read" in plain else more


def _ordered(plain: frozenset[str], order: str) -> frozenset[str]:
    return frozenset(f"{name}-{order}" for name in plain if name in CYCLES or name in _VIEWS)


def weakest_broken(seen: Iterable[str], *, model: str = "list-append") -> tuple[str, ...]:
    """Return the weakest levels that forbid something of what was seen.

    Args:
        seen: The names of what was seen.
        model: "list-append" or "rw-register".
    """
    levels, found = history_levels(model), frozenset(seen)
    broken = {name: forbids for name, forbids in levels.items() if forbids & found}
    return tuple(
        name
        for name, forbids in broken.items()
        if not any(_below(other, forbids, each, name) for each, other in broken.items())
    )


def strongest_standing(
    seen: Iterable[str], *, has_realtime: bool = True, model: str = "list-append"
) -> tuple[str, ...]:
    """Return the strongest levels that forbid nothing of what was seen.

    Args:
        seen: The names of what was seen.
        has_realtime: Whether the history tells of time between sessions; else nothing could
            contradict the strong forms, and they are left out.
        model: "list-append" or "rw-register".
    """
    found = frozenset(seen)
    standing = {
        name: forbids
        for name, forbids in history_levels(model).items()
        if not forbids & found
        and (has_realtime or name.startswith("strong session") or not name.startswith("strong "))
    }
    return tuple(
        name
        for name, forbids in standing.items()
        if not any(_below(forbids, other, name, each) for each, other in standing.items())
    )


def _below(forbids: frozenset[str], other: frozenset[str], name: str, other_name: str) -> bool:
    """Return whether a level is weaker than another; serializable stands for its equal."""
    if forbids == other:
        weak, strong = Level.REPEATABLE_READ.value, Level.SERIALIZABLE.value
        return name.endswith(weak) and other_name.endswith(strong)
    return forbids < other
