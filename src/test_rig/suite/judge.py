"""The judge: how a handler's run ended, what its own statements say, and what is doubtful about it.

Theory of operation. A handler's word is not enough: it may have swallowed an error, or looked at
nothing. Neither makes it fail, since a test may expect an error; both are told beside the verdict.
On the other hand what a server does not have cannot be failed: where a handler ended because of a
statement of another product it is skipped, and the statement named.
"""

from __future__ import annotations

import re
import traceback
import unittest
from collections.abc import Iterator, Sequence
from pathlib import Path

from test_rig.errors import TargetError, text_of
from test_rig.machine import RunResult
from test_rig.suite.evidence import Evidence
from test_rig.verdict import (
    HandlerResult,
    HandlerVisit,
    Remark,
    RemarkKind,
    ResultStatus,
    StatementRecord,
)

__all__ = ["judge"]

#: What a handler still sends when it has given up.
_CLEAN_UP = re.compile(r"\s*(DROP|ROLLBACK|DELETE|TRUNCATE|UNLOCK|SET|RELEASE)\b", re.IGNORECASE)
#: What proves nothing: transactions, and what the rig sends before `exit`.
_CONTROL = re.compile(
    r"\s*(BEGIN|START|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|SET|USE)\b", re.IGNORECASE
)
#: Longer statements are cut in remarks.
_SHOWN_SQL = 120
_NOT_PASSED = (ResultStatus.FAILED, ResultStatus.ERROR)


def judge(
    name: str, run: RunResult, evidence: Evidence, *, file: str, line: int, product: str
) -> HandlerResult:
    """Return a handler's result.

    Args:
        name: Its class.
        run: How its machine ended.
        evidence: What it did.
        file: Where it stands.
        line: On which line.
        product: The server's product and version, for people.
    """
    status, reason = _status(run, evidence.statements, product, file)
    failure = run.error
    has_traceback = failure is not None and status is not ResultStatus.SKIPPED
    return HandlerResult(
        handler=name,
        file=file,
        line=line,
        status=status,
        reason=reason,
        remarks=tuple(_remarks(run, status, evidence, product)),
        visits=tuple(
            HandlerVisit(
                state=visit.state.name, handler=visit.handler, duration_s=visit.duration_ns / 1e9
            )
            for visit in run.visits()
        ),
        statements=evidence.statements,
        statement_count=evidence.count,
        traceback=str(failure) if has_traceback else None,
        duration_s=run.duration_ns / 1e9,
    )


def _status(
    run: RunResult, statements: Sequence[StatementRecord], product: str, file: str
) -> tuple[ResultStatus, str | None]:
    failure = run.error
    if failure is None:
        return run.status, None
    if isinstance(failure.exception, unittest.SkipTest):
        return ResultStatus.SKIPPED, text_of(failure.exception) or "it skips itself"
    foreign = _ended_it(run, statements)
    if foreign is not None and run.status in _NOT_PASSED:
        return ResultStatus.SKIPPED, f"{product} does not have {foreign.unsupported}"
    return run.status, failure.message + _place(failure.exception, file)


def _place(error: BaseException | None, file: str) -> str:
    """Return the last line of the handler's file on the way to an error."""
    frames = traceback.extract_tb(None if error is None else error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == file]
    return f" ({Path(file).name}:{lines[-1]})" if lines else ""


def _ended_it(run: RunResult, statements: Sequence[StatementRecord]) -> StatementRecord | None:
    """Return the statement of another product that ended a handler, if one did."""
    failed = [each for each in statements if each.error is not None]
    if not failed or failed[-1].unsupported is None:
        return None
    last = failed[-1]
    exception = None if run.error is None else run.error.exception
    if exception is not None and not _comes_of_a_statement(exception):
        return None
    after = statements[statements.index(last) + 1 :]
    went_on = any(each.error is None and not _CLEAN_UP.match(each.sql) for each in after)
    return None if went_on else last


def _comes_of_a_statement(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, TargetError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _remarks(
    run: RunResult, status: ResultStatus, evidence: Evidence, product: str
) -> Iterator[Remark]:
    failed = [each for each in evidence.statements if each.error is not None]
    foreign = list(dict.fromkeys(each.unsupported for each in failed if each.unsupported))
    if foreign and status is not ResultStatus.SKIPPED:
        text = f"{product} does not have {', '.join(foreign)}"
        yield Remark(kind=RemarkKind.UNSUPPORTED, text=text)
    if status is ResultStatus.PASSED:
        swallowed = [
            each for each in failed if each.unsupported is None and not _was_retried(each, evidence)
        ]
        if swallowed:
            yield Remark(kind=RemarkKind.SWALLOWED, text=_swallowed(swallowed))
        unchecked = _unchecked(evidence)
        if unchecked:
            yield Remark(kind=RemarkKind.UNCHECKED, text=unchecked)
    if evidence.left_open:
        text = f"sessions were left open and had to be closed: {', '.join(evidence.left_open)}"
        yield Remark(kind=RemarkKind.LEFT, text=text)
    for note in run.notes:
        yield Remark(kind=RemarkKind.LEFT, text=note)


def _was_retried(failed: StatementRecord, evidence: Evidence) -> bool:
    """Return whether the same session sent the same statement again, with success."""
    later = evidence.statements[evidence.statements.index(failed) + 1 :]
    return any(
        each.error is None and (each.session, each.sql) == (failed.session, failed.sql)
        for each in later
    )


def _swallowed(failed: Sequence[StatementRecord]) -> str:
    first, count = failed[0], len(failed)
    sql = " ".join(first.sql.split())
    sql = sql if len(sql) <= _SHOWN_SQL else f"{sql[:_SHOWN_SQL]}..."
    which = "a statement" if count == 1 else f"{count} statements, the first"
    return f"{which} failed, and it passed all the same: {sql}: {first.error}"


def _unchecked(evidence: Evidence) -> str | None:
    if not any(not _CONTROL.match(each.sql) for each in evidence.statements):
        return "it sent no statement through the rig"
    if evidence.answers and not evidence.looked_at:
        count = evidence.answers
        which = "its only answer" if count == 1 else f"none of its {count} answers"
        return f"{which} with rows was {'not ' * (count == 1)}looked at"
    return None
