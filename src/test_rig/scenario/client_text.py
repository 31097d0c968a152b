"""Values as a SQL client shows them.

Drivers turn what the server sent into Python values; evidence that a person compares with a
terminal must be text again. NULL stays None, so that it cannot be taken for a word.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from test_rig.verdict import ResultSet

__all__ = ["client_text", "result_set"]


def client_text(value: Any, *, family: str) -> str | None:
    """Return a value as the client of that kind of database would show it.

    Args:
        value: What the driver gave.
        family: The dialect's: "postgresql", "mysql", "sqlite", "duckdb".
    """
    if value is None:
        return None
    if isinstance(value, bool):
        return ("t" if value else "f") if family == "postgresql" else str(value).lower()
    if isinstance(value, float):
        return _float_text(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bytes | bytearray | memoryview):
        prefix = "\\x" if family == "postgresql" else "0x"
        return prefix + bytes(value).hex()
    if isinstance(value, dt.datetime | dt.time):
        return _time_text(value)
    if isinstance(value, dt.timedelta):
        return _interval_text(value, is_postgresql=family == "postgresql")
    if isinstance(value, list | tuple) and family == "postgresql":
        return "{" + ",".join(_element_text(element) for element in value) + "}"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _float_text(value: float) -> str:
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value)) if value or not str(value).startswith("-") else "-0"
    words = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}
    return words.get(str(value), str(value))


def _time_text(value: dt.datetime | dt.time) -> str:
    """Return ISO's form with a blank, and an offset of whole hours without its minutes."""
    text = value.isoformat(" ") if isinstance(value, dt.datetime) else value.isoformat()
    if "." in text:
        whole, _, rest = text.partition(".")
        digits = rest[:6].rstrip("0")
        text = f"{whole}.{digits}{rest[6:]}" if digits else f"{whole}{rest[6:]}"
    return text.removesuffix(":00") if value.utcoffset() is not None else text


def _interval_text(value: dt.timedelta, *, is_postgresql: bool) -> str:
    seconds = value.days * 86400 + value.seconds
    sign, days = "", 0
    if is_postgresql:
        days, seconds = value.days, value.seconds
    elif seconds < 0:
        sign, seconds = "-", -seconds
    clock = f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    if value.microseconds:
        clock += f".{value.microseconds:06}".rstrip("0")
    if not days:
        return clock
    words = f"{days} day{'s' * (days not in (1, -1))}"
    return words if clock == "00:00:00" else f"{words} {clock}"


def _element_text(value: Any) -> str:
    """Return an element of an array, quoted where the array's own signs are in it."""
    text = client_text(value, family="postgresql")
    if text is None:
        return "NULL"
    if isinstance(value, list | tuple):
        return text
    if text and text.upper() != "NULL" and not any(sign in text for sign in '{},"\\ \t\n'):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def result_set(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, family: str) -> ResultSet:
    """Return rows as the texts that a client would show."""
    return ResultSet(
        columns=tuple(columns),
        rows=tuple(tuple(client_text(value, family=family) for value in row) for row in rows),
    )
