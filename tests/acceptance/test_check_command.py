"""`test-rig check` and `test-rig history convert`, as a user runs them on real files."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from conftest import Run

SKEW = """\
{:index 0, :type :invoke, :process 0, :f :txn, :value [[:r 1 nil] [:w 2 1]], :time 10}
{:index 1, :type :invoke, :process 1, :f :txn, :value [[:r 2 nil] [:w 1 1]], :time 20}
{:index 2, :type :ok, :process 0, :f :txn, :value [[:r 1 nil] [:w 2 1]], :time 30}
{:index 3, :type :ok, :process 1, :f :txn, :value [[:r 2 nil] [:w 1 1]], :time 40}
"""
LISTS = SKEW.replace(":w", ":append").replace("nil", "[]")
#: Blind writes of sessions without times: no order was found, and none is guessed.
OPEN = """\
w(3,1,0,0)
w(3,2,0,1)
r(2,0,0,1)
w(1,1,1,2)
w(2,1,1,2)
r(3,1,1,2)
"""


def test_registers_are_judged_as_what_they_are(rig: Run, tmp_path: Path) -> None:
    """A write skew contradicts serializability (1), and not snapshot isolation (0)."""
    (tmp_path / "h.edn").write_text(SKEW)
    done = rig("check", "h.edn", "--level", "serializable")
    assert done.returncode == 1, done.stderr
    assert "invalid at serializable: 2 transactions of model rw-register" in done.stdout
    assert "T0 < T1 (rw): T0 read key 1 without 1, which T1 wrote" in done.stdout
    assert rig("check", "h.edn", "--level", "Snapshot-Isolation").returncode == 0


@pytest.mark.parametrize("text", [SKEW, LISTS])
def test_json_tells_all_that_was_found(rig: Run, tmp_path: Path, text: str) -> None:
    """The model, the anomalies with their edges, and what they say of levels."""
    (tmp_path / "h.edn").write_text(text)
    done = rig("check", "h.edn", "--json")
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert found["model"] == ("rw-register" if text is SKEW else "list-append")
    (seen,) = found["seen"]
    assert seen["anomaly"] == "G2-item"
    assert [edge["kind"] for edge in seen["edges"]] == ["rw", "rw"]
    assert found["weakest_broken"] == ["repeatable read"]


def test_a_few_of_each_anomaly_are_told_in_words(rig: Run, tmp_path: Path) -> None:
    """And how many more there are: thousands would hide what they come to."""
    skews = [
        f"{{:type :ok, :process {2 * each + side}, :f :txn, "
        f":value [[:r {2 * each + side} []] [:append {2 * each + 1 - side} 1]]}}\n"
        for each in range(5)
        for side in (0, 1)
    ]
    (tmp_path / "h.edn").write_text("".join(skews))
    done = rig("check", "h.edn")
    assert done.stdout.count("G2-item\n") == 3, done.stdout
    assert "G2-item: 2 more, which --json tells" in done.stdout
    assert len(json.loads(rig("check", "h.edn", "--json").stdout)["seen"]) == 5


def test_what_is_not_known_is_exit_code_3(rig: Run, tmp_path: Path) -> None:
    """With the levels that are not known and why."""
    (tmp_path / "h.plume").write_text(OPEN)
    done = rig("check", "h.plume", "--level", "serializable")
    assert done.returncode == 3, done.stderr
    assert "unknown at serializable" in done.stdout
    assert "versions of registers replaced each other is not known" in done.stdout
    assert rig("check", "h.plume", "--level", "causal consistency").returncode == 0


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--model", "list-append"), "the history holds registers, not lists"),
        (("--model", "registers"), "did you mean 'rw-register'"),
        (("--level", "serialisable"), "did you mean 'serializable'"),
        (("--form", "eden"), "did you mean 'edn'"),
    ],
)
def test_wrong_use_is_exit_code_2(
    rig: Run, tmp_path: Path, options: tuple[str, ...], complaint: str
) -> None:
    """A model that the history contradicts, and names that nothing has."""
    (tmp_path / "h.edn").write_text(SKEW)
    done = rig("check", "h.edn", *options)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert complaint in done.stderr


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (SKEW.replace("[:w 1 1]]", "[:w 1 1]", 1), "no EDN"),
        (SKEW.replace("[:w 1 1]", "[:w 2 1]"), "writes 1 to key 2, as transaction 0 does"),
        (SKEW.replace(":ok, :process 0", ":ok, :process 7"), "line 3: ok of process 7 without"),
        (SKEW.replace(":type :ok", ":type :okay", 1), 'line 3: no operation: type "okay"'),
    ],
)
def test_a_malformed_history_is_exit_code_2_with_its_place(
    rig: Run, tmp_path: Path, text: str, complaint: str
) -> None:
    """It is refused, not judged; nor is it converted."""
    (tmp_path / "h.edn").write_text(text)
    for command in (("check", "h.edn"), ("history", "convert", "h.edn", "h.arrow")):
        done = rig(*command)
        assert (done.returncode, "Traceback" in done.stderr) == (2, False)
        assert complaint in done.stderr
    assert not (tmp_path / "h.arrow").exists()


def test_a_history_goes_through_every_form_and_shows_the_same(rig: Run, tmp_path: Path) -> None:
    """Registers survive all forms; the verdict is the same at the end."""
    (tmp_path / "h.edn").write_text(SKEW)
    names = ["h.edn", "h.arrow", "h.jsonl", "h.parquet", "h.json", "h.hist", "h.plume"]
    for source, to in pairwise(names):
        done = rig("history", "convert", source, to)
        assert done.returncode == 0, done.stderr
        assert "read 2 transactions" in done.stderr
    done = rig("check", "h.plume", "--json")
    assert [each["anomaly"] for each in json.loads(done.stdout)["seen"]] == ["G2-item"]


def test_what_a_form_does_not_tell_is_said(rig: Run, tmp_path: Path) -> None:
    """Refused transactions are left out, and counted."""
    (tmp_path / "h.edn").write_text(
        SKEW.replace(":type :ok, :process 1", ":type :fail, :process 1")
    )
    done = rig("history", "convert", "h.edn", "h.plume")
    assert done.returncode == 0, done.stderr
    assert "transactions left out: 1 refused, which had no effect" in done.stderr
    assert (tmp_path / "h.plume").read_text() == "r(1,0,0,0)\nw(2,1,0,0)\n"


def test_a_history_of_both_models_wants_one_named(rig: Run, tmp_path: Path) -> None:
    """Lists and registers under different keys are judged apart."""
    others = LISTS
    for part in ("[:r ", "append ", ":process ", ":index "):
        others = others.replace(part, f"{part}1")
    mixed = SKEW + others
    (tmp_path / "h.edn").write_text(mixed)
    done = rig("check", "h.edn")
    assert (done.returncode, "name a model" in done.stderr) == (2, True)
    for model in ("list-append", "rw-register"):
        done = rig("check", "h.edn", "--model", model, "--witnesses", model)
        assert (done.returncode, "G2-item" in done.stdout) == (1, True), done.stderr
        assert list((tmp_path / model).glob("*-cycle.svg"))


def test_a_file_without_its_end_is_told_and_no_transactions_say_nothing(
    rig: Run, tmp_path: Path
) -> None:
    """In text, in JSON, and where it is converted."""
    (tmp_path / "h.edn").write_text(SKEW)
    rig("history", "convert", "h.edn", "h.arrow")
    assert "the file has no end" not in rig("check", "h.arrow").stdout
    whole = (tmp_path / "h.arrow").read_bytes()
    (tmp_path / "h.arrow").write_bytes(whole[:-200])
    done = rig("check", "h.arrow")
    assert (done.returncode, "the file has no end" in done.stdout) == (3, True)
    assert "strongest" not in done.stdout
    told = json.loads(rig("check", "h.arrow", "--json").stdout)
    assert (told["is_cut"], told["strongest_standing"]) == (True, [])
    done = rig("history", "convert", "h.arrow", "it.edn")
    assert (done.returncode, "the file has no end" in done.stderr) == (0, True)
