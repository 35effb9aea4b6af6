"""The steps in which a retry waits at the broker; pure arithmetic.

Each step is a queue with one fixed time to live, because RabbitMQ lets a message expire at the head of its queue only: a
queue of mixed times would hold short waits behind long ones. A wait is made of the longest step that fits, then the
longest that fits what remains, and so on; what is shorter than the shortest step is waited for by whoever has the message.
"""

from __future__ import annotations

__all__ = ["STEPS", "step_for"]

STEPS = tuple(milliseconds << octave for octave in range(10) for milliseconds in (50, 70))[:-1]
"""Milliseconds, two a doubling, 50 ms to 25.6 s: a wait takes about two steps on average, a long one four.

The steps do not follow ``retry.first_delay`` and ``retry.max_delay``: whatever a deployment changes there, its queues stay
the same, and a wait that a provider asked for needs no queue of its own.
"""

_ON_THE_WAY = 0.008  # seconds that a step takes beyond its time: publish, confirm, dead-letter, deliver


def step_for(wait: float) -> int | None:
    """The step for a wait in seconds, which then is over a little early; None: it is shorter than any step."""
    fitting = (wait - _ON_THE_WAY) * 1000
    return max((step for step in STEPS if step <= fitting), default=None)
