"""The judge of transactions of lists and registers: the checker, asked while they run.

How to think of it: the checker judges all there is, again and again, as long as that is not more
than fits (`Window`); then the older half goes. What the checker told of those that have gone is
remembered: how often, and the smallest history that shows it. As long as nothing has gone the last
answer is the checker's on the whole history.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from test_rig.checker import Seen, check, one_of_each, witness_of
from test_rig.history import History
from test_rig.verdict import WitnessHistory
from test_rig.workload.chances import Chances
from test_rig.workload.flaws import seen_in_history
from test_rig.workload.transactions import Mops, Transactions, as_asked
from test_rig.workload.window import Window
from test_rig.workload.workload import Done, Shown

__all__ = ["HistoryJudge"]

#: So many transactions are judged together at most.
_MOST = 400_000
#: So many sentences are kept of each anomaly.
_KEPT = 5


class HistoryJudge:
    """Judges transactions of one model. One thread feeds and takes, another one may ask.

    Args:
        model: "list-append" or "rw-register".
        mops: What an operation did.
        most: So many transactions are judged together at most.
    """

    def __init__(self, model: str, *, mops: Mops = as_asked, most: int = _MOST) -> None:
        self.model = model
        self.transactions = Transactions(mops)
        self._waiting: deque[History] = deque()
        self._window = Window(most)
        self._chances = Chances()
        self._shown: tuple[Shown, ...] = ()
        #: Of those that have gone: by anomaly how often, and what shows it.
        self._counts: dict[str, int] = {}
        self._best: dict[str, WitnessHistory] = {}
        self._told: dict[str, list[str]] = {}

    def feed(self, done: Done) -> None:
        """Take one ended operation; it is judged once it has been handed out."""
        self.transactions.ended(done)

    def take(self, levels: Mapping[int, str], *, is_over: bool = False) -> History:
        """Return what can be judged since the last call; `shown` judges it.

        Args:
            levels: What the server said of the level, by process.
            is_over: Nothing more comes.
        """
        open_since = self.transactions.open_since_ns
        part = self.transactions.take(levels, is_over=is_over)
        if len(part):
            self._chances.add(part, open_since_ns=open_since)
            self._waiting.append(part)
        return part

    def shown(self) -> tuple[Shown, ...]:
        """Judge what was handed out, where there is more than before, and return what it shows."""
        if self._waiting:
            while self._waiting:
                self._window.add(self._waiting.popleft())
            self._look()
        return self._shown

    @property
    def gone(self) -> int:
        """How many transactions were no longer judged together with the last ones."""
        return self._window.gone

    @property
    def total(self) -> int:
        """How many transactions were handed out and judged."""
        return self._window.gone + len(self._window)

    def judge_whole(self, history: History) -> None:
        """Judge all transactions together; what the parts showed is in it again."""
        self._counts, self._best, self._told = {}, {}, {}
        self._window = Window(len(history))
        self._show(history, check(history, model=self.model).seen)

    def coverage(self) -> tuple[tuple[str, int], ...]:
        """Return how often each anomaly had the chance to show itself."""
        return self._chances.told()

    def _look(self) -> None:
        history = self._window.history()
        seen = check(history, model=self.model).seen
        if surplus := self._window.surplus:
            self._remember(history, [each for each in seen if min(each.transactions) < surplus])
            seen = tuple(each for each in seen if min(each.transactions) >= surplus)
        self._show(history, seen)
        if surplus:
            self._window.drop(surplus)

    def _show(self, history: History, seen: Iterable[Seen]) -> None:
        of = _by_anomaly(seen)
        self._shown = tuple(
            Shown(
                flaw=seen_in_history(anomaly),
                count=self._counts.get(anomaly, 0) + len(of.get(anomaly, ())),
                witnesses=tuple(self._sentences(anomaly, of.get(anomaly, ()))),
                evidence=self._evidence(anomaly, of.get(anomaly, ()), history),
            )
            for anomaly in dict.fromkeys([*self._counts, *of])
        )

    def _remember(self, history: History, seen: Iterable[Seen]) -> None:
        """Keep of what goes how often it was seen, and the smallest history that shows it."""
        every = _by_anomaly(seen)
        for anomaly, those in every.items():
            self._counts[anomaly] = self._counts.get(anomaly, 0) + len(those)
            self._told[anomaly] = self._sentences(anomaly, those)
            best = self._evidence(anomaly, those, history)()
            if best is not None:
                self._best[anomaly] = best

    def _sentences(self, anomaly: str, seen: Sequence[Seen]) -> list[str]:
        return [*self._told.get(anomaly, ()), *("; ".join(each.why) for each in seen)][:_KEPT]

    def _evidence(
        self, anomaly: str, seen: Sequence[Seen], history: History
    ) -> Callable[[], WitnessHistory | None]:
        return partial(_smallest, self._best.get(anomaly), seen, history)


def _by_anomaly(seen: Iterable[Seen]) -> dict[str, list[Seen]]:
    found: dict[str, list[Seen]] = {}
    for each in seen:
        found.setdefault(each.anomaly, []).append(each)
    return found


def _smallest(
    known: WitnessHistory | None, seen: Sequence[Seen], history: History
) -> WitnessHistory | None:
    """Return the witness of the fewest transactions; what is known counts as well."""
    for each in one_of_each(seen):
        if known is None or len(each.transactions) < len(known.members):
            return witness_of(history, each)
    return known
