"""What the verbs of a store are told and answer, besides walks and figures: frozen values, no I/O."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import attrs

from otpcore.admission import UNCOUNTED, Barrier, BudgetRule, LimitReason
from otpcore.models import Channel, ReceiptOutcome, RetryJob
from otpcore.records import ChallengeRecord, DeliveryRecord, ScheduleRecord
from otpcore.walks import Step, WalkPlan, WalkRef

__all__ = [
    "Admission",
    "Begun",
    "ChallengeView",
    "Charge",
    "ChargeRefused",
    "Claim",
    "ClaimBatch",
    "ClaimRule",
    "EndedSend",
    "LockRule",
    "NewSend",
    "ReceiptRule",
    "Received",
    "RecordedGuess",
    "Refusal",
    "Reservation",
    "ReservationStatus",
    "Settled",
]


class Refusal(enum.StrEnum):
    """Why a send did not begin. CONFLICT: another caller was faster; look again."""

    CONFLICT = "conflict"
    COOLDOWN = "cooldown"
    MAX_ATTEMPTS = "max_attempts"
    RENEWAL = "renewal"
    LOCKED = "locked"
    PROVIDER_BUSY = "provider_busy"
    BREAKER_OPEN = "breaker_open"


@attrs.frozen(kw_only=True)
class Charge:
    """One counter to charge: at most ``limit`` sends in a window that begins with its first.

    Args:
        refundable: Given back when a send ends and certainly nothing was sent.
        shared: Many senders charge it at the same time; a store may divide it, so that they need not wait for one another.
    """

    key: str
    limit: int
    window: timedelta
    reason: str
    refundable: bool = True
    shared: bool = False


@attrs.frozen(kw_only=True)
class Admission:
    """What somebody asks for before anything is sent: every limit of one send.

    Args:
        charges: Its counters.
        neighbours: For each window, the mark that the number leaves and the counter of its block; only ever recorded.
        barrier: What keeps the number from being sent to, or None.
        budget: Its unverified budget, or empty; as in the challenge.
    """

    charges: tuple[Charge, ...] = ()
    neighbours: tuple[tuple[Charge, Charge], ...] = ()
    barrier: Barrier | None = None
    budget: str = ""
    budget_rule: BudgetRule = UNCOUNTED


@attrs.frozen(kw_only=True)
class ChargeRefused:
    """Why a send may not begin, and in how many seconds it may; None: waiting does not help.

    Args:
        living: The challenge that cools down: nothing was refused, and nothing has to be sent.
    """

    reason: str
    retry_after: float | None
    living: ChallengeRecord | None = None


@attrs.frozen(kw_only=True)
class NewSend:
    """One send to begin.

    Args:
        challenge: The challenge as it shall be written; for a resend, the living one as it was read.
        is_resend: ``challenge`` exists and lives.
        send_id: Fresh id.
        token: Fresh fencing token.
        plan: The walk.
        life: Of the code, from now.
        cap: The longest life from the first send on.
        renewal: A resend that would leave less life than this is refused.
        asked: Every limit that it is measured by before it begins.
        client: Key of the client that the host passed, or empty.
        message_sealed: Of this send.
        locale: Of this send.
        forced: Of this send.
    """

    challenge: ChallengeRecord
    is_resend: bool
    send_id: str
    token: str
    channel: Channel
    plan: WalkPlan
    life: timedelta
    cap: timedelta
    renewal: timedelta
    asked: Admission = Admission()
    client: str = ""
    message_sealed: bytes | None = attrs.field(default=None, repr=False)
    locale: str = "en"
    forced: tuple[str, ...] | None = None


@attrs.frozen(kw_only=True)
class Begun:
    """What became of a new send: a step to go on with, or the reason why it did not begin.

    Args:
        over_limit: The limit that refused it.
        refusal: Why it did not begin though every limit admitted it.
        challenge: With a refusal, the living challenge as it stands, if there is one.
        retry_after: With a refusal, seconds; None: unknown or never.
        noted: With a step, the limits that only record and would have refused it.
        expired: The challenge of an earlier send whose life was found to be over, and ended.
    """

    step: Step | None = None
    over_limit: ChargeRefused | None = None
    refusal: Refusal | None = None
    challenge: ChallengeRecord | None = None
    retry_after: float | None = None
    noted: tuple[LimitReason, ...] = ()
    expired: ChallengeRecord | None = None


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
        ahead: What waits, and comes due within this, is claimed too; nobody's lease is cut short.
    """

    token: str
    key_ids: frozenset[str]
    instances: frozenset[str]
    lease: timedelta
    max_retries: Mapping[Channel, int]
    min_useful_life: timedelta
    job: RetryJob | None = None
    ahead: timedelta = timedelta()


@attrs.frozen(kw_only=True)
class Claim:
    """One claimed retry.

    Args:
        due_at: When it is due, or was; the provider is not called before.
        attempts: This is the how-manieth retry, from 1.
        deliveries: All earlier deliveries of the same send.
    """

    challenge: ChallengeRecord
    walk: WalkRef
    due_at: datetime
    attempts: int
    deliveries: tuple[DeliveryRecord, ...] = ()


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
        token: Fresh fencing token for the walk that goes on.
        lease: Of its schedule row.
        retried: Channels whose sends a worker may take over.
        key_ids: Keys the process has.
        instances: Instances the process has.
        budget_rule: As in the plan of a walk.
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
        challenge: As it stands now; None: none is known, or it was purged.
        delivery: As it is now, with APPLIED.
        walk: The send goes on with ``go_on`` under this token.
        due_at: The send waits in the queue for a process that can go on with it.
        ended: Sending is over without success; ``challenge`` says how.
    """

    outcome: ReceiptOutcome
    challenge: ChallengeRecord | None = None
    delivery: DeliveryRecord | None = None
    walk: WalkRef | None = None
    due_at: datetime | None = None
    ended: bool = False


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
    """Growing waits after failures in a row, against living challenges of one phone (DESIGN §7). Seconds.

    Args:
        client: Key of the client that the host passed, or empty.
        lock_after: From this many failures of (phone, client) on, it is locked.
        first_wait: The wait at that point; each further failure doubles it.
        max_wait: No wait is longer.
        hard_limit: From this many on one phone, only an operator unlocks.
    """

    client: str = ""
    lock_after: int = 10
    first_wait: float = 30.0
    max_wait: float = 3600.0
    hard_limit: int = 100


@attrs.frozen(kw_only=True)
class RecordedGuess:
    """A guess that a store may compare with what a challenge recorded.

    Args:
        fits: Whether it is what was recorded; pure, as a transaction may be run again.
        budget: As in the plan of a walk.
    """

    fits: Callable[[ChallengeRecord], bool]
    budget: BudgetRule = UNCOUNTED


@attrs.frozen(kw_only=True)
class Reservation:
    """One reserved attempt, or why there is none.

    Args:
        challenge: As it is now.
        deliveries: With RESERVED, all of the challenge, newest last.
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
    """Everything about one challenge, for people and for ``cancel``."""

    challenge: ChallengeRecord
    deliveries: tuple[DeliveryRecord, ...]
    schedule: tuple[ScheduleRecord, ...]
