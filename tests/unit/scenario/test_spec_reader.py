"""Specification files are read as the isolation tester reads them, and told precisely when not."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from test_rig.errors import SpecSyntaxError
from test_rig.scenario import (
    Blocker,
    Permutation,
    PermutationStep,
    SessionSpec,
    Spec,
    Step,
    parse_spec,
    read_spec,
)

WHOLE = """\
# A comment, with "quotes" and { braces
setup { CREATE TABLE t (a int); INSERT INTO t VALUES (1); }
setup
{
  VACUUM t;
}
teardown { DROP TABLE t; }

session s1
setup		{ BEGIN; }
step s1a	{ UPDATE t SET a = 2; }
step "s1 b"	{ SELECT '{'; }
teardown	{ COMMIT; }
session "session"
step "a""b" {}  # an empty one

permutation s1a "s1 b" "a""b"
permutation "a""b"(*) s1a("a""b", "a""b" notices 2) s1a
"""


def test_a_whole_file() -> None:
    """Every part of the language is understood, SQL kept but for blanks at its ends."""
    spec = parse_spec(WHOLE)
    assert spec.setup == (
        "CREATE TABLE t (a int); INSERT INTO t VALUES (1);",
        "\n  VACUUM t;\n",
    )
    assert spec.teardown == "DROP TABLE t;"
    first, second = spec.sessions
    assert (first.setup, first.teardown) == ("BEGIN;", "COMMIT;")
    assert first.steps[1] == Step(name="s1 b", sql="SELECT '{';")
    assert second == SessionSpec(name="session", steps=(Step(name='a"b', sql=""),))
    assert spec.permutations[1].steps == (
        PermutationStep(step='a"b', blockers=(Blocker(),)),
        PermutationStep(step="s1a", blockers=(Blocker(step='a"b'), Blocker(step='a"b', notices=2))),
        PermutationStep(step="s1a"),
    )


names = st.text(min_size=0, max_size=8).filter(lambda name: "\n" not in name) | st.sampled_from(
    ["step", "s1", "ünder", "a$1", 'say "a"', "notices", "-"]
)
sql = st.text(max_size=20).map(lambda text: text.replace("}", "").strip(" \t\r\f\v"))
optional_sql = st.none() | sql


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    """Return any specification that makes sense."""
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    step_names = draw(st.lists(names, min_size=sum(sizes), max_size=sum(sizes), unique=True))
    session_names = draw(st.lists(names, min_size=len(sizes), max_size=len(sizes), unique=True))
    sessions, owner, rest = [], {}, iter(step_names)
    for name, size in zip(session_names, sizes, strict=True):
        steps = tuple(Step(name=next(rest), sql=draw(sql)) for _ in range(size))
        owner |= {step.name: name for step in steps}
        sessions.append(
            SessionSpec(
                name=name, steps=steps, setup=draw(optional_sql), teardown=draw(optional_sql)
            )
        )
    permutations = []
    for chosen in draw(st.lists(st.lists(st.sampled_from(step_names), min_size=1), max_size=2)):
        marked = []
        for step in chosen:
            others = [other for other in chosen if owner[other] != owner[step]]
            kinds = [st.just(Blocker())]
            if others:
                other = st.sampled_from(others)
                kinds.append(st.builds(Blocker, step=other))
                kinds.append(st.builds(Blocker, step=other, notices=st.integers(0, 99)))
            blockers = draw(st.lists(st.one_of(kinds), max_size=2))
            marked.append(PermutationStep(step=step, blockers=tuple(blockers)))
        permutations.append(Permutation(steps=tuple(marked)))
    return Spec(
        setup=tuple(draw(st.lists(sql, max_size=2))),
        teardown=draw(optional_sql),
        sessions=tuple(sessions),
        permutations=tuple(permutations),
    )


@given(specs())
def test_print_and_read_back(spec: Spec) -> None:
    """A specification printed and read back is equal."""
    assert parse_spec(str(spec)) == spec


WORDS = [
    "setup",
    "session",
    "step",
    "permutation",
    "teardown",
    "notices",
    "{",
    "x",
    "}",
    "{",
    "}",
    '"',
    "(",
    ")",
    ",",
    "*",
    "#",
    "s1",
    "7",
    "ü",
    ";",
]
pieces = st.sampled_from([*WORDS, "{ x }", "\n", "\0"])


@given(st.text() | st.lists(pieces, max_size=30).map(" ".join))
@example("")
@example("session s step s {} permutation s(s notices " + "9" * 5000 + ")")
def test_garbage_is_refused_politely(text: str) -> None:
    """Any text is a specification or a SpecSyntaxError with a place inside the text."""
    place = None
    try:
        parse_spec(text)
    except SpecSyntaxError as error:
        place = (error.line, error.column)
    assert place is None or (1 <= place[0] <= text.count("\n") + 1 and place[1] >= 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f:1:1: expected session, found the end"),
        ("session s\nstep a { x", "f:2:8: this SQL block has no closing brace (add })"),
        ('session "s\nstep a {}', "f:1:9: this quoted name is not closed before the end of its"),
        ("session s step notices {}", "f:1:16: expected the step's name, found 'notices' (a key"),
        ("session s\n setup {}", "f:2:10: expected step, with which every session needs"),
        ("session s-1", "f:1:10: unexpected character '-'"),
        ("teardown {} setup {}", "f:1:13: expected session, found 'setup'"),
        ("session s step a {} permutation", "f:1:32: expected a step's name, found the end"),
        ("session s step a {} permutation a()", "f:1:35: expected * or a step's name, found ')'"),
        ("session s step a {} permutation a b", "f:1:35: there is no step 'b' (known: a)"),
        ("session s step a {} permutation a(*, a)", "f:1:38: step 'a' cannot be held up by its"),
        ("session s step a {} step a {}", "f:1:26: there is already a step 'a', of session 's'"),
    ],
)
def test_errors_tell_the_place(text: str, message: str) -> None:
    """An error says file, line and column, what is wrong, and often what to do."""
    with pytest.raises(SpecSyntaxError) as caught:
        parse_spec(text, file="f")
    assert str(caught.value).startswith(message)


def test_all_nonsense_at_once() -> None:
    """What the grammar allows but names nothing is told in one message, each with its place."""
    text = (
        "session s step a {}\nsession s step a {}\nsession t step b {}\npermutation a(b)\n"
        "permutation x a(b) b\n"
    )
    with pytest.raises(SpecSyntaxError) as caught:
        parse_spec(text, file="f")
    places = [line.split(": ")[0] for line in str(caught.value).splitlines()]
    assert places == ["f:2:9", "f:2:16", "f:4:15", "f:5:13"]


def test_interleavings_keep_each_sessions_order() -> None:
    """Without permutations all interleavings stand for themselves, in the tester's order."""
    spec = parse_spec("session s step a {} step b {} session t step c {}")
    assert [p.name for p in spec.all_permutations()] == ["a b c", "a c b", "c a b"]
    assert spec.permutation_count == 3


def test_the_count_needs_no_listing() -> None:
    """The number of interleavings is told without making them."""
    many = "".join(
        f"session s{n} " + "".join(f"step s{n}_{k} {{}} " for k in range(9)) for n in "abc"
    )
    assert parse_spec(many).permutation_count == 227_873_431_500


def test_unused_steps() -> None:
    """Steps that no permutation names are told."""
    spec = parse_spec("session s step a {} step b {} permutation a a")
    assert spec.unused_steps == ("b",)


def test_files(tmp_path: Path) -> None:
    """A file is read as UTF-8; one that is not, or is not there, is told with its name."""
    good, bad = tmp_path / "good.spec", tmp_path / "bad.spec"
    good.write_text("session s step ä {}")
    bad.write_bytes(b"session s\nstep \xff {}")
    assert read_spec(good).sessions[0].steps[0].name == "ä"
    with pytest.raises(SpecSyntaxError, match=r"bad.spec:2:6: is no UTF-8"):
        read_spec(bad)
    with pytest.raises(SpecSyntaxError, match=r"none.spec:1:1: cannot be read: No such file"):
        read_spec(tmp_path / "none.spec")
