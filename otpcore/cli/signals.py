"""Signals that end a command which works until it is told to end."""

from __future__ import annotations

import signal
import time
from types import FrameType

__all__ = ["ENDING", "let_another_stop_at_once"]

ENDING = (signal.SIGTERM, signal.SIGINT)
"""What tells a command to finish what is under way."""

_APART = 0.5  # seconds within which a second one is the first, told to a whole group and passed on to each


def let_another_stop_at_once() -> None:
    """From now on, in the main thread, a signal of ``ENDING`` ends the process as if it had no handler.

    For a command that was told to end and closes what it has open: ``KeyboardInterrupt`` amid that may let it wait for ever.
    What comes within half a second is the signal before, passed on once more.
    """
    since = time.monotonic()

    def stop(number: int, _: FrameType | None) -> None:
        if time.monotonic() - since >= _APART:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    for number in ENDING:
        signal.signal(number, stop)
