"""The error with kinds: caught by kind, told apart by category, made of what a driver raised."""

from __future__ import annotations

import sqlite3

import pytest

from test_rig import ConnectError, ErrorCategory, RetryConfig, RigError, classify_error
from test_rig.resilience import attempts_of

_KINDS = [
    *("Connection", "Authentication", "Configuration", "StateMachine", "Database", "Validation"),
    *("IsolationTest", "CliArgument", "Logging", "Io", "Parse", "Timeout", "Retry", "Unknown"),
    *("CircuitBreaker", "Network", "Protocol", "Resource"),
]


@pytest.mark.parametrize("name", _KINDS)
def test_each_kind_is_caught_by_itself_and_as_the_error(name: str) -> None:
    """Its message begins with the kind in words."""
    kind = getattr(ConnectError, name)
    with pytest.raises(kind, match=r"\w+ error: no luck") as caught:
        raise kind("no luck")
    assert isinstance(caught.value, ConnectError)
    assert isinstance(caught.value, RigError)
    assert caught.value.kind == name


@pytest.mark.parametrize(
    ("names", "category"),
    [
        (("Connection", "Timeout", "Network", "Resource"), ErrorCategory.TRANSIENT),
        (("Authentication", "Configuration", "Validation", "Parse"), ErrorCategory.PERMANENT),
        (("Database", "Unknown"), ErrorCategory.UNKNOWN),
    ],
)
def test_the_kind_says_whether_trying_again_can_help(
    names: tuple[str, ...], category: ErrorCategory
) -> None:
    """Where nothing else does."""
    assert {classify_error(getattr(ConnectError, name)("x")) for name in names} == {category}


def test_what_a_driver_raised_says_more_than_the_kind() -> None:
    """A syntax error is permanent, whatever it was wrapped in."""
    try:
        sqlite3.connect(":memory:").execute("CREATE TABLE t (a UNIQUE); ")
        sqlite3.connect(":memory:").execute("SELEC 1")
    except sqlite3.Error as error:
        wrapped = ConnectError.Database(error)
    assert str(wrapped) == 'Database error: near "SELEC": syntax error'
    assert isinstance(wrapped.__cause__, sqlite3.Error)
    assert classify_error(wrapped) is not ErrorCategory.TRANSIENT


def test_passwords_are_taken_out() -> None:
    """Of whatever message it is made."""
    error = ConnectError.Connection("cannot reach mysql://root:s3cret@db/x")
    assert "s3cret" not in str(error) + repr(error)


def test_a_permanent_kind_is_not_tried_again() -> None:
    """And an error of unknown effect only if that does no harm."""

    def fails(kind: str) -> int:
        def operation() -> None:
            raise getattr(ConnectError, kind)("x")

        with pytest.raises(ConnectError) as caught:
            RetryConfig(max_attempts=3, base_delay=0.001).execute("x", operation, idempotent=True)
        return len(attempts_of(caught.value))

    assert (fails("Authentication"), fails("Connection")) == (1, 3)


def test_without_a_connection_nothing_was_done_so_it_is_tried_again() -> None:
    """Of a broken network nobody knows: only what can be repeated is."""
    for kind, times in ((ConnectError.Connection, 3), (ConnectError.Network, 1)):
        calls = []

        def fail(calls: list[int] = calls, kind: type[ConnectError] = kind) -> None:
            calls.append(1)
            raise kind("gone")

        with pytest.raises(ConnectError):
            RetryConfig(max_attempts=3, base_delay=0.001).execute("op", fail)
        assert len(calls) == times


def test_an_open_breaker_is_never_tried_again() -> None:
    """Also where the operation can be repeated."""
    calls = []

    def fail() -> None:
        calls.append(1)
        raise ConnectError.CircuitBreaker("open")

    with pytest.raises(ConnectError):
        RetryConfig(max_attempts=3, base_delay=0.001).execute("op", fail, idempotent=True)
    assert len(calls) == 1
