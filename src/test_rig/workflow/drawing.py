"""A workflow's graph as text and as SVG, from the facts that are recorded of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from statistics import fmean
from typing import Any

__all__ = ["graph_svg", "graph_text", "layers_of"]

_COLOURS = {
    "Completed": "#cfe8cf", "Failed": "#f3c4c0", "TimedOut": "#f3c4c0", "Skipped": "#e4e4e4",
    "Cancelled": "#e4e4e4", "Running": "#cfdff3", "Ready": "#e6eef8", "Pending": "#f6ecc4",
}  # fmt: skip
_PLAIN = "#ffffff"
_CHAR, _ROW, _BOX, _LANE, _GAP, _PAD, _TIP = 8, 34, 26, 12, 60, 12, 5
_ARROW = (
    '<defs><marker id="tip" viewBox="0 0 6 6" refX="1" refY="3" markerWidth="6" markerHeight="6" '
    'orient="auto"><path d="M0 0L6 3L0 6z" fill="#888"/></marker></defs>'
)
#: A task's box, or the way of the lines from a task through the layer of that number.
_Spot = tuple[str, int | None]


def layers_of(facts: Mapping[str, Any]) -> list[list[str]]:
    """Return the tasks by the length of the longest way that leads to them."""
    depth: dict[str, int] = {}
    for task in facts["tasks"]:  # in topological order, as they were recorded
        depth[task["id"]] = max((depth[each] + 1 for each in task["dependencies"]), default=0)
    found: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for key, layer in depth.items():
        found[layer].append(key)
    return found


def graph_text(facts: Mapping[str, Any], status: Mapping[str, str] | None = None) -> str:
    """Return a graph as lines: layer by layer, each task with what leads to it."""
    by_id = {task["id"]: task for task in facts["tasks"]}
    width = max((len(key) for key in by_id), default=0)
    lines = [f"{facts['workflow']}: {len(by_id)} task{'s' * (len(by_id) != 1)}"]
    for number, layer in enumerate(layers_of(facts)):
        lines.append(f"layer {number}")
        for key in layer:
            task = by_id[key]
            before = f"<- {', '.join(task['dependencies'])}" if task["dependencies"] else ""
            state = f"[{status.get(key, 'NotStarted')}]" if status is not None else ""
            parts = [f"  {key:{width}}", state, before, _notes(task)]
            lines.append("  ".join(part for part in parts if part).rstrip())
    return "\n".join(lines) + "\n"


def _notes(task: Mapping[str, Any]) -> str:
    notes = []
    if task["rule"] != "all_success":
        notes.append(f"when {task['rule']}")
    if task["map_over"]:
        notes.append(f"for each of {task['map_over']}")
    if task["wait_for"]:
        notes.append(f"waits for {task['wait_for']}")
    if task["retries"]:
        notes.append(f"{task['retries']} retries")
    if task["timeout_s"]:
        notes.append(f"at most {task['timeout_s']} s")
    if task["child"]:
        notes.append(f"runs {task['child']}")
    return f"({'; '.join(notes)})" if notes else ""


def graph_svg(facts: Mapping[str, Any], status: Mapping[str, str] | None = None) -> str:
    """Return a graph as one SVG picture: layers from left to right, states as colours and words.

    A line that leads past a layer has a way of its own through it, so that it touches no box there.
    """
    by_id = {task["id"]: task for task in facts["tasks"]}
    words = {key: status.get(key, "NotStarted") if status is not None else "" for key in by_id}
    columns, ways = _columns(facts)
    place: dict[_Spot, tuple[float, float, float]] = {}
    left, height = float(_PAD), float(max(map(_height, columns), default=0))
    for column in columns:
        chars = max(len(f"{key} {words[key]}".rstrip()) for key, past in column if past is None)
        width = chars * _CHAR + 2 * _PAD
        top = _PAD + (height - _height(column)) / 2
        for spot in column:
            place[spot] = (left, top, width)
            top += _ROW if spot[1] is None else _LANE
        left += width + _GAP
    lines = [_line([place[spot] for spot in way]) for way in ways]
    boxes = [_box(key, place[key, None], by_id[key], words[key]) for key in by_id]
    size = f"{left - _GAP + _PAD:.0f} {height + 2 * _PAD:.0f}"
    wide, high = size.split()
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" width="{wide}" '
        f'height="{high}" font-family="monospace" font-size="13">'
        f"<title>{escape(facts['workflow'])}</title>{_ARROW}"
        f'<rect width="{wide}" height="{high}" fill="#fff"/>'
        f"{''.join(lines)}{''.join(boxes)}</svg>\n"
    )


def _columns(facts: Mapping[str, Any]) -> tuple[list[list[_Spot]], list[list[_Spot]]]:
    """Return what stands in each layer, from above, and the spots that each line leads through."""
    layers = layers_of(facts)
    depth = {key: number for number, layer in enumerate(layers) for key in layer}
    columns: list[list[_Spot]] = [[(key, None) for key in layer] for layer in layers]
    before: dict[_Spot, list[_Spot]] = {}
    ways = []
    for task in facts["tasks"]:
        for each in task["dependencies"]:
            passed = range(depth[each] + 1, depth[task["id"]])
            way: list[_Spot] = [
                (each, None),
                *((each, past) for past in passed),
                (task["id"], None),
            ]
            ways.append(way)
            for first, then in pairwise(way):
                if then[1] is not None and then not in before:
                    columns[then[1]].append(then)
                before.setdefault(then, []).append(first)
    rows: dict[_Spot, float] = {}
    for column in columns:
        # Near to what leads there, so that lines cross seldom.
        column.sort(key=lambda spot: fmean([rows[each] for each in before.get(spot, ())] or [0.0]))
        middle = (len(column) - 1) / 2
        rows.update((spot, row - middle) for row, spot in enumerate(column))
    return columns, ways


def _height(column: Sequence[_Spot]) -> float:
    return sum(_ROW if past is None else _LANE for _, past in column)


def _line(spots: Sequence[tuple[float, float, float]]) -> str:
    """Return a line from the first box, past others, to the last one."""
    x, y = spots[0][0] + spots[0][2], spots[0][1] + _BOX / 2
    path = f"M{x:.0f} {y:.0f}"
    for place, (left, top, width) in enumerate(spots[1:], 2):
        is_last = place == len(spots)
        to_x, to_y = left - (_TIP if is_last else 0), top + (_BOX if is_last else _LANE) / 2
        bend = (to_x - x) / 2
        path += f"C{x + bend:.0f} {y:.0f} {to_x - bend:.0f} {to_y:.0f} {to_x:.0f} {to_y:.0f}"
        x, y = left + width, to_y
        path += "" if is_last else f"H{x:.0f}"
    return f'<path d="{path}" fill="none" stroke="#888" marker-end="url(#tip)"/>'


def _box(key: str, place: tuple[float, float, float], task: Mapping[str, Any], state: str) -> str:
    x, y, width = place
    tip = " ".join(part for part in (key, state, _notes(task)) if part)
    word = f'<tspan fill="#666" dx="{_CHAR}">{escape(state)}</tspan>' if state else ""
    return (
        f'<g><title>{escape(tip)}</title><rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" '
        f'height="{_BOX}" rx="5" fill="{_COLOURS.get(state, _PLAIN)}" stroke="#444"/>'
        f'<text x="{x + _PAD:.0f}" y="{y + 18:.0f}">{escape(key)}{word}</text></g>'
    )
