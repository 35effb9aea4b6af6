"""How a walk over the route goes on: what a store is told of it, and the step that it answers; frozen values, no I/O."""

from __future__ import annotations

import enum
from datetime import datetime, timedelta

import attrs

from otpcore.admission import UNCOUNTED, Barrier, BudgetRule
from otpcore.models import Channel, CodeOwner, Outcome
from otpcore.records import ChallengeRecord, DeliveryRecord, Mark, ReceiptRecord
from otpcore.retrying import RetryPolicy

__all__ = [
    "BreakerRule",
    "CallResult",
    "Candidate",
    "PutOff",
    "Step",
    "StepKind",
    "WalkPlan",
    "WalkRef",
]


@attrs.frozen(kw_only=True)
class Candidate:
    """One instance of a route, with what the store must know about it; ``prefix`` as in ``DeliveryRecord``."""

    instance: str
    owner: CodeOwner = CodeOwner.CORE
    scope: str = ""
    prefix: str = ""


@attrs.frozen(kw_only=True)
class BreakerRule:
    """When a breaker opens, and how often an open one is probed (seconds)."""

    threshold: int = 5
    probe_every: float = 1.0


@attrs.frozen(kw_only=True)
class WalkPlan:
    """How a walk over the route goes on; made by the service for every verb that may record a delivery.

    Args:
        delivery_id: Fresh id for the delivery that this verb may record.
        route: All instances of the route, in order.
        untried: Those that this walk may still try, in order; empty when its time is used up.
        is_retry: A retry needs ``min_useful_life`` of the code's life left for each delivery.
        not_before: A retry that was claimed ahead of its time begins as of then, whatever the clock says.
        call_lease: How long a recorded delivery is leased (provider timeout + 5 s).
        cooldown: How long the same call sends nothing new once something may have left.
        retry: None: nothing is retried on this channel.
        barrier: What keeps a retry from being sent, or None; a first send was asked before it was charged.
        hold: A retry that a barrier or a used-up budget holds back looks again after this long.
        budget_rule: How accepted sends are charged to the budget of the challenge.
    """

    delivery_id: str
    route: tuple[Candidate, ...]
    untried: tuple[Candidate, ...]
    is_retry: bool = False
    not_before: datetime | None = None
    call_lease: timedelta = timedelta(seconds=10)
    cooldown: timedelta = timedelta(seconds=30)
    min_useful_life: timedelta = timedelta(seconds=30)
    retry: RetryPolicy | None = None
    breaker: BreakerRule = BreakerRule()
    barrier: Barrier | None = None
    hold: timedelta = timedelta(seconds=5)
    budget_rule: BudgetRule = UNCOUNTED


@attrs.frozen(kw_only=True)
class WalkRef:
    """Who walks: the schedule row and the token that owns it."""

    challenge_id: str
    channel: Channel
    send_id: str
    token: str


@attrs.frozen(kw_only=True)
class CallResult:
    """What a provider call came to. ``retry_after`` in seconds."""

    outcome: Outcome
    reference: str = ""
    provider_code: str = ""
    retry_after: float | None = None


class PutOff(enum.StrEnum):
    """Why a walk found nobody whom it could call now, though the route is not used up."""

    BREAKER_OPEN = "breaker_open"
    PROVIDER_BUSY = "provider_busy"
    THROTTLED = "throttled"
    PAUSED = "paused"
    UNVERIFIED = "unverified"


class StepKind(enum.Enum):
    """What a walk does next."""

    CALL = enum.auto()
    """Call ``delivery.instance`` now; the delivery is recorded and leased."""
    ACCEPTED = enum.auto()
    """A provider took the message; sending is over."""
    QUEUED = enum.auto()
    """A retry is due at ``due_at``."""
    ENDED = enum.auto()
    """Sending is over without acceptance; ``challenge.state`` and ``challenge.reason`` say how."""
    STOPPED = enum.auto()
    """Somebody else owns the walk, or the challenge is over: do nothing more."""
    CANCEL_LATE = enum.auto()
    """As STOPPED, but the vendor took the message for a challenge that is over: cancel ``delivery`` there."""


@attrs.frozen(kw_only=True)
class Step:
    """The next step of a walk.

    Args:
        challenge: As it stands after the transaction; None with STOPPED when it is gone.
        delivery: With CALL and CANCEL_LATE.
        mark: With CALL: cancel this at the vendor first, then ``clear_mark``.
        repeat: With CALL: delivery id of an unresolved earlier try at this instance.
        due_at: With QUEUED.
        put_off: With QUEUED: why nobody could be called at all; such a try does not count. None: somebody was.
        is_probe: With CALL: the instance's breaker is open, and this delivery tries whether it works again.
        opened: The instance whose breaker this result opened, or None.
        closed: The instance whose breaker this result closed, or None.
        receipts: Receipts that had waited for this answer and now count.
    """

    kind: StepKind
    challenge: ChallengeRecord | None = None
    delivery: DeliveryRecord | None = None
    mark: Mark | None = None
    repeat: str = ""
    due_at: datetime | None = None
    put_off: PutOff | None = None
    is_probe: bool = False
    opened: str | None = None
    closed: str | None = None
    receipts: tuple[ReceiptRecord, ...] = ()
