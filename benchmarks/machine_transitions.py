"""How many transitions a second, beside two libraries of state machines?

Two states lead to each other; at every transition three functions of the user's are called that do
nothing: on the way out, on the way, on the way in. The machine of the rig traces every call with
its time, checks every answer and watches every call's time limit meanwhile; the libraries
(python-statemachine, transitions) do none of these. All run in the same process, in turns, the rig
for five times as many transitions, so that its part of a round is long enough. What counts is the
median of the rounds' ratios: a processor whose speed changes from one second to the next changes it
for all of a round.

    python benchmarks/machine_transitions.py [--rounds 15] [--transitions 20000] [--json FILE]
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from itertools import chain, repeat
from operator import truediv
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from statemachine import State as LibraryState
from statemachine import StateMachine as LibraryMachine
from transitions import Machine as TransitionsMachine

from test_rig.machine import DynamicStateMachine, Limits, StateContext, StateHandler

#: What the machine shall be at least, in multiples of each library.
GOAL = 10
#: So many times the transitions of the others the rig makes in a round.
REPEATS = 5


class _Hopping(StateHandler):
    """Goes to the other state until it has done so often enough."""

    def __init__(self, other: str, hops: int) -> None:
        self.other = other
        self.next_answer = chain(repeat(other, hops), ["Completed"]).__next__

    def enter(self, context: StateContext) -> str:
        return self.other

    def execute(self, context: StateContext) -> str:
        return self.next_answer()

    def exit(self, context: StateContext) -> None:
        return None


class _Start(StateHandler):
    """Leads to the first of both."""

    def execute(self, context: StateContext) -> str:
        return "ping"


def with_test_rig(count: int) -> float:
    """Return transitions a second of the rig's machine."""
    hops = REPEATS * count
    machine = DynamicStateMachine(limits=Limits(transitions=hops + 2))
    machine.register_handler("Initial", _Start)
    machine.register_handler("ping", _Hopping("pong", hops // 2))
    machine.register_handler("pong", _Hopping("ping", hops // 2))
    started = time.perf_counter()
    result = machine.run()
    seconds = time.perf_counter() - started
    assert result.passed, result.error
    assert len(result.trace) == 3 * (hops + 2)
    return (hops + 1) / seconds


class _LibraryPingPong(LibraryMachine):
    """The same for python-statemachine."""

    ping = LibraryState(initial=True)
    pong = LibraryState()
    hop = ping.to(pong) | pong.to(ping)

    def on_exit_ping(self) -> None:
        return None

    on_exit_pong = on_enter_ping = on_enter_pong = on_hop = on_exit_ping


def with_python_statemachine(count: int) -> float:
    """Return transitions a second of python-statemachine."""
    machine = _LibraryPingPong()
    started = time.perf_counter()
    for _ in range(count):
        machine.hop()
    return count / (time.perf_counter() - started)


class _Model:
    """The same for transitions."""

    def on_exit_ping(self) -> None:
        return None

    on_exit_pong = on_enter_ping = on_enter_pong = on_hop = on_exit_ping


def with_transitions(count: int) -> float:
    """Return transitions a second of transitions."""
    model = _Model()
    machine = TransitionsMachine(model, states=["ping", "pong"], initial="ping")
    machine.add_transition("hop", "ping", "pong", before="on_hop")
    machine.add_transition("hop", "pong", "ping", before="on_hop")
    started = time.perf_counter()
    for _ in range(count):
        model.hop()  # type: ignore[attr-defined]  # the library adds it
    return count / (time.perf_counter() - started)


CONTENDERS: dict[str, Callable[[int], float]] = {
    "test-rig": with_test_rig,
    "python-statemachine": with_python_statemachine,
    "transitions": with_transitions,
}


def measured(rounds: int, count: int) -> dict[str, list[float]]:
    """Return the rates of every round, the contenders taking turns."""
    rates: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for run in CONTENDERS.values():
        run(count // 10)  # warm up
    for _ in range(rounds):
        for name, run in CONTENDERS.items():
            gc.collect()
            rates[name].append(run(count))
    return rates


def main() -> None:
    """Measure, print, and keep the numbers where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--transitions", type=int, default=20_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rates = measured(options.rounds, options.transitions)
    medians = {name: statistics.median(each) for name, each in rates.items()}
    versions = {name: version(name) for name in CONTENDERS if name != "test-rig"}
    print(
        f"Python {platform.python_version()}, {options.rounds} rounds of "
        f"{options.transitions} transitions, in turns"
    )
    for name, median in medians.items():
        ratio = statistics.median(map(truediv, rates["test-rig"], rates[name]))
        goal = "" if name == "test-rig" else f"   {ratio:5.1f} x   goal: {GOAL} x"
        spread = f"{min(rates[name]):9,.0f} .. {max(rates[name]):9,.0f}"
        label = f"{name} {versions.get(name, '')}".strip()
        print(f"{label:28} {median:9,.0f} transitions/s   ({spread}){goal}")
    if options.json is not None:
        options.json.write_text(
            json.dumps({"rates": rates, "medians": medians, "versions": versions}, indent=2)
        )


if __name__ == "__main__":
    main()
