"""docs/actions.md tells every option as the code has it."""

from __future__ import annotations

import re

import pytest

from action_tables import MODELS, PAGE, head_of, rows_of
from test_rig.actions import DRIVERS

TEXT = PAGE.read_text()


@pytest.mark.parametrize("prefix", MODELS)
def test_every_option_is_told_as_it_is(prefix: str) -> None:
    """With its default, its meaning and its earlier names, and no option that is not there.

    `python tests/action_tables.py` rewrites the tables.
    """
    told = re.findall(rf"^\| `{prefix}\.\w+` \|.*$", TEXT, re.MULTILINE)
    assert told == rows_of(prefix)


@pytest.mark.parametrize("name", DRIVERS)
def test_every_driver_has_its_part(name: str) -> None:
    """With what it needs and its other names; a new one's part is what `head_of` gives."""
    assert head_of(name) in TEXT
