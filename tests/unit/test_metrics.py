"""Timers and instrumented functions: the same three fields, no secrets, every end told."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from test_rig import instrument, log_performance_metric, timer
from test_rig.metrics import Timer
from test_rig.telemetry import Alert, Measurement


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What the metrics log."""
    caplog.set_level(logging.INFO, logger="test_rig.metrics")
    return caplog


def test_a_timer_tells_time_and_success(log: pytest.LogCaptureFixture) -> None:
    """In the log and as a measurement."""
    emitted: list[Measurement | Alert] = []
    with timer("database_query", emit=emitted.append, rows=3) as query:
        pass
    assert isinstance(query, Timer)
    assert query.success
    (measured,) = emitted
    assert isinstance(measured, Measurement)
    assert (measured.name, measured.value) == ("database_query", query.duration_ms)
    (record,) = log.records
    assert "database_query" in record.getMessage()
    assert "success=True" in record.getMessage()
    assert "rows=3" in record.getMessage()


def test_a_failure_is_told_and_passed_on(log: pytest.LogCaptureFixture) -> None:
    """As a warning, with the error."""
    with pytest.raises(ValueError, match="no"), timer("load"):
        raise ValueError("no")
    (record,) = log.records
    assert record.levelno == logging.WARNING
    assert "success=False" in record.getMessage()
    assert "ValueError: no" in record.getMessage()


def test_calls_are_logged_with_arguments_but_no_secrets(log: pytest.LogCaptureFixture) -> None:
    """What is skipped, and what is called a password, is not there."""

    @instrument(skip=("connection",))
    def load(connection: object, table: str, password: str = "", dsn: str = "") -> int:
        return len(table)

    assert load("CONN", "orders", password="s3cret", dsn="mysql://u:hidden@h/d") == 6
    text = log.records[0].getMessage()
    assert "orders" in text
    assert "load" in text
    assert not any(secret in text for secret in ("CONN", "s3cret", "hidden"))


def test_async_functions_and_bare_decorators_do_as_well(log: pytest.LogCaptureFixture) -> None:
    """The time is that until it was awaited."""

    @instrument
    async def wait(operation: str) -> str:
        """Wait."""
        await asyncio.sleep(0)
        return operation

    assert wait.__doc__ == "Wait."
    assert asyncio.run(wait("success")) == "success"
    assert "arg_operation" in log.records[0].getMessage()


def test_methods_do_not_log_themselves(log: pytest.LogCaptureFixture) -> None:
    """A handler's `self` says nothing."""

    class Handler:
        @instrument(name="handling")
        def execute(self, context: Any) -> str:
            return "Completed"

    Handler().execute("C")
    text = log.records[0].getMessage()
    assert "handling" in text
    assert "self" not in text


def test_a_measured_time_can_be_told_directly(log: pytest.LogCaptureFixture) -> None:
    """By whoever measured it."""
    log_performance_metric("query", 12.3456, success=True)
    assert "duration_ms=12.346" in log.records[0].getMessage()
