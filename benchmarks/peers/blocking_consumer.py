"""A model of the reference's retries: one consumer that sleeps inside its handler, and never asks whether a code is still alive.

Time is simulated. After each failed attempt the handler sleeps 0.5, 1, 2, 4 … seconds, also after the last one; only then
does it take the next event.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["blocking_consumer"]

_FIRST_DELAY = 0.5
_LIFE = 300.0


def blocking_consumer(
    outage: float, rate: float, latency: float, max_retries: int, dead_first: bool
) -> Mapping[str, Any]:
    """What becomes of the sends that failed during an outage.

    Args:
        outage: Seconds; every send in it fails at first and is queued.
        rate: Sends a second.
        latency: Seconds of one provider call.
        max_retries: Attempts of one event.
        dead_first: The first event's number can never be reached.
    """
    now = late = delivered = oldest = 0.0
    count = int(outage * rate)
    for number in range(count):
        queued = number / rate
        now = max(now, queued)
        for attempt in range(max_retries):
            now += latency
            if now - latency >= outage and not (dead_first and number == 0):
                delivered += 1
                late += now - queued > _LIFE
                oldest = max(oldest, now - queued)
                break
            now += _FIRST_DELAY * 2**attempt
    return {
        "drain": now - outage,
        "sent": count,
        "delivered": delivered,
        "late": late,
        "oldest": oldest,
        "errors": 0,
    }
