"""The fast way through operations: what it accepts is what the general parser reads."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from test_rig.errors import HistoryError
from test_rig.history import History, from_ops, read_history
from test_rig.history.edn import error_from_edn, ops_from_edn
from test_rig.history.jsonl import error_from_json, ops_from_jsonl
from test_rig.history.op_columns import columns_of_edn, columns_of_jsonl
from test_rig.history.operation import UNTOLD


def plain(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Return a kernel as it stands."""
    return kernel


def fast(text: str) -> History | None:
    """Return what the fast way reads; JSON begins otherwise than EDN."""
    if text.startswith('{"'):
        return columns_of_jsonl(text.encode(), error_from_json, plain)
    return columns_of_edn(text.encode(), error_from_edn, plain)


def general(text: str) -> History:
    """Return what the general parser reads."""
    if text.startswith('{"'):
        return from_ops(ops_from_jsonl(text.splitlines()))
    return from_ops(ops_from_edn(text))


def differing(one: History, other: History) -> list[str]:
    """Return the columns in which two histories differ, wherever the elements of reads stand."""
    one, other = one.apart(), other.apart()
    return [
        each.name
        for each in fields(History)
        if not np.array_equal(getattr(one, each.name), getattr(other, each.name))
    ]


def written(rng: Random, count: int) -> str:
    """Return operations of a few processes as Jepsen writes them, with all that it may write."""
    lines: list[str] = []
    waiting: dict[int, str] = {}
    clients = {n: n for n in range(4)}
    has_time, has_index = rng.random() < 0.8, rng.random() < 0.8
    has_tag = rng.random() < 0.3
    for number in range(count):
        client = rng.choice(list(clients))
        process = clients[client]
        parts = [f":index {number}"] if has_index else []
        if process not in waiting:
            kind, value = "invoke", mops(rng)
            waiting[process] = value
        else:
            kind = rng.choice(["ok", "ok", "ok", "fail", "info"])
            begun = waiting.pop(process)
            value = rng.choice([answered(rng, begun), answered(rng, begun), begun])
            if rng.random() < (0.02 if kind == "ok" else 0.4):
                value = "nil"
            if kind == "info":
                clients[client] = process + 4
        parts += [f":type :{kind}", f":process {process}", ":f :txn", f":value {value}"]
        if has_time:
            parts.append(f":time {number * 100}")
        if kind in ("fail", "info"):
            errors = [":timeout", '[:conn "lost, } it"]', "nil", '"x"', "#err{:a [1]}", "1205"]
            parts.append(f":error {rng.choice(errors)}")
        if rng.random() < 0.3:
            head, *rest = parts
            rng.shuffle(rest)
            parts = [head, *rest]
        lines.append(("#jepsen.history.Op" if has_tag else "") + f"{{{', '.join(parts)}}}")
        if rng.random() < 0.05:
            lines.append(
                '{:type :info, :process :nemesis, :f :start, :value [:cut {"n1" #{"n2"}}]}'
                if rng.random() < 0.5
                else "{:type :info, :process :nemesis, :f :stop, :value nil}"
            )
    return "\n".join(lines) + rng.choice(["", "\n"])


def mops(rng: Random) -> str:
    """Return micro-operations that are invoked."""
    found = []
    for _ in range(rng.randint(0, 4)):
        key = rng.randint(-3, 9)
        if rng.random() < 0.5:
            found.append(f"[:{rng.choice(['append', 'w'])} {key} {rng.randint(-5, 10**12)}]")
        else:
            found.append(f"[:r {key} nil]")
    return f"[{' '.join(found)}]"


def answered(rng: Random, invoked: str) -> str:
    """Return micro-operations with what was read."""

    def read(_: re.Match[str]) -> str:
        values = " ".join(str(rng.randint(0, 99)) for _ in range(rng.randint(0, 4)))
        return rng.choice([f"[{values}]", str(rng.randint(0, 99)), "nil"])

    return re.sub("nil", read, invoked)


