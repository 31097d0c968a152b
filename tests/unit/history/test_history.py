"""Histories as columns, in files, and refused where they are malformed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from test_rig.errors import HistoryError, UsageError
from test_rig.history import (
    NEVER,
    NIL,
    History,
    HistoryBuilder,
    HistoryFile,
    HistoryForm,
    Op,
    OpType,
    Timescale,
    read_history,
    read_ops,
    to_ops,
    write_history,
    write_ops,
)


def sample(*, key: int | str = 1, clock: Timescale = Timescale.NS) -> History:
    """Return a history with every type of transaction and of read."""
    builder = HistoryBuilder(clock=clock)
    builder.record(
        "0", OpType.OK, [("append", key, 1), ("r", key, [1])], start=1, end=4, level="SERIALIZABLE"
    )
    builder.record("1", OpType.FAIL, [("append", key, 2)], start=2, end=5, error_class="deadlock")
    builder.record("2", OpType.INFO, [("append", key, 3), ("r", key, None)], start=3)
    builder.record(
        "0", OpType.OK, [("r", key, [1, 3]), ("r", 7 if key == 1 else "z", None)], start=6, end=9
    )
    return builder.history()


def same(one: History, other: History) -> bool:
    """Return whether two histories tell the same of keys, values, outcomes and order."""
    return [vars_of(each) for each in to_ops(one)] == [vars_of(each) for each in to_ops(other)]


def vars_of(op: Op) -> tuple[object, ...]:
    """Return what all forms keep of an operation."""
    return op.process, op.type, op.value, op.index


@pytest.mark.parametrize("key", [1, "x"])
@pytest.mark.parametrize("name", ["h.arrow", "h.parquet", "h.edn", "h.jsonl"])
def test_a_history_survives_its_file(name: str, key: int | str, tmp_path: Path) -> None:
    """Every form of lists gives back what was written."""
    history = sample(key=key)
    write_history(history, tmp_path / name)
    found = read_history(tmp_path / name)
    assert same(found, history)
    assert found.clock is Timescale.NS
    assert sorted(found.end.tolist()) == [4, 5, 9, NEVER]


@pytest.mark.parametrize("key", [1, 'x "y" ü'])
@pytest.mark.parametrize("clock", [Timescale.NS, Timescale.PLACE, Timescale.SESSION])
@pytest.mark.parametrize("form", [HistoryForm.EDN, HistoryForm.JSONL])
def test_columns_are_written_as_their_operations_are(
    form: HistoryForm, clock: Timescale, key: int | str, tmp_path: Path
) -> None:
    """Letter by letter, whatever the keys, the outcomes and the times."""
    history = sample(key=key, clock=clock)
    write_history(history, tmp_path / "h", form)
    write_ops(to_ops(history), tmp_path / "ops", form)
    assert (tmp_path / "h").read_text() == (tmp_path / "ops").read_text()


@pytest.mark.parametrize("name", ["h.arrow", "h.parquet"])
def test_columns_keep_levels_and_errors(name: str, tmp_path: Path) -> None:
    """The level that was read back and the kind of a failure are in our own forms."""
    write_history(sample(), tmp_path / name)
    found = read_history(tmp_path / name)
    assert found.text(int(found.level[0])) == "SERIALIZABLE"
    assert found.text(int(found.error_class[1])) == "deadlock"
    assert found.text(int(found.level[1])) is None


def registers() -> History:
    """Return a history of registers without lost answers."""
    builder = HistoryBuilder(clock=Timescale.SESSION)
    builder.record("0", OpType.OK, [("w", 1, 5), ("r", 2, None)], start=0, end=1)
    builder.record("1", OpType.OK, [("r", 1, 5), ("w", 2, 6)], start=0, end=1)
    return builder.history()


@pytest.mark.parametrize("name", ["h.plume", "h.json", "h.arrow"])
def test_registers_survive_the_forms_of_register_checkers(name: str, tmp_path: Path) -> None:
    """Sessions come back, and nothing is claimed about the time between them."""
    write_history(registers(), tmp_path / name)
    found = read_history(tmp_path / name)
    assert found.clock is Timescale.SESSION
    assert found.value.tolist() == registers().value.tolist()
    assert found.mop_start.tolist() == [0, 2, 4]


@pytest.mark.parametrize("name", ["h.plume", "h.json"])
def test_a_form_without_lists_refuses_them(name: str, tmp_path: Path) -> None:
    """What a form cannot tell is not left out silently."""
    with pytest.raises(HistoryError, match="registers only"):
        write_history(sample(), tmp_path / name)


@pytest.mark.parametrize("name", ["it.edn", "it.jsonl"])
def test_sessions_without_times_have_none_in_other_forms(name: str, tmp_path: Path) -> None:
    """Operations have an order in their file, from which nothing is concluded of other sessions."""
    write_history(registers(), tmp_path / "it.json")
    of_sessions = read_history(tmp_path / "it.json")
    assert of_sessions.clock is Timescale.SESSION
    write_history(of_sessions, tmp_path / name)
    assert same(read_history(tmp_path / name), of_sessions)


def test_a_history_that_a_form_cannot_hold_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """It is told before anything is written."""
    (tmp_path / "it.plume").write_text("w(1,2,0,0)\n")
    with pytest.raises(HistoryError, match="lists"):
        write_history(sample(), tmp_path / "it.plume")
    assert (tmp_path / "it.plume").read_text() == "w(1,2,0,0)\n"


def test_a_torn_stream_is_read_up_to_its_last_whole_batch(tmp_path: Path) -> None:
    """Wherever a killed writer stopped, the batches before are there."""
    path = tmp_path / "h.arrow"
    builder, file = HistoryBuilder(), HistoryFile(path)
    sizes = []
    for number in range(4):
        builder.record(f"p{number}", OpType.OK, [("append", number, 1)], start=number, end=number)
        file.append(builder.take())
        sizes.append(path.stat().st_size)
    whole = path.read_bytes()
    for cut in range(sizes[0], len(whole), 97):
        path.write_bytes(whole[:cut])
        assert len(read_history(path)) == sum(size <= cut for size in sizes)
    file.close()


def test_a_stream_without_its_end_is_known_as_cut(tmp_path: Path) -> None:
    """Also where it stops between two batches, or the history has nothing at all."""
    path = tmp_path / "h.arrow"
    file = HistoryFile(path)
    file.append(sample())
    assert read_history(path).is_cut
    file.close()
    assert not read_history(path).is_cut
    path.write_bytes(path.read_bytes()[:-200])
    assert (read_history(path).is_cut, len(read_history(path))) == (True, 0)
    write_history(read_history(path), tmp_path / "none.arrow")
    found = read_history(tmp_path / "none.arrow")
    assert (found.is_cut, len(found)) == (False, 0)


def test_texts_of_several_batches_are_one_list(tmp_path: Path) -> None:
    """A batch brings the texts that are new in it; codes count on."""
    builder, file = HistoryBuilder(), HistoryFile(tmp_path / "h.arrow")
    for number in range(3):
        builder.record(f"p{number}", OpType.OK, [("w", f"k{number}", 1)], start=number, end=number)
        file.append(builder.take())
    file.close()
    found = read_history(tmp_path / "h.arrow")
    assert [found.key_of(mop) for mop in range(3)] == ["k0", "k1", "k2"]
    assert [found.text(code) for code in found.process.tolist()] == ["p0", "p1", "p2"]


@pytest.mark.parametrize("name", ["first_version.arrow", "first_version.parquet"])
def test_a_file_of_the_first_version_still_opens(name: str) -> None:
    """It was written when each micro-operation had its elements beside it."""
    assert same(read_history(Path(__file__).with_name(name)), sample())


def test_elements_of_several_batches_are_one_list(tmp_path: Path) -> None:
    """A batch brings its elements; where reads begin counts on."""
    builder, file = HistoryBuilder(), HistoryFile(tmp_path / "h.arrow")
    lists = [[1], [1, 2], [3], [], [1, 2, 4]]
    for number, each in enumerate(lists):
        mops = [("r", 1, each), ("r", 2, each[:1])]
        builder.record(f"p{number}", OpType.OK, mops, start=number, end=number)
        file.append(builder.take())
    file.close()
    found = read_history(tmp_path / "h.arrow")
    assert [list(found.elements(mop)) for mop in range(0, 10, 2)] == lists
    assert [list(found.elements(mop)) for mop in range(1, 10, 2)] == [each[:1] for each in lists]


@given(st.lists(st.tuples(st.integers(0, 2), st.lists(st.integers(0, 2), max_size=5)), max_size=12))
def test_reads_share_their_elements_and_keep_them(reads: list[tuple[int, list[int]]]) -> None:
    """Whatever was read; a list of which all reads of a key are the beginning is there once."""
    builder = HistoryBuilder()
    builder.record("0", OpType.OK, [("r", key, each) for key, each in reads], start=0, end=1)
    found = builder.history()
    assert [list(found.elements(mop)) for mop in range(len(reads))] == [each for _, each in reads]
    assert found.apart().element.tolist() == [value for _, each in reads for value in each]
    of_key = {key: max((each for k, each in reads if k == key), key=len) for key, _ in reads}
    if all(of_key[key][: len(each)] == each for key, each in reads):
        assert len(found.element) == sum(map(len, of_key.values()))


@pytest.mark.parametrize(
    ("column", "place", "value", "message"),
    [
        ("type", 1, 3, "transaction 1: type is 3, not within 0 and 2"),
        ("process", 2, -1, "transaction 2: process is -1"),
        ("error_class", 1, 99, "transaction 1: error_class is 99"),
        ("f", 0, 9, "micro-operation 0: f is 9"),
        ("element_start", 1, 77, "micro-operation 1: element_start is 77"),
        ("element_count", 5, -1, "micro-operation 5: element_count is -1"),
    ],
)
def test_numbers_that_stand_for_nothing_are_refused(
    column: str, place: int, value: int, message: str, tmp_path: Path
) -> None:
    """A file that was damaged, or written by another program, is not judged."""
    import pyarrow as pa

    write_history(sample(), tmp_path / "h.arrow")
    with pa.OSFile(str(tmp_path / "h.arrow")) as file:
        row = pa.ipc.open_stream(file).read_all()
    rows = row.to_pylist()
    if column in rows[0]:
        rows[place][column] = value
    else:
        [mop for each in rows for mop in each["mops"]][place][column] = value
    with pa.ipc.new_stream(str(tmp_path / "bad.arrow"), row.schema) as stream:
        stream.write_table(pa.Table.from_pylist(rows, schema=row.schema))
    with pytest.raises(HistoryError, match=message):
        read_history(tmp_path / "bad.arrow")


def test_a_table_without_a_column_is_refused(tmp_path: Path) -> None:
    """The message names it."""
    import pyarrow as pa

    write_history(sample(), tmp_path / "h.arrow")
    with pa.OSFile(str(tmp_path / "h.arrow")) as file:
        rows = pa.ipc.open_stream(file).read_all().drop_columns(["elements"])
    with pa.ipc.new_stream(str(tmp_path / "bad.arrow"), rows.schema) as stream:
        stream.write_table(rows)
    with pytest.raises(HistoryError, match=r"not those of a history: .*elements"):
        read_history(tmp_path / "bad.arrow")


def test_what_was_taken_is_in_the_whole_too() -> None:
    """`take` gives the new ones, `history` all of them."""
    builder = HistoryBuilder()
    builder.record("a", OpType.OK, [("w", 1, 1)], start=0, end=1)
    assert len(builder.take()) == 1
    builder.record("a", OpType.OK, [("w", 1, 2)], start=2, end=3)
    assert len(builder.take()) == 1
    assert builder.history().value.tolist() == [1, 2]
    assert len(builder.take()) == 0


@pytest.mark.parametrize(
    ("mop", "reason"),
    [
        (("append", 1, None), "append of nothing"),
        (("append", 1, "x"), "not a whole number"),
        (("append", 1.5, 1), "not a whole number"),
        (("w", 1, True), "not a whole number"),
        (("w", 1, 2**63), f"value {2**63} is not within -{2**63 - 1} and {2**63 - 1}"),
        (("w", 1, -(2**63)), f"value -{2**63} is not within -{2**63 - 1} and"),
        (("r", 1, [-(2**63)]), f"element -{2**63} is not within -{2**63 - 1} and"),
        (("w", -(2**63) - 1, 1), f"key -{2**63 + 1} is not within -{2**63} and {2**63 - 1}"),
        (("cas", 1, 2), "none of append, w, r"),
        (("r", 1, [1, "x"]), "not a whole number"),
        (("r", 1), "unpack"),
    ],
)
def test_a_wrong_micro_operation_is_refused(mop: tuple[object, ...], reason: str) -> None:
    """With the transaction's place and the reason."""
    builder = HistoryBuilder()
    builder.record("0", OpType.OK, [mop], start=0, end=1)  # type: ignore[list-item]  # on purpose
    with pytest.raises(HistoryError, match=f"transaction 0: micro-operation 0.*{reason}"):
        builder.history()


