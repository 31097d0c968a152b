"""The queue of a driver: policies, priority, order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from test_rig.actions import AlertEvent, MeasurementEvent, read_options, retry
from test_rig.actions.backlog import Backlog, Parcel, Policy
from test_rig.actions.pipe_options import PipeOptions
from test_rig.actions.sending import sort_answers
from test_rig.resilience import BreakerState, CallEvent, admit, settle

S = 10**9


def measured(value: float, name: str = "latency") -> Parcel:
    """Return a measurement that was taken at its value's time."""
    event = MeasurementEvent(
        id=f"{name}{value}", name=name, value=value, timestamp=0.0, timestamp_ns=0
    )
    return Parcel(event=event, born_ns=int(value))


def alerted(kind: str) -> Parcel:
    """Return an alert."""
    event = AlertEvent(
        id=kind, alert_type=kind, severity="info", message="", timestamp=0.0, timestamp_ns=0
    )
    return Parcel(event=event, born_ns=0)


def ids(parcels: list[Parcel]) -> list[str]:
    """Return the ids of the parcels' events."""
    return [parcel.event.id for parcel in parcels]


def test_alerts_go_before_measurements() -> None:
    """Though they came later."""
    backlog = Backlog(10, Policy.DROP_OLDEST)
    backlog.offer([measured(1), alerted("a"), measured(2)])
    assert ids(backlog.take(10, now_ns=0)) == ["a", "latency1", "latency2"]


@pytest.mark.parametrize(
    ("policy", "left", "lost", "spilled"),
    [
        (Policy.DROP_OLDEST, [2, 3], [1], []),
        (Policy.DROP_NEWEST, [1, 2], [3], []),
        (Policy.BLOCK, [1, 2], [3], []),
        (Policy.SPILL, [1, 2], [], [3]),
    ],
)
def test_a_full_queue_does_what_its_policy_says(
    policy: Policy, left: list[int], lost: list[int], spilled: list[int]
) -> None:
    """One is lost or goes to disk; the others stay in their order."""
    backlog = Backlog(2, policy)
    made = backlog.offer([measured(1), measured(2), measured(3)])
    assert ids(made.dropped) == [f"latency{value}" for value in lost]
    assert ids(made.spilled) == [f"latency{value}" for value in spilled]
    assert ids(backlog.take(10, now_ns=0)) == [f"latency{value}" for value in left]


def test_a_full_queue_of_measurements_has_room_for_an_alert() -> None:
    """Each lane has its own limit."""
    backlog = Backlog(1, Policy.DROP_NEWEST)
    made = backlog.offer([measured(1), alerted("a")])
    assert made.dropped == []


def test_the_latest_of_a_series_stands_for_those_before_it() -> None:
    """And tells how many there were, the least and the greatest."""
    backlog = Backlog(10, Policy.LATEST)
    backlog.offer([measured(5), measured(1, "rows"), measured(9), measured(7)])
    latency, rows = backlog.take(10, now_ns=0)
    assert isinstance(latency.event, MeasurementEvent)
    assert latency.event.value == 7
    assert latency.event.metadata["conflated"] == {"count": 2, "min": 5, "max": 9}
    assert isinstance(rows.event, MeasurementEvent)
    assert rows.event.metadata == {}


def test_a_series_is_not_taken_more_often_than_its_interval() -> None:
    """The first at once, the next one when it is due."""
    backlog = Backlog(10, Policy.LATEST, interval_ns=S)
    backlog.offer([measured(1)])
    assert len(backlog.take(10, now_ns=5)) == 1
    backlog.offer([measured(2), measured(3)])
    assert backlog.take(10, now_ns=6) == []
    assert backlog.next_due_ns() == 5 + S
    assert ids(backlog.take(10, now_ns=5 + S)) == ["latency3"]


def test_what_is_tried_again_keeps_its_key_in_order_and_others_going() -> None:
    """Later parcels of the key wait behind it."""
    backlog = Backlog(10, Policy.BLOCK)
    backlog.offer([measured(1, "a"), measured(1, "b"), measured(2, "a"), measured(2, "b")])
    (first,) = backlog.take(1, now_ns=0)
    backlog.hold([first], due_ns=100)
    assert ids(backlog.take(10, now_ns=50)) == ["b1", "b2"]
    assert ids(backlog.take(10, now_ns=100)) == ["a1", "a2"]


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=40),
    st.integers(min_value=1, max_value=5),
)
def test_no_order_of_failures_breaks_the_order_of_a_key(
    plan: list[tuple[str, bool]], size: int
) -> None:
    """Whatever fails the first time, each key arrives in its order and nothing is lost."""
    parcels = [measured(number, name) for number, (name, _) in enumerate(plan)]
    fails = {parcel.event.id for parcel, (_, failing) in zip(parcels, plan, strict=True) if failing}
    backlog, done, now_ns = Backlog(100, Policy.BLOCK), [], 0
    backlog.offer(parcels)
    while len(backlog):
        now_ns += 10
        batch, again, stuck = backlog.take(size, now_ns=now_ns), [], set()
        for parcel in batch:
            name = parcel.event.name
            if name in stuck or parcel.event.id in fails:
                fails.discard(parcel.event.id)
                stuck.add(name)
                again.append(parcel)
            else:
                done.append(parcel)
        backlog.hold(again, due_ns=now_ns + 25)
    for name in "abc":
        came = [parcel.born_ns for parcel in done if parcel.event.name == name]
        assert came == sorted(came)
    assert len(done) == len(parcels)


@pytest.mark.parametrize(
    ("options", "pauses"),
    [
        ({"retry_base_s": 0.5, "retry_max_s": 3.0, "jitter": False}, [0.5, 1.0, 2.0, 3.0, 3.0]),
        ({"retry_base_s": 0.5, "retry_max_s": 3.0}, [0.25, 0.5, 1.0, 1.5, 1.5]),
        ({"jitter": False}, [0.2, 0.4, 0.8, 1.6, 3.2]),
    ],
)
def test_pauses_grow_to_their_limit(options: dict[str, Any], pauses: list[float]) -> None:
    """By half of it, where chance has drawn a half."""
    config = read_options(PipeOptions, options, where="pipe").retry
    waits = [measured(1)]
    found = [sort_answers(waits, [retry("no")], config, chance=0.5).pause_s for _ in pauses]
    assert found == pytest.approx(pauses)


def test_the_breaker_opens_and_closes_as_is_said() -> None:
    """After so many failures, for so long."""
    options = {"breaker_failures": 2, "breaker_recovery_s": 7.0}
    config = read_options(PipeOptions, options, where="pipe").breaker
    breaker, phases = BreakerState(), []
    for _ in range(2):
        breaker = settle(breaker, config, CallEvent.FAILURE, era=breaker.era, now_ns=0)
        phases.append(breaker.phase.value)
    assert phases == ["closed", "open"]
    assert [admit(breaker, config, now_ns=round(at_s * S))[1] for at_s in (6.9, 7.0)] == [
        False,
        True,
    ]
