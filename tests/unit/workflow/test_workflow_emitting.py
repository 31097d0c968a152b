"""What listeners are told of a workflow's progress."""

from __future__ import annotations

import pytest

from test_rig.telemetry import Alert, AlertStatus, Measurement
from test_rig.workflow import Emitting, Progress, RunStatus, TaskStatus


def told(*steps: tuple[str | None, TaskStatus | RunStatus, float]) -> list[Measurement | Alert]:
    """Return what is emitted for steps of one run: task, status, time."""
    found: list[Measurement | Alert] = []
    emitting = Emitting(found.append)
    for task, status, time in steps:
        emitting(
            Progress(
                run_id="r1", workflow="flow", task_id=task, status=status, attempt=1, time=time
            )
        )
    return found


def test_each_attempt_and_the_run_have_a_duration() -> None:
    """Of the run from its first task on."""
    found = told(
        ("a", TaskStatus.RUNNING, 10.0),
        ("a", TaskStatus.COMPLETED, 12.0),
        (None, RunStatus.COMPLETED, 15.0),
    )
    numbers = {each.name: each.value for each in found if isinstance(each, Measurement)}
    assert numbers == {"workflow_task_duration": 2.0, "workflow_run_duration": 5.0}


@pytest.mark.parametrize("status", [RunStatus.FAILED, RunStatus.TIMED_OUT])
def test_a_run_that_fails_is_an_alert_which_its_completion_ends(status: RunStatus) -> None:
    """By the same type and labels, so that it is one alert."""
    found = told((None, status, 1.0), (None, RunStatus.COMPLETED, 2.0))
    begun, over = (each for each in found if isinstance(each, Alert))
    assert (begun.status, over.status) == (AlertStatus.FIRING, AlertStatus.RESOLVED)
    assert (begun.alert_type, begun.labels) == (over.alert_type, over.labels)


def test_a_task_that_was_not_begun_here_has_no_duration() -> None:
    """None is made up."""
    assert told(("a", TaskStatus.COMPLETED, 1.0), ("b", TaskStatus.SKIPPED, 2.0)) == []
