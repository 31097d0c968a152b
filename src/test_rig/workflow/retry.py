"""How often a task is tried, and how long it waits in between.

How to think of it: a policy is a value; `delay_s` is arithmetic over it and a number of chance that
the caller draws. When the next attempt is due is recorded with the failed one, so that a restart
neither forgets an attempt nor hurries the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["RetryPolicy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """After the first attempt: how many more, and after which waits.

    >>> policy = RetryPolicy(retries=3, delay_s=1, backoff="exponential", jitter=False)
    >>> [policy.wait_s(failure, 0.0) for failure in (1, 2, 3)]
    [1.0, 2.0, 4.0]
    """

    #: Attempts after the first one.
    retries: int = 0
    #: The wait before the first retry.
    delay_s: float = 1.0
    backoff: Literal["fixed", "linear", "exponential"] = "exponential"
    #: No wait is longer.
    max_delay_s: float = 60.0
    #: Whether a wait is drawn between half of it and the whole.
    jitter: bool = True
    #: Only failures of these exceptions' names are tried again; of all if empty.
    only: tuple[str, ...] = ()

    def wait_s(self, failures: int, chance: float) -> float:
        """Return how long to wait after the `failures`-th failure; `chance` is in [0, 1)."""
        if self.backoff == "fixed":
            wait = self.delay_s
        elif self.backoff == "linear":
            wait = self.delay_s * failures
        else:
            wait = self.delay_s * 2.0 ** min(failures - 1, 60)
        wait = float(min(wait, self.max_delay_s))
        return wait * (0.5 + chance / 2) if self.jitter else wait

    def may_retry(self, failures: int, error_names: tuple[str, ...]) -> bool:
        """Return whether a task that failed so often, lastly so, is tried again."""
        if failures > self.retries:
            return False
        return not self.only or bool(set(self.only) & set(error_names))

    def problems(self) -> list[str]:
        """Return what is wrong with these numbers."""
        found = []
        if isinstance(self.retries, bool) or not isinstance(self.retries, int) or self.retries < 0:
            found.append(f"retries={self.retries!r} is no number of attempts")
        for name in ("delay_s", "max_delay_s"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                found.append(f"{name}={value!r} is no time in seconds")
        if self.backoff not in ("fixed", "linear", "exponential"):
            found.append(f"backoff={self.backoff!r} is none of fixed, linear, exponential")
        return found
