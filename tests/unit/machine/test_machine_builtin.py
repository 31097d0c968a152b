"""The standard path: it really connects, and says so only if it did."""

import sqlite3

import pytest

from test_rig.errors import ConnectFailed, ErrorCategory, Failure, FailureKind, Outcome
from test_rig.machine import (
    STANDARD_PATH,
    ConnectingHandler,
    DynamicStateMachine,
    Limits,
    Phase,
    State,
    StateContext,
    StateHandler,
    StateMachine,
    TestingConnectionHandler,
    VerifyingDatabaseHandler,
)
from test_rig.targets import Result, Target, TargetUrl
from test_rig.verdict import ResultStatus


class _Counting(StateHandler):
    """Asks the connection how many tables there are."""

    def __init__(self):
        self.sessions = []

    def execute(self, context):
        self.sessions.append(context.connection)
        context.set_data("tables", context.connection.execute_query("SELECT count(*) AS n FROM t"))
        return State.completed()


class _Unsteady(Target):
    """A target that refuses some connections before it accepts one."""

    def __init__(self, url, refusals, kind=FailureKind.SERVER_STARTING):
        super().__init__(url)
        self.refusals, self.kind, self.asked = refusals, kind, 0

    def connect(self, name="conn_0", *, level=None):
        self.asked += 1
        if self.asked <= self.refusals:
            transient = self.kind is FailureKind.SERVER_STARTING
            category = ErrorCategory.TRANSIENT if transient else ErrorCategory.PERMANENT
            raise ConnectFailed(
                "refused",
                failure=Failure(
                    category=category,
                    kind=self.kind,
                    outcome=Outcome.FAIL,
                    ends_transaction=True,
                    message="refused",
                ),
            )
        return super().connect(name, level=level)


@pytest.fixture
def unsteady(tmp_path):
    """Return a maker of targets that refuse so many connections at first."""
    url = TargetUrl.parse(f"sqlite:///{tmp_path / 'unsteady.db'}")
    return lambda refusals, **kind: _Unsteady(url, refusals, **kind)


def _visited(result):
    return [entry.state for entry in result.trace if entry.phase is Phase.ENTER]


@pytest.mark.parametrize("url", ["sqlite://", "duckdb://"])
@pytest.mark.parametrize("kind", [StateMachine, DynamicStateMachine])
def test_the_standard_path_identifies_the_database(kind, url):
    """All six states in order, then product and version are in the context."""
    machine = kind(url)
    result = machine.run()
    assert result.passed, str(result.error)
    assert _visited(result) == list(STANDARD_PATH)
    context = machine.get_context()
    assert context.product.lower() == url.partition(":")[0]
    assert any(char.isdigit() for char in context.version)


def test_the_version_is_the_servers_own():
    """It is asked, not made up."""
    machine = StateMachine("sqlite://")
    machine.run()
    assert machine.get_context().server_version == sqlite3.sqlite_version


def test_no_target_means_a_private_sqlite_file():
    """As everywhere in the rig; and it can be run twice."""
    machine = StateMachine()
    assert machine.run().passed
    assert machine.run().passed
    assert machine.get_context().product == "SQLite"


def test_handlers_of_ones_own_come_after_the_path_and_have_the_connection(tmp_path):
    """The built-in path leads to them, and their session is closed afterwards."""
    file = tmp_path / "x.db"
    with sqlite3.connect(file) as made:
        made.execute("CREATE TABLE t (i)")
    made.close()
    machine, handler = DynamicStateMachine(f"sqlite:///{file}"), _Counting()
    machine.register_handler("counting", handler)
    assert machine.run().passed
    assert machine.get_context().get_data("tables") == [{"n": 0}]
    assert not handler.sessions[0].is_usable
    assert machine.get_context().connection is None


def test_a_handler_of_ones_own_replaces_a_built_in_one():
    """The path goes where it says."""
    machine = StateMachine("sqlite://")
    machine.register_handler("connecting", StateHandler)
    result = machine.run()
    assert _visited(result) == [State.Initial, State.ParsingConfig, State.Connecting]


def test_a_built_in_handler_serves_any_state():
    """Registered for another state it goes on in the order of registration."""
    machine = DynamicStateMachine("sqlite://")
    machine.register_handler("ping", TestingConnectionHandler)
    machine.register_handler("pong", TestingConnectionHandler)
    assert _visited(machine.run())[-2:] == ["ping", "pong"]


def test_ruled_transitions_lead_the_built_in_handlers():
    """A shorter path is gone as ruled."""
    machine = StateMachine("sqlite://")
    machine.register_transitions("Connecting", ["GettingVersion"])
    result = machine.run()
    assert _visited(result) == [
        State.Initial,
        State.ParsingConfig,
        State.Connecting,
        State.GettingVersion,
    ]


@pytest.mark.parametrize(
    ("target", "state", "words"),
    [
        ("sqlite:////nowhere/at/all/x.db", State.Connecting, "folder"),
        ("mysql://root@127.0.0.1:1/test", State.Connecting, "cannot connect"),
    ],
)
def test_what_cannot_be_reached_is_no_success(target, state, words):
    """The run ends where it failed, with the reason."""
    result = StateMachine(target).run()
    assert result.status is ResultStatus.ERROR
    assert _visited(result)[-1] == state
    assert words in result.error.message


