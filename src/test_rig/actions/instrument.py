"""The earlier instrument's node: its driver and its thresholds, as its configuration has them.

A node is `driver = {type, config}` with `concentration_threshold`, `amplitude_threshold`,
`monitored_nodes`, `update_interval_ms` and `buffer_capacity` beside it. It becomes a driver of the
rig (`latest` for each series, no more often than the interval), and rules for the thresholds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["split_node"]

_NODE_KEYS = (
    "buffer_capacity",
    "monitored_nodes",
    "concentration_threshold",
    "amplitude_threshold",
    "update_interval_ms",
)


def split_node(name: str, table: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the table of a driver as the rig writes it, and the rules that it brings along.

    Args:
        name: The driver's name.
        table: What the settings say of it, in either form.
    """
    inner = table.get("driver")
    flat = {key: value for key, value in table.items() if key != "driver"}
    if isinstance(inner, Mapping):
        flat = {**inner, **flat}
    config = flat.pop("config", None)
    if isinstance(config, Mapping):
        flat = {**config, **flat}
    node = {key: flat.pop(key) for key in _NODE_KEYS if key in flat}
    if not node:
        return flat, {}
    pipe = dict(flat.get("pipe") or {})
    if node.get("update_interval_ms"):
        pipe.setdefault("policy", "latest")
        pipe.setdefault("interval_s", node["update_interval_ms"] / 1000)
    if node.get("buffer_capacity"):
        pipe.setdefault("history", node["buffer_capacity"])
    return {**flat, "pipe": pipe}, _rules(name, node)


def _rules(name: str, node: Mapping[str, Any]) -> dict[str, Any]:
    sources = node.get("monitored_nodes") or ["*"]
    made: dict[str, Any] = {}
    for number, source in enumerate(sources):
        tail = f"_{number}" if number else ""
        for key, field in (("concentration", "value"), ("amplitude", "peak_amplitude")):
            limit = node.get(f"{key}_threshold")
            if limit is not None:
                made[f"{name}_{key}{tail}"] = {
                    "measurement": "concentration_ppm",
                    "source": source,
                    "field": field,
                    "above": limit,
                    "alert_type": "threshold_exceeded",
                    "message": f"{key} {{{{ value }}}} exceeds {limit} at {{{{ source_node_id }}}}",
                }
    return made
