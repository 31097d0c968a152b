"""What the settings ask for: drivers, rules, and how alerts are told.

Every table is read, and every problem of all of them is told at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from test_rig.actions.catalog import EARLIER_NAMES, driver_type
from test_rig.actions.instrument import split_node
from test_rig.actions.notify import AlertOptions, Inhibition, NotifyRules, Silence
from test_rig.actions.options import Options, option_problems
from test_rig.actions.pipe_options import PipeOptions, PipePlan
from test_rig.actions.rules import RuleOptions
from test_rig.actions.template import checked_template
from test_rig.errors import Problem, SettingsError, UsageError

__all__ = ["ActionsPlan", "read_plan"]

_O = TypeVar("_O", bound=Options)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionsPlan:
    """Everything that the settings say of actions, checked."""

    #: Where spools, dead letters and the state of alerts are kept.
    folder: Path
    drivers: tuple[PipePlan, ...] = ()
    rules: Mapping[str, RuleOptions] = field(default_factory=dict)
    notify: NotifyRules = field(default_factory=lambda: NotifyRules(options=AlertOptions()))
    #: How long a stop may take to deliver what waits.
    drain_s: float = 10.0


def read_plan(
    folder: str | Path,
    *,
    drivers: Mapping[str, Any] | None = None,
    rules: Mapping[str, Any] | None = None,
    alerts: Mapping[str, Any] | None = None,
    inhibit: Sequence[Any] = (),
    silences: Sequence[Any] = (),
    drain_s: float = 10.0,
) -> ActionsPlan:
    """Return the plan of what the settings' tables say.

    Args:
        folder: Where files are kept.
        drivers: By name: `type`, the driver's options, and `pipe`. The earlier instrument's form,
            `type` and `config`, is read too.
        rules: By name: the options of a rule.
        alerts: How alerts are told.
        inhibit: What keeps what back.
        silences: What is not told, and when.
        drain_s: How long a stop may take.

    Raises:
        SettingsError: With every problem of every table.
        MissingExtra: A driver needs what is not installed.
    """
    problems: list[Problem] = []
    plans = []
    wanted = dict(rules or {})
    for name, table in (drivers or {}).items():
        if isinstance(table, Mapping):
            table, more = split_node(name, table)
            wanted = {**more, **wanted}
        plan, wrong = _driver(name, table)
        problems += wrong
        if plan is not None:
            plans.append(plan)
    chosen = {
        name: rule
        for name, table in wanted.items()
        if (rule := _rule(name, table, problems)) is not None
    }
    notify = NotifyRules(
        options=_read(AlertOptions, alerts or {}, "actions.alerts", problems) or AlertOptions(),
        inhibitions=_read_all(Inhibition, inhibit, "actions.inhibit", problems),
        silences=_read_all(Silence, silences, "actions.silences", problems),
    )
    if problems:
        raise SettingsError(problems)
    return ActionsPlan(
        folder=Path(folder), drivers=tuple(plans), rules=chosen, notify=notify, drain_s=drain_s
    )


def _driver(name: str, table: Any) -> tuple[PipePlan | None, list[Problem]]:
    where = f"actions.drivers.{name}"
    if not _NAME.fullmatch(name):
        what = "no name for a driver"
        return None, [Problem(where=where, what=what, todo="letters, digits, - and _")]
    if not isinstance(table, Mapping) or not isinstance(table.get("type"), str):
        what = "needs a type" if isinstance(table, Mapping) else "a table is wanted here"
        return None, [Problem(where=where, what=what, todo='such as type = "file"')]
    given = {key: value for key, value in table.items() if key not in ("type", "pipe")}
    asked = table["type"].strip().lower()
    try:
        kind = driver_type(asked)
    except UsageError as exc:
        return None, [Problem(where=f"{where}.type", what=exc.what, todo=exc.todo)]
    if asked in EARLIER_NAMES and asked.endswith("_callback"):
        given.setdefault("payload", "instrument")
    problems: list[Problem] = []
    options = _read(kind.options, given, where, problems)
    pipe_table = dict(table.get("pipe") or {}) if isinstance(table.get("pipe", {}), Mapping) else {}
    attempts = getattr(options, "max_attempts", None)
    if attempts is not None:
        pipe_table.setdefault("max_attempts", attempts)
    if options is not None:
        pipe_table = {**options.pipe_defaults(), **pipe_table}
    pipe = _read(PipeOptions, pipe_table, f"{where}.pipe", problems)
    if options is None or pipe is None:
        return None, problems
    return PipePlan(name=name, kind=kind, options=options, pipe=pipe), problems


def _rule(name: str, table: Any, problems: list[Problem]) -> RuleOptions | None:
    where = f"actions.rules.{name}"
    rule = _read(RuleOptions, table, where, problems)
    if rule is not None and rule.message:
        try:
            checked_template(rule.message)
        except ValueError as exc:
            problems.append(Problem(where=f"{where}.message", what=str(exc)))
    return rule


def _read(model: type[_O], table: Any, where: str, problems: list[Problem]) -> _O | None:
    if not isinstance(table, Mapping):
        problems.append(Problem(where=where, what="a table is wanted here"))
        return None
    found, wrong = option_problems(model, table, where=where)
    problems += wrong
    return found


def _read_all(
    model: type[_O], tables: Sequence[Any], where: str, problems: list[Problem]
) -> tuple[_O, ...]:
    found = [
        _read(model, table, f"{where}[{number}]", problems)
        for number, table in enumerate(tables, start=1)
    ]
    return tuple(each for each in found if each is not None)
