"""Operations as JSON lines: one object a line, with Jepsen's names."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from test_rig.errors import HistoryError
from test_rig.history.columns import NEVER
from test_rig.history.operation import UNTOLD, Op, OpType
from test_rig.history.spelling import spelled

if TYPE_CHECKING:
    from test_rig.history.pairs import Placed

__all__ = ["error_from_json", "error_text", "op_of", "ops_from_jsonl", "ops_to_jsonl"]

_TYPES = {each.value: each for each in OpType}
#: The largest time; what never ended ends later.
_MOST = NEVER - 1


def ops_from_jsonl(lines: Iterable[str], *, file: str | None = None) -> Iterator[Placed]:
    """Yield each operation with its line.

    Raises:
        HistoryError: A line that is no operation.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"line {number}"
        try:
            yield where, op_of(json.loads(line))
        except (ValueError, RecursionError) as error:
            raise HistoryError([(where, f"no operation: {error}")], file=file) from error


def op_of(found: Any) -> Op:
    """Return the operation that a map of Jepsen's names tells.

    Raises:
        ValueError: It tells none.
    """
    if not isinstance(found, dict):
        raise ValueError(f"{spelled(found)} is no map")  # noqa: TRY004  # data, not a caller's type
    if missing := [name for name in ("type", "process") if name not in found]:
        raise ValueError(f"without {' and '.join(missing)}")
    kind = found["type"]
    if not isinstance(kind, str) or kind not in _TYPES:
        raise ValueError(f"type {spelled(kind, 40)} is none of {', '.join(_TYPES)}")
    return Op(
        process=str(found["process"]),
        type=_TYPES[kind],
        f=str(found.get("f", "txn")),
        value=found.get("value"),
        time_ns=_number(found, "time"),
        index=_number(found, "index"),
        error=error_text(found.get("error")),
    )


def _number(found: dict[str, Any], name: str) -> int:
    number = found.get(name)
    if number is None:
        return UNTOLD
    if type(number) is not int:
        raise ValueError(f"{name} {spelled(number, 40)} is no whole number")
    if abs(number) > _MOST:
        raise ValueError(f"{name} {number} is not within {-_MOST} and {_MOST}")
    return number


def error_from_json(span: bytes) -> str | None:
    """Return an operation's error as a text.

    Raises:
        ValueError: It is no JSON.
    """
    return error_text(json.loads(span))


def error_text(error: Any) -> str | None:
    """Return an error as a text: JSON, where it is none; None for none."""
    return error if error is None or isinstance(error, str) else json.dumps(error)


def json_error(text: str) -> Any:
    """Return what JSON has for an error's text: what it was where that was a list or a map."""
    if text[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text


def error_to_json(text: str) -> str:
    """Return an error's text as JSON."""
    return _json(json_error(text))


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def ops_to_jsonl(ops: Iterable[Op]) -> Iterator[str]:
    """Yield the line of each operation."""
    for op in ops:
        error = {} if op.error is None else {"error": json_error(op.error)}
        yield _json(shown(op) | error) + "\n"


def shown(op: Op) -> dict[str, Any]:
    """Return an operation without its error as a map of Jepsen's names."""
    process: int | str = int(op.process) if op.process.isdecimal() else op.process
    found: dict[str, Any] = {} if op.index == UNTOLD else {"index": op.index}
    found |= {"type": op.type.value, "process": process, "f": op.f, "value": op.value}
    if op.time_ns != UNTOLD:
        found["time"] = op.time_ns
    return found