def as_json(rng: Random, text: str) -> str:
    """Return operations in EDN as JSON lines, with what JSON may have besides."""
    lines = []
    for _, op in ops_from_edn(text):
        found: dict[str, Any] = {"type": op.type.value, "f": op.f, "value": op.value}
        found["process"] = int(op.process) if op.process.isdecimal() else op.process
        found |= {"time": op.time_ns} if op.time_ns != UNTOLD else {}
        found |= {"index": op.index} if op.index != UNTOLD else {}
        if op.error is not None:
            found["error"] = rng.choice([op.error, "timeout", "40001: ü", [1.5e3, {"a": None}]])
        if rng.random() < 0.2:
            found[rng.choice(["Node", "op_id", "node"])] = rng.choice([True, -1, "n 1", []])
        names = list(found)
        rng.shuffle(names)
        separators = rng.choice([(",", ":"), (", ", ": "), (" ,\t", " : ")])
        ordered = {name: found[name] for name in names}
        lines.append(json.dumps(ordered, separators=separators, ensure_ascii=rng.random() < 0.5))
    return rng.choice(["\n", "\r\n", " \n"]).join(lines) + rng.choice(["", "\n"])


def any_text(rng: Random, count: int, form: str) -> str:
    """Return operations as EDN or as JSON lines."""
    text = written(rng, count)
    return as_json(rng, text) if form == "jsonl" else text


forms = st.sampled_from(["edn", "jsonl"])


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 30), forms)
def test_both_ways_read_the_same(seed: int, count: int, form: str) -> None:
    """Column by column, whatever the order of the fields and the types of reads."""
    text = any_text(Random(seed), count, form)
    found = fast(text)
    if found is not None:
        whole = columns_or_refusal(text)
        assert isinstance(whole, History)
        assert differing(found, whole) == []


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 30), forms, st.sampled_from(["index", "time"]))
def test_the_order_of_lines_does_not_matter_where_indexes_or_times_tell_it(
    seed: int, count: int, form: str, by: str
) -> None:
    """Whichever way is gone, and whatever remarks stand between."""
    rng = Random(seed)
    text = re.sub(r":(index|time) \d+,? ?", "", written(rng, count))
    lines = [
        line.replace(":type", f":{by} {7 * place + 7}, :type")
        for place, line in enumerate(text.splitlines())
    ]
    text = "\n".join(lines)
    lines = (as_json(rng, text) if form == "jsonl" else text).splitlines()
    ordered, shuffled = "\n".join(lines), "\n".join(rng.sample(lines, len(lines)))
    whole, found = columns_or_refusal(ordered), columns_or_refusal(shuffled)
    if whole is None or found is None:
        assert whole is found
        return
    assert differing(whole, found) == []
    columns = fast(ordered), fast(shuffled)
    if columns[0] is None or columns[1] is None:
        assert columns[0] is columns[1]
        return
    assert differing(columns[0], whole) == []
    assert differing(columns[1], whole) == []


def columns_or_refusal(text: str) -> History | None:
    """Return what the general parser reads; None where it refuses, or only uniqueness is broken."""
    try:
        return general(text)
    except HistoryError as error:
        if all("values must be unique" in what for _, what in error.problems):
            return _unchecked(text)
        return None


def _unchecked(text: str) -> History:
    from test_rig.history import pairs

    validate, pairs.validate = pairs.validate, lambda history: None
    try:
        return general(text)
    finally:
        pairs.validate = validate


@settings(max_examples=250, deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 8), st.integers(1, 3), forms)
def test_what_is_accepted_after_damage_is_what_the_general_parser_reads(
    seed: int, count: int, times: int, form: str
) -> None:
    """Bytes are changed, left out or doubled: the fast way gives up, or reads the same."""
    rng = Random(seed)
    text = any_text(rng, count, form)
    for _ in range(times):
        at = rng.randrange(len(text))
        new = rng.choice(["", text[at] * 2, *'[]{}:#;"\\ ,0-1anrx(\n'])
        text = text[:at] + new + text[at + 1 :]
    found = fast(text)
    if found is not None:
        whole = columns_or_refusal(text)
        assert isinstance(whole, History), text
        assert differing(found, whole) == [], text


