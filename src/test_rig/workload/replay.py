"""Replays a witness: its statements in its order, as often as wanted, and judged like a workload.

Each transaction has a session and a thread of its own. A step that does not end soon is taken to
wait for another transaction, and the next step is sent; what a blocked session has still to do is
sent when it goes on. Every try has keys of its own, so that it begins with empty lists.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, TimeoutError, wait
from contextlib import ExitStack, suppress
from typing import Any

from test_rig.errors import Outcome, TargetError
from test_rig.history import OpType
from test_rig.targets import LevelSpec, Scratch
from test_rig.verdict import WitnessStep
from test_rig.workload.list_append import ListAppend
from test_rig.workload.list_judge import ListJudge
from test_rig.workload.speech import Speech
from test_rig.workload.workload import Done, Plan, Request, Shown

__all__ = ["replay"]

#: A step that takes longer is taken to wait.
_PATIENCE_S = 0.2
_STATEMENT_S = 5.0
_LISTS = ListAppend()


def replay(
    steps: Sequence[WitnessStep],
    scratch: Scratch,
    level: LevelSpec,
    *,
    times: int,
    on_try: Callable[[int, tuple[Shown, ...]], None],
) -> None:
    """Play a witness several times.

    Args:
        steps: The witness's steps, in order.
        scratch: The private namespace to play in.
        level: Sessions of this level.
        times: How often.
        on_try: Told of each try, from 1 on: what its judge saw.

    Raises:
        TargetError: The tables could not be made, or no session.
    """
    with ExitStack() as stack:
        setup = Speech(stack.enter_context(scratch.connect("setup", level=level)))
        for sql, values in _LISTS.setup(Plan()):
            setup.run(sql, *values)
        names = sorted({step.txn for step in steps})
        players = {name: _Player(scratch, level, name) for name in names}
        for player in players.values():
            stack.callback(player.close)
        keys = max((step.key or 0 for step in steps), default=0) + 1
        for number in range(1, times + 1):
            done = _play(steps, players, number * keys)
            done.append(_final(setup, level, steps, number * keys))
            judge = ListJudge()
            for each in done:
                judge.feed(each)
            on_try(number, judge.shown())


class _Player:
    """One transaction's session and thread."""

    def __init__(self, scratch: Scratch, level: LevelSpec, name: int) -> None:
        self._scratch, self._level, self.name = scratch, level, name
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"T{name}")
        self._speech: Speech | None = None
        self.begin_try()

    def begin_try(self) -> None:
        """Forget the try before."""
        self._asked: list[tuple[str, int, Any]] = []
        self._done: list[tuple[str, int, Any]] = []
        self._ended: OpType | None = None

    def send(self, step: WitnessStep, first_key: int) -> Future[None]:
        """Have the thread take a step, after those that it was given before."""
        return self._thread.submit(self._take, step, first_key)

    def _take(self, step: WitnessStep, first_key: int) -> None:
        if self._ended is not None:
            return
        try:
            self._do(step, first_key)
        except TargetError as error:
            is_unsure = error.outcome is Outcome.INFO
            self._ended = OpType.INFO if is_unsure else OpType.FAIL
            self._roll_back()

    def _do(self, step: WitnessStep, first_key: int) -> None:
        if self._speech is None:
            session = self._scratch.connect(f"T{self.name}", level=self._level)
            self._speech = Speech(session, statement_s=_STATEMENT_S)
        if step.do == "begin":
            self._speech.begin(self._level.begin)
        elif step.do == "commit":
            self._speech.session.commit()
            self._ended = OpType.OK
        else:
            key = first_key + (step.key or 0)
            mop = ("append" if step.do == "append" else "r", key, step.element)
            self._asked.append(mop)
            self._done.extend(_LISTS.perform(self._speech, Request("txn", (mop,))))

    def _roll_back(self) -> None:
        if self._speech is not None:
            with suppress(TargetError):
                self._speech.session.rollback()
            if not self._speech.session.is_usable:
                self._speech = None

    def result(self) -> Done:
        """Return the transaction as an operation of a history."""
        kind = self._ended or OpType.FAIL
        value = tuple(self._done) if kind is OpType.OK else tuple(self._asked)
        return Done(self.name, Request("txn", tuple(self._asked)), kind, value, 0, 1)

    def close(self) -> None:
        """End the thread and close the session."""
        self._thread.shutdown(wait=True)
        if self._speech is not None:
            self._speech.session.close()


def _play(steps: Sequence[WitnessStep], players: dict[int, _Player], first_key: int) -> list[Done]:
    for player in players.values():
        player.begin_try()
    waiting: list[Future[None]] = []
    for step in steps:
        sent = players[step.txn].send(step, first_key)
        with suppress(TimeoutError):
            sent.result(timeout=_PATIENCE_S)
        waiting.append(sent)
    wait(waiting)  # every statement has a deadline
    for future in waiting:
        future.result()
    return [player.result() for player in players.values()]


def _final(speech: Speech, level: LevelSpec, steps: Sequence[WitnessStep], first_key: int) -> Done:
    """Read all lists when the transactions are over, which tells the order of their appends."""
    keys = sorted({first_key + step.key for step in steps if step.key is not None})
    request = Request("txn", tuple(("r", key, None) for key in keys))
    speech.begin(level.begin)
    value = _LISTS.perform(speech, request)
    speech.session.commit()
    return Done(0, request, OpType.OK, value, 2, 3)
