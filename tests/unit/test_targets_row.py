"""Rows answer by name and by position, and look like plain dicts."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from test_rig.targets import Row

COLUMNS = st.lists(st.sampled_from(["a", "b", "count(*)", "col_0", "col_1", "é"]), max_size=6)


@given(COLUMNS)
def test_every_value_is_found_by_its_position(columns: list[str]) -> None:
    """`col_N` gives the Nth value, unless a column is really called so."""
    row = Row(columns, range(len(columns)))
    for index in range(len(columns)):
        name = f"col_{index}"
        expected = max(i for i, c in enumerate(columns) if c == name) if name in columns else index
        assert row[name] == row.get(name) == expected
        assert name in row


@given(COLUMNS)
def test_a_row_looks_like_the_dict_of_its_names(columns: list[str]) -> None:
    """Iterating, `items`, `str`, length and equality know the real names only."""
    row, plain = Row(columns, range(len(columns))), dict(zip(columns, range(9), strict=False))
    assert row == plain
    assert (list(row), list(row.items()), str(row)) == (
        list(plain),
        list(plain.items()),
        str(plain),
    )


def test_columns_of_one_name_keep_their_positions() -> None:
    """The name gives the last one, the positions each."""
    row = Row(("a", "a"), (1, 2))
    assert (row["a"], row["col_0"], row["col_1"], len(row)) == (2, 1, 2, 1)
    assert row.by_position == (1, 2)


@pytest.mark.parametrize(
    "key", ["b", "col_1", "col_-1", "col_", "col_x", "COL_0", "col_" + "9" * 9]
)
def test_what_is_not_there_is_missing_in_every_way(key: str) -> None:
    """`[]` raises `KeyError`, `in` says no, `get` gives the default."""
    row = Row(("a",), (1,))
    with pytest.raises(KeyError, match=key.replace("*", ".")):
        row[key]
    assert key not in row
    assert row.get(key, 7) == 7


@given(COLUMNS)
def test_copies_and_pickles_are_rows_again(columns: list[str]) -> None:
    """A row that went through pickle or copy answers by name and position as before."""
    row = Row(columns, range(len(columns)))
    for again in (pickle.loads(pickle.dumps(row)), copy.copy(row), copy.deepcopy(row), row.copy()):  # noqa: S301 - our own
        assert isinstance(again, Row)
        assert (again, again.by_position) == (row, row.by_position)


def test_names_and_values_must_be_of_one_number() -> None:
    """A row with a column too many is a defect of a dialect, and said so."""
    with pytest.raises(ValueError, match="zip"):
        Row(("a", "b"), (1,))
