"""Errors of operations stay as they were spelled."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from test_rig.history import (
    HistoryBuilder,
    HistoryForm,
    OpType,
    read_history,
    read_ops,
    to_ops,
    write_history,
    write_ops,
)

FAILED = (
    '{"index":0,"type":"invoke","process":0,"f":"txn","value":[],"time":1}\n'
    '{"index":1,"type":"fail","process":0,"f":"txn","value":[],"time":2,"error":%s}\n'
)


@pytest.mark.parametrize("through", ["it.edn", "it.jsonl", "it.arrow"])
@pytest.mark.parametrize(
    "error", [":timeout", '[:conn "lost" 3]', '#error {:a #{1}, "b" [:c nil]}', '"40001: x"']
)
def test_an_error_in_edn_stays_as_it_was(error: str, through: str, tmp_path: Path) -> None:
    """Whatever form the history goes through."""
    text = (
        "{:type :invoke, :process 0, :value [], :time 1}\n"
        f"{{:type :fail, :process 0, :value [], :time 2, :error {error}}}"
    )
    (tmp_path / "h.edn").write_text(text)
    write_history(read_history(tmp_path / "h.edn"), tmp_path / through)
    write_history(read_history(tmp_path / through), tmp_path / "again.edn")
    assert (tmp_path / "again.edn").read_text().endswith(f":time 2, :error {error}}}\n")


@pytest.mark.parametrize("error", ['["conn","lost",3]', '{"a":{"b":null}}', '"40001: x"'])
def test_an_error_in_json_stays_as_it_was(error: str, tmp_path: Path) -> None:
    """It is no text of JSON; EDN has it as a list or a map too."""
    (tmp_path / "h.jsonl").write_text(FAILED.replace("%s", error))
    history = read_history(tmp_path / "h.jsonl")
    write_history(history, tmp_path / "it.jsonl")
    assert (tmp_path / "it.jsonl").read_text() == FAILED.replace("%s", error)
    write_history(history, tmp_path / "it.edn")
    spelled = error.replace(",", " ").replace(":{", " {").replace(":null", " nil")
    assert (tmp_path / "it.edn").read_text().endswith(f":error {spelled}}}\n")


@given(error=st.text(), form=st.sampled_from([HistoryForm.EDN, HistoryForm.JSONL]))
def test_an_error_that_is_a_text_survives(error: str, form: HistoryForm) -> None:
    """One that looks like another value is written as that, and what is written can be read."""
    builder = HistoryBuilder()
    builder.record("3", OpType.FAIL, [], start=0, end=1, error_class=error)
    with tempfile.TemporaryDirectory() as folder:
        write_history(builder.history(), Path(folder) / "h", form)
        write_ops(to_ops(builder.history()), Path(folder) / "ops", form)
        assert (Path(folder) / "h").read_bytes() == (Path(folder) / "ops").read_bytes()
        ((_, _), (_, found)) = read_ops(Path(folder) / "h", form)
    assert found.error == error or error[0] in ":[{(#\\"
