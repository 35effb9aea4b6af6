"""How a failover goes on: what a store is told of it, and the step that it answers; frozen values, no I/O."""

from __future__ import annotations

import enum
from datetime import datetime, timedelta

import attrs

from otpcore.events import EventType
from otpcore.models import Channel, CodeOwner, EarlierTry, Outcome
from otpcore.prices import Price
from otpcore.rate_limits.admission import UNCOUNTED, Barrier, BudgetRule
from otpcore.retrying import RetryPolicy
from otpcore.stores.records import ChallengeRecord, Charged, DeliveryRecord, Mark, ReceiptRecord

__all__ = [
    "Accepted",
    "CallInstance",
    "CallResult",
    "CancelLate",
    "Candidate",
    "Ended",
    "FailoverPlan",
    "FailoverRef",
    "PutOff",
    "Queued",
    "Recorded",
    "Step",
    "Stopped",
]


@attrs.frozen(kw_only=True)
class Candidate:
    """One instance of a route, with what the store must know about it; ``prefix`` as in ``DeliveryRecord``."""

    instance: str
    owner: CodeOwner = CodeOwner.CORE
    scope: str = ""
    prefix: str = ""


@attrs.frozen(kw_only=True)
class FailoverPlan:
    """How a failover goes on; made by the service for every command that may record a delivery.

    Args:
        delivery_id: Fresh id for the delivery that this command may record.
        route: All instances of the route, in order.
        untried: Those that this failover may still try, in order; empty when its time is used up.
        is_retry: A retry needs ``min_useful_life`` of the code's life left for each delivery.
        call_lease: How long a recorded delivery is leased (provider timeout + 5 s).
        cooldown: How long the same request sends nothing new once something may have left.
        retry: None: nothing is retried on this channel.
        breaker_threshold: After so many failures in a row an instance is left out, but for a probe a second.
        barrier: What keeps a retry from being sent, or None; a first send was asked before it was charged.
        hold: A retry that a barrier or a used-up budget holds back looks again after this long.
        budget_rule: How accepted sends are charged to the budget of the challenge.
        charges: What the send was charged, as its last step said; given back where the send has ended meanwhile, and nothing
            left after all.
    """

    delivery_id: str
    route: tuple[Candidate, ...]
    untried: tuple[Candidate, ...]
    is_retry: bool = False
    call_lease: timedelta = timedelta(seconds=10)
    cooldown: timedelta = timedelta(seconds=30)
    min_useful_life: timedelta = timedelta(seconds=30)
    retry: RetryPolicy | None = None
    breaker_threshold: int = 5
    barrier: Barrier | None = None
    hold: timedelta = timedelta(seconds=5)
    budget_rule: BudgetRule = UNCOUNTED
    charges: tuple[Charged, ...] = ()


@attrs.frozen(kw_only=True)
class FailoverRef:
    """Whose failover it is: the schedule row and the token that owns it."""

    challenge_id: str
    channel: Channel
    send_id: str
    token: str


@attrs.frozen(kw_only=True)
class CallResult:
    """What a provider call came to.

    Args:
        words: What the provider made of a failure, in its own fixed words.
        retry_after: In seconds.
        price: What the vendor charges, where it said so at once.
        is_asked: The provider was called. If not, nothing is to be learnt of it.
    """

    outcome: Outcome
    reference: str = ""
    provider_code: str = ""
    words: str = ""
    retry_after: float | None = None
    price: Price | None = None
    is_asked: bool = True


class PutOff(enum.StrEnum):
    """Why a failover found nobody whom it could call now, though the route is not used up."""

    BREAKER_OPEN = "breaker_open"
    PROVIDER_BUSY = "provider_busy"
    THROTTLED = "throttled"
    PAUSED = "paused"
    UNVERIFIED = "unverified"


@attrs.frozen(kw_only=True)
class CallInstance:
    """Call ``delivery.instance`` now; the delivery is recorded and leased.

    Args:
        mark: Cancel this at the vendor first, then ``clear_mark``.
        repeat: Delivery id of an unresolved earlier try at this instance, or empty.
        earlier: With ``repeat``, as in ``DeliveryRequest``.
        is_probe: The instance's breaker is open, and this delivery tries whether it works again.
        charges: What the send was charged, for the plan of whatever follows.
    """

    challenge: ChallengeRecord
    delivery: DeliveryRecord
    mark: Mark | None = None
    repeat: str = ""
    earlier: tuple[EarlierTry, ...] = ()
    is_probe: bool = False
    charges: tuple[Charged, ...] = ()


@attrs.frozen(kw_only=True)
class Accepted:
    """A provider took the message; sending is over."""

    challenge: ChallengeRecord
    delivery: DeliveryRecord


@attrs.frozen(kw_only=True)
class Queued:
    """A retry is due.

    Args:
        put_off: Why nobody could be called at all; such a try does not count. None: somebody was.
    """

    challenge: ChallengeRecord
    due_at: datetime
    put_off: PutOff | None = None


@attrs.frozen(kw_only=True)
class Ended:
    """Sending is over without acceptance; ``challenge.state`` and ``challenge.reason`` say how."""

    challenge: ChallengeRecord


@attrs.frozen(kw_only=True)
class Stopped:
    """Somebody else owns the failover, or the challenge is over: do nothing more. None: it is gone."""

    challenge: ChallengeRecord | None


@attrs.frozen(kw_only=True)
class CancelLate:
    """Do nothing more but this: the vendor took the message for a challenge that is over, so cancel ``delivery`` there."""

    challenge: ChallengeRecord
    delivery: DeliveryRecord


Step = CallInstance | Accepted | Queued | Ended | Stopped | CancelLate
"""What a failover does next; each has the challenge as it stands after the transaction."""


@attrs.frozen(kw_only=True)
class Recorded:
    """What a recorded answer led to.

    Args:
        news: What it changed about its instance: BREAKER_OPENED, BREAKER_CLOSED, INSTANCE_MISCONFIGURED, INSTANCE_RESTORED.
        receipts: Receipts that had waited for this answer and now count.
    """

    step: Step
    news: tuple[EventType, ...] = ()
    receipts: tuple[ReceiptRecord, ...] = ()
