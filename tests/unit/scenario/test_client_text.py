"""Values become what a client shows."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from test_rig.scenario.client_text import client_text

UTC = dt.UTC


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        (True, "t"),
        (7, "7"),
        (1.0, "1"),
        (-0.5, "-0.5"),
        (1e20, "1e+20"),
        (float("nan"), "NaN"),
        (Decimal("1E+3"), "1000"),
        (Decimal("1.10"), "1.10"),
        (b"\x00\xff", "\\x00ff"),
        (dt.date(2020, 1, 2), "2020-01-02"),
        (dt.datetime(2020, 1, 2, 3, 4, 5, 120000), "2020-01-02 03:04:05.12"),
        (dt.datetime(2020, 1, 2, tzinfo=UTC), "2020-01-02 00:00:00+00"),
        (dt.timedelta(days=1, hours=2), "1 day 02:00:00"),
        (dt.timedelta(seconds=1.5), "00:00:01.5"),
        ([1, None, "a b", [2]], '{1,NULL,"a b",{2}}'),
        ({"a": 1}, '{"a": 1}'),
    ],
)
def test_as_postgresql_shows(value: Any, text: str | None) -> None:
    """PostgreSQL's values read as psql prints them."""
    assert client_text(value, family="postgresql") == text


def test_others() -> None:
    """Other databases' clients show truth as a word and bytes as a hexadecimal literal."""
    assert client_text(True, family="duckdb") == "true"
    assert client_text(b"\x0a", family="mysql") == "0x0a"
    assert client_text(dt.timedelta(hours=-1), family="mysql") == "-01:00:00"
