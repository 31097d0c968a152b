"""Trigger rules: whether a task runs once its dependencies are done, or is skipped.

How to think of it: a rule is a value that is asked once, with the states of the task's dependencies
and the context that the task would get. It answers None (run) or the reason why not. The names are
those of Airflow (https://airflow.apache.org/docs/apache-airflow/stable/core-concepts/dags.html,
"Trigger Rules"); conditions on single tasks and on the context can be put together with `all_of`,
`any_of` and `none_of`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from test_rig.workflow.states import TaskStatus

__all__ = [
    "NAMED_RULES",
    "Rule",
    "all_of",
    "always",
    "any_of",
    "context_value",
    "none_of",
    "read_rule",
    "task_failed",
    "task_skipped",
    "task_success",
]

States = Mapping[str, TaskStatus]


def _counts(states: States) -> tuple[int, int, int]:
    failed = sum(status.is_failure for status in states.values())
    done = sum(status is TaskStatus.COMPLETED for status in states.values())
    return done, failed, len(states) - done - failed


#: name -> whether it holds for (succeeded, failed, skipped) dependencies.
NAMED_RULES: dict[str, Callable[[int, int, int], bool]] = {
    "all_success": lambda done, failed, skipped: not failed and not skipped,
    "all_done": lambda done, failed, skipped: True,
    "always": lambda done, failed, skipped: True,
    "all_failed": lambda done, failed, skipped: not done and not skipped,
    "all_skipped": lambda done, failed, skipped: not done and not failed,
    "one_success": lambda done, failed, skipped: done > 0,
    "any_success": lambda done, failed, skipped: done > 0,
    "one_failed": lambda done, failed, skipped: failed > 0,
    "any_failed": lambda done, failed, skipped: failed > 0,
    "one_done": lambda done, failed, skipped: done + failed > 0,
    "none_failed": lambda done, failed, skipped: not failed,
    "none_skipped": lambda done, failed, skipped: not skipped,
    "none_failed_min_one_success": lambda done, failed, skipped: not failed and done > 0,
}

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "equals": lambda left, right: bool(left == right),
    "not_equals": lambda left, right: bool(left != right),
    "greater_than": lambda left, right: bool(left > right),
    "less_than": lambda left, right: bool(left < right),
    "at_least": lambda left, right: bool(left >= right),
    "at_most": lambda left, right: bool(left <= right),
    "contains": lambda left, right: bool(right in left),
    "not_contains": lambda left, right: bool(right not in left),
    "exists": lambda left, right: True,
    "not_exists": lambda left, right: False,
}
_SIGNS = {
    "==": "equals",
    "!=": "not_equals",
    ">": "greater_than",
    "<": "less_than",
    ">=": "at_least",
    "<=": "at_most",
}
_MISSING = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule; made by the functions below, or by its name."""

    kind: Literal["named", "task", "context", "all_of", "any_of", "none_of", "function"]
    #: The name of a named rule, the task's id, the context's key.
    name: str = ""
    #: The state that the task shall have, the operator.
    test: str = ""
    value: Any = None
    parts: tuple[Rule, ...] = ()
    function: Callable[..., object] | None = None

    def refusal(self, states: States, context: Mapping[str, Any]) -> str | None:
        """Return why the task is skipped, None where it runs.

        A rule that asks a function of the user's answers None here: it is asked where the task
        would run, so that it cannot hold up the engine.
        """
        if self.kind == "named":
            return self._named(states)
        if self.kind == "function" or self.holds(states, context):
            return None
        return f"its rule does not hold: {self}"

    def holds(self, states: States, context: Mapping[str, Any]) -> bool:
        """Return whether the rule holds."""
        if self.kind == "named":
            return NAMED_RULES[self.name](*_counts(states))
        if self.kind == "task":
            status = states.get(self.name)
            wanted = self.test
            return status is not None and (
                status.is_failure if wanted == "failed" else status.value.lower() == wanted
            )
        if self.kind == "context":
            return self._compares(context.get(self.name, _MISSING))
        answers = (part.holds(states, context) for part in self.parts)
        if self.kind == "all_of":
            return all(answers)
        return any(answers) if self.kind == "any_of" else not any(answers)

    def _named(self, states: States) -> str | None:
        if NAMED_RULES[self.name](*_counts(states)):
            return None
        failed = [key for key, status in states.items() if status.is_failure]
        skipped = [
            key
            for key, status in states.items()
            if not status.is_failure and status is not TaskStatus.COMPLETED
        ]
        if self.name == "all_success" and failed:
            return f"upstream failed: {', '.join(failed)}"
        if self.name == "all_success":
            return f"upstream skipped: {', '.join(skipped)}"
        return f"its rule does not hold: {self.name}"

    def _compares(self, found: object) -> bool:
        if found is _MISSING:
            return self.test in ("not_exists", "not_equals", "not_contains")
        try:
            return _OPERATORS[self.test](found, self.value)
        except TypeError:
            return False  # 3 > "a" has no answer, so the condition does not hold

    def tasks(self) -> set[str]:
        """Return the ids of the tasks that the rule asks for."""
        own = {self.name} if self.kind == "task" else set()
        return own.union(*(part.tasks() for part in self.parts))

    def __str__(self) -> str:
        if self.kind == "named":
            return self.name
        if self.kind == "task":
            word = {"completed": "success"}.get(self.test, self.test)
            return f"task_{word}({self.name})"
        if self.kind == "context":
            return f"context_value({self.name} {self.test} {self.value!r})"
        if self.kind == "function":
            return f"condition {getattr(self.function, '__name__', 'function')}"
        return f"{self.kind}({', '.join(map(str, self.parts))})"


