"""Making objects of users' classes: what their constructors want comes from settings, by name.

A parameter `config` gets the whole table. Any other one gets the value of its name from the first
table that has it, or keeps its default.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from test_rig.errors import PluginError, Problem, one_line

__all__ = ["make", "missing_settings"]

_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
Tables = Sequence[Mapping[str, Any]]


def make(kind: type, tables: Tables = (), *, where: str, todo: str | None = None) -> Any:
    """Return a new object of a class.

    >>> class Monitor:
    ...     def __init__(self, config, duration=30):
    ...         self.config, self.duration = config, duration
    >>> monitor = make(Monitor, [{"duration": 5}], where="monitor.py:1")
    >>> monitor.duration, monitor.config
    (5, {'duration': 5})

    Args:
        kind: The class.
        tables: Values by name, the strongest table first; the first one is what `config` gets.
        where: File and line of the class, for messages.
        todo: Where its settings can be given, for messages.

    Raises:
        PluginError: A parameter without a default has no value (all of them are named), or the
            constructor failed.
    """
    missing = missing_settings(kind, tables)
    if missing:
        what = f"{kind.__name__}(...) wants {', '.join(missing)}, which no setting gives"
        raise PluginError([Problem(where=where, what=what, todo=todo)])
    given: dict[str, Any] = {}
    positional: list[Any] = []
    for name, parameter in _parameters(kind).items():
        is_given, value = _value(name, tables)
        if not is_given or parameter.kind in _VARIABLE:
            continue
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            positional.append(value)
        else:
            given[name] = value
    try:
        return kind(*positional, **given)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the door: users' code, which may even call sys.exit
        what = f"{kind.__name__}(...) failed: {one_line(error)}"
        raise PluginError([Problem(where=where, what=what)]) from error


def missing_settings(kind: type, tables: Tables = ()) -> tuple[str, ...]:
    """Return the parameters of a class's constructor that have neither a value nor a default."""
    return tuple(
        _described(name, parameter)
        for name, parameter in _parameters(kind).items()
        if parameter.default is inspect.Parameter.empty
        and parameter.kind not in _VARIABLE
        and not _value(name, tables)[0]
    )


def _value(name: str, tables: Tables) -> tuple[bool, Any]:
    if name == "config":
        return True, dict(tables[0]) if tables else {}
    for table in tables:
        if name in table:
            return True, table[name]
    return False, None


def _parameters(kind: type) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(kind).parameters
    except (TypeError, ValueError):  # a class of an extension module tells nothing
        return {}


def _described(name: str, parameter: inspect.Parameter) -> str:
    annotation = parameter.annotation
    if annotation is inspect.Parameter.empty:
        return name
    return f"{name}: {annotation if isinstance(annotation, str) else annotation.__name__}"
