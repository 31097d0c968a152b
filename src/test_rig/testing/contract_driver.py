"""What every driver of actions must do, as tests that people's own drivers can pass.

How to use it: subclass `DriverContract` in a test module, name the class `Test...`, and say how a
driver is made and what its receiver got::

    class TestShout(DriverContract):
        def make(self) -> Driver:
            return Shout(self.place)

        def received(self) -> list[str]:
            return [line.split()[0] for line in Path(self.place).read_text().splitlines()]

`unreachable` makes a driver whose receiver is not there; without it that test is skipped.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from unittest import SkipTest

from test_rig.actions import (
    AlertEvent,
    ClearEvent,
    Delivery,
    Driver,
    Event,
    Fate,
    MeasurementEvent,
    TellsStatus,
)

__all__ = ["DriverContract"]

#: Longer than anything here takes, and shorter than a test's own limit.
PATIENCE_S = 20.0


class DriverContract:
    """The contract of a driver. See the module for how to use it."""

    def make(self) -> Driver:
        """Return a driver that was not started, whose receiver works."""
        raise NotImplementedError

    def received(self) -> Sequence[str]:
        """Return the ids of the events that the receiver got, in the order of their coming."""
        raise NotImplementedError

    def unreachable(self) -> Driver | None:
        """Return a driver whose receiver is not there; None: there is none such."""
        return None

    def test_it_answers_for_each_event_and_the_receiver_has_what_was_delivered(self) -> None:
        """Of each kind; *delivered* is no promise for later."""
        batch: list[Event] = [*_measurements("m", 5), _alert("a"), _clearing("c")]
        answers = self._sent(self.make(), batch)[0]
        assert len(answers) == len(batch)
        assert all(isinstance(each, Delivery) for each in answers)
        got = set(self.received())
        for event, answer in zip(batch, answers, strict=True):
            assert answer.fate is not Fate.RETRY, f"{event.id}: {answer.reason}"
            if answer.fate is Fate.DELIVERED and not isinstance(event, ClearEvent):
                assert event.id in got, f"{event.id} is said to be delivered"

    def test_events_of_one_key_arrive_in_their_order(self) -> None:
        """Within a batch, and from one batch to the next."""
        first, second = _measurements("m", 40), _measurements("n", 40)
        self._sent(self.make(), first, second)
        mine = {event.id for event in (*first, *second)}
        got = [each for each in self.received() if each in mine]
        assert got == [event.id for event in (*first, *second)]

    def test_what_is_delivered_again_has_its_id_again(self) -> None:
        """By which the receiver knows it."""
        batch = _measurements("m", 3)
        self._sent(self.make(), batch, batch)
        assert set(self.received()) >= {event.id for event in batch}

    def test_events_are_not_changed(self) -> None:
        """Other drivers get the same ones."""
        batch: list[Event] = [*_measurements("m", 3), _alert("a")]
        before = repr(batch)
        self._sent(self.make(), batch)
        assert repr(batch) == before

    def test_a_receiver_that_is_not_there_is_waited_for(self) -> None:
        """Nothing is called delivered, and nothing is refused for good."""
        driver = self.unreachable()
        if driver is None:
            raise SkipTest("there is no such receiver")

        async def trial() -> Sequence[Delivery]:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await driver.start()
                    return await driver.send(_measurements("m", 3))
            except Exception:  # noqa: BLE001 -- whatever it raises means *again later*
                return []
            finally:
                await driver.stop(timeout_s=1.0)

        assert {answer.fate for answer in asyncio.run(trial())} <= {Fate.RETRY}

    def test_it_can_be_stopped_before_it_was_started(self) -> None:
        """As it happens to a driver whose start fails."""

        async def trial() -> None:
            await self.make().stop(timeout_s=PATIENCE_S)

        asyncio.run(trial())

    def test_stopping_keeps_its_limit(self) -> None:
        """With much patience for a busy machine."""

        async def trial() -> float:
            driver = self.make()
            await driver.start()
            await driver.send(_measurements("m", 2))
            begun = time.monotonic()
            await driver.stop(timeout_s=1.0)
            return time.monotonic() - begun

        assert asyncio.run(trial()) < 1.0 + PATIENCE_S

    def test_its_status_is_plain_data(self) -> None:
        """Where it tells one."""

        async def trial() -> object:
            driver = self.make()
            if not isinstance(driver, TellsStatus):
                raise SkipTest("it has no status")
            await driver.start()
            try:
                return dict(await driver.status())
            finally:
                await driver.stop(timeout_s=PATIENCE_S)

        assert json.dumps(asyncio.run(trial()))

    def _sent(self, driver: Driver, *batches: Sequence[Event]) -> list[Sequence[Delivery]]:
        async def trial() -> list[Sequence[Delivery]]:
            await driver.start()
            try:
                return [await driver.send(batch) for batch in batches]
            finally:
                await driver.stop(timeout_s=PATIENCE_S)

        return asyncio.run(trial())


def _measurements(mark: str, count: int) -> list[MeasurementEvent]:
    now_ns = time.time_ns()
    return [
        MeasurementEvent(
            id=f"{mark}{number}",
            name="latency",
            value=float(number),
            unit="ms",
            labels={"target": "contract"},
            source_node_id="contract",
            timestamp=now_ns / 1e9,
            timestamp_ns=now_ns,
        )
        for number in range(count)
    ]


def _alert(id: str) -> AlertEvent:
    now_ns = time.time_ns()
    return AlertEvent(
        id=id,
        alert_type="contract",
        severity="info",
        message="a test of the driver",
        source_node_id="contract",
        timestamp=now_ns / 1e9,
        timestamp_ns=now_ns,
    )


def _clearing(id: str) -> ClearEvent:
    now_ns = time.time_ns()
    return ClearEvent(id=id, timestamp=now_ns / 1e9, timestamp_ns=now_ns)
