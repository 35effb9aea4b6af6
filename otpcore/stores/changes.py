"""The outbox: what changed in challenges, for services that stand on a store and tell others of it; frozen values, no I/O."""

from __future__ import annotations

import enum
from datetime import datetime

import attrs

from otpcore.models import ChallengeState

__all__ = ["Change", "ChangeRecord"]


class Change(enum.StrEnum):
    """What changed."""

    SENT = "sent"
    """A provider took a message."""
    DELIVERED = "delivered"
    """The first receipt came that said that a message arrived."""
    UNDELIVERED = "undelivered"
    """A receipt said that a message did not arrive."""
    VERIFIED = "verified"
    """The right code was typed."""
    ENDED = "ended"
    """Sending is over without success, or the challenge has expired or was cancelled."""


@attrs.frozen(kw_only=True)
class ChangeRecord:
    """One change, written in the transaction that made it, until somebody says that it is done.

    Args:
        number: Which; in the order in which they were written, as far as transactions follow one another.
        kind: What changed.
        challenge_id: Whose.
        delivery_id: The message that it is about; empty: the whole challenge.
        state: With ENDED, that of the challenge: unsendable, expired or cancelled.
        happened_at: When.
        due_at: When it may be claimed: at once, later where somebody put it off, or once the lease of a claim is over.
        tries: How often it was claimed.
        token: Of the latest claim; empty: there was none.
    """

    number: int = 0
    kind: Change
    challenge_id: str
    delivery_id: str = ""
    state: ChallengeState | None = None
    happened_at: datetime
    due_at: datetime
    tries: int = 0
    token: str = ""
