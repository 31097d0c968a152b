"""Pictures of witnesses: all of it is there, nothing acts, and it fits."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from test_rig.report import cycle_picture, render_picture, timeline_picture
from test_rig.report.picture import Picture, cut, width_of
from test_rig.verdict import WitnessEdge, WitnessHistory, WitnessMop, WitnessTransaction

EVIL = "<script>alert(1)</script> & \u202e\x1b[31m \" ' 漢字" + "x" * 300


def transaction(
    process: str, start: int, end: int | None, *mops: WitnessMop, type: str = "ok"
) -> WitnessTransaction:
    """Return a transaction."""
    return WitnessTransaction(process=process, type=type, start=start, end=end, mops=mops, origin=0)


def witness(key: int | str = 1, sessions: tuple[str, str] = ("0", "1")) -> WitnessHistory:
    """Return a write skew."""
    first, second = sessions
    return WitnessHistory(
        transactions=(
            transaction(
                first,
                0,
                5,
                WitnessMop(f="r", key=key, value=()),
                WitnessMop(f="append", key=2, value=1),
            ),
            transaction(
                second,
                3,
                None,
                WitnessMop(f="r", key=2, value=()),
                WitnessMop(f="append", key=key, value=1),
                type="info",
            ),
        ),
        members=(0, 1),
        edges=(
            WitnessEdge(
                source=0,
                target=1,
                kind="rw",
                why=f"T0 read key {key} without 1",
                key=key,
                source_mop=0,
                target_mop=1,
            ),
            WitnessEdge(
                source=1,
                target=0,
                kind="rw",
                why="T1 read key 2 without 1",
                key=2,
                source_mop=0,
                target_mop=1,
            ),
        ),
        why=(f"T0 read key {key} without 1", "T1 read key 2 without 1"),
    )


BOTH = pytest.mark.parametrize("draw", [cycle_picture, timeline_picture])


def drawn(draw: object, found: WitnessHistory) -> Picture:
    """Return a picture."""
    assert callable(draw)
    picture = draw("G2-item", found)
    assert isinstance(picture, Picture)
    return picture


@BOTH
def test_what_a_database_said_is_text_in_a_picture(draw: object) -> None:
    """It is escaped, its invisible characters are spelled out, and the file is XML."""
    svg = render_picture(drawn(draw, witness(EVIL, (EVIL, "b"))))
    root = ElementTree.fromstring(svg)  # noqa: S314 - our own text
    tags = {element.tag.partition("}")[2] for element in root.iter()}
    assert "script" not in tags
    assert not {"\u202e", "\x1b"} & set(svg)


@BOTH
def test_a_picture_refers_to_nothing_else(draw: object) -> None:
    """No script, no link, no font from elsewhere: it can be mailed."""
    svg = render_picture(drawn(draw, witness()))
    assert "href" not in svg
    assert "url(" not in svg
    assert "prefers-color-scheme: dark" in svg


@BOTH
@pytest.mark.parametrize("key", [1, EVIL])
def test_everything_lies_within_the_picture(draw: object, key: int | str) -> None:
    """Long labels are cut, and the picture is as wide as what is left."""
    picture = drawn(draw, witness(key, (str(key), "b")))
    for label in picture.labels:
        width = width_of(label.text)
        left = label.x - (width / 2 if label.anchor == "middle" else 0)
        assert left >= 0
        assert left + width <= picture.width
        assert 0 < label.y < picture.height
    for box in picture.boxes:
        assert box.x + box.width <= picture.width
        assert box.y + box.height <= picture.height


@BOTH
def test_every_edge_is_an_arrow(draw: object) -> None:
    """What precedes what is all drawn."""
    assert len(drawn(draw, witness()).arrows) == 2


def test_a_cut_text_is_whole_in_its_tooltip() -> None:
    """Wide characters take two columns; what is cut says so."""
    assert cut("漢" * 3, 6) == ("漢漢漢", None)
    short, whole = cut("漢" * 4, 6)
    assert whole == "漢" * 4
    assert width_of(short) <= width_of("x" * 6)


def test_overlapping_transactions_overlap_in_the_picture() -> None:
    """One that ended before another began ends left of it; one whose answer was lost goes on."""
    found = WitnessHistory(
        transactions=(
            transaction("a", 0, 5, WitnessMop(f="append", key=1, value=1)),
            transaction("b", 3, 9, WitnessMop(f="r", key=1, value=())),
            transaction("a", 6, None, WitnessMop(f="append", key=1, value=2), type="info"),
        ),
        members=(0,),
        edges=(),
        why=("",),
    )
    boxes = [box for box in timeline_picture("x", found).boxes if box.kind != "lane"]
    first, second, third = boxes
    assert second.x < first.x + first.width
    assert first.x + first.width <= third.x
    assert second.x + second.width < third.x + third.width
    assert first.y == third.y


def test_what_is_no_cycle_is_drawn_too() -> None:
    """An anomaly of one transaction, and one of two without an edge."""
    one = transaction("a", 0, 5, WitnessMop(f="r", key=1, value=(7,)))
    for members in ((0,), (0, 1)):
        found = WitnessHistory(
            transactions=(one,) * len(members), members=members, edges=(), why=("read 7",)
        )
        assert len(cycle_picture("garbage-read", found).boxes) == len(members)


def rects(picture: Picture) -> list[tuple[str, float, float, float]]:
    """Return each label's text, base line, and where it begins and ends."""
    found = []
    for label in picture.labels:
        width = width_of(label.text)
        left = label.x - (width / 2 if label.anchor == "middle" else 0)
        found.append((label.text, label.y, left, left + width))
    return found


