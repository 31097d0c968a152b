"""Who listens to what engines emit: the run folder, and the actions of the settings."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from test_rig.settings import AppConfig
from test_rig.telemetry import Alert, Emit, Measurement

if TYPE_CHECKING:
    from test_rig.actions import ActionsPlan

__all__ = ["actions_plan", "listening"]

_LOG = logging.getLogger("test_rig.rig")


def actions_plan(config: AppConfig) -> ActionsPlan:
    """Return what the settings ask for in `[actions]`.

    Raises:
        SettingsError: With every problem of every table.
        MissingExtra: A driver needs what is not installed.
    """
    from test_rig.actions import read_plan  # not paid where nobody set any

    actions = config.actions
    return read_plan(
        actions.folder,
        drivers=_plain(actions.drivers),
        rules=_plain(actions.rules),
        alerts=_plain(actions.alerts),
        inhibit=[_plain(each) for each in actions.inhibit or ()],
        silences=[_plain(each) for each in actions.silences or ()],
        drain_s=actions.drain_secs,
    )


def _plain(table: Mapping[str, Any] | None) -> dict[str, Any]:
    return dict(table or {})


@contextmanager
def listening(config: AppConfig, *also: Emit) -> Iterator[Emit]:
    """Give what engines emit to everybody who listens: `also`, and the actions of the settings.

    At the end the actions deliver what waits, within their limit; what was left is logged.

    Raises:
        SettingsError: The settings of actions cannot be used.
        UsageError: Another process works in their folder.
    """
    if not config.actions.drivers:
        yield _to_all(also)
        return
    from test_rig.actions import Actions

    with Actions(actions_plan(config)).running() as actions:
        yield _to_all((*also, actions.emit))
    for left in actions.stop():
        if left.spooled or left.dead:
            told = "driver %s: %d events wait for the next start, %d dead letters"
            _LOG.warning(told, left.name, left.spooled, left.dead)


def _to_all(listeners: Sequence[Emit]) -> Emit:
    def emit(item: Measurement | Alert) -> None:
        for listener in listeners:
            listener(item)

    return listeners[0] if len(listeners) == 1 else emit
