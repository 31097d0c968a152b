"""The tables of docs/actions.md, made from the options; run it to have the page rewritten.

python tests/action_tables.py
"""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from typing import Any

from test_rig.actions import DRIVERS, EARLIER_NAMES, Options, driver_type
from test_rig.actions.notify import AlertOptions, Inhibition, Silence
from test_rig.actions.pipe_options import PipeOptions
from test_rig.actions.rules import RuleOptions

PAGE = Path(__file__).parents[1] / "docs" / "actions.md"

#: What the tables are about, by the prefix of their rows.
MODELS: dict[str, type[Options]] = {
    "pipe": PipeOptions,
    **{name: driver_type(name).options for name in DRIVERS},
    "rule": RuleOptions,
    "alerts": AlertOptions,
    "inhibit": Inhibition,
    "silence": Silence,
}


def default_of(info: Any) -> str:
    """Return a field's default as the page shows it."""
    if info.is_required():
        return "required"
    value = info.get_default(call_default_factory=True)
    if value is None:
        return "not set"
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, tuple):
        value = list(value)
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    text = repr(value).replace("'", '"')
    return f"`{text}`"


def rows_of(prefix: str) -> list[str]:
    """Return the rows of a table."""
    model = MODELS[prefix]
    earlier: dict[str, list[str]] = {}
    for name, (field, _) in model.EARLIER.items():
        earlier.setdefault(field, []).append(f"`{name}`")
    rows = []
    for name, info in model.model_fields.items():
        also = f" Also: {', '.join(earlier[name])}." if name in earlier else ""
        rows.append(f"| `{prefix}.{name}` | {default_of(info)} | {info.description}{also} |")
    return rows


def table_of(prefix: str) -> str:
    """Return a whole table."""
    return "\n".join(["| option | default | meaning |", "|---|---|---|", *rows_of(prefix)])


def head_of(name: str) -> str:
    """Return what stands above a driver's table."""
    extra = DRIVERS[name]
    also = [f"`{each}`" for each, own in EARLIER_NAMES.items() if own == name]
    known = f" Also known as {', '.join(also)}." if also else ""
    needs = "" if extra is None else f" Needs `pip install 'test-rig[{extra}]'`."
    return f"### `{name}`\n\n{driver_type(name).about}{needs}{known}"


def written(page: str) -> str:
    """Return the page with its tables made anew."""
    for prefix in MODELS:
        table = re.compile(rf"\| option \|[^\n]*\n\|[-|]+\n(?:\| `{prefix}\.[^\n]*\n)+")
        page = table.sub(f"{table_of(prefix)}\n".replace("\\", r"\\"), page)
    return page


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
