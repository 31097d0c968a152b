"""Values, merges, rules, retries, graphs and addresses: what is checked before anything runs."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from test_rig.errors import ContextInvalid, WorkflowInvalid, WorkflowUrlError
from test_rig.workflow.graph import Graph, graph_problems
from test_rig.workflow.merging import merge
from test_rig.workflow.retry import RetryPolicy
from test_rig.workflow.rules import all_of, any_of, context_value, read_rule, task_failed
from test_rig.workflow.states import TaskStatus
from test_rig.workflow.store import read_address
from test_rig.workflow.task import Task
from test_rig.workflow.values import decoded, encoded

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc"), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def nothing(context: dict[str, Any]) -> None:
    """Do nothing."""


def made(key: str, *dependencies: str, **options: Any) -> Task:
    """Return a task."""
    return Task(task_id=key, function=nothing, dependencies=dependencies, **options)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON))
def test_json_comes_back_as_it_went(values: dict[str, Any]) -> None:
    """Every JSON value is kept, whole numbers of any size too."""
    text, back = encoded(values, where="context")
    assert back == values
    assert decoded(text) == values


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": [1, {"b": {2}}]}, "context['a'][1]['b']"),
        ({"a": (1, 2)}, "context['a']"),
        ({"when": datetime(2020, 1, 1)}, "context['when']"),
        ({"raw": b"x"}, "context['raw']"),
        ({"n": math.nan}, "context['n']"),
        ({"half": "\ud800"}, "context['half']"),
        ({"d": {1: 2}}, "the key 1"),
        ([1], "this is a list"),
    ],
)
def test_what_is_no_json_is_named_by_its_key(value: object, place: str) -> None:
    """The error leads to the place in the context, however deep."""
    with pytest.raises(ContextInvalid) as caught:
        encoded(value, where="context")
    assert place in str(caught.value)


def test_a_context_within_itself_and_one_too_large_are_refused() -> None:
    """The first has no JSON; the second names its largest key."""
    loop: dict[str, Any] = {}
    loop["again"] = loop
    with pytest.raises(ContextInvalid, match="deeper") as caught:
        encoded(loop, where="context")
    assert len(str(caught.value)) < 200, "where it begins says enough"
    with pytest.raises(ContextInvalid, match=r"'big'.*limit is 100"):
        encoded({"small": 1, "big": "x" * 200}, where="context", limit=100)


def test_parallel_writes_of_one_key_are_a_conflict_unless_they_agree() -> None:
    """A write over one that the writer could see is none."""
    writes = [("a", 1, 0, {"k": 1}), ("b", 2, 0, {"k": 2}), ("c", 4, 1, {"x": 1})]
    assert [str(each) for each in merge({}, writes, {})[1]] == [
        "a and b wrote different values to 'k'"
    ]
    assert merge({}, [*writes[:1], ("b", 2, 1, {"k": 2})], {}) == ({"k": 2}, [])
    assert merge({}, [("a", 1, 0, {"k": 1}), ("b", 2, 0, {"k": 1})], {}) == ({"k": 1}, [])
    assert merge({}, [*writes, ("d", 8, 7, {"k": 9})], {})[0]["k"] == 9
    assert merge({}, [*writes, ("d", 8, 7, {"k": 9})], {})[1] == []


@pytest.mark.parametrize(
    ("rule", "result"),
    [("first", 1), ("last", 2), ("sum", 3), ("append", [1, 2]), ("max", 2), (len, 2)],
)
def test_a_merge_rule_decides(rule: Any, result: Any) -> None:
    """By name or by a function of the values, in the order of the tasks."""
    writes = [("a", 1, 0, {"k": 1}), ("b", 2, 0, {"k": 2})]
    assert merge({}, writes, {"k": rule}) == ({"k": result}, [])


def test_a_merge_rule_that_cannot_is_a_conflict() -> None:
    """It names the rule, and what went wrong."""
    writes = [("a", 1, 0, {"k": 1}), ("b", 2, 0, {"k": "x"})]
    assert "sum" in str(merge({}, writes, {"*": "sum"})[1][0])


@pytest.mark.parametrize(
    ("rule", "states", "runs"),
    [
        ("all_success", "CC", True), ("all_success", "CF", False), ("all_success", "CS", False),
        ("all_done", "FS", True), ("one_failed", "CF", True), ("one_failed", "CC", False),
        ("none_failed", "CS", True), ("none_failed_min_one_success", "SS", False),
        ("one_success", "FC", True), ("all_failed", "FF", True), ("all_skipped", "SS", True),
    ],
)  # fmt: skip
def test_named_rules(rule: str, states: str, runs: bool) -> None:
    """They are Airflow's."""
    words = {"C": TaskStatus.COMPLETED, "F": TaskStatus.FAILED, "S": TaskStatus.SKIPPED}
    found = {str(place): words[char] for place, char in enumerate(states)}
    assert (read_rule(rule).refusal(found, {}) is None) == runs


