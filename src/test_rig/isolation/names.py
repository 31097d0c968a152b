"""Which of several names a person means, however it is spelt."""

from __future__ import annotations

from collections.abc import Iterable

from test_rig.errors import UnknownName

__all__ = ["is_same_name", "level_named"]


def is_same_name(one: str, other: str) -> bool:
    """Return whether two names differ in case, blanks, hyphens, underscores and commas only.

    >>> is_same_name("READ_COMMITTED", "read committed"), is_same_name("read", "red")
    (True, False)
    """
    return _plain(one) == _plain(other)


def level_named(name: str, known: Iterable[str]) -> str:
    """Return the level that is meant, as it is known.

    Raises:
        UnknownName: There is none.
    """
    names = list(known)
    for each in names:
        if is_same_name(name, each):
            return each
    raise UnknownName("level", name, names)


def _plain(text: str) -> str:
    return " ".join(text.lower().replace("-", " ").replace("_", " ").replace(",", " ").split())
