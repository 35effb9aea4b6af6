"""What operators see of lists and of counts over time: frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal

import attrs

from otpcore.operator.results.shown import Shown
from otpcore.prices import Price

__all__ = ["ChallengeListed", "ChallengePage", "CostSeen", "CostsSeen", "DeliveryListed", "DeliveryPage", "SeriesStep"]


@attrs.frozen(kw_only=True)
class ChallengeListed(Shown):
    """A challenge in a list; ``challenges.show`` tells what happened to it.

    Args:
        id: Of the challenge.
        phone: Masked, or revealed.
        purpose: Of the code.
        app: Of the host's apps, or empty.
        verifiable: False: a message that was only relayed.
        state: As in `Challenge`.
        living: It is neither over nor expired.
        reason: Why sending ended without success; None: it did not.
        provider: Who took the message, or was tried last; None: no one yet.
        attempts: Verification attempts used up.
        first_sent_at: Aware UTC.
        expires_at: Aware UTC.
    """

    id: str
    phone: str = attrs.field(repr=False)
    purpose: str
    app: str
    verifiable: bool
    state: str
    living: bool
    reason: str | None
    provider: str | None
    attempts: int
    first_sent_at: datetime
    expires_at: datetime


@attrs.frozen(kw_only=True)
class ChallengePage(Shown):
    """Some challenges of a list.

    Args:
        items: May be fewer than were asked for, or none, though more follow.
        cursor: What ``after`` takes for those that follow; None: there are none.
    """

    items: tuple[ChallengeListed, ...]
    cursor: str | None


@attrs.frozen(kw_only=True)
class DeliveryListed(Shown):
    """A delivery in a list.

    Args:
        id: Ours.
        challenge_id: Whose; ``challenges.show`` tells what else happened to it, as long as it is kept.
        phone: Masked; None: its challenge is no longer kept.
        purpose: Of the code; None: likewise.
        app: Of the host's apps, or empty; None: likewise.
        provider: The instance.
        prefix: The rule prefix by which the number came there; empty: by default.
        channel: Over which.
        outcome: ``accepted``, the kind of failure, or ``open``: it is not known yet.
        provider_code: The vendor's error code; None: none.
        reference: The vendor's id; None: unknown.
        is_retry: Made by a retry.
        recorded_at: Aware UTC; just before the call.
        answered_at: Aware UTC; when the answer was written; None: it was not.
        delivered_at: Aware UTC; when a receipt said that it had arrived; None: none did.
        price: What the vendor charges, as it said last; None: it did not say.
    """

    id: str
    challenge_id: str
    phone: str | None = attrs.field(repr=False)
    purpose: str | None
    app: str | None
    provider: str
    prefix: str
    channel: str
    outcome: str
    provider_code: str | None
    reference: str | None
    is_retry: bool
    recorded_at: datetime
    answered_at: datetime | None
    delivered_at: datetime | None
    price: Price | None


@attrs.frozen(kw_only=True)
class DeliveryPage(Shown):
    """Some deliveries of a list.

    Args:
        items: May be fewer than were asked for, or none, though more follow.
        cursor: What ``after`` takes for those that follow; None: there are none.
    """

    items: tuple[DeliveryListed, ...]
    cursor: str | None


@attrs.frozen(kw_only=True)
class CostSeen(Shown):
    """What some deliveries cost.

    Args:
        day: On which they were recorded, in UTC; None where costs are not told apart by it.
        instance: Likewise.
        prefix: The rule prefix, likewise.
        channel: Likewise.
        sums: By currency, what their vendors charge, as they said last; exact.
        priced: How many of them are in the sums.
        unpriced: How many left, or may have, while their vendors said no price.
    """

    day: date | None = None
    instance: str | None = None
    prefix: str | None = None
    channel: str | None = None
    sums: Mapping[str, Decimal]
    priced: int
    unpriced: int


@attrs.frozen(kw_only=True)
class CostsSeen(Shown):
    """What the deliveries of a filter cost.

    Args:
        items: In the order of what they are told apart by; none: nothing left.
        is_whole: False: older ones were not looked at.
    """

    items: tuple[CostSeen, ...]
    is_whole: bool


@attrs.frozen(kw_only=True)
class SeriesStep(Shown):
    """What happened in one step of time. Nothing is told of steps in which nothing happened.

    Waits are in seconds, off by an eighth at most; None: there were none.

    Args:
        starts_at: Aware UTC.
        instance: None where steps are not told apart by it.
        prefix: The rule prefix, likewise.
        channel: Likewise.
        accepted: Messages that a provider took, whatever became of them.
        failed: Messages that were not accepted, by what became of them.
        delivered: Messages of which a receipt said that they arrived.
        verified: Challenges whose right code was typed.
        delivery_p50: From acceptance to the receipt, for half of those that were delivered.
        delivery_p95: For 95 of 100.
        verification_p50: From acceptance to the right code, for half of those that were verified.
        verification_p95: For 95 of 100.
    """

    starts_at: datetime
    instance: str | None = None
    prefix: str | None = None
    channel: str | None = None
    accepted: int = 0
    failed: Mapping[str, int] = attrs.field(factory=dict)
    delivered: int = 0
    verified: int = 0
    delivery_p50: float | None = None
    delivery_p95: float | None = None
    verification_p50: float | None = None
    verification_p95: float | None = None
