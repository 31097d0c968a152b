"""Who gets a connection, who is turned away, and what is said of it."""

from __future__ import annotations

from typing import Any, cast

import pytest

from test_rig.errors import (
    ConnectFailed,
    ErrorCategory,
    Failure,
    FailureKind,
    Outcome,
    TargetError,
)
from test_rig.targets import Scratch, Target
from test_rig.workload import BUILT_IN, Plan, run_workload
from test_rig.workload.admission import Admission


def refusal(kind: FailureKind = FailureKind.TOO_MANY_CONNECTIONS) -> TargetError:
    """What a server says that lends no connection."""
    failure = Failure(
        category=ErrorCategory.TRANSIENT,
        kind=kind,
        outcome=Outcome.FAIL,
        ends_transaction=False,
        sqlstate="53300",
    )
    return ConnectFailed("cannot connect: sorry", failure=failure, address="there")


def admitted(inside: int, outside: int) -> Admission:
    """So many are in; as many others were turned away until they gave up."""
    admission = Admission(inside + outside)
    for client in range(inside):
        admission.let_in(client)
    for client in range(inside, inside + outside):
        for tries in range(1, 5):
            is_in_vain = not admission.refused(client, refusal(), tries)
        assert is_in_vain
    return admission


def test_refusals_are_counted_by_what_the_server_said() -> None:
    """How many never got in, and how often each reason was told."""
    admission = admitted(inside=5, outside=2)
    admission.refused(1, refusal(FailureKind.CONNECT), 1)
    assert admission.outside == 2
    assert admission.refusals() == (
        ("too many connections (53300): cannot connect: sorry", 8),
        ("cannot connect (53300): cannot connect: sorry", 1),
    )


@pytest.mark.parametrize(("inside", "left"), [(97, 3), (20, 2), (9, 0)])
def test_a_full_server_gets_some_connections_back(inside: int, left: int) -> None:
    """At most three, at most a tenth: others want to connect as well."""
    admission = admitted(inside=inside, outside=1)
    assert sum(admission.should_leave() for _ in range(inside)) == left
    assert admission.given_back == left


def test_nothing_is_given_back_while_clients_still_try() -> None:
    """They would take it."""
    admission = Admission(31)
    for client in range(29):
        admission.let_in(client)
    for tries in range(1, 5):
        admission.refused(29, refusal(), tries)
    assert not admission.should_leave()


def test_who_was_in_before_goes_on_trying() -> None:
    """A connection that was lost may come back, however long it takes."""
    admission = Admission(1)
    admission.let_in(0)
    assert all(admission.refused(0, refusal(), tries) for tries in range(1, 50))


class Full:
    """A private place where nobody but the workload's own setup gets a connection."""

    def __init__(self, scratch: Scratch) -> None:
        self._scratch = scratch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scratch, name)

    def connect(self, name: str, **options: Any) -> Any:
        """Turn clients away."""
        if name.startswith("client-"):
            raise refusal()
        return self._scratch.connect(name, **options)


@pytest.mark.parametrize("time_s", [0.01, 60])
def test_a_run_in_which_nobody_gets_in_fails(time_s: float) -> None:
    """With what the server said; a long one does not wait for its end."""
    with Target.open("sqlite://") as target, target.scratch() as scratch:
        place, level = cast("Scratch", Full(scratch)), target.level("wal-deferred")
        with pytest.raises(ConnectFailed, match=r"none of 3 clients got a connection: .*sorry"):
            run_workload(BUILT_IN["bank"], place, level, Plan(time_s=time_s, clients=3))
