"""Marks: what a decorator leaves on an object, for the host to find.

A mark is a kind and facts about it. A subclass does not inherit the marks of its base.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

__all__ = ["has_mark", "mark", "marks_of"]

T = TypeVar("T")

_ATTRIBUTE = "__test_rig_marks__"


def mark(kind: str, **facts: Any) -> Callable[[T], T]:
    """Return a decorator that marks a function, a class or any object with attributes.

    >>> @mark("task", retries=3)
    ... def load_orders(context): ...
    >>> marks_of(load_orders)
    {'task': {'retries': 3}}
    """

    def put(value: T) -> T:
        setattr(value, _ATTRIBUTE, {**marks_of(value), kind: facts})
        return value

    return put


def marks_of(value: object) -> Mapping[str, Mapping[str, Any]]:
    """Return an object's own marks: their facts by kind."""
    found = getattr(value, "__dict__", {}).get(_ATTRIBUTE, {})
    return found if isinstance(found, dict) else {}


def has_mark(kind: str) -> Callable[[str, object], bool]:
    """Return a choice of the objects with this mark, for a `Host`."""

    def is_wanted(name: str, value: object) -> bool:
        del name
        return kind in marks_of(value)

    return is_wanted
