"""A task's context is its own, though it is copied only where it is looked at."""

from __future__ import annotations

import copy
import operator
from collections import ChainMap
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import pytest

from test_rig.workflow import TaskContext
from test_rig.workflow.task import TaskInfo

WAYS: dict[str, Callable[[TaskContext], Any]] = {
    "[]": lambda c: c["x"],
    "get": lambda c: c.get("x"),
    "map get": lambda c: next(map(c.get, c)),
    "pop": lambda c: c.pop("x"),
    "popitem": lambda c: c.popitem()[1],
    "setdefault": lambda c: c.setdefault("x", []),
    "values": lambda c: next(iter(c.values())),
    "items": lambda c: dict(c.items())["x"],
    "dict": lambda c: dict(c)["x"],
    "**": lambda c: {**c}["x"],
    "keywords": lambda c: (lambda **given: given)(**c)["x"],
    "update": lambda c: [plain := dict[str, Any](), plain.update(c)] and plain["x"],
    "copy": lambda c: c.copy()["x"],
    "copy.copy": lambda c: copy.copy(c)["x"],
    "copy.deepcopy": lambda c: copy.deepcopy(c)["x"],
    "|": lambda c: (c | {})["x"],
    "| from the right": lambda c: ({} | c)["x"],
    "itemgetter": lambda c: operator.itemgetter("x")(c),
    "proxy": lambda c: MappingProxyType(c)["x"],
    "chain": lambda c: ChainMap(c)["x"],
    "match": lambda c: _matched(c),
}


def _matched(context: TaskContext) -> Any:
    match context:
        case {"x": value}:
            return value
    raise AssertionError


def context_of(values: dict[str, Any]) -> TaskContext:
    """Return the context of a task that is given these values."""
    return TaskContext(values, TaskInfo(run_id="r", task_id="t", attempt=1, idempotency_key="r/t"))


@pytest.mark.parametrize("way", WAYS)
def test_whatever_way_leads_to_a_value_it_is_a_copy(way: str) -> None:
    """Changing it within does not reach the values of other tasks."""
    shared: dict[str, Any] = {"x": [{"deep": [1]}]}
    found = WAYS[way](context_of(shared))
    found[0]["deep"].append(2)
    found.append("more")
    assert shared == {"x": [{"deep": [1]}]}


def test_changes_in_place_and_own_values_are_noted() -> None:
    """What was changed within, replaced or added is told; what was only looked at is not."""
    shared = {"same": [1], "changed": [1], "replaced": [1], "kind": 1}
    context = context_of(shared)
    own = [5]
    context["replaced"] = own
    own.append(6)
    context["changed"].append(2)
    context["added"] = {"a": 1}
    context["kind"] = True
    assert context["same"] == [1]
    assert context.changes() == {
        "changed": [1, 2],
        "replaced": [5, 6],
        "added": {"a": 1},
        "kind": True,
    }


def test_what_is_not_looked_at_is_not_copied() -> None:
    """A large value that a task does not need costs it nothing."""
    shared = {"large": [0] * 10, "small": 1}
    context = context_of(shared)
    assert (context["small"], len(context), "large" in context) == (1, 2, True)
    assert dict.__getitem__(context, "large") is shared["large"]
