"""Operations at the same time: all are awaited, and each end is told."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from test_rig import JoinOutcome, JoinSet, JoinStatus, join


async def _give(value: Any) -> Any:
    await asyncio.sleep(0)
    return value


async def _fail(text: str) -> None:
    raise ValueError(text)


def test_results_come_in_the_order_of_the_operations() -> None:
    """Whichever ends first."""

    async def late() -> str:
        await asyncio.sleep(0.01)
        return "late"

    assert asyncio.run(join(late(), _give("soon"), _give(3))) == ("late", "soon", 3)


def test_all_are_awaited_also_when_one_fails() -> None:
    """The first error is raised, and notes tell of the others."""
    done: list[str] = []

    async def late() -> None:
        await asyncio.sleep(0.01)
        done.append("late")

    with pytest.raises(ValueError, match="one") as caught:
        asyncio.run(join(_fail("one"), late(), _fail("two")))
    assert done == ["late"]
    assert caught.value.__notes__ == ["another operation failed: ValueError: two"]


def test_each_end_of_a_task_is_told() -> None:
    """Completed, failed, panicked; functions run in threads."""

    async def ends() -> list[JoinOutcome]:
        tasks = JoinSet()
        tasks.spawn(_give(1))
        tasks.spawn(_fail("no"))
        tasks.spawn(lambda: 2)
        tasks.spawn(lambda: sys.exit(3))
        assert len(tasks) == 4
        outcomes = await tasks.join_all()
        assert await tasks.join_next() is None
        return outcomes

    outcomes = asyncio.run(ends())
    assert [outcome.index for outcome in outcomes] == [0, 1, 2, 3]
    assert [outcome.status.value for outcome in outcomes] == [
        *("completed", "failed", "completed", "panicked")
    ]
    assert (outcomes[0].result(), outcomes[2].value) == (1, 2)
    with pytest.raises(ValueError, match="no"):
        outcomes[1].result()


def test_leaving_the_block_cancels_what_runs() -> None:
    """And waits for it."""
    ends: list[str] = []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("cancelled")

    async def leaves() -> JoinStatus:
        async with JoinSet() as tasks:
            tasks.spawn(forever())
            tasks.spawn(_give(1))
            first = await tasks.join_next()
            assert first is not None
            return first.status

    assert asyncio.run(leaves()) is JoinStatus.COMPLETED
    assert ends == ["cancelled"]


def test_what_was_aborted_has_panicked() -> None:
    """So nobody takes it for done."""

    async def aborted() -> JoinOutcome | None:
        tasks = JoinSet()
        tasks.spawn(asyncio.sleep(60))
        tasks.abort_all()
        return await tasks.join_next()

    outcome = asyncio.run(aborted())
    assert outcome is not None
    assert outcome.status is JoinStatus.PANICKED