def cycle(*edges: tuple[int, int, str]) -> WitnessHistory:
    """Return two transactions of one session and one of another, in a cycle of edges."""
    reads = WitnessMop(f="r", key=1, value=()), WitnessMop(f="append", key=2, value=1)
    return WitnessHistory(
        transactions=(
            transaction("a", 0, 2, *reads),
            transaction("a", 4, 9, *reads),
            transaction("b", 1, 8, *reads),
        ),
        members=(0, 1, 2),
        edges=tuple(
            WitnessEdge(
                source=source,
                target=target,
                kind=kind,
                why="why",
                source_mop=None if kind == "process" else 0,
                target_mop=None if kind == "process" else 1,
            )
            for source, target, kind in edges
        ),
        why=("why",),
    )


@pytest.mark.parametrize(
    "found",
    [
        cycle((0, 1, "process"), (1, 2, "rw"), (2, 0, "wr")),
        cycle((0, 2, "wr"), (2, 0, "ww")),
        cycle((0, 2, "ww"), (2, 0, "ww"), (0, 2, "ww"), (2, 0, "ww")),
    ],
)
def test_no_text_covers_another_one(found: WitnessHistory) -> None:
    """Labels of arrows keep clear of the boxes' texts and of each other."""
    every = rects(timeline_picture("x", found))
    for place, (text, y, left, right) in enumerate(every):
        for other, other_y, other_left, other_right in every[place + 1 :]:
            is_over = min(right, other_right) > max(left, other_left) and abs(y - other_y) < 11
            assert not is_over, (text, other)


def lost_update(*more: WitnessTransaction) -> WitnessHistory:
    """Return two that read the same and then wrote."""
    nothing = WitnessMop(f="r", key=1, value=())
    return WitnessHistory(
        transactions=(
            transaction("a", 0, 5, nothing, WitnessMop(f="append", key=1, value=1)),
            transaction("b", 1, 6, nothing, WitnessMop(f="append", key=1, value=2)),
            *more,
        ),
        members=(0, 1),
        edges=(),
        why=("both read [] and then appended",),
    )


@BOTH
def test_a_lost_update_has_arrows_and_says_whose_was_lost(draw: object) -> None:
    """Each read before the other's write; a read of both tells which came last, else nobody."""
    assert callable(draw)
    later = transaction("c", 9, 10, WitnessMop(f="r", key=1, value=(2, 1)))
    known, unknown = draw("lost-update", lost_update(later)), draw("lost-update", lost_update())
    assert [arrow.kind for arrow in known.arrows] == ["rw", "rw"]
    told = "the update of T1 was lost: T0 wrote after it and had not read it"
    assert told in " ".join(label.text for label in known.labels)
    assert "this history does not tell which" in " ".join(label.text for label in unknown.labels)


@BOTH
def test_who_wrote_what_was_read_is_in_the_picture(draw: object) -> None:
    """Of an anomaly within one transaction the other one is drawn, with an arrow from it."""
    assert callable(draw)
    found = WitnessHistory(
        transactions=(
            transaction(
                "a",
                0,
                5,
                WitnessMop(f="r", key=1, value=()),
                WitnessMop(f="r", key=1, value=(7,)),
            ),
            transaction("b", 1, 6, WitnessMop(f="append", key=1, value=7)),
        ),
        members=(0,),
        edges=(),
        why=("T0 read [], and then [7]",),
    )
    picture = draw("internal", found)
    assert [arrow.kind for arrow in picture.arrows] == ["wr"]
    assert "append 7 to 1" in {label.text for label in picture.labels}
    assert "T0 read [], and then [7]" in {label.text for label in picture.labels}


@BOTH
def test_the_words_of_what_is_no_cycle_are_all_there(draw: object) -> None:
    """A long sentence goes on in the next line; nothing of it hides in a tooltip."""
    assert callable(draw)
    sentence = " ".join(f"word{number}" for number in range(40))
    picture = draw("monotonic-reads", replace(lost_update(), why=(sentence,)))
    assert sentence in " ".join(label.text for label in picture.labels if label.kind == "soft")
    assert max(width_of(label.text) for label in picture.labels) <= width_of("x" * 64)
