"""Values to JSON text and back.

Dataclasses and enums travel as msgspec knows them. Two things are ours: whatever else stands among
the settings (a path, a masked secret) is written as its text, and half a surrogate pair, which a
database's badly decoded text can hold and UTF-8 cannot, is written as U+FFFD.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

__all__ = ["decode_json", "encode_json", "storable"]

_T = TypeVar("_T")


def encode_json(value: object, *, pretty: bool = False) -> bytes:
    """Return `value` as JSON in UTF-8.

    Args:
        value: Dataclasses, enums, dates, and what JSON can say; anything else by its `str`.
        pretty: Whether to indent, for files that people open.
    """
    try:
        data = msgspec.json.encode(value, enc_hook=str)
    except UnicodeEncodeError:
        plain = msgspec.to_builtins(value, enc_hook=str, str_keys=True)
        data = msgspec.json.encode(_storable_tree(plain))
    return msgspec.json.format(data, indent=2) + b"\n" if pretty else data


def decode_json(data: bytes, kind: type[_T]) -> _T:
    """Return the value of type `kind` that `encode_json` wrote.

    Raises:
        msgspec.DecodeError: The text is no JSON, or says something else than `kind`.
    """
    return msgspec.json.decode(data, type=kind)


def storable(text: str) -> str:
    """Return `text` with every half of a surrogate pair replaced by U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _storable_tree(value: object) -> object:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable(str(key)): _storable_tree(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable_tree(item) for item in value]
    return value
