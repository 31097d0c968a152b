"""What a workload is: the port that each kind fills.

How to think of it: a `Generator` says what to ask next, from a seed alone; a workload `perform`s
one request as one transaction of one session; a `Judge` is fed every ended operation while the
workload runs, and can say at any moment what it has found. Generators and judges know no database,
and a judge keeps a bounded memory of what it was fed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from test_rig.history import OpType
from test_rig.isolation import Level
from test_rig.verdict import WitnessHistory

if TYPE_CHECKING:
    from random import Random

    from test_rig.workload.speech import Speech

__all__ = ["Done", "Flaw", "Generator", "Judge", "Plan", "Request", "Shown", "Workload"]

#: One SQL text and the values of its placeholders, marked `?` whatever the database.
Statement = tuple[str, tuple[Any, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much of it, how long, how fast."""

    time_s: float = 10.0
    #: Sessions that work at the same time, a thread each.
    clients: int = 10
    #: Where chance starts.
    seed: int = 0
    #: Transactions a second that are offered in all; as many as the clients can if None.
    rate: float | None = None
    #: Keys in use at a time: the fewer, the more conflicts.
    keys: int = 8
    #: A key is left for a new one after so many writes, which keeps what is read short.
    writes_per_key: int = 32
    #: The most reads and writes of one transaction.
    ops: int = 5
    #: A pause of the client between the statements of a transaction: it widens the windows.
    pause_s: float = 0.0
    #: A statement that takes longer is cancelled, and its session replaced.
    statement_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Request:
    """What one transaction is to do. `f` and `value` are the history's; JSON can say both."""

    f: str
    value: Any = None


@dataclass(frozen=True, slots=True)
class Done:
    """One operation that has ended: what was asked, what came of it, and when."""

    process: int
    request: Request
    type: OpType
    #: What came back where it is ok; otherwise what had been asked for.
    value: Any
    start_ns: int
    end_ns: int
    #: When it was due where a rate is offered, otherwise when it was sent.
    due_ns: int = 0
    #: The failure's kind, and the code that told it.
    error: str | None = None
    code: str | None = None
    #: The statements that were sent.
    sql: str | None = None

    @property
    def failure(self) -> str | None:
        """The failure's kind and code in one."""
        return f"{self.error} ({self.code})" if self.error and self.code else self.error


class Flaw:
    """One kind of anomaly that a judge looks for.

    Args:
        anomaly: The name that the literature or the glossary has.
        means: What was seen, in words.
        forbidden_by: The levels that forbid it; empty where no level speaks of it.
    """

    __slots__ = ("anomaly", "forbidden_by", "means")

    def __init__(self, anomaly: str, means: str, forbidden_by: frozenset[Level]) -> None:
        self.anomaly, self.means, self.forbidden_by = anomaly, means, forbidden_by


def _none() -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a judge has seen of one flaw."""

    flaw: Flaw
    count: int
    #: The first few, each in a sentence.
    witnesses: tuple[str, ...]
    #: Makes the smallest history that shows it, of the transactions that a judge remembers.
    evidence: Callable[[], WitnessHistory | None] = field(default=_none, compare=False)


class Generator(Protocol):
    """Says what to ask next. The same plan and seed give the same requests."""

    def request(self) -> Request:
        """Return the next request, whoever will perform it."""

    def final(self) -> Sequence[Request]:
        """Return what to ask when nobody else works any more: reads of what is left."""


class Judge(Protocol):
    """Looks for flaws in what it is fed. It is asked while it is fed by nobody."""

    def feed(self, done: Done) -> None:
        """Take one ended operation; they come in the order of their ends."""

    def shown(self) -> tuple[Shown, ...]:
        """Return what was found so far."""

    def coverage(self) -> tuple[tuple[str, int], ...]:
        """Return how often each flaw had the chance to show itself: (what, count)."""


class Workload(Protocol):
    """One kind of workload."""

    name: str
    #: What it does and looks for, in a sentence.
    about: str

    def setup(self, plan: Plan) -> Sequence[Statement]:
        """Return what makes its tables, in order."""

    def generator(self, plan: Plan, random: Random) -> Generator:
        """Return a new generator."""

    def perform(self, speech: Speech, request: Request) -> Any:
        """Do what is asked within the open transaction; return the value of the operation."""

    def judge(self, plan: Plan) -> Judge:
        """Return a new judge."""
