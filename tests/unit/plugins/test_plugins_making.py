"""Constructors get their arguments from settings, by name."""

from __future__ import annotations

from typing import Any

import pytest

from test_rig.errors import PluginError
from test_rig.plugins import make, missing_settings


class Configured:
    """Wants a table and values."""

    def __init__(self, config: dict[str, Any], duration: float, rows: int = 10) -> None:
        self.got = (config, duration, rows)


def test_config_is_the_table_and_the_rest_comes_by_name() -> None:
    """The first table that has a name gives it; a default stays where none has."""
    made = make(Configured, [{"duration": 5}, {"duration": 9, "rows": 3}], where="x.py:1")
    assert made.got == ({"duration": 5}, 5, 3)
    assert make(Configured, [{"duration": 1}], where="x.py:1").got == ({"duration": 1}, 1, 10)


def test_everything_that_is_missing_is_told_at_once() -> None:
    """With the place of the class; `config` is never missing."""

    class Greedy:
        def __init__(self, config: Any, table: str, *, limit) -> None:  # type: ignore[no-untyped-def]
            raise AssertionError

    assert missing_settings(Greedy) == ("table: str", "limit")
    with pytest.raises(PluginError, match=r"x.py:7: Greedy\(...\) wants table: str, limit"):
        make(Greedy, where="x.py:7")


def test_a_constructor_that_fails_is_a_problem_of_its_file() -> None:
    """Even one that leaves the program."""

    class Leaving:
        def __init__(self) -> None:
            raise SystemExit(3)

    with pytest.raises(PluginError, match=r"x.py:1: Leaving\(...\) failed: SystemExit: 3"):
        make(Leaving, where="x.py:1")


def test_what_takes_anything_is_given_nothing() -> None:
    """Variable arguments are no settings; without a constructor there is nothing to give."""

    class Anything:
        def __init__(self, first: int, /, *args: int, **kwargs: int) -> None:
            self.got = (first, args, kwargs)

    assert make(Anything, [{"first": 1, "args": 2, "more": 3}], where="x").got == (1, (), {})
    assert isinstance(make(object, where="x"), object)
