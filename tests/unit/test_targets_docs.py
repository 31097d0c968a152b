"""docs/targets.md is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from test_rig.targets import Target

PAGE = (Path(__file__).parents[2] / "docs" / "targets.md").read_text()


@pytest.mark.parametrize("example", re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
def test_every_example_runs(example: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What the page shows works as it stands."""
    exec(compile(example, "docs/targets.md", "exec"), {"__name__": "example"})
    if "print(" in example:
        assert capsys.readouterr().out == "11\n"


@pytest.mark.parametrize("url", ["sqlite://", "duckdb://"])
def test_every_level_is_on_the_page(url: str) -> None:
    """With its key and its claim in one row."""
    with Target.open(url) as target:
        for level in target.levels:
            rows = [row for row in PAGE.splitlines() if f"`{level.key}`" in row]
            assert any(level.claim.value in row for row in rows), level.key
