"""Spans of OpenTelemetry, where it is installed and somebody collects them.

How to think of it: a run's stay with this worker is a span, below that of whoever submitted it.
Each attempt at a task is one below it, in which the task's code runs: what that traces is below it
too, and so is the run of a child.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from test_rig.workflow.records import AttemptRow, RunRow, StepRow, failure_of

__all__ = ["RunSpan", "Tracing", "spanned"]


@dataclass(frozen=True, slots=True)
class RunSpan:
    """The span of a run, and those of its attempts that have not ended."""

    own: Any
    attempts: dict[str, Any] = field(default_factory=dict)


class Tracing:
    """Makes the spans.

    Args:
        provider: Whose spans these are; the process's own where None.
    """

    def __init__(self, provider: Any = None) -> None:
        self._trace: Any = None
        try:
            from opentelemetry import trace
        except ImportError:
            return
        self._trace = trace
        self._tracer = trace.get_tracer("test_rig.workflow", tracer_provider=provider)

    def caller(self) -> Any:
        """Return the span in which this thread is, None where there is none."""
        span = None if self._trace is None else self._trace.get_current_span()
        return span if span is not None and span.is_recording() else None

    def began(self, run: RunRow, caller: Any = None) -> RunSpan | None:
        """Return the span of a run, None where nobody collects it."""
        if self._trace is None:
            return None
        span = self._tracer.start_span(
            f"workflow {run.workflow}",
            context=None if caller is None else self._trace.set_span_in_context(caller),
            attributes={
                "workflow.name": run.workflow,
                "workflow.version": run.version,
                "workflow.run_id": run.id,
                "workflow.recoveries": run.recoveries,
            },
        )
        return RunSpan(span) if span.is_recording() else None

    def attempt(self, run: RunSpan | None, key: str) -> Any:
        """Return the span of an attempt at a task, which begins now."""
        if run is not None:
            run.attempts[key] = self._below(run, key, None)
            return run.attempts[key]
        return None

    def recorded(self, run: RunSpan | None, row: StepRow | AttemptRow) -> None:
        """End the span of an attempt, or add that of a result that took none."""
        if run is None or (isinstance(row, AttemptRow) and row.next_at is None):
            return  # the result that follows ends it
        span = run.attempts.pop(row.key, None) or self._below(run, row.key, row.started)
        span.set_attribute("workflow.status", row.status.value)
        span.set_attribute("workflow.attempt", row.attempt)
        if row.status.is_failure:
            self._fail(span, row.error)
        span.end(end_time=_nanoseconds(row.finished))

    def finished(self, span: RunSpan | None, run: RunRow) -> None:
        """End the span of a run."""
        if span is None:
            return
        span.own.set_attribute("workflow.status", run.status.value)
        if run.error is not None:
            self._fail(span.own, run.error)
        span.own.end()

    def _below(self, run: RunSpan, key: str, started: float | None) -> Any:
        return self._tracer.start_span(
            f"task {key}",
            context=self._trace.set_span_in_context(run.own),
            start_time=_nanoseconds(started),
            attributes={"workflow.task": key},
        )

    def _fail(self, span: Any, error: str | None) -> None:
        code = self._trace.StatusCode.ERROR
        span.set_status(self._trace.Status(code, str(failure_of(error) or "")))


def spanned(function: Callable[..., Any], span: Any, *, is_async: bool) -> Callable[..., Any]:
    """Return a function whose code runs in a span; the function itself where there is none."""
    if span is None:
        return function
    from opentelemetry.trace import use_span

    options = {"end_on_exit": False, "record_exception": False, "set_status_on_exception": False}

    async def awaited(context: Any) -> Any:
        with use_span(span, **options):
            return await function(context)

    def called(context: Any) -> Any:
        with use_span(span, **options):
            return function(context)

    return awaited if is_async else called


def _nanoseconds(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1e9)
