"""When something is tried again: the next try of a send, and what others were in the way of. Pure arithmetic."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import attrs

__all__ = ["RetryPolicy", "backoff"]

_MAX_EXPONENT = 32  # 2**32 first delays outlive every code; clamp before exponentiating


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """Exponential backoff with jitter: each delay doubles, up to the longest. Seconds throughout.

    Args:
        max_retries: So many retries after the first failover, those that are put off not counted.
        first_delay: Before the first retry; each next delay doubles.
        max_delay: No delay is longer, unless a provider asked for it.
        jitter: Fraction by which a delay may be longer or shorter.
        chance: Uniform random source in [0, 1); a test passes its own.
    """

    max_retries: int
    first_delay: float
    max_delay: float
    jitter: float
    chance: Callable[[], float] = attrs.field(default=random.random, eq=False, repr=False)

    def delay(self, attempts: int, retry_after: float | None = None) -> float:
        """Seconds until the next try.

        Args:
            attempts: How many retries were made already.
            retry_after: The least wait that a provider asked for.
        """
        backoff = min(self.first_delay * 2.0 ** min(attempts, _MAX_EXPONENT), self.max_delay)
        return max(backoff * (1 + self.jitter * (2 * self.chance() - 1)), retry_after or 0.0)


def backoff(
    first: float, longest: float, *, growth: float = 2.0, chance: Callable[[], float] = random.random
) -> Iterator[float]:
    """Seconds to wait before one more try, for ever: each time longer, and by half shorter or longer at random.

    Whoever tries has a deadline: those who wait for one another would do it without end.

    Args:
        first: Before the first repetition, on average.
        longest: No wait is longer, on average.
        growth: Each wait is so many times the one before.
        chance: Uniform random source in [0, 1); a test passes its own.
    """
    wait = first
    while True:
        yield wait * (0.5 + chance())
        wait = min(wait * growth, longest)
