"""Who waits for whom: what connections of one test wait for, told as text. Decides nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Waiting", "cycle_of", "report_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One connection that waits."""

    connection: str
    #: What for, in words: "barrier 'loaded'", "a message", "value 'ready'".
    what: str
    #: The connections without which it cannot go on; empty where any could help it.
    waits_for: tuple[str, ...]
    waited_s: float

    def __str__(self) -> str:
        whom = ", ".join(self.waits_for) or "anyone"
        return f"{self.connection} waits for {whom}: {self.what}, for {self.waited_s:.1f} s"


def cycle_of(waits: Sequence[Waiting]) -> tuple[str, ...]:
    """Return connections that wait for each other in a circle; empty where none do.

    >>> a = Waiting(connection="a", what="x", waits_for=("b",), waited_s=1)
    >>> b = Waiting(connection="b", what="y", waits_for=("a",), waited_s=1)
    >>> cycle_of([a, b])
    ('a', 'b')
    """
    waits_for = {each.connection: each.waits_for for each in waits}
    for start in waits_for:
        path = _back_to(start, waits_for)
        if path:
            return path
    return ()


def _back_to(start: str, waits_for: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    paths: list[tuple[str, ...]] = [(start,)]
    seen = set[str]()
    while paths:
        path = paths.pop(0)
        for each in waits_for.get(path[-1], ()):
            if each == start:
                return path
            if each not in seen:
                seen.add(each)
                paths.append((*path, each))
    return ()


def report_of(waits: Sequence[Waiting], others: Sequence[tuple[str, str]]) -> str:
    """Return who waits for whom, a line each, then what the others do.

    Args:
        waits: Those that wait.
        others: (connection, what it is doing) of those that do not.
    """
    lines = [str(each) for each in sorted(waits, key=lambda each: -each.waited_s)]
    circle = cycle_of(waits)
    if circle:
        lines.append(f"they wait in a circle: {' > '.join((*circle, circle[0]))}")
    return "\n".join([*lines, *(f"{name} does not wait: {state}" for name, state in others)])
