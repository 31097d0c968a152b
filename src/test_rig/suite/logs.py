"""What handlers log: part of what they print, and sent to the log of the whole run."""

from __future__ import annotations

import logging
from collections.abc import Callable, MutableMapping
from typing import Any

from test_rig.suite.order import LogLine

__all__ = ["log_to", "write_log"]


def log_to(send: Callable[[LogLine], None], *, level: str) -> None:
    """Log to standard error, as scripts expect, and send each line away. For a worker's process."""
    import structlog

    logging.basicConfig(level=level)
    logging.getLogger().addHandler(_Sender(send))
    # Lines of `context.logger` go the same way as all others, and get their level there.
    structlog.configure(
        processors=[structlog.processors.format_exc_info, _as_text],
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def write_log(line: LogLine) -> None:
    """Write a line into the log of this process, whose filters decide."""
    logging.getLogger(line.logger).log(line.level, "%s", line.text)


class _Sender(logging.Handler):
    def __init__(self, send: Callable[[LogLine], None]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
        except Exception:  # noqa: BLE001 - the door: a script's wrong format is told by Python
            return
        self._send(LogLine(level=record.levelno, logger=record.name, text=text))


def _as_text(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> str:
    text, error = str(event.pop("event", "")), event.pop("exception", None)
    values = "".join(f" {name}={value!r}" for name, value in event.items())
    return text + values + ("" if error is None else f"\n{error}")
