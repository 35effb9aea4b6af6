"""Until when a caller waits: one deadline for a whole call, waits for the store included."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import anyio

from otpcore.errors import StoreError
from otpcore.stores.trouble import listening

__all__ = ["Deadline"]

_RESERVE = 0.1
"""Of the time, for recording what the last provider said."""
_LEAST_CALL = 0.5  # seconds


class Deadline:
    """The end of one call, on the monotonic clock.

    Args:
        seconds: From now; ``otp.send_timeout``.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds until the end; below zero once it has passed."""
        return self._at - time.monotonic()

    def left_for_calls(self) -> float:
        """Seconds in which providers may be called: what they say must still be recorded in time."""
        return self.left() - self._seconds * _RESERVE

    @property
    def is_too_close_for_a_call(self) -> bool:
        """A provider would have no fair chance to answer."""
        return self.left_for_calls() < min(_LEAST_CALL, self._seconds * _RESERVE)

    @contextlib.contextmanager
    def bounding(self, what: str) -> Iterator[None]:
        """Work with the store that ends at the deadline.

        Args:
            what: Follows from it, for people.

        Raises:
            StoreError: The store did not answer in time.
        """
        with listening() as trouble, anyio.move_on_after(self.left()) as scope:
            yield
        if scope.cancelled_caught:
            why = "Something holds a lock in it, or it is overloaded or away; `otp doctor` looks"
            if isinstance(trouble.last, StoreError):
                why = f"Its last words: {trouble.last}"
            raise StoreError(f"the store did not answer within otp.send_timeout ({self._seconds:g} s): {what}. {why}")
