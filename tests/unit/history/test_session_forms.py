"""The forms of checkers of registers: what they say, and what they cannot."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from test_rig.errors import HistoryError
from test_rig.history import (
    FAIL,
    NIL,
    History,
    HistoryBuilder,
    OpType,
    Timescale,
    read_history,
    to_ops,
    write_history,
)
from test_rig.history.dbcop import columns_of_dbcop, from_dbcop
from test_rig.history.plume import columns_of_plume, from_plume

#: The same two sessions, as each form's definition spells them. The second transaction of the first
#: one was refused, where the form can say so.
SPELLED = {
    "h.hist": "// one\n[x:=1 y==?] [x:=7]!\n[y==?]\n-----\n\n[x==1]\n[y:=2]\n",
    "h.json": """{"params": {"id": 0}, "info": "", "start": "", "end": "", "data": [
        [{"events": [{"Write": {"variable": 0, "version": 1}},
                     {"Read": {"variable": 1, "version": null}}], "committed": true},
         {"events": [{"Write": {"variable": 0, "version": 7}}], "committed": false},
         {"events": [{"Read": {"variable": 1, "version": null}}], "committed": true}],
        [{"events": [{"Read": {"variable": 0, "version": 1}}], "committed": true},
         {"events": [{"Write": {"variable": 1, "version": 2}}], "committed": true}]]}""",
    "h.plume": "w(0,1,0,0)\nr(1,0,0,0)\nw(0,7,0,-1)\nr(1,0,0,1)\nr(0,1,1,2)\nw(1,2,1,3)\n",
    "h.awdit": "w 0 1\nr 1 0\n-----\nr 1 0\n=====\nr 0 1\n--\nw 1 2\n",
}


def told(history: History) -> list[tuple[str, str, object]]:
    """Return sessions, outcomes and micro-operations."""
    return [(op.process, op.type.value, op.value) for op in to_ops(history)]


@pytest.mark.parametrize("name", SPELLED)
def test_a_form_says_what_its_definition_says(name: str, tmp_path: Path) -> None:
    """Written by hand from the definitions of dbcop, Plume and AWDIT."""
    (tmp_path / name).write_text(SPELLED[name])
    x, y = ("x", "y") if name == "h.hist" else (0, 1)
    nothing = 0 if name == "h.awdit" else None
    refused = [] if name == "h.awdit" else [("0", "fail", [["w", x, 7]])]
    assert told(read_history(tmp_path / name)) == [
        ("0", "ok", [["w", x, 1], ["r", y, nothing]]),
        *refused,
        ("0", "ok", [["r", y, nothing]]),
        ("1", "ok", [["r", x, 1]]),
        ("1", "ok", [["w", y, 2]]),
    ]


@pytest.mark.parametrize("name", SPELLED)
def test_a_text_is_told_by_its_first_event(name: str, tmp_path: Path) -> None:
    """All checkers of registers call their texts `.txt`."""
    if name == "h.json":
        return
    (tmp_path / name).write_text(SPELLED[name])
    (tmp_path / "h.txt").write_text(SPELLED[name])
    assert told(read_history(tmp_path / "h.txt")) == told(read_history(tmp_path / name))


def uncertain() -> History:
    """Return registers with refused and lost transactions, read and not read, by time."""
    builder = HistoryBuilder(clock=Timescale.NS)
    builder.record("lost", OpType.INFO, [("w", 1, 1), ("r", 3, None)], start=1)
    builder.record("gone", OpType.INFO, [("w", 2, 1)], start=2)
    builder.record("b", OpType.OK, [("r", 1, 1), ("r", 2, 9), ("w", 3, 4)], start=20, end=30)
    builder.record("a", OpType.FAIL, [("w", 2, 9), ("r", 1, None)], start=3, end=8)
    builder.record("a", OpType.FAIL, [("w", 2, 8)], start=9, end=10)
    return builder.history()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("h.plume", "w(1,1,0,0)\nw(2,9,3,-1)\nr(1,1,2,2)\nr(2,9,2,2)\nw(3,4,2,2)\n"),
        ("h.awdit", "w 1 1\n=====\nr 1 1\nr 2 9\nw 3 4\n"),
        ("h.hist", "[k1:=1]\n---\n[k1==1 k2==9 k3:=4]\n---\n[k2:=9]!\n[k2:=8]!\n"),
    ],
)
def test_what_is_not_known_as_committed_is_told_as_it_showed(
    name: str, text: str, tmp_path: Path
) -> None:
    """A lost answer counts as committed if it was read, and nothing is said to be read unknown."""
    write_history(uncertain(), tmp_path / name)
    assert (tmp_path / name).read_text() == text


def test_dbcop_knows_what_was_refused(tmp_path: Path) -> None:
    """And what is unknown is there as committed, or not at all."""
    write_history(uncertain(), tmp_path / "h.json")
    assert told(read_history(tmp_path / "h.json")) == [
        ("0", "ok", [["w", 1, 1]]),
        ("1", "ok", [["r", 1, 1], ["r", 2, 9], ["w", 3, 4]]),
        ("2", "fail", [["w", 2, 9]]),
        ("2", "fail", [["w", 2, 8]]),
    ]


def test_what_a_file_does_not_tell_is_said(tmp_path: Path) -> None:
    """How many transactions are not there, and why."""
    refused = "transactions left out: 1 refused, "
    assert write_history(uncertain(), tmp_path / "h.awdit") == (
        refused + "which had no effect",
        refused + "though their writes were read",
        "transactions left out: 1 with a lost answer, whose writes nobody has read",
        "transactions taken as committed: 1 with a lost answer, whose writes were read",
    )
    marked = "transactions marked as refused (number -1): 1, whose writes were read"
    assert write_history(uncertain(), tmp_path / "h.plume")[-1] == marked


def with_mops(*mops: tuple[str, int | str, int | None]) -> History:
    """Return a history of one transaction."""
    builder = HistoryBuilder()
    builder.record("0", OpType.OK, list(mops), start=0, end=1)
    return builder.history()


@pytest.mark.parametrize("name", SPELLED)
def test_keys_that_a_form_cannot_spell_get_others(name: str, tmp_path: Path) -> None:
    """A comma in a key would be read as its end."""
    remarks = write_history(with_mops(("w", "a,b", 1), ("w", "c", 2)), tmp_path / name)
    assert "keys" in remarks[-1]
    ((_, _, mops),) = told(read_history(tmp_path / name))
    keys = ["k0", "k1"] if name == "h.hist" else [0, 1]
    assert mops == [["w", keys[0], 1], ["w", keys[1], 2]]


def test_names_stay_where_a_form_has_names(tmp_path: Path) -> None:
    """A text of dbcop is made of them."""
    assert write_history(with_mops(("w", "x_1", 1)), tmp_path / "h.hist") == ()
    assert (tmp_path / "h.hist").read_text() == "[x_1:=1]\n"


@pytest.mark.parametrize(
    ("name", "mops"),
    [
        ("h.plume", [("w", 1, 0)]),
        ("h.plume", [("r", 1, 0)]),
        ("h.awdit", [("w", 1, 0), ("r", 1, None)]),
        *((name, [("w", 1, -5)]) for name in SPELLED),
    ],
)
def test_values_that_would_be_read_otherwise_are_refused(
    name: str, mops: list[tuple[str, int, int | None]], tmp_path: Path
) -> None:
    """0 is what a key has at first where nothing else says so, and a minus is none of theirs."""
    with pytest.raises(HistoryError, match=r"value"):
        write_history(with_mops(*mops), tmp_path / name)
    assert not (tmp_path / name).exists()


def test_what_a_key_has_at_first_is_written_for_awdit(tmp_path: Path) -> None:
    """There everything that is read was written."""
    write_history(with_mops(("r", 5, None), ("w", 5, 2)), tmp_path / "h.awdit")
    assert (tmp_path / "h.awdit").read_text() == "w 5 0\n=====\nr 5 0\nw 5 2\n"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("h.hist", "[x:=1]\n[x:=?]\n", "line 2: .* is no transaction such as"),
        ("h.hist", "[x:=1", "line 1: .* is no transaction"),
        ("h.hist", "[1:=1]", "line 1: .* is no transaction"),
        ("h.awdit", "w 1 2\nw 1\n", "line 2: 'w 1' is no event"),
        ("h.plume", f"w(1,{'9' * 5000},0,0)", "line 1: .* is no event"),
        ("h.awdit", f"w 1 {'9' * 5000}", "line 1: .* is no event"),
        ("h.hist", f"[x:={'9' * 5000}]", "line 1: .* is no transaction"),
        ("h.awdit", "w 1 2\n-=-\n", "line 2: .* is no event"),
        ("h.plume", "w(1,2,0,0)w(1,3,0,0)\n", "line 1: .* is no event"),
        ("h.json", '[[{"events": [1], "committed": true}]]', "1 is neither a Read nor a Write"),
        ("h.json", '[[{"events": [], "committed": "no"}]]', 'committed is "no"'),
        ("h.json", '[[{"events": {}, "committed": true}]]', r"events are \{\}, no array"),
        ("h.json", '[[{"events": [{"Read": 1}], "committed": true}]]', "1 has not variable and"),
        ("h.json", "[[1]]", "session 0, transaction 0: .* 1 has not events and committed"),
    ],
)
def test_malformed_files_are_refused(name: str, text: str, message: str, tmp_path: Path) -> None:
    """Each with the place and the reason."""
    (tmp_path / name).write_text(text)
    with pytest.raises(HistoryError, match=message):
        read_history(tmp_path / name)


def random_history(rng: Random) -> History:
    """Return sessions of registers in random order."""
    builder = HistoryBuilder(clock=Timescale.NS)
    for number in range(rng.randint(1, 12)):
        mops = []
        for place in range(rng.randint(1, 3)):
            key = rng.randint(0, 3)
            is_write = rng.random() < 0.5
            read = rng.choice([None, rng.randint(1, 30)])
            mops.append(("w", key, 1 + 3 * number + place) if is_write else ("r", key, read))
        kind = OpType.FAIL if rng.random() < 0.2 else OpType.OK
        builder.record(str(rng.randint(0, 3)), kind, mops, start=10 * number, end=10 * number + 5)
    return builder.history()


def read_both(text: str, form: str) -> tuple[History | None, History | None]:
    """Return what the fast way reads, and the general parser, None for a refusal."""
    if form == "json":
        fast = columns_of_dbcop(text.encode(), lambda kernel: kernel)
    else:
        fast = columns_of_plume(text.encode(), lambda kernel: kernel)
    try:
        general = from_dbcop(text) if form == "json" else from_plume(text.splitlines())
    except HistoryError as error:
        # Whether values are unique is looked at afterwards.
        is_late = all("must be unique" in what for _, what in error.problems)
        return (None if is_late else fast), None
    return fast, general


@settings(max_examples=250, deadline=None)
@given(st.integers(0, 10**9), st.integers(0, 3), st.sampled_from(["json", "plume"]))
def test_both_ways_read_the_same(
    tmp_path_factory: pytest.TempPathFactory, seed: int, times: int, form: str
) -> None:
    """Bytes are changed, left out or doubled: the fast way gives up, or reads the same."""
    rng = Random(seed)
    path = tmp_path_factory.getbasetemp() / f"h.{form}"
    write_history(random_history(rng), path)
    text = path.read_text()
    if form == "json" and rng.random() < 0.5:
        text = f'{{"info": "x", "data": {text}, "end": "1"}}'
    for _ in range(times if text else 0):
        at = rng.randrange(len(text))
        text = text[:at] + rng.choice(["", text[at] * 2, *"[]{}(),-01 \nrwax"]) + text[at + 1 :]
    fast, general = read_both(text, form)
    if fast is None:
        return
    assert general is not None, text
    for each in fields(History):
        one, other = getattr(fast, each.name), getattr(general, each.name)
        assert np.array_equal(one, other), (each.name, text)


@pytest.mark.parametrize("form", ["json", "plume"])
def test_usual_files_go_the_fast_way(form: str) -> None:
    """With what was refused, and what a key has at first."""
    fast, general = read_both(SPELLED[f"h.{form}"], form)
    assert fast is not None
    assert general is not None
    assert told(fast) == told(general)
    assert FAIL in fast.type
    assert NIL in fast.value
