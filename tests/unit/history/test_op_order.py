"""The order of operations, and what an end may tell of its invocation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from test_rig.errors import HistoryError
from test_rig.history import History, Timescale, read_history, write_history

#: An append by process 0, seen by process 1, whose append process 0 sees; the index at the end.
APPENDED = """\
{:type :invoke, :process 0, :value [[:append 1 1]], :time 1, :index 0}
{:type :ok, :process 0, :value [[:append 1 1]], :time 1000, :index 1}
{:type :invoke, :process 1, :value [[:r 1 nil] [:append 1 2]], :time 2000, :index 2}
{:type :ok, :process 1, :value [[:r 1 [1]] [:append 1 2]], :time 3000, :index 3}
{:type :invoke, :process 0, :value [[:r 1 nil]], :time 4000, :index 4}
{:type :ok, :process 0, :value [[:r 1 [1 2]]], :time 5000, :index 5}
"""


def by_client(text: str) -> str:
    """Return the lines as they stand where the logs of clients are put one after another."""
    return "\n".join(sorted(text.splitlines(), key=lambda line: line.split(":process ")[1][0]))


def read(text: str, folder: Path, name: str = "h.edn") -> History:
    """Return the history of a text."""
    (folder / name).write_text(text)
    return read_history(folder / name)


def spans(history: History) -> list[tuple[int, int]]:
    """Return when each transaction began and ended."""
    return list(zip(history.start.tolist(), history.end.tolist(), strict=True))


def test_indexes_are_the_order_and_times_that_agree_are_the_times(tmp_path: Path) -> None:
    """Wherever the lines stand."""
    found = read(by_client(APPENDED), tmp_path)
    assert found.clock is Timescale.NS
    assert spans(found) == [(1, 1000), (2000, 3000), (4000, 5000)]


def test_times_are_the_order_where_an_index_is_missing(tmp_path: Path) -> None:
    """One is enough; -1 is none, as in Jepsen."""
    found = read(by_client(APPENDED.replace(":index 3", ":index -1")), tmp_path)
    assert spans(found) == [(1, 1000), (2000, 3000), (4000, 5000)]


def test_equal_times_keep_the_order_of_lines(tmp_path: Path) -> None:
    """An end and the next invocation of a session may have the same one."""
    text = APPENDED.replace("2000", "1000").replace(", :index ", ", :place ")
    assert spans(read(by_client(text), tmp_path)) == [(1, 1000), (1000, 3000), (4000, 5000)]


def test_lines_are_the_order_where_a_time_is_missing_too(tmp_path: Path) -> None:
    """Then there are no durations, for what is missing is not 0."""
    text = APPENDED.replace(":time 1,", ":time nil,").replace(", :index ", ", :place ")
    found = read(text, tmp_path)
    assert found.clock is Timescale.PLACE
    assert spans(found) == [(0, 1), (2, 3), (4, 5)]


def test_times_that_go_back_along_the_indexes_are_no_durations(tmp_path: Path) -> None:
    """Places count then."""
    found = read(by_client(APPENDED.replace("4000", "2500")), tmp_path)
    assert found.clock is Timescale.PLACE
    assert spans(found) == [(0, 1), (2, 3), (4, 5)]


def test_remarks_have_no_part_in_the_order(tmp_path: Path) -> None:
    """A fault without an index and without a time leaves the others theirs."""
    fault = "{:type :info, :process :nemesis, :f :kill, :value nil}\n"
    assert spans(read(fault + by_client(APPENDED), tmp_path))[1] == (2000, 3000)


def test_sessions_without_invocations_are_in_order_too(tmp_path: Path) -> None:
    """What a session did first is told by the index, where nothing is known between sessions."""
    second = '{"type":"ok","process":0,"value":[["w",1,2]],"index":2}\n'
    assert read(second + second.replace("2", "1"), tmp_path, "h.jsonl").value.tolist() == [1, 2]


@pytest.mark.parametrize("name", ["it.edn", "it.jsonl"])
def test_a_converted_file_has_the_order_and_the_times(name: str, tmp_path: Path) -> None:
    """Its lines stand as the indexes say."""
    write_history(read(by_client(APPENDED), tmp_path), tmp_path / name)
    assert spans(read_history(tmp_path / name)) == [(1, 1000), (2000, 3000), (4000, 5000)]
    if name == "it.jsonl":
        lines = map(json.loads, (tmp_path / name).read_text().splitlines())
        assert [(each["index"], each["time"]) for each in lines] == [
            (place, time) for place, time in enumerate((1, 1000, 2000, 3000, 4000, 5000))
        ]


LOST = APPENDED.splitlines()[0] + "\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (APPENDED.replace(":index 4", ":index 1"), "line 5: index 1 is that of line 2 too"),
        (
            APPENDED.replace(":index 4", ":index 9"),
            "line 6: ok of process 0 without an invocation, in the order of their indexes",
        ),
        (
            APPENDED.replace("4000", "9000").replace(":index", ":place"),
            "line 6: ok of process 0 without an invocation, in the order of their times",
        ),
        (APPENDED.replace("4000", f"{2**63}"), "line 5: no operation: time 9.* is not within"),
        (APPENDED.replace(":index 4", ":index 4.5"), "index 4.5 is no whole number"),
    ],
)
def test_an_order_that_cannot_be_is_refused(text: str, message: str, tmp_path: Path) -> None:
    """With the lines that contradict each other."""
    with pytest.raises(HistoryError, match=message):
        read(text, tmp_path)


@pytest.mark.parametrize("kind", ["ok", "fail", "info"])
@pytest.mark.parametrize(
    "told", ["[:append 1 2]", "[:append 2 1]", "[:w 1 1]", "[:r 1 nil]", "[:append 1 1] [:r 1 [1]]"]
)
def test_an_end_with_another_write_than_was_invoked_is_refused(
    told: str, kind: str, tmp_path: Path
) -> None:
    """Whichever of the two happened, the other would be a false accusation."""
    with pytest.raises(HistoryError, match=r"line 2: .*, where the invocation .line 1. has"):
        read(LOST + f"{{:type :{kind}, :process 0, :value [{told}]}}", tmp_path)


@pytest.mark.parametrize("kind", ["ok", "fail", "info"])
@pytest.mark.parametrize("told", ["[[:append 1 1]]", "nil"])
def test_an_end_tells_what_was_invoked_or_nothing(kind: str, told: str, tmp_path: Path) -> None:
    """Then the invocation says what it was."""
    found = read(LOST + f"{{:type :{kind}, :process 0, :value {told}}}", tmp_path)
    assert found.value.tolist() == [1]


def test_a_read_is_filled_in_under_either_name(tmp_path: Path) -> None:
    """`r` and `read` are the same, whatever stood there before."""
    text = "{:type :invoke, :process 0, :value [[:read 1 nil] [:r 2 7]]}\n"
    found = read(text + "{:type :ok, :process 0, :value [[:r 1 [5]] [:r 2 8]]}", tmp_path)
    assert (found.elements(0), found.value.tolist()[1]) == ((5,), 8)


@pytest.mark.parametrize(("kind", "is_refused"), [("ok", True), ("fail", False), ("info", False)])
def test_what_was_committed_tells_what_it_read(kind: str, is_refused: bool, tmp_path: Path) -> None:
    """Null would say that nothing was found there; of the others nobody asks."""
    text = "{:type :invoke, :process 0, :value [[:w 1 1] [:r 2 nil]]}\n"
    text += f"{{:type :{kind}, :process 0, :value nil}}"
    if is_refused:
        with pytest.raises(HistoryError, match="line 2: ok of process 0 does not tell what was"):
            read(text, tmp_path)
        return
    assert read(text, tmp_path).mop_count == 2