@pytest.mark.parametrize("name", ["h.arrow", "h.edn", "h.jsonl"])
def test_keys_have_all_64_bits_and_values_all_but_the_least(name: str, tmp_path: Path) -> None:
    """The least value is taken: it is none."""
    least, most = -(2**63), 2**63 - 1
    mops = [("append", least, least + 1), ("append", most, most), ("r", least, [least + 1, most])]
    builder = HistoryBuilder()
    builder.record("0", OpType.OK, mops, start=0, end=1)
    write_history(builder.history(), tmp_path / name)
    found = read_history(tmp_path / name)
    assert found.key.tolist() == [least, most, least]
    assert (found.value.tolist()[:2], found.elements(2)) == ([least + 1, most], (least + 1, most))


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("value", "micro-operation 0: writes -9"),
        ("element", "element 1: is -9"),
    ],
)
def test_nothing_is_not_written(column: str, message: str, tmp_path: Path) -> None:
    """A table that another program made may say so."""
    history = sample()
    numbers = getattr(history, column).copy()
    numbers[0 if column == "value" else 1] = NIL
    write_history(replace(history, **{column: numbers}), tmp_path / "h.arrow")
    with pytest.raises(HistoryError, match=message):
        read_history(tmp_path / "h.arrow")


GOOD = "{:type :invoke, :process 0, :f :txn, :value [[:append 1 1]], :time 1}\n"
OKAY = "{:type :ok, :process 0, :f :txn, :value [[:append 1 1]], :time 2}\n"
LATER, LAST = GOOD.replace(":time 1", ":time 3"), OKAY.replace(":time 2", ":time 4")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "{:type :ok", r"line 2: no EDN: \{ is never closed"),
        (GOOD + "]", r"line 2: no EDN: \] closes nothing"),
        (GOOD + "{:type}", "line 2: no EDN: a map has a key without a value"),
        (GOOD + "{:type :done :process 0}", 'line 2: no operation: type "done" is none of'),
        (GOOD + "{:type :ok}", "line 2: no operation: without process"),
        (GOOD + GOOD, "line 2: process 0 invokes before it has ended"),
        (GOOD + OKAY + OKAY, "line 3: ok of process 0 without an invocation"),
        (GOOD + OKAY.replace(":append 1 1", ":append 1"), "line 2: .* is no micro-operation"),
        (GOOD + OKAY + LATER + LAST, "transaction 1: writes 1 to key 1, as transaction 0"),
        (GOOD + OKAY.replace(":ok", ":info") + LATER, "line 3: process 0 goes on after"),
        ("[" + GOOD, "the vector around the history is never closed"),
    ],
)
def test_malformed_edn_is_refused_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    """Never judged wrongly, never a traceback."""
    (tmp_path / "h.edn").write_text(text)
    with pytest.raises(HistoryError, match=message):
        read_history(tmp_path / "h.edn")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("h.jsonl", '{"type": "ok"', "line 1: no operation"),
        ("h.jsonl", "[1]", "line 1: no operation: .* is no map"),
        ("h.plume", "w(1,2,0,0)\nw(1,x,0,0)\n", "line 2: .* is no event"),
        ("h.plume", "w(1,2,0,0)\nw(1,3,1,0)\nr(1,2,0,0)\n", "line 3: transaction 0 of session 0"),
        ("h.plume", "w(1,2,0,0)\nw(1,2,1,0)\n", "writes 2 to key 1"),
        ("h.json", '[[{"events": [{"Inc": {}}], "committed": true}]]', "session 0, transaction 0"),
        ("h.json", "{}", "is no array"),
        ("h.arrow", "nothing", "no Arrow stream"),
        ("h.parquet", "nothing", "not a whole Parquet file"),
    ],
)
def test_other_malformed_files_are_refused(
    name: str, text: str, message: str, tmp_path: Path
) -> None:
    """Each with the place and the reason."""
    (tmp_path / name).write_text(text)
    with pytest.raises(HistoryError, match=message):
        read_history(tmp_path / name)


