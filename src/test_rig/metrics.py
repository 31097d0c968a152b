"""How long something took and whether it succeeded: timers, and a decorator that logs calls.

All three give the same fields: `operation`, `duration_ms`, `success`. They go to the log (the
logger `test_rig.metrics`), and as measurements to whoever listens.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from test_rig.clock import SYSTEM_CLOCK, Clock
from test_rig.resilience import MASK, is_secret_name, without_passwords
from test_rig.telemetry import Emit, Measurement, emit_nothing

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["Timer", "instrument", "log_performance_metric", "timer"]

F = TypeVar("F", bound=Callable[..., Any])
#: A longer argument is cut.
_SHOWN_CHARS = 200


@dataclass(slots=True)
class Timer:
    """A stretch of time under a name; its fields are complete when its block is left."""

    operation: str
    duration_ms: float = 0.0
    #: Whether the block was left without an exception.
    success: bool = False


@contextmanager
def timer(
    operation: str, *, emit: Emit = emit_nothing, clock: Clock = SYSTEM_CLOCK, **fields: Any
) -> Iterator[Timer]:
    """Measure a block, log it, and emit it as a measurement.

    >>> with timer("database_query") as query:
    ...     pass
    >>> query.success, query.duration_ms >= 0
    (True, True)

    Args:
        operation: What it is called.
        emit: Gets a measurement: `context.emit` in handlers.
        clock: Measures.
        fields: More to log.
    """
    made, started_ns = Timer(operation), clock.now_ns()
    try:
        yield made
        made.success = True
    except BaseException as error:
        fields["error"] = f"{type(error).__name__}: {error}"
        raise
    finally:
        made.duration_ms = (clock.now_ns() - started_ns) / 1e6
        log_performance_metric(
            operation, made.duration_ms, success=made.success, emit=emit, clock=clock, **fields
        )


def log_performance_metric(
    operation: str,
    duration_ms: float,
    *,
    success: bool = True,
    emit: Emit = emit_nothing,
    clock: Clock = SYSTEM_CLOCK,
    **fields: Any,
) -> None:
    """Log how long something took, and emit it as a measurement named after it, in milliseconds."""
    level = logging.INFO if success else logging.WARNING
    _logger().log(
        level, operation, duration_ms=round(duration_ms, 3), success=success, **_safe(fields)
    )
    emit(
        Measurement(
            name=operation,
            value=duration_ms,
            unit="ms",
            time_ns=clock.now_ns(),
            labels=(("success", str(success).lower()),),
            source="metrics",
        )
    )


@overload
def instrument(function: F) -> F: ...
@overload
def instrument(
    *, skip: Sequence[str] = (), name: str | None = None, emit: Emit = emit_nothing
) -> Callable[[F], F]: ...
def instrument(
    function: Callable[..., Any] | None = None,
    *,
    skip: Sequence[str] = (),
    name: str | None = None,
    emit: Emit = emit_nothing,
) -> Any:
    """Log every call of a function, sync or async, with its arguments, time and success.

    >>> @instrument(skip=("connection",))
    ... def count_rows(connection, table):
    ...     return 3
    >>> count_rows(None, "orders")
    3

    Args:
        function: The function, where the decorator stands without arguments.
        skip: Arguments that are not logged. Those whose names say that they hold a secret are
            never shown.
        name: What it is called; the function's qualified name if None.
        emit: Gets a measurement of every call.
    """
    if function is None:
        return functools.partial(instrument, skip=skip, name=name, emit=emit)
    inner, operation = function, name or function.__qualname__
    signature = inspect.signature(inner)

    def fields(args: Any, kwargs: Any) -> dict[str, Any]:
        given = signature.bind(*args, **kwargs).arguments
        # An argument may be called as one of the log's own fields is.
        return {
            f"arg_{key}": MASK if is_secret_name(key) else value
            for key, value in given.items()
            if key not in skip and key != "self"
        }

    if inspect.iscoroutinefunction(inner):

        @functools.wraps(inner)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            with timer(operation, emit=emit, **fields(args, kwargs)):
                return await inner(*args, **kwargs)

        return awaited

    @functools.wraps(inner)
    def called(*args: Any, **kwargs: Any) -> Any:
        with timer(operation, emit=emit, **fields(args, kwargs)):
            return inner(*args, **kwargs)

    return called


def _safe(fields: dict[str, Any]) -> dict[str, str | int | float | bool | None]:
    return {key: MASK if is_secret_name(key) else _shown(value) for key, value in fields.items()}


def _shown(value: Any) -> str | int | float | bool | None:
    if value is None or isinstance(value, int | float | bool):
        return value
    text = without_passwords(value if isinstance(value, str) else repr(value))
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."


def _logger() -> FilteringBoundLogger:
    import structlog

    return cast("FilteringBoundLogger", structlog.wrap_logger(logging.getLogger(__name__)))
