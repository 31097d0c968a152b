"""The judge of handlers: verdicts, and what is doubtful about them, from runs on the stand-in."""

from __future__ import annotations

import unittest
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from test_rig.machine import DynamicStateMachine, StateContext, StateHandler
from test_rig.machine.ledger import LONGEST_TEXT
from test_rig.suite.evidence import Recorder
from test_rig.suite.journal import Journal
from test_rig.suite.judge import judge
from test_rig.targets import observe_sessions
from test_rig.testing import InMemoryTarget
from test_rig.verdict import HandlerResult, RemarkKind, ResultStatus

Execute = Callable[[StateContext], Any]


def judged(execute: Execute) -> HandlerResult:
    """Run a handler with this `execute` and return its result."""
    handler = type("JudgedHandler", (StateHandler,), {"execute": lambda _, c: execute(c)})
    with InMemoryTarget() as target, closing(Journal()) as journal:
        context = StateContext(target=target)
        machine = DynamicStateMachine(context=context)
        machine.register_test(handler)
        recorder = Recorder(
            lambda: context.current_state,
            lambda state: state.is_test,
            secret="s3cret-word",
            on_session=lambda number: None,
            journal=journal,
        )
        with observe_sessions(recorder.opened):
            run = machine.run_sync()
        evidence = recorder.evidence()
    return judge("JudgedHandler", run, evidence, file="x.py", line=3, product="SQLite 3")


def kinds(result: HandlerResult) -> list[RemarkKind]:
    """Return the kinds of a result's remarks."""
    return [remark.kind for remark in result.remarks]


def ask(context: StateContext, sql: str) -> Any:
    """Send a statement."""
    assert context.connection is not None
    return context.connection.execute_query(sql)


def swallow(context: StateContext, sql: str) -> None:
    """Send a statement and swallow its error."""
    try:
        ask(context, sql)
    except Exception:  # noqa: BLE001 - what is judged here
        return


class _MuteError(BaseException):
    """Cannot say what it is."""

    def __str__(self) -> str:
        raise SystemExit(3)


def test_an_exception_that_cannot_be_told_is_an_error() -> None:
    """Its class is told; it must not be taken for success."""

    def execute(_: StateContext) -> None:
        raise _MuteError

    result = judged(execute)
    assert result.status is ResultStatus.ERROR
    assert str(result.reason).startswith("_MuteError: it cannot tell what")


def test_a_handler_that_closes_its_connection_is_told_so() -> None:
    """Who comes after it in its machine has none."""

    def execute(context: StateContext) -> str:
        assert ask(context, "SELECT 1 AS one") == [{"one": 1}]
        assert context.connection is not None
        context.connection.close()
        return "Completed"

    (remark,) = judged(execute).remarks
    assert remark.kind is RemarkKind.LEFT
    assert "its connection closed" in remark.text


def test_an_endless_message_is_cut_and_costs_no_time() -> None:
    """Looking for passwords in a word of a megabyte took minutes, once."""
    result = judged(lambda _: "Error: " + "x" * 1_000_000)
    assert result.status is ResultStatus.FAILED
    assert len(str(result.reason)) < 2 * LONGEST_TEXT


def test_a_handler_that_looks_at_its_answers_is_beyond_doubt() -> None:
    """In whatever way it looks."""
    looks: list[Callable[[Any], object]] = [
        len,
        bool,
        list,
        str,
        lambda rows: rows[0],
        lambda rows: rows == [],
        lambda rows: rows != [],
        lambda rows: {"a": 1} in rows,
        lambda rows: [*rows],
    ]
    for look in looks:
        result = judged(
            lambda c, look=look: (look(ask(c, "SELECT 1 AS a")) and None) or "Completed"
        )
        assert (result.status, result.remarks) == (ResultStatus.PASSED, ())


def test_one_that_looked_at_nothing_is_marked() -> None:
    """It sent nothing, or no more than transactions, or dropped every row that it got."""
    idle = judged(lambda c: "Completed")
    control = judged(lambda c: (ask(c, "BEGIN"), ask(c, "COMMIT")) and "Completed")
    blind = judged(lambda c: (ask(c, "SELECT 1"), ask(c, "SELECT 2")) and "Completed")
    for result in (idle, control, blind):
        assert (result.status, kinds(result)) == (ResultStatus.PASSED, [RemarkKind.UNCHECKED])
        assert result.is_doubtful
    assert blind.remarks[0].text == "none of its 2 answers with rows was looked at"


def test_statements_without_rows_are_checked_by_their_success() -> None:
    """There is nothing to look at."""
    result = judged(lambda c: (ask(c, "CREATE TABLE a (b INT)"), "Completed")[1])
    assert not result.is_doubtful


