"""The watch: a span is ended by one of two, and nothing is stopped that has returned."""

import threading

from test_rig.clock import SYSTEM_CLOCK
from test_rig.machine.states import State
from test_rig.machine.trace import Call, Phase
from test_rig.machine.watch import Cut, Watch


def _watch(stop=lambda: None, cut=lambda: None, grace_s=0.05):
    return Watch(SYSTEM_CLOCK, longest_nap_s=10.0, grace_s=grace_s, stop=stop, cut=cut)


def _begin_overdue(watch):
    call = Call(State.Initial, "Handler", Phase.EXECUTE)
    watch.begin(call, SYSTEM_CLOCK.now_ns())
    return call


def _in_thread(work):
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_a_call_that_comes_back_waits_until_the_stopping_is_over():
    """A late cancellation must not hit what the runner does next."""
    stopping, may_end, log = threading.Event(), threading.Event(), []

    def stop():
        stopping.set()
        may_end.wait(10)
        log.append("stopped")

    watch = _watch(stop, grace_s=10.0)
    _begin_overdue(watch)
    keeping = _in_thread(watch.keep)
    assert stopping.wait(10)
    runner = _in_thread(lambda: log.append(watch.end()))
    runner.join(0.1)
    assert log == []
    may_end.set()
    runner.join(10)
    watch.finish()
    keeping.join(10)
    assert log == ["stopped", Cut.TIME]


def test_a_span_that_its_runner_has_ended_is_left_alone():
    """However late it is: nothing is cancelled."""
    log = []
    watch = _watch(lambda: log.append("stopped"))
    _begin_overdue(watch)
    assert watch.end() is None
    keeping = _in_thread(watch.keep)
    watch.interrupt()
    keeping.join(0.1)
    watch.finish()
    keeping.join(10)
    assert log == []


def test_a_call_is_stopped_then_cut_then_abandoned():
    """And whoever comes back after that is told so."""
    log = []
    watch = _watch(lambda: log.append("stop"), lambda: log.append("cut"))
    call = _begin_overdue(watch)
    assert watch.keep() is False
    assert log == ["stop", "cut"]
    assert watch.abandoned is call
    assert watch.end() is Cut.ABANDONED


def test_calls_that_end_at_their_deadline_are_ended_by_one_only():
    """Thousands of calls that return just when they are due: each is stopped, or was in time."""
    stops = []
    watch = Watch(
        SYSTEM_CLOCK, longest_nap_s=0.001, grace_s=30, stop=lambda: stops.append(1), cut=list
    )
    keeping = _in_thread(watch.keep)
    call, cuts = Call(State.Initial, "Handler", Phase.EXECUTE), []
    for spread_ns in [0, 1_000, 5_000, 20_000, 200_000] * 400:
        watch.begin(call, SYSTEM_CLOCK.now_ns() + spread_ns)
        cuts.append(watch.end())
    watch.finish()
    keeping.join(30)
    assert not keeping.is_alive()
    assert cuts.count(Cut.TIME) == len(stops)
    assert set(cuts) <= {None, Cut.TIME}
