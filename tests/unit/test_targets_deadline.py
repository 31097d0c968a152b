"""The watchdog: whoever comes first, the statement's end or its deadline, decides."""

from __future__ import annotations

import os
import threading
import time

import pytest

from test_rig.targets.deadline import WATCHDOG, Watchdog

LONG_S = 60.0


@pytest.fixture
def watchdog() -> Watchdog:
    """Return a watchdog of the test's own, soon idle."""
    return Watchdog(idle_s=0.05)


def test_an_action_runs_once_its_deadline_has_passed(watchdog: Watchdog) -> None:
    """It runs, and `disarm` says that it did."""
    acted = threading.Event()
    watch = watchdog.arm(0.01, acted.set)
    assert acted.wait(30)
    assert watchdog.disarm(watch)


def test_a_statement_in_time_is_left_alone(watchdog: Watchdog) -> None:
    """Disarmed before its deadline, the action never runs."""
    acted = threading.Event()
    assert not watchdog.disarm(watchdog.arm(0.05, acted.set))
    other = threading.Event()
    watchdog.arm(0.1, other.set)
    assert other.wait(30)
    assert not acted.is_set()


def test_a_nearer_deadline_overtakes_a_farther_one(watchdog: Watchdog) -> None:
    """The thread that sleeps for a long watch is woken for a short one."""
    far = watchdog.arm(LONG_S, lambda: None)
    acted = threading.Event()
    watchdog.arm(0.01, acted.set)
    assert acted.wait(30)
    assert not watchdog.disarm(far)


def test_disarming_waits_for_the_action(watchdog: Watchdog) -> None:
    """When `disarm` returns, the action does not touch the connection any more."""
    ended: list[bool] = []
    started, release = threading.Event(), threading.Event()

    def action() -> None:
        started.set()
        release.wait(30)
        ended.append(True)

    watch = watchdog.arm(0.0, action)
    assert started.wait(30)
    threading.Timer(0.05, release.set).start()
    assert watchdog.disarm(watch)
    assert ended == [True]


def test_an_action_that_hangs_does_not_hold_the_session(
    watchdog: Watchdog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`disarm` waits for an action within bounds only."""
    monkeypatch.setattr("test_rig.targets.deadline._ACTION_S", 0.05)
    release, started = threading.Event(), threading.Event()

    def hang() -> None:
        started.set()
        release.wait(LONG_S)

    watch = watchdog.arm(0.0, hang)
    assert started.wait(30)
    before = time.monotonic()
    assert watchdog.disarm(watch)
    assert time.monotonic() - before < 30
    release.set()


def test_an_action_may_disarm_its_own_watch(watchdog: Watchdog) -> None:
    """It does not wait for itself."""
    answers: list[bool] = []
    done = threading.Event()

    def action() -> None:
        answers.append(watchdog.disarm(watch))
        done.set()

    watch = watchdog.arm(0.02, action)
    assert done.wait(30)
    assert answers == [True]


def test_the_thread_ends_when_there_is_nothing_to_watch(watchdog: Watchdog) -> None:
    """No thread is left behind, and the next watch starts one again."""
    watch = watchdog.arm(LONG_S, lambda: None)
    # Asked of this watchdog, not of the process: other tests' threads come and go.
    mine = watchdog._thread
    assert mine is not None
    assert mine.is_alive()
    watchdog.disarm(watch)
    mine.join(30)
    assert not mine.is_alive()
    acted = threading.Event()
    watchdog.arm(0.0, acted.set)
    assert acted.wait(30)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_has_deadlines_too() -> None:
    """A child inherits no threads: its watchdog starts one of its own."""
    held = WATCHDOG.arm(LONG_S, lambda: None)
    child = os.fork()
    if child == 0:
        acted = threading.Event()
        WATCHDOG.arm(0.01, acted.set)
        os._exit(0 if acted.wait(30) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not WATCHDOG.disarm(held)
