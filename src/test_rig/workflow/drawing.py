"""A workflow's graph as text and as SVG, from the facts that are recorded of it."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

__all__ = ["graph_svg", "graph_text", "layers_of"]

_COLOURS = {
    "Completed": "#cfe8cf", "Failed": "#f3c4c0", "TimedOut": "#f3c4c0", "Skipped": "#e4e4e4",
    "Cancelled": "#e4e4e4", "Running": "#cfdff3", "Ready": "#e6eef8", "Pending": "#f6ecc4",
}  # fmt: skip
_PLAIN = "#ffffff"
_CHAR, _ROW, _GAP, _PAD = 8, 34, 60, 12


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
    """Return a graph as one SVG picture: layers from left to right, states as colours."""
    layers = layers_of(facts)
    by_id = {task["id"]: task for task in facts["tasks"]}
    place: dict[str, tuple[float, float, float]] = {}
    left, height = float(_PAD), 0.0
    tallest = max((len(layer) for layer in layers), default=0) * _ROW
    for layer in layers:
        width = max(len(key) for key in layer) * _CHAR + 2 * _PAD
        top = _PAD + (tallest - len(layer) * _ROW) / 2
        for row, key in enumerate(layer):
            place[key] = (left, top + row * _ROW, width)
        height = max(height, top + len(layer) * _ROW)
        left += width + _GAP
    lines = [_line(place[each], place[key]) for key in by_id for each in by_id[key]["dependencies"]]
    boxes = [_box(key, place[key], by_id[key], status) for key in by_id]
    size = f"{left - _GAP + _PAD:.0f} {height + _PAD:.0f}"
    width_text, height_text = size.split()
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" width="{width_text}" '
        f'height="{height_text}" font-family="monospace" font-size="13">'
        f"<title>{escape(facts['workflow'])}</title>{''.join(lines)}{''.join(boxes)}</svg>\n"
    )


def _line(start: tuple[float, float, float], end: tuple[float, float, float]) -> str:
    x, y = start[0] + start[2], start[1] + (_ROW - 8) / 2
    to_x, to_y = end[0], end[1] + (_ROW - 8) / 2
    bend = _GAP / 2
    return (
        f'<path d="M{x:.0f} {y:.0f}C{x + bend:.0f} {y:.0f} {to_x - bend:.0f} {to_y:.0f} '
        f'{to_x:.0f} {to_y:.0f}" fill="none" stroke="#888"/>'
    )


def _box(
    key: str,
    place: tuple[float, float, float],
    task: Mapping[str, Any],
    status: Mapping[str, str] | None,
) -> str:
    x, y, width = place
    state = status.get(key, "NotStarted") if status is not None else ""
    tip = " ".join(part for part in (key, state, _notes(task)) if part)
    return (
        f'<g><title>{escape(tip)}</title><rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" '
        f'height="{_ROW - 8}" rx="5" fill="{_COLOURS.get(state, _PLAIN)}" stroke="#444"/>'
        f'<text x="{x + _PAD:.0f}" y="{y + 18:.0f}">{escape(key)}</text></g>'
    )
