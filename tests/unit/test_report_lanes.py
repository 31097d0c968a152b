"""Pictures show who waited while what happened, and scripts run nothing but their statements."""

from __future__ import annotations

import doctest
import re
from dataclasses import replace

import audits
import pytest
from audits import Fails, Waits, story
from hostile import TEXTS
from hypothesis import given
from hypothesis import strategies as st

import test_rig.report.shown
import test_rig.report.words
from test_rig.report.diagram import MomentKind, draw
from test_rig.report.outcome import told
from test_rig.report.replay import replay_script
from test_rig.report.shown import shown, shown_sql
from test_rig.verdict import StepStatus

LOST_UPDATE = audits.WITNESSES[audits.A.P4][1]


@pytest.mark.parametrize("module", [test_rig.report.shown, test_rig.report.words])
def test_the_examples_are_true(module: object) -> None:
    """What the docstrings show is what happens."""
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]  # a module


def test_a_wait_spans_what_happens_meanwhile() -> None:
    """T2's lane waits from its UPDATE to the moment after T1's COMMIT, and no longer."""
    moments = draw(LOST_UPDATE).moments
    seen = [(m.kind, m.step.session, sorted(m.waiting)) for m in moments[5:]]
    assert seen == [
        (MomentKind.SENT, "T2", []),
        (MomentKind.DONE, "T1", [1]),
        (MomentKind.ANSWERED, "T2", []),
        (MomentKind.DONE, "T2", []),
    ]


def test_an_onlooker_has_no_lane() -> None:
    """A session that looks when all is over stands below; one that takes part does not."""
    look = ("check", "SELECT value FROM test", [("1",)])
    both = (("T1", "BEGIN"), ("T2", "BEGIN"), ("T1", "COMMIT"), ("T2", "COMMIT"))
    diagram = draw(story("s", *both, look))
    assert diagram.sessions == ("T1", "T2")
    assert [m.step.session for m in diagram.after] == ["check"]
    assert draw(story("s", look, *both)).after == ()
    assert draw(story("s", *both, look, ("T1", "SELECT 1"))).after == ()
    assert draw(story("s", ("T1", "BEGIN"), ("T1", "COMMIT"), look)).after == ()


def test_only_what_changes_rows_counts_none() -> None:
    """Nothing is told of a COMMIT with no rows, but an UPDATE that found none is a fact."""
    steps = story("s", ("T1", "UPDATE x SET y = 1", 0), ("T1", "COMMIT", 0)).steps
    assert [told(step) for step in steps] == ["0 rows", ""]


def test_a_step_that_never_ended_waits_to_the_end() -> None:
    """Its answer is the last moment, after everything else."""
    steps = [
        replace(step, status=StepStatus.UNFINISHED, end_ns=None) if step.blocked else step
        for step in LOST_UPDATE.steps
    ]
    moments = draw(replace(LOST_UPDATE, steps=tuple(steps))).moments
    assert moments[-1].kind is MomentKind.ANSWERED
    assert moments[-1].step.blocked


def test_a_skipped_step_stands_where_it_would_have_been() -> None:
    """A step that was not sent has no time, and keeps its place."""
    made = story("s", ("T1", "BEGIN"), ("T1", "COMMIT", "skipped"), ("T2", "SELECT 1", [("1",)]))
    made = replace(
        made, steps=tuple(replace(s, start_ns=0) if "COMMIT" in s.sql else s for s in made.steps)
    )
    assert [m.kind.value for m in draw(made).moments] == ["done", "skipped", "done"]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.booleans()), max_size=8))
def test_every_step_is_told_once_and_in_order(spans: list[tuple[int, int, bool]]) -> None:
    """Any times at all: each step is sent once, answered once, and answers follow sending."""
    steps = tuple(
        replace(LOST_UPDATE.steps[0], step=str(n), start_ns=at, end_ns=at + more, blocked=blocked)
        for n, (at, more, blocked) in enumerate(spans)
    )
    diagram = draw(replace(LOST_UPDATE, steps=steps))
    moments = diagram.moments + diagram.after
    assert [m.time_ns for m in moments] == sorted(m.time_ns for m in moments)
    for step in steps:
        kinds = [m.kind.value for m in moments if m.step.step == step.step]
        assert kinds in (["done"], ["sent", "answered"])


def test_a_script_replays_the_steps_in_order() -> None:
    """Setup, then each statement with its session before it and its answer behind it."""
    script = replay_script(LOST_UPDATE, title="P4")
    assert "INSERT INTO test (id, value) VALUES (1, 10), (2, 20);\n" in script
    assert re.findall(r"^/\* (\w+) \*/ (\w+|-- goes on)", script, re.MULTILINE) == [
        ("T1", "BEGIN"),
        ("T2", "BEGIN"),
        ("T1", "SELECT"),
        ("T2", "SELECT"),
        ("T1", "UPDATE"),
        ("T2", "UPDATE"),
        ("T1", "COMMIT"),
        ("T2", "-- goes on"),
        ("T2", "COMMIT"),
    ]


def test_a_name_neither_ends_nor_nests_the_comment_it_stands_in() -> None:
    """PostgreSQL nests block comments, others end them at the first end."""
    script = replay_script(story("s", ("/**/T1*//*", "BEGIN")), title="x")
    line = next(line for line in script.splitlines() if line.endswith("BEGIN;"))
    assert (line.count("/*"), line.count("*/")) == (1, 1)


def test_a_comment_of_the_statement_does_not_swallow_its_end() -> None:
    """The semicolon stands behind a comment at the end, not within it."""
    script = replay_script(story("s", ("T1", "SELECT 1 -- one")), title="x")
    assert "SELECT 1 -- one\n;" in script


def test_a_statement_that_was_not_sent_is_no_line_of_its_own() -> None:
    """A skipped statement of several lines stays within its comment."""
    script = replay_script(story("s", ("T1", "UPDATE x\nSET y = 1", "skipped")), title="x")
    assert "/* T1 */ -- UPDATE x SET y = 1;  not sent" in script


@given(TEXTS)
def test_nothing_that_was_said_is_run(text: str) -> None:
    """With the comments taken out, a script is its own statements, whatever came back."""
    told = story(
        "s",
        ("T1", "BEGIN"),
        ("T1", "SELECT 1", [(f"{text}",)]),
        ("T2", "UPDATE x", Waits(text, "s4", Fails(f"e{text}", text))),
        ("T1", "COMMIT"),
    )
    named = {"T1": f"T1{text}", "T2": f"T2{text}"}
    steps = tuple(replace(step, session=named[step.session]) for step in told.steps)
    script = replay_script(replace(told, steps=steps), title=text)
    bare = re.sub(r"--[^\n]*|/\*.*?\*/", "", script)
    assert bare.split() == (
        f"{'; '.join(audits.SETUP)}; BEGIN; SELECT 1; UPDATE x; COMMIT; DROP TABLE test;".split()
    )


@given(st.text())
def test_shown_text_is_one_harmless_line(text: str) -> None:
    """Nothing invisible is left; text that was harmless stays as it was."""
    told = shown(text)
    assert not re.search("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]", told)
    assert shown(told) == told
    if text.isprintable() and text.isascii():
        assert told == text


@given(st.text(alphabet="ab\n\t\r\x00"))
def test_shown_sql_keeps_its_lines(text: str) -> None:
    """A statement keeps its line breaks, and nothing else that is invisible."""
    assert shown_sql(text).count("\n") == text.count("\n")
    assert not re.search("[\x00-\x09\x0b-\x1f]", shown_sql(text))
