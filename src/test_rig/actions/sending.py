"""What to do with a driver's answers, and how large the next batch may be. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from test_rig.actions.backlog import Parcel
from test_rig.actions.delivery import DELIVERED, Delivery, Fate

if TYPE_CHECKING:
    from test_rig.resilience import RetryConfig

__all__ = ["BatchLimit", "Sorted", "sort_answers"]


@dataclass(slots=True)
class Sorted:
    """A batch, by what becomes of its parcels."""

    delivered: list[Parcel] = field(default_factory=list)
    #: With the reason of each: why it is tried again.
    again: list[tuple[Parcel, Delivery]] = field(default_factory=list)
    #: With reason, detail, and whether the receiver refused it for good.
    dead: list[tuple[Parcel, str, str, bool]] = field(default_factory=list)
    #: The pause before the parcels of `again` are due.
    pause_s: float = 0.0

    @property
    def is_answer(self) -> bool:
        """Whether the receiver is there: it took something, or refused it for good."""
        return bool(self.delivered) or any(final for *_, final in self.dead)


def sort_answers(
    parcels: Sequence[Parcel],
    answers: Sequence[Delivery],
    config: RetryConfig,
    *,
    chance: float,
) -> Sorted:
    """Return what becomes of each parcel of a batch, which was tried once more.

    Args:
        parcels: The batch.
        answers: One for each.
        config: Attempts and pauses.
        chance: A number in [0, 1): the jitter.
    """
    made = Sorted()
    if all(answer is DELIVERED for answer in answers):
        for parcel in parcels:
            parcel.attempts += 1
        made.delivered.extend(parcels)
        return made
    for parcel, answer in zip(parcels, answers, strict=True):
        parcel.attempts += answer.was_tried
        if answer.fate is Fate.DELIVERED:
            made.delivered.append(parcel)
        elif answer.fate is Fate.REJECTED:
            made.dead.append((parcel, answer.reason, answer.detail, True))
        elif parcel.attempts >= config.max_attempts:
            reason = f"given up after {parcel.attempts} attempts: {answer.reason}"
            made.dead.append((parcel, reason, answer.detail, False))
        else:
            made.again.append((parcel, answer))
    made.pause_s = _pause_s(made, config, chance)
    return made


def _pause_s(made: Sorted, config: RetryConfig, chance: float) -> float:
    if not any(answer.was_tried for _, answer in made.again):
        return 0.0
    limit_s = config.longest_delay_s(max(1, *(parcel.attempts for parcel, _ in made.again)))
    wished_s = max((answer.after_s or 0.0) for _, answer in made.again)
    return max(wished_s, chance * limit_s if config.jitter else limit_s)


class BatchLimit:
    """The size of batches: it halves when one fails as a whole, and doubles when one succeeds."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.now = most

    def settle(self, *, has_failed: bool) -> None:
        """Note how a batch ended."""
        self.now = max(1, self.now // 2) if has_failed else min(self._most, self.now * 2)
