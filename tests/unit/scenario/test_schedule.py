"""The core sends, waits, holds back and gives up as the isolation tester and a person would."""

from hypothesis import given
from hypothesis import strategies as st
from simulated_world import MS, play

from test_rig.scenario import parse_spec
from test_rig.scenario.moves import Ended, Ending, Limits, Observed, OnError, Send, Tick
from test_rig.scenario.schedule import Schedule
from test_rig.scenario.script import script_of
from test_rig.verdict import StepPhase

ABORT = OnError.ABORT
SQL = {
    "la": "lock x",
    "lb": "lock x",
    "lb2": "lock y",
    "la2": "lock y",
    "ea": "end",
    "eb": "end",
    "q": "quick",
    "bad": "fail",
    "hang": "hang",
    "n": "notice",
    "t": "timeout x",
}


def test_blocked_step_is_left_waiting() -> None:
    """A step that waits is left alone, the next goes on, and its end is told after that step."""
    world = play("a:la b:lb a:ea b:eb", SQL)
    assert world.story == ["la ended", "lb waiting", "ea ended", "lb completed", "eb ended"]
    assert world.schedule.ending is Ending.COMPLETE
    assert world.schedule.tracks[1].blocked_by == ("a",)


def test_waiting_at_the_end_is_awaited() -> None:
    """A step that still waits when the last was sent is awaited."""
    assert play("a:la b:lb a:ea", SQL).story[-1] == "lb completed"


def test_busy_session_is_awaited() -> None:
    """The tester does not send a step to a session that is busy until it is free."""
    world = play("a:la a:la2 b:lb2 c:lb a:ea b:q", {**SQL, "lb": "lock z"})
    assert world.log == ["la", "la2", "lb2", "lb", "ea", "q"]


def test_impossible_order_is_seen_at_once() -> None:
    """A step of a session that waits for an idle one, with nothing between, can never be sent."""
    world = play("a:la b:lb b:eb a:ea", SQL)
    assert world.schedule.ending is Ending.IMPOSSIBLE
    assert world.schedule.problem == (
        "step lb of session b waits for a: nothing that could let it go on comes before step eb"
    )
    assert world.log == ["la", "lb", "cancel lb"]
    assert world.now < 400 * MS
    assert [track.is_skipped for track in world.schedule.tracks] == [False, False, True, True]


def test_no_unlocking_step_left() -> None:
    """A wait that nothing ends any more is cancelled when all steps were sent."""
    world = play("a:la b:lb", SQL)
    assert world.schedule.ending is Ending.IMPOSSIBLE
    assert "no step is left" in str(world.schedule.problem)


def test_own_time_limits_are_respected() -> None:
    """A script that sets time limits on the server may wait for an idle session."""
    world = play("a:la b:t b:q a:ea", SQL, is_patient=True)
    assert world.schedule.ending is Ending.COMPLETE
    assert world.log == ["la", "t", "q", "ea"]


def test_limit_means_unknown() -> None:
    """A step that neither ends nor is said to wait ends the run by the limit, not as blocked."""
    for on_error in OnError:
        world = play("a:q a:hang b:eb", SQL, on_error=on_error)
        assert world.schedule.ending is Ending.LIMIT
        assert world.schedule.tracks[1].blocked_ns is None
        assert "neither ended nor been said to wait" in str(world.schedule.problem)


def test_deadlock_victim_is_told_after_the_wait() -> None:
    """A step of a deadlock is seen to wait first, and then ends in an error."""
    world = play("a:la b:lb2 a:la2 b:lb b:eb a:ea", SQL, deadlock_ms=30)
    assert world.story == [
        "la ended",
        "lb2 ended",
        "la2 waiting",
        "lb waiting",
        "lb completed",
        "la2 completed",
        "eb ended",
        "ea ended",
    ]
    assert [track.is_failed for track in world.schedule.tracks][2:4] == [False, True]


def test_markers_hold_reports_back() -> None:
    """`(*)` tells a quick step as waiting; `(step)` holds its end while that step is under way."""
    assert play("a:q/* b:eb", SQL).story == ["q waiting", "eb ended", "q completed"]
    held = play("c:la b:lb a:q/lb c:ea", SQL)
    assert held.story[-3:] == ["ea ended", "lb completed", "q completed"]
    assert play("a:q/eb b:eb", SQL).story == ["q ended", "eb ended"]


def test_marker_on_notices() -> None:
    """`(step notices n)` holds a step's end until that step's session has sent n notices."""
    one = play("b:n a:q/n+1 b:n b:eb", SQL)
    told = [line for line in one.story if not line.endswith("notice")]
    assert told == ["n ended", "q waiting", "n ended", "q completed", "eb ended"]
    assert one.story[0] == "n notice"


def test_markers_in_a_circle() -> None:
    """Steps that hold each other back for ever are told instead of waited for."""
    world = play("a:q/*,eb b:eb/q a:ea", SQL)
    assert world.schedule.ending is Ending.IMPOSSIBLE
    assert "a marker holds step q back, so that ea can never be sent" in str(world.schedule.problem)
    world = play("a:q/*,eb b:eb/q", SQL)
    assert world.schedule.problem == "markers hold these steps back for ever: q, eb"


