"""What a context may hold: JSON values, and no other, checked where they enter.

How to think of it: a value is good when JSON gives back what it was given. So it is encoded,
decoded and compared, which costs a microsecond for a small context; only when the two differ is
the value searched for the places that are to blame. What is kept is the decoded copy, so that
nobody else holds a part of it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import msgspec

from test_rig.errors import ContextInvalid, Problem

__all__ = ["MAX_CONTEXT_BYTES", "Values", "copied", "decoded", "encoded"]

#: A context: JSON values by key.
Values = dict[str, Any]
#: How much JSON the context of one run may be, unless said otherwise.
MAX_CONTEXT_BYTES = 64 * 1024 * 1024
_MAX_DEPTH = 200
#: So much of the way to a value that is nested too deep says where it is.
_TOLD_CHARS = 80
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def encoded(values: object, *, where: str, limit: int = MAX_CONTEXT_BYTES) -> tuple[str, Any]:
    """Return the JSON text of a dict of values, and the values as JSON gives them back.

    Args:
        values: A dict with string keys.
        where: Whose values these are, for the error.
        limit: The most bytes that the text may have.

    Raises:
        ContextInvalid: With every place that is not JSON, or because of its size.
    """
    if not isinstance(values, dict):
        what = f"a context is a dict of JSON values, this is a {type(values).__name__}"
        raise ContextInvalid([Problem(where=where, what=what)])
    try:
        raw = _encode(values)
        back = _decode(raw)
        text = raw.decode()
        is_same = back == values
    except (TypeError, ValueError, RecursionError, OverflowError, msgspec.MsgspecError):
        text, back, is_same = _slowly(values, where)
    if not is_same:
        raise ContextInvalid(list(_problems(values, where)) or [_unknown(where)])
    if len(text) > limit:
        raise ContextInvalid([_too_large(values, where, len(text), limit)])
    return text, back


def decoded(text: str) -> Any:
    """Return the values of a JSON text that `encoded` made."""
    try:
        return _decode(text)
    except msgspec.MsgspecError:
        return json.loads(text)


def copied(value: Any) -> Any:
    """Return a JSON value with containers of its own."""
    if type(value) is dict:
        return {key: copied(inner) for key, inner in value.items()}
    if type(value) is list:
        return [copied(inner) for inner in value]
    return value


def _slowly(values: dict[Any, Any], where: str) -> tuple[str, Any, bool]:
    """Encode what the fast encoder does not take: whole numbers beyond 64 bits are JSON too."""
    problems = list(_problems(values, where))
    if problems:
        raise ContextInvalid(problems)
    try:
        text = json.dumps(values, allow_nan=False, ensure_ascii=True)
        back = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise ContextInvalid([Problem(where=where, what=f"no JSON: {error}")]) from error
    return text, back, back == values


def _problems(value: object, path: str, depth: int = 0) -> Iterator[Problem]:
    if value is None or isinstance(value, bool | int):
        return
    if depth > _MAX_DEPTH and not isinstance(value, str | float):
        short = path if len(path) <= _TOLD_CHARS else f"{path[:_TOLD_CHARS]}..."
        yield Problem(where=short, what=f"nested deeper than {_MAX_DEPTH}, or within itself")
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield Problem(where=path, what=f"{value} is no JSON number")
    elif isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            yield Problem(where=path, what="holds half a character (a lone surrogate)")
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _problems(inner, f"{path}[{place}]", depth + 1)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(key, str):
                yield from _problems(key, f"{path}[{key!r}]", depth + 1)
                yield from _problems(inner, f"{path}[{key!r}]", depth + 1)
            else:
                what = f"the key {key!r} is a {type(key).__name__}, keys are strings"
                yield Problem(where=path, what=what)
    else:
        todo = "use a list" if isinstance(value, tuple | set | frozenset) else None
        what = f"a {type(value).__name__} is no JSON value"
        yield Problem(where=path, what=what, todo=todo)


def _unknown(where: str) -> Problem:
    return Problem(where=where, what="JSON gives back something else than it was given")


def _too_large(values: dict[str, Any], where: str, size: int, limit: int) -> Problem:
    sizes = {key: len(_encode(value)) for key, value in values.items()}
    largest = max(sizes, key=lambda key: sizes[key], default="")
    return Problem(
        where=f"{where}[{largest!r}]",
        what=f"the context is {size} bytes of JSON, {sizes.get(largest, 0)} of them here; "
        f"the limit is {limit}",
        todo="keep large data in a file or a table and its address in the context, or raise "
        "max_context_bytes",
    )
