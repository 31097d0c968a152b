"""Handlers that people wrote into files: found, made with their settings, put into a machine.

`load_python_handlers` is one call for it. What it returns keeps the machine up to date: `reload()`
takes over what was edited, and `watch()` does so by itself. A handler that is bound to a state (a
class attribute `state`) serves it; one that is not is a whole test.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from test_rig.errors import PluginError, Problem, UsageError
from test_rig.machine.engine import Handler, StateMachine
from test_rig.machine.handler import StateHandler
from test_rig.machine.states import State
from test_rig.plugins import FileWatch, Found, Generation, Host, make, watch_files

__all__ = [
    "PluginHandlers",
    "bound_state",
    "handler_tables",
    "is_handler",
    "load_python_handlers",
    "register_python_handler",
]

Settings = Mapping[str, Any]
_LOG = logging.getLogger(__name__)
#: Where settings of a handler can be given, for messages.
_SETTINGS_TODO = "give them as config={...}, or in a settings file in [handlers.NAME]"


def is_handler(name: str, value: object) -> bool:
    """Return whether an object of a plugin file is a handler: by its name and by its kind."""
    is_named = name.endswith("Handler") and isinstance(value, type)
    return is_named and issubclass(value, StateHandler)  # type: ignore[arg-type]  # it is a type


def bound_state(kind: type) -> State | None:
    """Return the state that a class of handlers is bound to; None for a whole test.

    >>> class Reporting(StateHandler):
    ...     state = "reporting"
    >>> bound_state(Reporting), bound_state(StateHandler)
    (Reporting, None)
    """
    state = getattr(kind, "state", None)
    return State(state) if isinstance(state, str) and state.strip() else None


def handler_tables(settings: Settings, found: Found) -> list[Settings]:
    """Return what a handler's constructor gets its arguments from.

    What stands in `settings` is for all handlers; a table under the name of a class, or of a file
    without `.py`, is for that class, or file, alone, and stronger.
    """
    own: dict[str, Any] = {}
    for name in (found.file.stem, found.name):
        table = settings.get(name)
        if isinstance(table, Mapping):
            own |= table
    shared = {key: value for key, value in settings.items() if not _is_for_one(key, value, found)}
    return [shared | own]


def _is_for_one(key: str, value: object, found: Found) -> bool:
    is_name = key == found.file.stem or key.endswith("Handler") or key.startswith("test_")
    return isinstance(value, Mapping) and is_name


def load_python_handlers(
    machine: StateMachine,
    source: str | os.PathLike[str],
    *,
    config: Settings | None = None,
    timeout_s: float | None = None,
) -> PluginHandlers:
    """Load the handlers of a file, a folder (`test_*.py`) or a module into a machine.

    A broken file does not stop the others: it is logged, and in the `problems` of what is returned.

    Args:
        machine: The machine.
        source: A path, or a module's dotted name.
        config: What constructors may want, by name; a mapping under a class's or module's name is
            for that one alone. A parameter `config` gets all of it that is meant for the handler.
        timeout_s: The limit of each handler's visit.

    Raises:
        UsageError: There is no such file, folder or module.
        PluginError: No handler could be loaded at all.
    """
    handlers = PluginHandlers(machine, Host(source, is_handler), config or {}, timeout_s)
    if not handlers.names:
        nothing = Problem(
            where=os.fspath(source),
            what="there is no handler",
            todo="a handler is a class whose name ends in Handler and that subclasses StateHandler "
            "(PyStateHandler)",
        )
        raise PluginError(handlers.problems or [nothing])
    for problem in handlers.problems:
        _LOG.error("%s", problem)
    return handlers


def register_python_handler(
    machine: StateMachine, state: str | None, handler: Handler, *, timeout_s: float | None = None
) -> None:
    """Let a handler, or a class that can be made without arguments, serve a state.

    With None as the state it is a whole test, unless its class is bound to one.
    """
    kind = handler if isinstance(handler, type) else type(handler)
    bound = state if state is not None else bound_state(kind)
    if bound is None:
        machine.register_test(handler, timeout_s=timeout_s)
    else:
        machine.register_handler(bound, handler, timeout_s=timeout_s)


class PluginHandlers:
    """The handlers of one source in one machine. Made by `load_python_handlers`."""

    def __init__(
        self,
        machine: StateMachine,
        host: Host,
        settings: Settings,
        timeout_s: float | None,
    ) -> None:
        self._machine, self._host = machine, host
        self._settings, self._timeout_s = settings, timeout_s
        self._guard = threading.Lock()
        #: By file and name: the class that serves, and the state where it does.
        self._serving: dict[tuple[Path, str], tuple[object, State]] = {}
        self._refused: list[Problem] = []
        self._take(host.generation)

    @property
    def generation(self) -> Generation:
        """What the files hold, as far as it is good."""
        return self._host.generation

    @property
    def names(self) -> tuple[str, ...]:
        """The classes that serve, in order."""
        return tuple(name for _, name in self._serving)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong now; what was there before serves on."""
        return (*self._host.generation.problems, *self._refused)

    def reload(self) -> Generation:
        """Take over what has changed; visits that have begun end with what they began with."""
        with self._guard:
            generation = self._host.reload()
            self._take(generation)
            return generation

    def watch(self) -> FileWatch:
        """Reload whenever a file is saved, until the watch is closed.

        Raises:
            MissingExtra: The library for it is not installed.
        """
        folder = self._host.source.folder
        return watch_files([] if folder is None else [folder], self._on_change)

    def _on_change(self, files: frozenset[Path]) -> None:
        del files  # the host looks at the texts
        before = self.problems
        self.reload()
        for problem in self.problems:
            if problem not in before:
                _LOG.error("%s (the last good version serves on)", problem)

    def _take(self, generation: Generation) -> None:
        self._refused = []
        keys = {(each.file, each.name) for each in generation.found}
        for key in set(self._serving) - keys:
            self._machine.withdraw(self._serving.pop(key)[1])
        for each in generation.found:
            served = self._serving.get((each.file, each.name))
            if served is not None and served[0] is each.value:
                continue
            try:
                self._put(each, None if served is None else served[1])
            except PluginError as error:
                self._refused += error.problems
            except UsageError as error:
                self._refused.append(Problem(where=each.where, what=str(error)))

    def _put(self, found: Found, before: State | None) -> None:
        kind = found.value
        if not isinstance(kind, type):  # `is_handler` chose classes
            return
        handler = make(
            kind,
            handler_tables(self._settings, found),
            where=found.where,
            todo=_SETTINGS_TODO,
        )
        bound = bound_state(kind)
        if bound is None and before is not None and before.is_test:
            self._machine.replace_test(before, handler)
            state = before
        elif bound is None:
            state = self._machine.register_test(handler, timeout_s=self._timeout_s)
        else:
            self._machine.register_handler(bound, handler, timeout_s=self._timeout_s)
            state = bound
        if before is not None and before != state:
            self._machine.withdraw(before)
        self._serving[(found.file, found.name)] = (kind, state)
