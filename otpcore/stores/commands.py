"""What the commands of a store are told and answer, besides failovers and counts: frozen values, no I/O."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import attrs

from otpcore.models import Channel, ReceiptOutcome, RetryJob
from otpcore.rate_limits.admission import UNCOUNTED, Admission, BudgetRule, LimitReason
from otpcore.stores.records import AuditRecord, ChallengeRecord, DeliveryRecord, ReceiptRecord, ScheduleRecord
from otpcore.stores.steps import CallInstance, Ended, FailoverPlan, FailoverRef, Queued

__all__ = [
    "Beginning",
    "Begun",
    "ChallengeView",
    "Claim",
    "ClaimBatch",
    "ClaimRule",
    "CoolingDown",
    "EndedSend",
    "LockRule",
    "NewCode",
    "NewSend",
    "Raced",
    "ReceiptRule",
    "Received",
    "RecordedGuess",
    "Refusal",
    "Refused",
    "Reservation",
    "ReservationStatus",
    "Settled",
]


class Refusal(enum.StrEnum):
    """Why a send was refused though every limit admitted it."""

    MAX_ATTEMPTS = "max_attempts"
    RENEWAL = "renewal"
    LOCKED = "locked"
    PROVIDER_BUSY = "provider_busy"
    BREAKER_OPEN = "breaker_open"


@attrs.frozen(kw_only=True)
class NewCode:
    """A code that replaces the one of a living challenge, under the challenge's own key."""

    digest: str = attrs.field(repr=False)
    sealed: bytes = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class NewSend:
    """One send to begin.

    Args:
        challenge: The challenge as it shall be written; for a resend, the living one as it was read.
        is_resend: ``challenge`` exists and lives.
        send_id: Fresh id.
        token: Fresh fencing token.
        plan: The failover.
        life: Of the code, from now.
        cap: The longest life from the first send on.
        renewal: A resend that would leave less life than this is refused.
        asked: Every limit that it is measured by before it begins.
        client: Key of the client that the host passed, or empty.
        code: For a resend, the code that replaces the challenge's; None: that one goes out again.
        message_sealed: Of this send.
        extras_sealed: Of this send.
        locale: Of this send.
        forced: Of this send.
        audit: The record of the operator who asked for it; None: a host did.
    """

    challenge: ChallengeRecord
    is_resend: bool
    send_id: str
    token: str
    channel: Channel
    plan: FailoverPlan
    life: timedelta
    cap: timedelta
    renewal: timedelta
    asked: Admission = attrs.field(factory=Admission)
    client: str = ""
    code: NewCode | None = attrs.field(default=None, repr=False)
    message_sealed: bytes | None = attrs.field(default=None, repr=False)
    extras_sealed: bytes | None = attrs.field(default=None, repr=False)
    locale: str = "en"
    forced: tuple[str, ...] | None = None
    audit: AuditRecord | None = None


@attrs.frozen(kw_only=True)
class Begun:
    """The send began, and goes on with this step.

    Args:
        noted: The limits that only record and would have refused it.
        expired: The challenge of an earlier send whose life was found to be over, and ended.
    """

    step: CallInstance | Queued
    noted: tuple[LimitReason, ...] = ()
    expired: ChallengeRecord | None = None


@attrs.frozen(kw_only=True)
class Refused:
    """The send may not begin.

    Args:
        reason: A ``Refusal``, or the limit that refused it.
        retry_after: Seconds; None: waiting does not help, or nobody knows.
        challenge: The living challenge that it would have sent again, if there is one.
    """

    reason: str
    retry_after: float | None
    challenge: ChallengeRecord | None = None


@attrs.frozen(kw_only=True)
class CoolingDown:
    """The same call has just sent: nothing has to be sent, and nothing was refused. The living challenge as it stands."""

    challenge: ChallengeRecord


@attrs.frozen(kw_only=True)
class Raced:
    """Another caller was faster: look again.

    Args:
        living: The challenge that is in the way; None: the one to send again is over by now.
        expired: As in ``Begun``.
    """

    living: ChallengeRecord | None = None
    expired: ChallengeRecord | None = None


Beginning = Begun | Refused | CoolingDown | Raced
"""What became of a new send."""


@attrs.frozen(kw_only=True)
class ClaimRule:
    """What a process may claim, and how.

    Args:
        token: Fresh; each claimed row gets it with a suffix of its own.
        key_ids: Keys the process has.
        instances: Instances the process has; a forced list must lie within.
        lease: Of a claimed row.
        max_retries: For each channel that is retried; rows of other channels are left to the sweeper.
        job: Only this row, if given, whether or not it is due by the clock of the claimer.
    """

    token: str
    key_ids: frozenset[str]
    instances: frozenset[str]
    lease: timedelta
    max_retries: Mapping[Channel, int]
    min_useful_life: timedelta
    job: RetryJob | None = None


