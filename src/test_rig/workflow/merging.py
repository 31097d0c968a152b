"""How contexts of parallel branches become one.

Theory of operation. A task's context is the run's input and what all of its ancestors wrote. A
write takes the place of one that the writer could see: one of the input's, or of an ancestor's.
Two writers of which neither is the other's ancestor are parallel. When both wrote the same value
there is nothing to decide; otherwise the workflow's merge rule for that key decides, and where
there is none it is a conflict, which is reported with key and writers, and never decided silently.

What stands beside each other is ordered as the tasks are in the workflow's topological order, so
a result does not depend on who was faster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["MERGES", "Conflict", "MergeRule", "merge"]

MergeRule = str | Callable[[list[Any]], Any]


def _sum(values: list[Any]) -> Any:
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total


def _append(values: list[Any]) -> list[Any]:
    return [item for value in values for item in (value if isinstance(value, list) else [value])]


def _union(values: list[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for value in values:
        found.update(value)
    return found


#: The merge rules that have a name.
MERGES: dict[str, Callable[[list[Any]], Any]] = {
    "first": lambda values: values[0],
    "last": lambda values: values[-1],
    "sum": _sum,
    "append": _append,
    "union": _union,
    "min": min,
    "max": max,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A key that parallel tasks wrote differently."""

    key: str
    writers: tuple[str, ...]
    reason: str = "wrote different values"

    def __str__(self) -> str:
        return f"{' and '.join(self.writers)} {self.reason} to {self.key!r}"


def merge(
    base: Mapping[str, Any],
    writes: Iterable[tuple[str, int, int, Mapping[str, Any]]],
    rules: Mapping[str, MergeRule],
) -> tuple[dict[str, Any], list[Conflict]]:
    """Return the context that results, and the conflicts that no rule decides.

    Args:
        base: The run's input.
        writes: In topological order: the writer's id, its bit, its ancestors' bits, what it wrote.
        rules: The workflow's merge rules by key; that of `*` for all other keys.
    """
    view = dict(base)
    last: dict[str, tuple[str, int]] = {}
    parallel: dict[str, list[tuple[str, int, Any]]] = {}
    for name, bit, ancestors, delta in writes:
        for key, value in delta.items():
            before = last.get(key)
            if key not in parallel and (before is None or before[1] & ancestors):
                view[key] = value
                last[key] = (name, bit)
                continue
            beside = parallel.pop(key, None)
            if beside is None:
                assert before is not None  # noqa: S101 -- the first writer takes the way above
                beside = [(*before, view[key])]
            beside = [each for each in beside if not each[1] & ancestors]
            beside.append((name, bit, value))
            view[key], last[key] = value, (name, bit)
            if len(beside) > 1:
                parallel[key] = beside
    conflicts = [
        conflict
        for key, beside in parallel.items()
        if (conflict := _decide(view, key, beside, rules)) is not None
    ]
    return view, conflicts


def _decide(
    view: dict[str, Any],
    key: str,
    beside: list[tuple[str, int, Any]],
    rules: Mapping[str, MergeRule],
) -> Conflict | None:
    values = [value for _, _, value in beside]
    rule = rules.get(key, rules.get("*"))
    if rule is None:
        if all(_is_same(value, values[0]) for value in values[1:]):
            return None
        return Conflict(key=key, writers=tuple(name for name, _, _ in beside))
    function = MERGES[rule] if isinstance(rule, str) else rule
    try:
        view[key] = function(values)
    except Exception as error:  # noqa: BLE001 -- the door to a merge function of the user's
        name = rule if isinstance(rule, str) else getattr(rule, "__name__", "function")
        reason = f"wrote what the merge rule {name} cannot put together ({error})"
        return Conflict(key=key, writers=tuple(name for name, _, _ in beside), reason=reason)
    return None


def _is_same(left: Any, right: Any) -> bool:
    # 1 == True in Python, not in JSON.
    return type(left) is type(right) and bool(left == right)