def test_error_changes_nothing_for_the_tester() -> None:
    """The tester sends the remaining steps of a session that failed."""
    assert play("a:bad a:q", SQL).log == ["bad", "q"]


def test_error_ends_the_session_of_a_scenario() -> None:
    """In a scenario an error rolls the session back and skips its remaining steps."""
    world = play("a:la a:bad b:lb a:q b:eb", SQL, on_error=ABORT)
    assert world.log == ["la", "bad", "rollback a", "lb", "eb"]
    assert world.schedule.tracks[3].is_skipped


def test_rollback_lets_others_go_on() -> None:
    """A session that waited for a failed one goes on when that was rolled back."""
    world = play("a:la b:lb a:bad a:ea b:eb", SQL, on_error=ABORT)
    assert world.log == ["la", "lb", "bad", "rollback a", "eb"]
    assert world.schedule.ending is Ending.COMPLETE


def test_steps_of_a_blocked_session_are_put_off() -> None:
    """In a scenario other sessions' steps go on meanwhile, in their own order."""
    world = play("a:la b:lb b:q b:eb a:la2 a:ea", SQL, on_error=ABORT)
    assert world.log == ["la", "lb", "la2", "ea", "q", "eb"]


def test_a_deadlock_is_resolved_before_others_go_on() -> None:
    """Who waits in a circle is awaited: the victim does not depend on how fast others are."""
    script = "a:la b:lb2 a:la2 b:lb c:q b:eb a:ea"
    world = play(script, SQL, on_error=ABORT, deadlock_ms=60)
    assert world.log == ["la", "lb2", "la2", "lb", "rollback b", "q", "ea"]


def test_never_ending_scenario() -> None:
    """A scenario whose last step waits for an idle session is impossible, and told."""
    world = play("a:la b:lb", SQL, on_error=ABORT)
    assert world.schedule.ending is Ending.IMPOSSIBLE


def test_blocked_needs_two_words_after_the_last_change() -> None:
    """One observation is not enough, and one asked for before the step was sent does not count."""
    schedule = Schedule(
        play("a:q b:eb", SQL).steps, on_error=OnError.CONTINUE, limits=Limits(step_ns=1000 * MS)
    )
    assert schedule.start(10) == (Send(index=0),)
    for asked in (5, 11):
        schedule.on(Observed(asked_ns=asked, waits={"a": ("b",)}), 12)
        assert schedule.reports == ()
    commands = schedule.on(Observed(asked_ns=13, waits={"a": ("b",)}), 14)
    assert schedule.reports[0].phase is StepPhase.WAITING
    assert commands == (Send(index=1),)


def test_ticks_alone_change_nothing() -> None:
    """Time alone leads to observations only."""
    schedule = Schedule(play("a:q", SQL).steps, on_error=OnError.CONTINUE)
    schedule.start(0)
    asked = [schedule.on(Tick(), n * MS) for n in range(1, 9)]
    assert {type(c).__name__ for commands in asked for c in commands} == {"Observe"}
    schedule.on(Ended(index=0), 10 * MS)
    assert schedule.ending is Ending.COMPLETE


words = st.sampled_from(["lock x", "lock y", "lock z", "end", "quick", "fail", "notice"])
scripts = st.lists(st.tuples(st.sampled_from("abc"), words), min_size=1, max_size=9)


@given(scripts, st.sampled_from(OnError), st.sampled_from([0, 3, 40]))
def test_any_script_ends_in_order(
    script: list[tuple[str, str]], on_error: OnError, deadlock_ms: int
) -> None:
    """Any script ends soon; each step is sent once to an idle session, in its session's order."""
    names = [f"{session}:s{n}" for n, (session, _) in enumerate(script)]
    sql = {f"s{n}": word for n, (_, word) in enumerate(script)}
    world = play(" ".join(names), sql, on_error=on_error, deadlock_ms=deadlock_ms)
    sent = [name for name in world.log if name.startswith("s")]
    assert len(sent) == len(set(sent))
    for session in "abc":
        mine = [f"s{n}" for n, (s, _) in enumerate(script) if s == session]
        assert [name for name in sent if name in mine] == mine[: len(set(sent) & set(mine))]
    schedule = world.schedule
    assert schedule.ending in (Ending.COMPLETE, Ending.IMPOSSIBLE)
    if schedule.ending is Ending.COMPLETE and on_error is OnError.CONTINUE:
        assert sent == list(sql)
    for track in schedule.tracks:
        assert track.is_done or track.is_skipped


def test_which_scripts_are_patient() -> None:
    """A script that sets a time limit on the server may rely on it; a deadlock's is none."""
    for sql, is_patient in (
        ("SET lock_timeout = '1s'", True),
        ("SET innodb_lock_wait_timeout = 1", True),
        ("SET deadlock_timeout = '1s'", False),
        ("SELECT 1", False),
    ):
        spec = parse_spec(f"session s setup {{ {sql} }} step a {{}}")
        script = script_of(spec, next(spec.all_permutations()))
        assert (sql, script.sets_time_limits) == (sql, is_patient)