@attrs.frozen(kw_only=True)
class Claim:
    """One claimed retry.

    Args:
        attempts: The number of this retry, from 1.
    """

    challenge: ChallengeRecord
    ref: FailoverRef
    attempts: int


@attrs.frozen(kw_only=True)
class EndedSend:
    """A send that upkeep ended: the challenge as it stands now, and the channel."""

    challenge: ChallengeRecord
    channel: Channel | None = None


@attrs.frozen(kw_only=True)
class ClaimBatch:
    """Retries to run now, and sends that turned out to be over."""

    claims: tuple[Claim, ...] = ()
    ended: tuple[EndedSend, ...] = ()


@attrs.frozen(kw_only=True)
class ReceiptRule:
    """With what a send may go on whose message was reported undelivered.

    Args:
        token: Fresh fencing token for the failover that goes on.
        lease: Of its schedule row.
        retried: Channels whose sends a worker may take over.
        key_ids: Keys the process has.
        instances: Instances the process has.
        budget_rule: As in the plan of a failover.
    """

    token: str
    lease: timedelta
    min_useful_life: timedelta
    retried: frozenset[Channel]
    key_ids: frozenset[str]
    instances: frozenset[str]
    budget_rule: BudgetRule = UNCOUNTED


@attrs.frozen(kw_only=True)
class Received:
    """What became of a receipt.

    Args:
        challenge: As it stands now; None: none is known, or it was purged. With a question: None where it may not be sent.
        delivery: As it is now, with APPLIED.
        contradicts: With UNKNOWN: its id and its reference do not name one message of this instance.
        follows: With APPLIED, what it does to the send: it goes on with ``go_on`` under this token, waits for a process that
            can go on with it, or is over without success. None: nothing.
    """

    outcome: ReceiptOutcome
    challenge: ChallengeRecord | None = None
    delivery: DeliveryRecord | None = None
    follows: FailoverRef | Queued | Ended | None = None
    contradicts: bool = False


class ReservationStatus(enum.StrEnum):
    """Whether an attempt was reserved. APPROVED: it was, and what was guessed is right."""

    RESERVED = "reserved"
    APPROVED = "approved"
    NOT_FOUND = "not_found"
    EXPIRED = "expired"
    MAX_ATTEMPTS = "max_attempts"
    LOCKED = "locked"


@attrs.frozen(kw_only=True)
class LockRule:
    """Growing waits after failures in a row, against living challenges of one phone.

    Args:
        client: Key of the client that the host passed, or empty.
        lock_after: From this many failures of (phone, client) on, it is locked: at first for half a minute, after each
            further failure for twice as long, for an hour at most.
        hard_limit: From this many on one phone, only an operator unlocks.
    """

    client: str = ""
    lock_after: int = 10
    hard_limit: int = 100


@attrs.frozen(kw_only=True)
class RecordedGuess:
    """A guess that a store may compare with what a challenge recorded.

    Args:
        fits: Whether it is what was recorded; pure, as a transaction may be run again.
        budget: As in the plan of a failover.
    """

    fits: Callable[[ChallengeRecord], bool]
    budget: BudgetRule = UNCOUNTED


@attrs.frozen(kw_only=True)
class Reservation:
    """One reserved attempt, or why there is none.

    Args:
        challenge: As it is now.
        deliveries: With RESERVED, those that carry the challenge's code of now, newest last.
        marked: Scopes in which nothing may be checked by recipient.
        locked_until: With LOCKED; None: until an operator acts.
        locks: For ``settle`` and ``approve``.
    """

    status: ReservationStatus
    challenge: ChallengeRecord | None = None
    deliveries: tuple[DeliveryRecord, ...] = ()
    marked: frozenset[str] = frozenset()
    locked_until: datetime | None = None
    locks: LockRule = LockRule()


@attrs.frozen(kw_only=True)
class Settled:
    """What became of an attempt that did not match: the challenge as it is now, and whether the attempt was given back."""

    challenge: ChallengeRecord
    given_back: bool = False


@attrs.frozen(kw_only=True)
class ChallengeView:
    """Everything about one challenge, for people and for ``cancel``, which does without receipts."""

    challenge: ChallengeRecord
    deliveries: tuple[DeliveryRecord, ...]
    schedule: tuple[ScheduleRecord, ...]
    receipts: tuple[ReceiptRecord, ...] = ()
