"""What a conductor and a worker say to each other: one order, then messages until the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from test_rig.targets import TargetUrl
from test_rig.telemetry import Measurement
from test_rig.verdict import HandlerResult

__all__ = [
    "HandlerLimits",
    "LogLine",
    "Message",
    "Order",
    "Selection",
    "encoded",
    "sendable",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerLimits:
    """What ends a handler. Times are in seconds."""

    #: One handler; its class can say otherwise with an attribute `timeout_s`.
    handler_s: float = 60.0
    #: Its answers; its class can say otherwise with an attribute `max_transitions`.
    transitions: int = 10_000
    #: One statement.
    statement_s: float = 30.0
    #: Its `exit`.
    exit_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which handlers of a file are run."""

    #: Parts of `file.py::ClassName`, or patterns with `*`, in any case: one of them must fit. All
    #: handlers where there is none.
    keywords: tuple[str, ...] = ()

    def has(self, file: str, name: str) -> bool:
        """Return whether a handler is chosen.

        >>> Selection(keywords=("orders",)).has("test_orders.py", "CountHandler")
        True
        """
        text, short = f"{file}::{name}".casefold(), name.casefold()
        wanted = [keyword.casefold() for keyword in self.keywords]
        return not wanted or any(
            each in text or fnmatchcase(text, each) or fnmatchcase(short, each) for each in wanted
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a worker is to do. It holds a password: it goes through a pipe, and into no text."""

    #: A file, or a module's dotted name.
    source: str
    #: Where scripts are run; None: where the conductor is.
    folder: str | None
    target: TargetUrl = field(repr=False)
    selection: Selection
    limits: HandlerLimits
    #: Settings for constructors.
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    #: How many handlers were run before, by workers that did not come to the end.
    skip: int = 0
    log_level: str = "WARNING"
    pool_size: int = 5
    #: Ends what a handler printed.
    marker: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """What a handler logged: the level's number as in `logging`, the logger's name, the text."""

    level: int
    logger: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a worker tells. One kind of news at a time; the other fields are empty."""

    #: The file was loaded: its problems, and the names of the handlers that were chosen.
    problems: tuple[str, ...] | None = None
    chosen: tuple[str, ...] = ()
    #: The names of its classes and files, as settings call them; not only of those chosen.
    named: tuple[str, ...] = ()
    #: A handler begins: its name and line, and by when it must be over.
    began: str | None = None
    line: int = 1
    limit_s: float = 0.0
    #: A session was opened: the server's number for it.
    session: int | None = None
    #: Something was logged.
    log: LogLine | None = None
    #: A handler has ended.
    done: HandlerResult | None = None
    measurements: tuple[Measurement, ...] = ()
    #: A call of it did not come back: the worker is of no use any more.
    is_spoilt: bool = False


def encoded(message: Message) -> bytes:
    """Return a message as JSON; half a character, which none can hold, is told by its number."""
    try:
        return msgspec.json.encode(message)
    except UnicodeEncodeError:
        return msgspec.json.encode(sendable(msgspec.to_builtins(message)))


def sendable(value: Any) -> Any:
    """Return a tree of values with texts that can be encoded."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {sendable(key): sendable(each) for key, each in value.items()}
    return [sendable(each) for each in value] if isinstance(value, list | tuple) else value
