"""Where the rig's log goes: standard error, a file, the run folder; never a secret in it.

How to think of it: rooms log through the standard library or structlog and know nothing of this
module; `configure` decides once per command what becomes of it. Secrets are taken out of every
value, traceback included, right before it is rendered: those that `mask` was told, passwords in
URLs, and whatever stands in a field whose name says that it is one.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import quote

import structlog

from test_rig.errors import Problem, SettingsError
from test_rig.resilience import MASK, is_secret_name, without_passwords

if TYPE_CHECKING:
    from test_rig.settings import AppConfig, LoggingSettings

__all__ = ["configure", "effective_level", "mask", "shut_down"]

#: A shorter secret is no secret, and hiding it would blacken every line.
_SHORTEST_SECRET = 3
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SECRETS: set[str] = set()
_OPENED: list[logging.Handler] = []


class _ToStandardError(logging.StreamHandler[TextIO]):
    """Writes to what standard error is now, not to what it was when the log was set up."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, value: TextIO) -> None:
        raise AttributeError(f"the stream is always standard error, not {value!r}")


def mask(*secrets: str) -> None:
    """Never let one of these into the log, as it stands or escaped for JSON or a URL."""
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            escaped = (json.dumps(secret)[1:-1], repr(secret)[1:-1])
            _SECRETS.update((secret, *escaped, quote(secret), quote(secret, safe="")))


def effective_level(config: AppConfig) -> str:
    """Return the level of the log: `-v` means debug unless as strong a source names a level."""
    level, verbose = config.origin("logging.level"), config.origin("test.verbose")
    if config.test.verbose and level.rank > verbose.rank:
        return "debug"
    return config.logging.level


def configure(
    settings: LoggingSettings, *, run_log: Path | None = None, level: str | None = None
) -> None:
    """Send the log where the settings say, and nowhere else.

    Args:
        settings: The table `[logging]`.
        run_log: A file that gets JSON lines, whatever the format of the others.
        level: The level instead of the settings' own (see `effective_level`).

    Raises:
        SettingsError: The level is none, or a file cannot be written.
    """
    shut_down()
    number = logging.getLevelNamesMapping().get((level or settings.level).upper())
    if number is None:
        what = f"there is no log level {level!r}"
        raise SettingsError([Problem(where="logging.level", what=what)])
    formatter = _formatter(settings.format)
    if settings.console:
        _open(_ToStandardError(), formatter)
    if settings.file is not None:
        _open(_file(settings.file, "logging.file"), formatter)
    if run_log is not None:
        _open(_file(run_log, "the run's log"), _formatter("json"))
    if not _OPENED:
        _open(logging.NullHandler(), formatter)
    logging.getLogger().setLevel(number)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def shut_down() -> None:
    """Close what `configure` opened."""
    while _OPENED:
        handler = _OPENED.pop()
        logging.getLogger().removeHandler(handler)
        handler.close()


def _open(handler: logging.Handler, formatter: logging.Formatter) -> None:
    handler.setFormatter(formatter)
    logging.getLogger().addHandler(handler)
    _OPENED.append(handler)


def _file(path: str | Path, where: str) -> logging.Handler:
    try:
        return logging.FileHandler(path, encoding="utf-8")
    except OSError as exc:
        shut_down()
        what = f"{path} cannot be written: {exc.strerror}"
        raise SettingsError([Problem(where=where, what=what)]) from exc


def _shared() -> list[Any]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # Not the one that keeps local variables: a password is one.
        structlog.processors.format_exc_info,
    ]


def _formatter(log_format: str) -> logging.Formatter:
    renderer: list[Any] = (
        [structlog.processors.JSONRenderer()]
        if log_format == "json"
        else [
            _printable,
            structlog.dev.ConsoleRenderer(
                colors=False, exception_formatter=structlog.dev.plain_traceback
            ),
        ]
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared(),
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _without_secrets,
            *renderer,
        ],
    )


def _printable(
    _logger: Any, _name: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    # What a database says must not move the cursor or change the colours of a terminal.
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = _CONTROL.sub(lambda found: f"\\x{ord(found.group()):02x}", value)
    return event


def _without_secrets(
    _logger: Any, _name: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    return {key: MASK if is_secret_name(key) else _clean(value) for key, value in event.items()}


def _clean(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {
            str(key): MASK if is_secret_name(str(key)) else _clean(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item) for item in value]
    text = value if isinstance(value, str) else str(value)
    # The longest first: one secret may be the beginning of another.
    for secret in sorted(_SECRETS, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return without_passwords(text)
