"""Spans of OpenTelemetry, where it is installed and somebody collects them."""

from __future__ import annotations

from typing import Any

from test_rig.workflow.records import RunRow, StepRow, failure_of

__all__ = ["Tracing"]


class Tracing:
    """One span for each run's stay with this worker, one below it for each task's result.

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

    def began(self, run: RunRow) -> Any:
        """Return the span of a run, None where nobody collects it."""
        if self._trace is None:
            return None
        span = self._tracer.start_span(
            f"workflow {run.workflow}",
            attributes={
                "workflow.name": run.workflow,
                "workflow.version": run.version,
                "workflow.run_id": run.id,
                "workflow.recoveries": run.recoveries,
            },
        )
        return span if span.is_recording() else None

    def recorded(self, parent: Any, step: StepRow) -> None:
        """Add the span of a task's result."""
        if parent is None:
            return
        span = self._tracer.start_span(
            f"task {step.key}",
            context=self._trace.set_span_in_context(parent),
            start_time=_nanoseconds(step.started),
            attributes={
                "workflow.task": step.key,
                "workflow.status": step.status.value,
                "workflow.attempt": step.attempt,
            },
        )
        if step.status.is_failure:
            self._fail(span, step.error)
        span.end(end_time=_nanoseconds(step.finished))

    def finished(self, span: Any, run: RunRow) -> None:
        """End the span of a run."""
        if span is None:
            return
        span.set_attribute("workflow.status", run.status.value)
        if run.error is not None:
            self._fail(span, run.error)
        span.end()

    def _fail(self, span: Any, error: str | None) -> None:
        code = self._trace.StatusCode.ERROR
        span.set_status(self._trace.Status(code, str(failure_of(error) or "")))


def _nanoseconds(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1e9)
