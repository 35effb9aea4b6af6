"""What operators see of challenges and their retries: frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import attrs

from otpcore.operator.results.shown import Shown
from otpcore.prices import Price

__all__ = [
    "ChallengeSeen",
    "DeliverySeen",
    "Ended",
    "Matching",
    "Moment",
    "RetryPage",
    "RetrySeen",
]


@attrs.frozen(kw_only=True)
class DeliverySeen(Shown):
    """One attempt to hand a message to one provider.

    Args:
        id: Ours.
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
class RetrySeen(Shown):
    """A send that waits for its next try, or is under way.

    Args:
        challenge_id: Whose.
        phone: Masked, or revealed.
        channel: Over which.
        purpose: Of the code.
        attempts: Retries so far.
        under_way: A process is at it.
        due_at: Aware UTC.
        begun_at: Aware UTC; when the first send of the challenge began.
        expires_at: Aware UTC; from then on its code is of no use, and nothing is sent.
        provider: The instance that it tried last; None: it has tried none yet.
        prefix: The rule prefix by which the number came there; empty: by default.
        outcome: What that came to: ``accepted``, the kind of failure, or ``open``; None: it has tried none yet.
        provider_code: The vendor's error code; None: none.
    """

    challenge_id: str
    phone: str = attrs.field(repr=False)
    channel: str
    purpose: str
    attempts: int
    under_way: bool
    due_at: datetime
    begun_at: datetime
    expires_at: datetime
    provider: str | None = None
    prefix: str = ""
    outcome: str | None = None
    provider_code: str | None = None


@attrs.frozen(kw_only=True)
class RetryPage(Shown):
    """Some sends of those that wait.

    Args:
        items: May be fewer than were asked for, or none, though more follow.
        cursor: What ``after`` takes for those that follow; None: there are none.
    """

    items: tuple[RetrySeen, ...]
    cursor: str | None


@attrs.frozen(kw_only=True)
class Moment(Shown):
    """One thing that happened to a challenge.

    Args:
        at: Aware UTC.
        what: ``begun``, ``delivery``, ``receipt``, ``refusal``, ``noted`` (a limit that only records would have
            refused), ``approved`` (the right code) or ``due`` (the next try).
        channel: Over which, or empty.
        provider: The instance, or empty.
        result: The outcome of a delivery, the status of a receipt, the reason of a refusal, or empty.
        detail: The vendor's code, how often it was refused, or empty.
        price: Of a delivery, what the vendor charges, as it said last; of a receipt, what that said; None: nothing.
    """

    at: datetime
    what: str
    channel: str = ""
    provider: str = ""
    result: str = ""
    detail: str = ""
    price: Price | None = None


@attrs.frozen(kw_only=True)
class ChallengeSeen(Shown):
    """A challenge with everything that happened to it.

    Args:
        id: Of the challenge.
        phone: Masked, or revealed.
        purpose: Of the code.
        app: Of the host's apps, or empty.
        verifiable: False: a message that was only relayed.
        state: As in `Challenge`.
        living: It is neither over nor expired.
        confirmed: A provider said that it took the message.
        reason: Why sending ended without success; None: it did not.
        provider: Who took the message; None: no one yet.
        attempts: Verification attempts used up.
        max_attempts: How many there are.
        locale: Of the text; None: as set.
        forced: Instances that the host forced; None: by the rules.
        first_sent_at: Aware UTC.
        expires_at: Aware UTC.
        approved_at: Aware UTC; when the right code was typed; None: it was not.
        cooldowns: By channel, until when asking again sends nothing.
        deliveries: In the order in which they were recorded.
        retries: What waits for a next try.
        timeline: Deliveries, receipts, refusals, the right code and the next tries, the earliest first.
    """

    id: str
    phone: str = attrs.field(repr=False)
    purpose: str
    app: str
    verifiable: bool
    state: str
    living: bool
    confirmed: bool
    reason: str | None
    provider: str | None
    attempts: int
    max_attempts: int
    locale: str | None
    forced: tuple[str, ...] | None
    first_sent_at: datetime
    expires_at: datetime
    approved_at: datetime | None
    cooldowns: Mapping[str, datetime]
    deliveries: tuple[DeliverySeen, ...] = ()
    retries: tuple[RetrySeen, ...] = ()
    timeline: tuple[Moment, ...] = ()


@attrs.frozen(kw_only=True)
class Matching(Shown):
    """Sends that wait for a next try, to be told before something is done with all of them.

    Args:
        prefix: To whose numbers; None: to all.
        instance: That they tried last; empty: any.
        count: How many challenges.
        unread: How many more could not be looked at: the keys that sealed them are not here.
    """

    prefix: str | None
    instance: str = ""
    count: int
    unread: int = 0


@attrs.frozen(kw_only=True)
class Ended(Shown):
    """What became of sends that were to be requeued or dropped.

    Args:
        found: How many of the challenges that were meant have a send that waits, or is under way.
        changed: How many of them were changed; the others were over by then, or are under way.
        unread: How many more could not be looked at: the keys that sealed them are not here.
        state: Of the challenge, where one was dropped; None: of none.
    """

    found: int
    changed: int
    unread: int = 0
    state: str | None = None
