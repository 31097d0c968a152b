"""The built-in workloads, by name."""

from __future__ import annotations

from collections.abc import Mapping

from test_rig.errors import UnknownName
from test_rig.workload.bank import Bank
from test_rig.workload.list_append import ListAppend
from test_rig.workload.long_fork import LongFork
from test_rig.workload.monotonic import Monotonic
from test_rig.workload.predicate_skew import PredicateSkew
from test_rig.workload.registers import Register
from test_rig.workload.sets import Sets
from test_rig.workload.updates import Internal, LostUpdate
from test_rig.workload.workload import Workload
from test_rig.workload.write_skew import WriteSkew

__all__ = ["BUILT_IN", "find_workload"]

_ALL: tuple[Workload, ...] = (
    ListAppend(),
    Register(),
    Bank(),
    LongFork(),
    Sets(),
    Monotonic(),
    WriteSkew(),
    PredicateSkew(),
    LostUpdate(),
    Internal(),
)
BUILT_IN: Mapping[str, Workload] = {workload.name: workload for workload in _ALL}


def find_workload(name: str, more: Mapping[str, Workload] | None = None) -> Workload:
    """Return the workload of that name.

    Args:
        name: Its name.
        more: Workloads of a person's own; they hide built-in ones of the same name.

    Raises:
        UnknownName: There is none.
    """
    known = {**BUILT_IN, **(more or {})}
    if name not in known:
        raise UnknownName("workload", name, sorted(known))
    return known[name]
