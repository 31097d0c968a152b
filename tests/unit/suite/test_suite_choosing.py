"""Small rules of a run of handlers: what is chosen, what is foreign, what it comes to."""

from __future__ import annotations

import pytest

from test_rig.suite import Selection, suite_verdict
from test_rig.targets import foreign_to
from test_rig.verdict import (
    HandlerResult,
    Remark,
    RemarkKind,
    ResultStatus,
    SuiteResult,
    TargetInfo,
    Verdict,
)


@pytest.mark.parametrize(
    ("keyword", "is_chosen"),
    [
        ("", True),
        ("ORDERS", True),
        ("counthandler", True),
        ("test_orders.py::Count", True),
        ("*::c*r", True),
        ("Count*", True),
        ("customers", False),
        ("*::d*", False),
    ],
)
def test_handlers_are_chosen_by_a_part_or_a_pattern(keyword: str, is_chosen: bool) -> None:
    """Of file and class, in any case."""
    assert Selection(keywords=(keyword,)).has("test_orders.py", "CountHandler") is is_chosen
    # Of several one is enough.
    assert (
        Selection(keywords=("nothing", keyword)).has("test_orders.py", "CountHandler") is is_chosen
    )


@pytest.mark.parametrize(
    ("sql", "family", "product", "told"),
    [
        ("IMPORT INTO t FROM 'x'", "mysql", "MariaDB", "IMPORT INTO"),
        ("IMPORT INTO t FROM 'x'", "mysql", "TiDB", None),
        ("  -- why\n/* not */ show import jobs", "postgresql", "PostgreSQL", "SHOW IMPORT JOBS"),
        ("SHOW TABLES LIKE 'a'", "postgresql", "PostgreSQL", "SHOW TABLES"),
        ("SHOW TABLES LIKE 'a'", "mysql", "MySQL", None),
        ("SHOW server_version", "postgresql", "PostgreSQL", None),
        ("COPY t FROM STDIN", "mysql", "MariaDB", "COPY"),
        ("TRUNCATE t", "sqlite", "SQLite", "TRUNCATE"),
        ("SELEC 1", "mysql", "MariaDB", None),
        ("", "mysql", "MariaDB", None),
    ],
)
def test_statements_of_other_products_are_known_by_their_first_words(
    sql: str, family: str, product: str, told: str | None
) -> None:
    """A typing mistake is none of them."""
    assert foreign_to(sql, family=family, product=product) == told


def result_of(status: ResultStatus, *remarks: Remark) -> HandlerResult:
    """Return a result."""
    return HandlerResult(handler="A", file="a.py", line=1, status=status, remarks=remarks)


def suite_of(*results: HandlerResult, problems: tuple[str, ...] = ()) -> SuiteResult:
    """Return the results of a target."""
    info = TargetInfo(url="sqlite://", product="SQLite", version="3")
    return SuiteResult(target=info, handlers=results, problems=problems)


def test_a_run_is_what_its_worst_handler_is() -> None:
    """Doubts count where that is asked for; nothing at all is not judged."""
    doubt = Remark(kind=RemarkKind.UNCHECKED, text="nothing")
    passed, doubtful = result_of(ResultStatus.PASSED), result_of(ResultStatus.PASSED, doubt)
    skipped, late = result_of(ResultStatus.SKIPPED), result_of(ResultStatus.TIMED_OUT)
    assert suite_verdict([suite_of(passed, skipped, doubtful)]) is Verdict.VALID
    assert suite_verdict([suite_of(passed, doubtful)], is_strict=True) is Verdict.INVALID
    assert suite_verdict([suite_of(passed), suite_of(late)]) is Verdict.INVALID
    assert suite_verdict([suite_of(passed, problems=("a.py:1: bad",))]) is Verdict.INVALID
    assert suite_verdict([suite_of()]) is Verdict.UNKNOWN
