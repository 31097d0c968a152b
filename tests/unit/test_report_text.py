"""The text fits its terminal, says the verdict first, and shows the witness that matters."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import audits
import pytest
from hostile import TEXTS, report_saying
from hypothesis import given, settings
from hypothesis import strategies as st

from test_rig.isolation import Anomaly, Level
from test_rig.report import headline, render_text
from test_rig.report.telling import most_telling
from test_rig.runs import RunStatus
from test_rig.verdict import Verdict

REPORTS = (audits.embedded, audits.servers, audits.interrupted, audits.report)


@settings(deadline=None, max_examples=20)
@given(st.sampled_from(REPORTS), st.integers(60, 130))
def test_every_line_fits(made: object, width: int) -> None:
    """No line is longer than the terminal, from 60 columns on."""
    assert callable(made)
    assert max(map(len, render_text(made(), width=width).splitlines())) <= width


@pytest.mark.parametrize("width", [80, 100])
def test_the_table_is_a_table(width: int) -> None:
    """From 80 columns on there is one line to a level, with a sign for each anomaly."""
    lines = render_text(audits.embedded(), width=width).splitlines()
    rows = [line for line in lines if re.search(r"([✓○✗–?]\s+){14}[✓○✗–?]$", line)]  # noqa: RUF001
    assert len(rows) == 7


def test_the_columns_are_those_of_the_anomalies() -> None:
    """The sign below P4 is the one of P4: forbidden at MariaDB's REPEATABLE READ only."""
    lines = render_text(audits.report(audits.mariadb()), width=100).splitlines()
    heading = next(line for line in lines if "OTV" in line)
    row = next(line for line in lines if re.match(r"  REPEATABLE READ .*✗", line))
    assert row[heading.index("P4")] == "✗"
    assert row[heading.index("G0")] == "✓"
    assert row[heading.index("PMP")] == "✓"


def test_a_plain_text_is_ascii_and_has_no_escapes() -> None:
    """Without Unicode and colours, what we write ourselves is ASCII."""
    text = render_text(audits.servers(), unicode=False)
    assert text.isascii()
    assert "\x1b" not in text


def test_colours_are_asked_for() -> None:
    """Escape sequences are there when wanted, and the words are the same."""
    colored = render_text(audits.servers(), color=True)
    assert "\x1b[" in colored
    plain = "\n".join(line.rstrip() for line in re.sub(r"\x1b\[[\d;]*m", "", colored).split("\n"))
    assert plain == render_text(audits.servers())


@settings(deadline=None, max_examples=25)
@given(TEXTS)
def test_nothing_said_reaches_the_terminal_as_a_command(text: str) -> None:
    """Control characters, turning marks and markup of a database are shown, not obeyed."""
    told = render_text(report_saying(text))
    assert not re.search(
        "[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", told
    )


def test_the_first_line_is_the_verdict() -> None:
    """One sentence says whether every claim holds, which is broken, or that nobody knows."""
    assert headline(audits.embedded()) == (
        "Every claim holds: 7 levels of SQLite 3.40.1 and DuckDB 1.4.1."
    )
    assert headline(audits.servers()) == (
        "MariaDB 10.11.6 breaks a claim: lost update (P4) and 3 more anomalies occur at "
        "REPEATABLE READ, which claims repeatable read."
    )
    twice = audits.report(audits.mariadb(), replace(audits.mariadb(), duration_s=1.0))
    assert headline(twice) == "2 claims of 8 are broken, by MariaDB 10.11.6."
    assert headline(audits.report()) == "Nothing was judged."


def test_a_doubt_is_never_told_as_a_claim_that_holds() -> None:
    """A level with an anomaly that could not be decided is neither broken nor fine."""
    row = audits.level("S", Level.SERIALIZABLE, "m", unknown={Anomaly.G2})
    target = replace(audits.duckdb(), levels=(row,), verdict=Verdict.UNKNOWN)
    assert headline(audits.report(target)) == (
        "No claim was seen broken; 0 of 1 level could be judged."
    )


@pytest.mark.parametrize("status", [RunStatus.INTERRUPTED, RunStatus.RUNNING, RunStatus.FAILED])
def test_a_run_that_did_not_end_says_so_first(status: RunStatus) -> None:
    """Whatever was found until then, a reader knows that it is not all."""
    report = audits.report(audits.sqlite(), status=status)
    assert re.match(r"(Interrupted|Still running|Failed) before the end", headline(report))


def test_the_most_telling_witness_breaks_a_claim() -> None:
    """A broken claim goes before what is permitted, a lost update before other breaches."""
    first, second = most_telling(audits.servers())
    assert (first.cell.anomaly, first.row.name) == (Anomaly.P4, "REPEATABLE READ")
    assert second.cell.anomaly is Anomaly.G2_ITEM


def test_witnesses_of_permitted_anomalies_come_from_different_levels() -> None:
    """Where every claim holds, the strongest level that shows something goes first."""
    first, second = most_telling(audits.embedded())
    assert (first.target.target.product, first.cell.anomaly) == ("DuckDB", Anomaly.G2_ITEM)
    assert (second.target.target.product, second.cell.anomaly) == ("SQLite", Anomaly.G1A)


def test_the_page_is_named_at_the_end() -> None:
    """The last line says where the page is, or how to get one."""
    assert render_text(audits.embedded(), page=Path("x/report.html")).endswith("x/report.html\n")
    assert "test-rig report k3f9q2 --format html" in render_text(audits.embedded())
