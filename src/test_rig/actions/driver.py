"""The port that every driver fills, and what it says of each event that it was given.

A driver takes batches and answers for each event: delivered, again later, or never. Everything else
(queue, order, retries, breaker, spool, dead letters) is the business of the pipe in front of it.

A driver keeps the order of events with one key (`key_of`): once it answers *again later* for an
event, it answers the same, without sending, for the later events of that key in the batch.
`in_key_order` does that for drivers that send one event at a time.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from test_rig.actions.delivery import DELIVERED, Delivery, Fate
from test_rig.actions.event import Event, key_of
from test_rig.actions.options import Options
from test_rig.resilience import clean_message
from test_rig.telemetry import Emit, emit_nothing

__all__ = ["Driver", "DriverContext", "DriverType", "TellsStatus", "end_of", "in_key_order", "told"]


class Driver(Protocol):
    """Delivers batches of events. All methods run on the event loop of the driver's own pipe."""

    async def start(self) -> None:
        """Get ready. What it raises is told, and tried again with growing pauses."""

    async def send(self, batch: Sequence[Event]) -> Sequence[Delivery]:
        """Deliver a batch and answer for each event, in the batch's order.

        What it raises counts as *again later* for the whole batch. Without an answer within the
        pipe's `timeout_s` it is cancelled, which counts as the same.
        """

    async def stop(self, *, timeout_s: float) -> None:
        """Flush and let go of everything, within the limit. Called once, also after a failure."""


@runtime_checkable
class TellsStatus(Protocol):
    """A driver that has more to say of itself than its pipe knows."""

    async def status(self) -> Mapping[str, Any]:
        """Return plain data, only what is true now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverContext:
    """What a driver is given beside its options."""

    #: Its name in the settings.
    name: str = "driver"
    #: A folder of its own, which is there, for what must survive a restart; None: nothing can be
    #: kept.
    folder: Path | None = None
    #: For alerts of its own, such as a script that was not taken.
    emit: Emit = emit_nothing
    #: Chance, for jitter.
    rng: random.Random = field(default_factory=random.Random)


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverType:
    """A kind of driver: what a driver's file offers as `DRIVER`."""

    name: str
    #: One sentence.
    about: str
    options: type[Options]
    #: Makes a driver of checked options.
    make: Callable[[Any, DriverContext], Driver]
    #: The most events in one batch, where the settings do not say.
    batch_size: int = 256
    #: How many batches are on their way at a time. With more than one the driver itself keeps the
    #: order over batches: after *again later* for a key it says the same in the next ones.
    in_flight: int = 1


async def in_key_order(
    batch: Sequence[Event],
    send_one: Callable[[Event], Awaitable[Delivery]],
    *,
    concurrency: int,
) -> list[Delivery]:
    """Send events one by one: those of one key in turn, different keys at the same time.

    Args:
        batch: The events.
        send_one: Delivers one event; must not raise.
        concurrency: How many are sent at the same time, at most.
    """
    answers: list[Delivery] = [DELIVERED] * len(batch)
    by_key: dict[str, list[int]] = {}
    for index, event in enumerate(batch):
        by_key.setdefault(key_of(event), []).append(index)
    waiting = list(reversed(by_key.values()))

    async def work() -> None:
        while waiting:
            indexes = waiting.pop()
            before: Delivery | None = None
            for index in indexes:
                if before is None:
                    answers[index] = await send_one(batch[index])
                    if answers[index].fate is Fate.RETRY:
                        before = answers[index]
                else:
                    # No attempt: else one that is refused again and again takes the others along.
                    answers[index] = Delivery(
                        Fate.RETRY, "waits for an earlier event", before.after_s, was_tried=False
                    )

    async with asyncio.TaskGroup() as group:
        for _ in range(min(concurrency, len(waiting))):
            group.create_task(work())
    return answers


async def end_of(task: asyncio.Task[None], *, within_s: float) -> str | None:
    """Return why a task failed; None where it did not. One that still runs is cancelled."""
    if not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=within_s)
    if not task.done() or task.cancelled():
        return "no answer in time"
    error = task.exception()
    return None if error is None else told(error)


def told(exc: BaseException) -> str:
    """Return an exception in one line, without secrets."""
    return f"{type(exc).__name__}: {clean_message(exc)}" if str(exc) else type(exc).__name__
