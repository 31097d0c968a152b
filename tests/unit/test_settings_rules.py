"""Rules about settings that a newcomer could break without noticing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from test_rig.cli.options import _KEYS, CommonOptions
from test_rig.settings import DEFAULT_FILES, TABLES, AppConfig, clear_config_extensions
from test_rig.settings.environment import FAMILIAR

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
SOURCES = sorted((ROOT / "src" / "test_rig").rglob("*.py"))
#: The only places that may ask the process's environment: for settings, for the command line
#: itself, and to make that of processes for handlers and scripts.
READERS = {"settings", "cli", "suite", "plugins", "processes.py"}


@pytest.mark.parametrize(
    ("table", "key"),
    [(table, key) for table, model in TABLES.items() for key in model.model_fields],
)
def test_every_key_is_documented(table: str, key: str) -> None:
    """docs/settings.md has each key with its meaning and its default, as the model says them."""
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{table}.{key}` |")]
    info = TABLES[table].model_fields[key]
    assert info.description is not None
    assert info.description in row
    told = row.split(" | ")[1]
    if info.default is None:
        assert told == "not set"
    elif isinstance(info.default, str):
        assert told == f'`"{info.default}"`'


def test_no_key_is_documented_that_is_not_there() -> None:
    """The page has no row for a key that nobody has."""
    rows = set(re.findall(r"^\| `(\w+\.\w+)` \|", PAGE, flags=re.M))
    assert rows == {setting.name for setting in AppConfig().settings()}


def test_every_source_is_documented() -> None:
    """The page names every file, variable and table that is read."""
    tables = {f"[{table}]" for table in TABLES}
    for name in {*DEFAULT_FILES, *FAMILIAR, *tables}:
        assert name in PAGE


def test_every_option_has_a_key() -> None:
    """No shared option is parsed and ignored."""
    handled = {"no_password_prompt", "config"}
    assert set(CommonOptions.__dataclass_fields__) == set(_KEYS) | handled


def test_the_examples_of_the_page_run() -> None:
    """Every Python example does what it asserts."""
    examples = re.findall(r"```python\n(.*?)```", PAGE, flags=re.S)
    assert len(examples) == 2
    try:
        for example in examples:
            exec(compile(example, "docs/settings.md", "exec"), {})
    finally:
        clear_config_extensions()


def environment_reads(tree: ast.AST) -> Iterator[int]:
    """Yield the lines on which a module asks for the process's environment."""
    for node in ast.walk(tree):
        names = {
            ast.Attribute: lambda each: [each.attr],
            ast.Name: lambda each: [each.id],
            ast.ImportFrom: lambda each: [alias.name for alias in each.names],
        }.get(type(node), lambda _: [])(node)
        if {"environ", "environb", "getenv", "getenvb"} & set(names):
            yield node.lineno


def test_the_environment_is_read_in_one_place() -> None:
    """Only settings do, the command line for its own process, and who makes that of scripts."""
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in SOURCES
        if path.relative_to(ROOT / "src" / "test_rig").parts[0] not in READERS
        for line in environment_reads(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


@pytest.mark.parametrize(
    "text", ["import os\nos.environ['A']", "import os\nos.getenv('A')", "from os import environ"]
)
def test_the_rule_sees_every_way_of_reading(text: str) -> None:
    """The judge above finds what it looks for."""
    assert list(environment_reads(ast.parse(text)))
