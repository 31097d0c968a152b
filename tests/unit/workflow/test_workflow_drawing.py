"""Graphs as pictures."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from test_rig.cli.workflow import app
from test_rig.errors import UnknownName
from test_rig.workflow import graph_svg

SVG = "{http://www.w3.org/2000/svg}"


def drawn(status: dict[str, str] | None, **dependencies: str) -> ElementTree.Element:
    """Return the picture of a graph: each task with the letters of those before it."""
    facts = {
        "workflow": "w",
        "tasks": [
            {
                "id": key,
                "dependencies": list(before),
                **dict.fromkeys(("map_over", "wait_for", "retries", "timeout_s", "child")),
                "rule": "all_success",
            }
            for key, before in dependencies.items()
        ],
    }
    return ElementTree.fromstring(graph_svg(facts, status))  # noqa: S314 -- our own picture


def test_no_line_leads_through_a_box_that_it_does_not_belong_to() -> None:
    """One that leads past layers goes by what stands there."""
    picture = drawn(None, a="", b="a", c="ab", d="ac", e="bd", f="acde")
    boxes = [
        [float(box.attrib[name]) for name in ("x", "y", "width", "height")]
        for box in picture.iterfind(f"{SVG}g/{SVG}rect")
    ]
    assert len(boxes) == 6
    ways = [each.attrib["d"] for each in picture.iterfind(f"{SVG}path")]
    assert len(ways) == 11
    passed = 0
    for way in ways:
        for start, height, end in re.findall(r"(\d+) (\d+)H(\d+)", way):
            passed += 1
            for x, y, width, tall in boxes:
                is_in_its_column = x < float(end) and float(start) < x + width
                assert not (is_in_its_column and y <= float(height) <= y + tall)
    assert passed == 12


def test_a_state_is_a_word_and_not_only_a_colour() -> None:
    """In the box, and in what is shown when one points at it."""
    picture = drawn({"a": "Failed"}, a="", b="a")
    told = ["".join(text.itertext()) for text in picture.iter(f"{SVG}text")]
    assert told == ["aFailed", "bNotStarted"]
    assert picture.findtext(f"{SVG}g/{SVG}title") == "a Failed"


def test_of_several_workflows_one_is_drawn_when_it_is_said_which(tmp_path: Path) -> None:
    """A picture of the first one only would look like all of the file."""
    file, picture = tmp_path / "two.py", tmp_path / "g.svg"
    made = (f"{n} = Workflow('{n}', [task('step_{n}')(lambda context: None)])" for n in "ab")
    file.write_text("\n".join(["from test_rig.workflow import Workflow, task", *made]))
    words = ["graph", str(file), "--svg", str(picture)]
    with pytest.raises(UnknownName, match="known: a, b"):
        CliRunner().invoke(app, words, catch_exceptions=False)
    assert CliRunner().invoke(app, [*words, "--workflow", "b"]).exit_code == 0
    assert "step_b" in picture.read_text()