def test_a_swallowed_error_is_told_with_its_statement() -> None:
    """The verdict stays: a test may expect an error."""

    def execute(context: StateContext) -> str:
        swallow(context, "SELECT * FROM nowhere")
        return "Completed"

    result = judged(execute)
    assert (result.status, kinds(result)) == (ResultStatus.PASSED, [RemarkKind.SWALLOWED])
    assert "SELECT * FROM nowhere" in result.remarks[0].text
    (statement,) = result.statements
    assert statement.error is not None
    assert "nowhere" in str(statement.message)


def test_what_was_tried_again_with_success_was_not_swallowed() -> None:
    """The same statement, in the same session."""

    def execute(context: StateContext) -> str:
        swallow(context, "INSERT INTO late VALUES (1)")
        ask(context, "CREATE TABLE late (a INT)")
        ask(context, "INSERT INTO late VALUES (1)")
        return "Completed"

    assert judged(execute).remarks == ()


@pytest.mark.parametrize("is_swallowed", [False, True])
def test_what_the_server_does_not_have_is_no_failure(is_swallowed: bool) -> None:
    """Whether the error comes through, or the handler answers one itself."""

    def execute(context: StateContext) -> str:
        if is_swallowed:
            swallow(context, "IMPORT INTO t FROM 'x'")
            swallow(context, "DROP TABLE IF EXISTS t")
            return "Error: it did not work"
        return str(ask(context, "IMPORT INTO t FROM 'x'"))

    result = judged(execute)
    assert result.status is ResultStatus.SKIPPED
    assert result.reason == "SQLite 3 does not have IMPORT INTO"


def test_a_failure_of_its_own_is_not_excused_by_it() -> None:
    """It went on after the statement, failed with another one, or for another reason."""

    def went_on(context: StateContext) -> str:
        swallow(context, "SHOW TABLES")
        return "Completed" if ask(context, "SELECT 1 AS a") == [] else "Error: a row"

    def another(context: StateContext) -> str:
        swallow(context, "SHOW TABLES")
        return str(ask(context, "SELECT * FROM nowhere"))

    def own(context: StateContext) -> str:
        swallow(context, "SHOW TABLES")
        raise ValueError("mine")

    results = [judged(each) for each in (went_on, another)]
    assert [each.status for each in results] == [ResultStatus.FAILED, ResultStatus.ERROR]
    assert [RemarkKind.UNSUPPORTED in kinds(each) for each in results] == [True, True]
    assert judged(own).status is ResultStatus.ERROR


def test_swallowing_what_is_not_supported_is_told_and_no_doubt() -> None:
    """A handler for several products asks what it can."""

    def execute(context: StateContext) -> str:
        swallow(context, "SHOW TABLES")
        return "Completed" if ask(context, "SELECT 1 AS a") else "Error: no row"

    result = judged(execute)
    assert (kinds(result), result.is_doubtful) == ([RemarkKind.UNSUPPORTED], False)


def test_a_handler_can_skip_itself() -> None:
    """With the exception that every test framework knows."""

    def execute(context: StateContext) -> str:
        raise unittest.SkipTest("no license here")

    result = judged(execute)
    assert (result.status, result.reason) == (ResultStatus.SKIPPED, "no license here")
    assert result.traceback is None


def test_sessions_left_open_are_closed_and_told() -> None:
    """Whoever opened them, in the handler's own state."""

    def execute(context: StateContext) -> str:
        assert context.target is not None
        context.target.connect("mine").start_transaction()
        return "Completed" if ask(context, "SELECT 1") else "Error"

    result = judged(execute)
    assert kinds(result) == [RemarkKind.LEFT]
    assert "mine" in result.remarks[0].text


def test_only_the_handlers_own_statements_are_evidence_and_no_secret_is() -> None:
    """Neither the machine's way nor a password, whoever wrote it there."""

    def execute(context: StateContext) -> str:
        swallow(context, "CREATE USER ann IDENTIFIED BY 'hers'")
        swallow(context, "SELECT 's3cret-word'")
        return "Completed"

    statements = judged(execute).statements
    assert len(statements) == 2
    assert "hers" not in str(statements)
    assert "s3cret-word" not in str(statements)


def test_of_very_many_statements_the_ends_are_kept() -> None:
    """And all are counted."""

    def execute(context: StateContext) -> str:
        for number in range(1200):
            ask(context, f"SELECT {number}")
        return "Completed"

    result = judged(execute)
    assert (result.statement_count, len(result.statements)) == (1200, 1000)
    assert result.statements[0].sql == "SELECT 0"
    assert result.statements[-1].sql == "SELECT 1199"
