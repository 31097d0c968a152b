"""The sentences about a run of handlers that all forms of a report share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from test_rig.report.shown import shown
from test_rig.verdict import HandlerResult, ResultStatus, StatementRecord, SuiteResult, SuiteVerdict

__all__ = ["STATUS_WORDS", "counts_told", "remarks_told", "statement_told", "suite_sentence"]

#: How a handler ended, in a word or two, in the order in which they are counted.
STATUS_WORDS = {
    ResultStatus.FAILED: "failed",
    ResultStatus.ERROR: "error",
    ResultStatus.TIMED_OUT: "timed out",
    ResultStatus.PASSED: "passed",
    ResultStatus.SKIPPED: "skipped",
}


def suite_sentence(suite: SuiteVerdict) -> str:
    """Return what a run of handlers found, in a sentence."""
    results = [result for target in suite.targets for result in target.handlers]
    broken = sum(len(target.problems) for target in suite.targets)
    lost = [target for target in suite.targets if target.error]
    parts = [counts_told(results)] if results else []
    if broken:
        parts.append(f"{broken} file{'s' * (broken != 1)} could not be loaded")
    parts += [f"{shown(target.target.product)} could not be used" for target in lost]
    if not parts:
        return "No handler was run."
    return f"{'; '.join(parts)}."


def counts_told(results: list[HandlerResult]) -> str:
    """Return how many handlers ended how: "1 failed, 3 passed (1 doubtful)"."""
    counts = Counter(result.status for result in results)
    doubtful = sum(result.is_doubtful for result in results)
    told = []
    for status, word in STATUS_WORDS.items():
        if counts[status]:
            doubt = f" ({doubtful} doubtful)" if doubtful and status is ResultStatus.PASSED else ""
            told.append(f"{counts[status]} {word}{doubt}")
    return ", ".join(told)


def remarks_told(result: HandlerResult) -> Iterator[str]:
    """Yield what is to be known beside a verdict."""
    for remark in result.remarks:
        yield f"{remark.kind.value}: {shown(remark.text)}"


def statement_told(statement: StatementRecord) -> str:
    """Return what came of a statement, in a few words."""
    if statement.error is None:
        return "" if statement.row_count is None else f"{statement.row_count} rows"
    codes = [code for code in (statement.code, statement.sqlstate) if code]
    inside = [code for code in dict.fromkeys(codes) if code not in statement.error]
    told = statement.error + (f" [{', '.join(inside)}]" if inside else "")
    return shown(f"{told}: {statement.message}" if statement.message else told)


def places(target: SuiteResult) -> Iterator[tuple[str, list[HandlerResult]]]:
    """Yield each file with its handlers."""
    by_file: dict[str, list[HandlerResult]] = {}
    for result in target.handlers:
        by_file.setdefault(result.file, []).append(result)
    yield from by_file.items()