def test_conditions_can_be_put_together() -> None:
    """On tasks and on the context; what has no answer does not hold."""
    rule = any_of(task_failed("a"), all_of("all_success", context_value("n", ">", 3)))
    assert rule.holds({"a": TaskStatus.FAILED}, {})
    assert rule.holds({"a": TaskStatus.COMPLETED}, {"n": 4})
    assert not rule.holds({"a": TaskStatus.COMPLETED}, {"n": "four"})


@given(st.integers(1, 50), st.floats(0, 0.99))
def test_waits_stay_within_their_limit(failures: int, chance: float) -> None:
    """However often a task failed."""
    policy = RetryPolicy(retries=60, delay_s=0.5, max_delay_s=20)
    assert 0.25 <= policy.wait_s(failures, chance) <= 20


def test_everything_wrong_with_a_graph_is_told_at_once() -> None:
    """A cycle, an unknown dependency, an id given twice, options, rules."""
    tasks = [
        made("a", "b"), made("b", "a"), made("c", "aa"), made("c"),
        made("d", rule=task_failed("a")), made("e", rule=read_rule("all_sucess"), timeout_s=-1),
    ]  # fmt: skip
    text = "\n".join(map(str, graph_problems("w", tasks)))
    for part in ("cycle: a -> b -> a", "'c' is given twice", "asks for 'a'", "all_sucess", "-1"):
        assert part in text
    with pytest.raises(WorkflowInvalid, match="did you mean 'a'"):
        Graph("w", [made("a"), made("c", "aa")])


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("sqlite://:memory:", ":memory:"), ("sqlite:///a/b.db", "a/b.db"),
        ("sqlite:////a/b.db", "/a/b.db"), ("some.db", "some.db"), ("/a/b.sqlite", "/a/b.sqlite"),
    ],
)  # fmt: skip
def test_sqlite_addresses(url: str, place: str) -> None:
    """A URL, memory, or a bare path; PostgreSQL's executor takes none of them."""
    assert read_address(url).place == place
    with pytest.raises(WorkflowUrlError, match="Invalid database URL format for this backend: "):
        read_address(url, backend="postgres")


@pytest.mark.parametrize("url", ["mysql://x/y", "", "postgresql://", None, 3, "http://a/b"])
def test_what_is_no_address_is_refused(url: object) -> None:
    """With the words that scripts look for."""
    with pytest.raises(ValueError, match="Invalid database URL format for this backend: "):
        read_address(url)


def test_a_refused_url_keeps_its_password_and_names_who_serves_it() -> None:
    """SQLite's executor says that PostgreSQL's serves this."""
    with pytest.raises(ValueError, match="cloacina_postgres") as caught:
        read_address("postgresql://me:secret@db/x", backend="sqlite")
    assert "secret" not in str(caught.value)
