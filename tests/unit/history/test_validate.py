"""What histories are refused for, wherever the parts are cut in which they are looked at."""

from __future__ import annotations

import sys
from collections import defaultdict
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from test_rig.errors import HistoryError
from test_rig.history import HistoryBuilder, OpType, validate

_MODULE = sys.modules["test_rig.history.validate"]

#: Session, start, duration, and the keys and values that were written.
ROWS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(0, 40),
        st.integers(0, 4),
        st.lists(
            st.tuples(st.integers(-2, 2), st.integers(-1, 4) | st.sampled_from([-(2**62), 2**62])),
            max_size=2,
        ),
    ),
    max_size=9,
)


@given(rows=ROWS, is_sorted=st.booleans(), size=st.integers(1, 4))
def test_a_history_is_refused_where_a_session_overlaps_or_a_value_is_written_twice(
    rows: list[tuple[int, int, int, list[tuple[int, int]]]], is_sorted: bool, size: int
) -> None:
    """Every overlap and every second write is told, and nothing else."""
    builder = HistoryBuilder()
    for session, start, duration, writes in sorted(rows) if is_sorted else rows:
        mops = [("w", key, value) for key, value in writes]
        builder.record(str(session), OpType.OK, mops, start=start, end=start + duration)
    history = builder.history()
    spans = defaultdict(list)
    for session, start, duration, _ in rows:
        spans[session].append((start, start + duration))
    overlaps = sum(
        one[1] > other[0] for each in spans.values() for one, other in pairwise(sorted(each))
    )
    written = [each for *_, writes in rows for each in writes]
    twice = len(written) - len(set(written))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_MODULE, "_AT_ONCE", size)
        if not overlaps + twice:
            validate(history)
            return
        with pytest.raises(HistoryError) as raised:
            validate(history)
    assert len(raised.value.problems) == overlaps + twice