@pytest.mark.parametrize("form", ["edn", "jsonl"])
def test_usual_files_go_the_fast_way(form: str) -> None:
    """It is not always given up."""
    rng = Random(1)
    texts = [any_text(rng, 20, form) for _ in range(40)]
    accepted = [each for each in texts if fast(each) is not None]
    assert len(accepted) > 25


def test_ends_without_invocations_go_the_fast_way() -> None:
    """Each is a transaction, and nothing is known of time."""
    text = "{:type :ok, :process 3, :value [[:w 1 2]]}\n{:type :info, :process 1, :value []}\n"
    found = fast(text)
    assert found is not None
    assert differing(found, general(text)) == []
    assert fast(text + text.replace(":w 1 2", ":w 1 3")) is None, "goes on after an info"


def test_a_name_that_an_escape_spells_is_left_to_the_general_parser() -> None:
    """Else it would be taken for one that is not looked at."""
    text = '{"type":"ok","process":0,"value":[["w",1,2]],"val\\u0075e":[]}'
    assert fast(text) is None
    assert general(text).mop_count == 0


def test_a_set_is_no_operation() -> None:
    """It begins with a mark that tags have too."""
    assert fast("#{:type :invoke, :process 0, :value []}") is None


def large(form: str = "edn", damage: str = "", wrong: tuple[str, str] = ("", "")) -> str:
    """Return a file that is large enough for the fast way, with a mistake at one place."""
    lines = []
    for number in range(6000):
        for place, kind in enumerate(("invoke", "ok")):
            value = f"[[:append {number % 9} {number}] [:r 10 nil]]"
            lines.append(
                f"{{:index {2 * number + place}, :type :{kind}, :process {number % 5}, :f :txn, "
                f":value {value}, :time {number * 10 + place}}}"
            )
    if form == "jsonl":
        lines = as_json(Random(1), "\n".join(lines)).splitlines()
    lines[7001] = lines[7001].replace(*wrong)
    lines[7000] += damage
    return "\n".join(lines)


@pytest.mark.parametrize("form", ["edn", "jsonl"])
def test_a_large_file_is_read_by_compiled_code(form: str, tmp_path: Path) -> None:
    """And it is what the general parser reads."""
    pytest.importorskip("numba")
    text = large(form)
    assert len(text) > 1_000_000
    path = tmp_path / f"h.{form}"
    path.write_text(text)
    assert differing(read_history(path), general(text)) == []


@pytest.mark.parametrize(
    ("form", "message"), [("edn", "no EDN: ] closes nothing"), ("jsonl", "Extra data")]
)
def test_a_mistake_in_a_large_file_is_told_with_its_place(
    form: str, message: str, tmp_path: Path
) -> None:
    """The general parser tells it."""
    path = tmp_path / f"h.{form}"
    path.write_text(large(form, damage=" ]"))
    with pytest.raises(HistoryError, match=f"line 7001: .*{message}"):
        read_history(path)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ((":append 8 3500", ":append 8 3501"), "micro-operation 0 is .* .line 7001. has"),
        ((":index 7001", ":index 4"), "index 4 is that of line 5 too"),
        ((":index 7001", ":index 6999999"), "ok of process 0 without an invocation, in the order"),
    ],
)
def test_what_operations_contradict_in_a_large_file_is_told_with_its_place(
    wrong: tuple[str, str], message: str, tmp_path: Path
) -> None:
    """The fast way sees it, and the general parser tells it."""
    (tmp_path / "h.edn").write_text(large(wrong=wrong))
    with pytest.raises(HistoryError, match=f"line 700[0-9]+: {message}"):
        read_history(tmp_path / "h.edn")