def test_a_file_that_is_no_database_fails(tmp_path):
    """Opening it is not enough."""
    file = tmp_path / "x.db"
    file.write_text("this is no database, " * 100)
    result = StateMachine(f"sqlite:///{file}").run()
    assert result.status is ResultStatus.ERROR
    assert "not a database" in result.error.message


def test_a_broken_address_is_told_by_parsing_config():
    """Before anything is connected to."""
    result = StateMachine(context=StateContext("db:notaport")).run()
    assert _visited(result)[-1] is State.ParsingConfig
    assert "port is not a number" in result.error.message


def test_a_server_that_is_starting_is_tried_again(unsteady):
    """A transient refusal is not the end."""
    target = unsteady(2)
    assert StateMachine(target).run().passed
    assert target.asked == 3


def test_a_server_that_stays_away_is_given_up_with_every_attempt_told(unsteady):
    """The traceback's notes name each."""
    target = unsteady(99)
    result = StateMachine(target).run()
    assert (result.status, target.asked) == (ResultStatus.ERROR, 3)
    assert "attempt 3" in result.error.traceback


def test_a_wrong_password_is_not_tried_again(unsteady):
    """A mistake does not heal."""
    target = unsteady(99, kind=FailureKind.AUTHENTICATION)
    assert not StateMachine(target).run().passed
    assert target.asked == 1


def test_connecting_does_not_outlive_the_deadline(unsteady):
    """No pause goes beyond it."""
    target = unsteady(99)
    result = StateMachine(target, limits=Limits(state_s=0.001)).run()
    assert not result.passed
    assert target.asked <= 1


def test_connecting_answered_from_beyond_connects_afresh_and_comes_back():
    """The old session is closed, the new one is another, and the handler is _visited again."""

    class Reconnecting(_Counting):
        def execute(self, context):
            self.sessions.append(context.connection)
            self.usable = [session.is_usable for session in self.sessions]
            return State.connecting() if len(self.sessions) == 1 else State.completed()

    machine, handler = DynamicStateMachine("sqlite://"), Reconnecting()
    machine.register_handler("again", handler)
    result = machine.run()
    assert _visited(result)[-3:] == ["again", State.Connecting, "again"]
    assert handler.usable == [False, True]


def test_reconnecting_for_ever_is_ended():
    """The limit of transitions holds for detours."""

    class Never(StateHandler):
        def execute(self, context):
            return State.connecting()

    machine = DynamicStateMachine("sqlite://", limits=Limits(transitions=20))
    machine.register_handler("again", Never)
    assert "limit of 20 transitions" in machine.run().error.message


def test_without_a_connection_the_later_states_say_so():
    """They do not pretend."""
    machine = StateMachine("sqlite://")
    machine.register_transitions("Initial", ["TestingConnection"])
    assert "there is no connection" in machine.run().error.message


def test_a_connection_that_answers_something_else_is_a_failure():
    """An answer is not enough: it must be the right one."""

    class Odd:
        def execute(self, sql):
            return Result(columns=("1",), rows=((2,),))

    class Connecting(StateHandler):
        def execute(self, context):
            context.connection = Odd()
            return State.testing_connection()

    machine = StateMachine("sqlite://")
    machine.register_handler("Connecting", Connecting)
    assert machine.run().error.message == "SELECT 1 gave ((2,),)"


def test_another_database_than_the_one_asked_for_is_a_failure(tmp_path):
    """The session's own word counts, not the URL's."""
    context = StateContext(target=f"sqlite:///{tmp_path / 'a.db'}")
    (tmp_path / "b.db").touch()

    class Elsewhere(StateHandler):
        def execute(self, context):
            other = Target.open(f"sqlite:///{tmp_path / 'b.db'}")
            context.connection = context.close_at_end(other.connect())
            return State.verifying_database()

    (tmp_path / "a.db").touch()
    machine = StateMachine(context=context)
    machine.register_handler("Connecting", Elsewhere)
    machine.register_handler("VerifyingDatabase", VerifyingDatabaseHandler)
    result = machine.run()
    assert result.status is ResultStatus.FAILED
    assert "b.db" in result.error.message


def test_a_targets_owner_keeps_it_and_the_sessions_brought_along():
    """The machine closes what it opened, and nothing else."""
    with Target.open("sqlite://") as target:
        mine = target.connect("mine")
        context = StateContext(target=target, connection=mine)
        assert StateMachine(context=context).run().passed
        mine.ping()
        target.connect("later").close()
        mine.close()


def test_the_opener_given_to_the_machine_is_used():
    """That is how time limits and `--show-sql` come in."""
    statements = []

    def opener(url):
        return Target.open(url, listener=lambda event: statements.append(event.sql))

    StateMachine("sqlite://", open_target=opener).run()
    assert "SELECT 1" in statements
    assert any("version" in sql for sql in statements)


def test_connecting_alone_finds_its_target():
    """A machine without ParsingConfig connects as well."""
    machine = StateMachine("sqlite://")
    machine.register_transitions("Initial", ["Connecting"])
    assert machine.run().passed
    assert isinstance(machine._roster[State.Connecting], ConnectingHandler)
