"""The retry policy: when the next try of a send is due. Pure arithmetic."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta

import attrs

__all__ = ["CLAIM_AHEAD", "RetryPolicy"]

CLAIM_AHEAD = timedelta(milliseconds=25)
"""Retries are claimed and recorded so long before they are due, so that the provider is called when they are."""

_MAX_EXPONENT = 32  # 2**32 first delays outlive every code; clamp before exponentiating


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """Exponential backoff with jitter (DESIGN §8). Seconds throughout.

    Args:
        max_retries: Exactly this many attempts after the first.
        first_delay: Before the first retry; each next delay doubles.
        max_delay: No delay is longer, unless a provider asked for it.
        jitter: Fraction by which a delay may be longer or shorter.
        chance: Uniform random source in [0, 1); a test passes its own.
    """

    max_retries: int = 20
    first_delay: float = 0.5
    max_delay: float = 30.0
    jitter: float = 0.2
    chance: Callable[[], float] = attrs.field(default=random.random, eq=False, repr=False)

    def delay(self, attempts: int, retry_after: float | None = None) -> float:
        """Seconds until the next try.

        Args:
            attempts: How many retries were made already.
            retry_after: The least wait that a provider asked for.
        """
        backoff = min(self.first_delay * 2.0 ** min(attempts, _MAX_EXPONENT), self.max_delay)
        return max(backoff * (1 + self.jitter * (2 * self.chance() - 1)), retry_after or 0.0)