def test_a_damaged_table_is_read_or_refused(tmp_path: Path) -> None:
    """Whatever it says of itself: a larger size than memory has, a type that is none."""
    write_history(sample(), tmp_path / "whole.arrow")
    whole, path = (tmp_path / "whole.arrow").read_bytes(), tmp_path / "h.arrow"
    refused = 0
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x3F]) + whole[place + 1 :])
        try:
            read_history(path)
        except HistoryError as error:
            refused += str(path) in str(error)
    assert refused > 20


def test_a_session_that_overlaps_itself_is_refused(tmp_path: Path) -> None:
    """A session does one thing at a time, and nothing after a lost answer."""
    builder = HistoryBuilder()
    builder.record("a", OpType.OK, [], start=0, end=5)
    builder.record("a", OpType.INFO, [], start=3)
    builder.record("a", OpType.OK, [], start=9, end=9)
    write_history(builder.history(), tmp_path / "h.arrow")
    with pytest.raises(HistoryError, match=r"before its transaction 0 has(.|\n)*answer was lost"):
        read_history(tmp_path / "h.arrow")


def test_what_jepsen_writes_besides_transactions_is_left_out(tmp_path: Path) -> None:
    """A nemesis is no session; tags, comments and the vector around a history are no matter."""
    fault = "{:type :info, :process :nemesis, :f :kill, :value [1 2]}"
    text = f"[; a run\n{fault}\n{GOOD}#_{{:a 1}} {OKAY}]"
    (tmp_path / "h.edn").write_text(text.replace("{:type :ok", "#jepsen.history.Op{:type :ok"))
    assert len(read_history(tmp_path / "h.edn")) == 1


