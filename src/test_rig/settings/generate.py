"""Writing a settings file that says what every key is for and loads back as the defaults."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any

from test_rig.settings.extension import extension_options
from test_rig.settings.tables import TABLES

__all__ = ["generated_json", "generated_toml"]

_WIDTH = 96
#: What a commented-out key shows, where the default is "not set".
_EXAMPLES: dict[tuple[str, str], Any] = {
    ("database", "url"): "postgresql://user@host:5432/db",
    ("database", "host"): "127.0.0.1:4000",
    ("database", "port"): 4000,
    ("database", "username"): "root",
    ("database", "password"): "",
    ("database", "database"): "test",
    ("logging", "file"): "test-rig.log",
    ("test", "seed"): 1,
    ("actions", "listen"): "127.0.0.1:8765",
    ("actions", "drivers"): {"out": {"type": "file", "path": "events.jsonl"}},
    ("actions", "rules"): {"slow": {"measurement": "latency", "above": 100.0, "clear": 80.0}},
    ("actions", "alerts"): {"group_by": ["alert_type"], "group_wait_s": 10.0},
    ("actions", "inhibit"): (
        {"source": {"alert_type": "connection_lost"}, "target": {"alert_type": "slow"}},
    ),
    ("actions", "silences"): ({"match": {"alert_type": "slow"}, "comment": "known"},),
    ("workload", "rate"): 500.0,
    ("campaigns", "url"): "postgresql://user@host/db",
}


def generated_toml() -> str:
    """Return a TOML file with every key, commented; unset keys are commented out."""
    lines = [
        "# Settings of test-rig. Every key stands here with its default.",
        "# Stronger than this file: the environment, and the options of a command.",
    ]
    for table, about, keys in _tables():
        lines += ["", *_comment(about), f"[{table}]"]
        for key, help_text, default in keys:
            lines += _comment(help_text)
            example = _EXAMPLES.get((table, key), "")
            lines.append(
                f"# {key} = {_toml(example)}" if default is None else f"{key} = {_toml(default)}"
            )
    return "\n".join(lines) + "\n"


def generated_json() -> str:
    """Return a JSON file with every key; JSON has no comments, and null for unset keys."""
    content = {table: {key: default for key, _, default in keys} for table, _, keys in _tables()}
    return json.dumps(content, indent=2) + "\n"


def _tables() -> Iterator[tuple[str, str, list[tuple[str, str, Any]]]]:
    extra: dict[str, list[tuple[str, str, Any]]] = {}
    for option in extension_options():
        extra.setdefault(option.table, []).append((option.key, option.help, option.default))
    for table, model in TABLES.items():
        keys = [
            (key, info.description or "", info.default) for key, info in model.model_fields.items()
        ]
        yield table, (model.__doc__ or "").strip(), keys + extra.pop(table, [])
    for table, keys in extra.items():
        yield table, "Options of an extension.", keys


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, _WIDTH)]


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {_toml(each)}' for key, each in value.items())}}}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    # JSON's strings are TOML's basic strings, but for this one character.
    return json.dumps(str(value)).replace("\x7f", "\\u007f")
