"""The context: where to connect, what handlers keep, and what it never tells."""

import pytest

from test_rig.errors import TargetUrlError, UsageError
from test_rig.machine import State, StateContext
from test_rig.targets import Target, TargetUrl


@pytest.mark.parametrize(
    ("context", "url"),
    [
        (StateContext(), "sqlite://"),
        (StateContext("db:4001", username="ann"), "mysql://ann@db:4001/"),
        (StateContext("db"), "tidb://root@db:4000/"),
        (StateContext("db", 5432, "ann", database="x"), "postgresql://ann@db:5432/x"),
        (StateContext("mysql://u@h/d"), "mysql://u@h:3306/d"),
        (StateContext(target="postgresql://u@h:6543/d"), "postgresql://u@h:6543/d"),
        (StateContext(target="duckdb:///x.duckdb"), "duckdb:///x.duckdb"),
        (StateContext(target=TargetUrl.parse("sqlite:///y.db")), "sqlite:///y.db"),
        (StateContext(target=Target.open("sqlite:///z.db")), "sqlite:///z.db"),
    ],
)
def test_every_way_of_naming_the_target_is_understood(context, url):
    """Parts, `host:port`, a URL as the host, a URL, a target; nothing: a private file."""
    assert context.url.safe() == url


def test_the_parts_are_there_to_read():
    """Whichever way the target was named."""
    context = StateContext(target="postgresql://ann:pw@db:6543/shop?sslmode=disable")
    assert (context.host, context.port, context.username) == ("db", 6543, "ann")
    assert (context.password, context.database) == ("pw", "shop")


@pytest.mark.parametrize(
    ("changes", "url"),
    [
        ({"host": "other"}, "postgresql://ann@other:6543/shop"),
        ({"host": "other:7000"}, "postgresql://ann@other:7000/shop"),
        ({"host": "other:7000", "port": 7001}, "postgresql://ann@other:7001/shop"),
        ({"database": "till", "username": "bob"}, "postgresql://bob@db:6543/till"),
    ],
)
def test_a_changed_part_counts_from_then_on(changes, url):
    """The scheme and the options stay; a port within a new host is meant."""
    context = StateContext(target="postgresql://ann:pw@db:6543/shop?sslmode=disable")
    for name, value in changes.items():
        setattr(context, name, value)
    assert context.url.safe() == url
    assert context.url.options == {"sslmode": "disable"}


def test_the_target_is_named_once():
    """By itself or by parts, not both; and it must be one."""
    with pytest.raises(UsageError, match=r"given twice"):
        StateContext("db", target="sqlite://")
    with pytest.raises(TargetUrlError):
        StateContext(target="nosuch://db")


def test_a_target_is_opened_once_for_one_address():
    """Another address opens another one."""
    context, opened = StateContext(target="sqlite:///a.db"), []

    def opener(url):
        opened.append(url.safe())
        return Target.open(url)

    assert context.open_target(opener) is context.open_target(opener)
    context.host = "db"
    context.open_target(opener)
    assert opened == ["sqlite:///a.db", "tidb://root@db:4000/"]


def test_the_password_is_in_no_text():
    """Neither the context nor what it tells of its connection shows it."""
    context = StateContext("db", 4000, "ann", "s3cret-word", database="shop")
    assert "s3cret-word" not in f"{context!r} {context} {context.connection_info()}"
    assert str(context.connection_info()) == "ann@db:4000/shop"


def test_a_target_that_is_none_can_still_be_told_of():
    """Messages about a broken address do not break themselves."""
    context = StateContext("db:not-a-port")
    assert "db:not-a-port" in str(context.connection_info())
    assert "?" in repr(context)


def test_data_is_one_store_under_both_names():
    """What one spelling keeps the other finds."""
    context = StateContext()
    context.set_data("rows", 3)
    context.set_custom_data("names", ["a"])
    assert (context.get_custom_data("rows"), context.get_data("names")) == (3, ["a"])
    assert context.get_data("none") is None
    assert context.get_data("none", 7) == 7


def test_what_belongs_to_a_state_is_found_by_any_spelling_and_moves():
    """Set, get, move and remove; nothing moves where nothing is."""
    context = StateContext()
    context.set_handler_context("my_phase", {"n": 1})
    assert context.get_handler_context("MyPhase") == {"n": 1}
    assert context.move_handler_context("my phase", State.Connecting)
    assert context.get_handler_context("my_phase", "gone") == "gone"
    assert not context.move_handler_context("my_phase", "connecting")
    assert context.remove_handler_context("connecting") == {"n": 1}
    assert context.remove_handler_context("connecting") is None


def test_version_is_another_name_of_server_version():
    """Both spellings read and write one thing."""
    context = StateContext()
    context.version = "8.0"
    assert context.server_version == "8.0"
    context.server_version = "8.4"
    assert context.version == "8.4"


def test_only_what_was_to_be_closed_is_closed_now():
    """A connection that the caller brought stays the caller's."""
    context = StateContext()
    with Target.open("sqlite://") as target:
        mine, theirs = target.connect("mine"), target.connect("theirs")
        context.close_at_end(mine)
        assert context.close_now(mine)
        assert not context.close_now(theirs)
        assert (mine.is_usable, theirs.is_usable) == (False, True)
        theirs.close()


def test_the_logger_says_in_which_state_it_is(caplog):
    """What a handler logs reaches Python's logging with the state beside it."""
    context = StateContext()
    context.current_state = State("loading")
    with caplog.at_level("INFO", logger="test_rig.machine"):
        context.logger.info("loaded", rows=3)
    assert "loaded" in caplog.text
    assert "loading" in caplog.text