def test_operations_without_invocations_are_transactions(tmp_path: Path) -> None:
    """Nothing is claimed about time where only ends are told."""
    (tmp_path / "h.edn").write_text(OKAY + OKAY.replace("1 1", "1 2"))
    found = read_history(tmp_path / "h.edn")
    assert (len(found), found.clock) == (2, Timescale.SESSION)


def test_an_invocation_that_never_ends_is_unknown(tmp_path: Path) -> None:
    """As if its end had been an info."""
    (tmp_path / "h.edn").write_text(GOOD)
    assert read_history(tmp_path / "h.edn").type.tolist() == [2]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(value=values, form=st.sampled_from([HistoryForm.EDN, HistoryForm.JSONL]))
def test_operations_of_any_kind_survive(value: object, form: HistoryForm) -> None:
    """A bank's transfers and a set's elements come back as they were."""
    import tempfile

    op = Op(process="3", type=OpType.OK, f="transfer", value=value, time_ns=5, index=0, error="x y")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "h"
        write_ops([op], path, form)
        assert [found for _, found in read_ops(path, form)] == [op]


def test_a_part_can_be_selected() -> None:
    """Transactions and micro-operations that are not marked are gone, with their elements."""
    history = sample()
    mops = np.ones(history.mop_count, dtype=bool)
    mops[0] = False
    part = history.select(np.array([True, False, False, True]), mops)
    assert [[part.f[mop] for mop in part.mops(place)] for place in range(2)] == [[3], [3, 2]]
    assert part.elements(1) == (1, 3)
    without = history.select(np.array([True, True, True, False]), mops)
    assert without.element.tolist() == [1]


def test_elements_can_be_left_out_of_reads() -> None:
    """A mark for each element of each read, also of those that share them."""
    history = sample()
    less = history.keep_elements(history.apart().element != 1)
    assert [less.elements(mop) for mop in (1, 5)] == [(), (3,)]


def test_a_name_without_a_form_is_refused(tmp_path: Path) -> None:
    """The message names what is known."""
    with pytest.raises(UsageError, match=r"known: \.arrow"):
        read_history(tmp_path / "h.xml")
