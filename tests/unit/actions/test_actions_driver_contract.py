"""The contract of drivers: the rig's own pass it, and one that lies does not."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from test_rig.actions import DELIVERED, Delivery, Driver, Event, create_driver, rejected
from test_rig.testing import DriverContract as Contract  # not collected by itself

SCRIPT = """
def note(event):
    with open({file!r}, "a") as file:
        file.write(event["id"] + "\\n")

on_measurement = on_alert = note
"""


class TestFile(Contract):
    """Lines of a file."""

    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path) -> None:
        """A file for each test."""
        self.file = tmp_path / "out.jsonl"

    def make(self) -> Driver:
        """Return the driver."""
        return create_driver("file", {"path": str(self.file)})

    def received(self) -> Sequence[str]:
        """Return the ids of its lines."""
        return [json.loads(line)["id"] for line in self.file.read_text().splitlines()]

    def unreachable(self) -> Driver:
        """A folder that is a file."""
        (self.file.parent / "file").touch()
        return create_driver("file", {"path": str(self.file.parent / "file" / "out")})


class TestPython(Contract):
    """Calls of a script."""

    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path) -> None:
        """A script for each test, which notes what it gets."""
        self.folder = tmp_path
        (tmp_path / "script.py").write_text(SCRIPT.format(file=str(tmp_path / "got")))

    def make(self) -> Driver:
        """Return the driver."""
        return create_driver("python", {"script_path": str(self.folder / "script.py")})

    def received(self) -> Sequence[str]:
        """Return what the script noted."""
        return (self.folder / "got").read_text().split()

    def unreachable(self) -> Driver:
        """A script that is not there."""
        return create_driver("python", {"script_path": str(self.folder / "no.py")})


class Careless:
    """A driver with one fault."""

    def __init__(self, fault: str, got: list[str]) -> None:
        self.fault, self.got = fault, got

    async def start(self) -> None:
        """Do nothing."""

    async def send(self, batch: Sequence[Event]) -> Sequence[Delivery]:
        """Do wrong."""
        if self.fault == "order":
            self.got += [event.id for event in reversed(batch)]
        elif self.fault != "lies":
            self.got += [event.id for event in batch]
        if self.fault == "refuses":
            return [rejected("nobody is there")] * len(batch)
        return [DELIVERED] * (len(batch) - (self.fault == "short"))

    async def stop(self, *, timeout_s: float) -> None:
        """Do nothing."""


class _Trial(Contract):
    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.got: list[str] = []

    def make(self) -> Driver:
        return Careless(self.fault, self.got)

    def received(self) -> Sequence[str]:
        return self.got

    def unreachable(self) -> Driver:
        return self.make()


ANSWERS = Contract.test_it_answers_for_each_event_and_the_receiver_has_what_was_delivered


@pytest.mark.parametrize(
    ("fault", "test"),
    [
        ("lies", ANSWERS),
        ("short", ANSWERS),
        ("order", Contract.test_events_of_one_key_arrive_in_their_order),
        ("lies", Contract.test_what_is_delivered_again_has_its_id_again),
        ("lies", Contract.test_a_receiver_that_is_not_there_is_waited_for),
        ("refuses", Contract.test_a_receiver_that_is_not_there_is_waited_for),
    ],
)
def test_a_driver_that_does_wrong_fails(fault: str, test: Callable[[Contract], None]) -> None:
    """By the test that is for it."""
    with pytest.raises(AssertionError):
        test(_Trial(fault))