def always() -> Rule:
    """Return the rule that lets a task run whatever became of its dependencies."""
    return Rule(kind="named", name="all_done")


def task_success(task_id: str) -> Rule:
    """Return the rule that a dependency has succeeded."""
    return Rule(kind="task", name=task_id, test="completed")


def task_failed(task_id: str) -> Rule:
    """Return the rule that a dependency has failed."""
    return Rule(kind="task", name=task_id, test="failed")


def task_skipped(task_id: str) -> Rule:
    """Return the rule that a dependency was skipped."""
    return Rule(kind="task", name=task_id, test="skipped")


def context_value(key: str, operator: str, value: Any = None) -> Rule:
    """Return a rule on a value of the context.

    Args:
        key: The value's key.
        operator: equals, not_equals, greater_than, less_than, at_least, at_most, contains,
            not_contains, exists, not_exists; also as ==, !=, >, <, >=, <= and in CamelCase.
        value: What it is compared with.
    """
    spelt = "".join(f"_{char.lower()}" if char.isupper() else char for char in operator)
    return Rule(kind="context", name=key, test=_SIGNS.get(operator, spelt.lstrip("_")), value=value)


def all_of(*parts: str | Rule) -> Rule:
    """Return the rule that all of these hold."""
    return Rule(kind="all_of", parts=tuple(map(read_rule, parts)))


def any_of(*parts: str | Rule) -> Rule:
    """Return the rule that one of these holds."""
    return Rule(kind="any_of", parts=tuple(map(read_rule, parts)))


def none_of(*parts: str | Rule) -> Rule:
    """Return the rule that none of these holds."""
    return Rule(kind="none_of", parts=tuple(map(read_rule, parts)))


def read_rule(given: object) -> Rule:
    """Return the rule that a name, a rule or a function of the context stands for."""
    if isinstance(given, Rule):
        return given
    if callable(given):
        return Rule(kind="function", function=given)
    return Rule(kind="named", name=str(given))


def rule_problems(rule: Rule) -> list[str]:
    """Return what is wrong with a rule by itself."""
    found = []
    if rule.kind == "named" and rule.name not in NAMED_RULES:
        found.append(f"there is no trigger rule {rule.name!r}; known: {', '.join(NAMED_RULES)}")
    if rule.kind == "context" and rule.test not in _OPERATORS:
        found.append(f"there is no operator {rule.test!r}; known: {', '.join(_OPERATORS)}")
    if any(part.kind == "function" for part in rule.parts):
        found.append("a function cannot be a part of all_of, any_of or none_of")
    return found + [problem for part in rule.parts for problem in rule_problems(part)]
