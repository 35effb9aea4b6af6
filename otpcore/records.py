"""What a store keeps, row by row, and what its verbs are told and answer: frozen values, no I/O."""

from __future__ import annotations

import enum
import functools
import operator
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

import attrs

from otpcore.admission import UNCOUNTED, Barrier, BudgetRule, LimitReason
from otpcore.errors import ErrorKind
from otpcore.models import (
    ChallengeState,
    Channel,
    CodeOwner,
    Outcome,
    ReceiptOutcome,
    ReceiptStatus,
    RetryJob,
    UnsendableReason,
)
from otpcore.retrying import RetryPolicy

__all__ = [
    "Admission",
    "Begun",
    "BreakerRecord",
    "BreakerRule",
    "CallResult",
    "Candidate",
    "ChallengeRecord",
    "ChallengeView",
    "Charge",
    "ChargeRefused",
    "Charged",
    "Claim",
    "ClaimBatch",
    "ClaimRule",
    "CounterRecord",
    "DeliveryRecord",
    "EndedSend",
    "FailureRecord",
    "KeyUse",
    "LockRule",
    "Mark",
    "NewSend",
    "OutcomeCount",
    "PurgeCount",
    "PutOff",
    "ReceiptRecord",
    "ReceiptRule",
    "Received",
    "Refusal",
    "Reservation",
    "ReservationStatus",
    "RouteCount",
    "ScheduleRecord",
    "Settled",
    "SlotRecord",
    "Step",
    "StepKind",
    "StoreStatus",
    "Waiting",
    "WalkPlan",
    "WalkRef",
    "WorkerRecord",
    "changed",
    "names_of",
    "values_of",
]

R = TypeVar("R")


@functools.cache
def names_of(kind: type[Any]) -> tuple[str, ...]:
    """Names of a record's fields, in their order."""
    return tuple(field.name for field in attrs.fields(kind))


def values_of(record: Any) -> dict[str, Any]:
    """A record's fields by name."""
    kind: Any = type(record)
    return dict(zip(names_of(kind), _getter(kind)(record), strict=True))


def changed(record: R, **changes: Any) -> R:
    """A copy with some fields changed: ``attrs.evolve`` for the hot path, at a third of its cost."""
    kind: Any = type(record)
    copy: R = kind(**(values_of(record) | changes))
    return copy


@functools.cache
def _getter(kind: Any) -> Callable[[Any], tuple[Any, ...]]:
    """All fields of a record at once; records have two fields at least."""
    return operator.attrgetter(*names_of(kind))


# Rows, as every store keeps them.


@attrs.frozen(kw_only=True)
class ChallengeRecord:
    """One challenge at rest. Nothing in it can be read without the keys.

    Args:
        subject: MAC of phone and purpose. At most one living challenge a subject.
        phone_key: Keyed look-up of the phone (HMAC under the index key).
        phone_sealed: The number, sealed with ``id`` as associated data; what a retry sends to.
        phone_masked: What people see.
        key_id: The code key under which everything of this challenge is digested and sealed.
        attempts: Verification attempts used up; never reset by a resend.
        givebacks: Attempts given back because no provider answered.
        first_sent_at: Start of the first send; the life is capped from here.
        code_digest: Keyed digest of the core code.
        code_sealed: The core code, sealed; None once it can never be sent again.
        message_sealed: The latest custom message, sealed; None for the template.
        forced: Ordered instance names forced by the host, or None to follow the rules.
        asked: Keyed digests of the guesses whose verdict by a vendor that remembers approvals is not recorded.
        core_recorded: A core-owned delivery was recorded, so the core code may have reached the person.
        budget: Which unverified budget its accepted sends are charged to; empty: none.
        sms_cooldown: Until then another SMS sends nothing.
        call_cooldown: Until then another call sends nothing.
    """

    id: str
    subject: str
    phone_key: str
    phone_sealed: bytes = attrs.field(repr=False)
    phone_masked: str
    key_id: str
    purpose: str
    state: ChallengeState
    confirmed: bool = False
    reason: UnsendableReason | None = None
    provider: str | None = None
    attempts: int = 0
    max_attempts: int
    givebacks: int = 0
    first_sent_at: datetime
    expires_at: datetime
    code_digest: str = attrs.field(repr=False)
    code_sealed: bytes | None = attrs.field(default=None, repr=False)
    message_sealed: bytes | None = attrs.field(default=None, repr=False)
    locale: str
    forced: tuple[str, ...] | None = None
    asked: tuple[str, ...] = attrs.field(default=(), repr=False)
    core_recorded: bool = False
    budget: str = ""
    sms_cooldown: datetime | None = None
    call_cooldown: datetime | None = None

    def cooldown(self, channel: Channel) -> datetime | None:
        """When the same call over this channel sends again."""
        return self.sms_cooldown if channel is Channel.SMS else self.call_cooldown


@attrs.frozen(kw_only=True)
class DeliveryRecord:
    """One attempt to hand the code to one provider, recorded before the network call.

    Args:
        send_id: The send (what somebody asked for once) that it belongs to.
        scope: Vendor account that owns the code, or empty.
        prefix: The rule prefix by which the number came here; empty: by default. Masked where it is the whole number.
        is_retry: Made by a retry, not by the first walk.
        outcome: Open until the provider answered.
        reference: The vendor's id; empty: unknown.
        provider_code: The vendor's error code; empty: none.
        lease_until: An open delivery counts as under way until then.
        not_before: The provider asked not to be tried again before.
        gone: The vendor said that its verification is over.
    """

    id: str
    challenge_id: str
    send_id: str
    instance: str
    channel: Channel
    owner: CodeOwner
    scope: str = ""
    prefix: str = ""
    is_retry: bool = False
    outcome: Outcome = Outcome.OPEN
    reference: str = ""
    provider_code: str = ""
    recorded_at: datetime
    lease_until: datetime
    not_before: datetime | None = None
    gone: bool = False


@attrs.frozen(kw_only=True)
class Charged:
    """One counter, or the stripe of it, that a send was charged to, for its refund."""

    key: str
    window_ends_at: datetime


@attrs.frozen(kw_only=True)
class ScheduleRecord:
    """The schedule row of one challenge and channel: lease, fencing token and due time of its send.

    Args:
        token: Whoever holds it owns the walk; replaced by each resend and claim.
        due_at: When the next try is due; while ``leased``, when the lease runs out.
        attempts: Retries claimed so far.
        charges: Refunded once, when the send ends and certainly nothing was sent.
        key_id: The challenge's; only processes that have the key may claim.
        forced: As in the challenge.
        waits_for: The instance whose open breaker it waits for, empty for several; due at once when one of them closes.
            None: it waits for its time alone.
    """

    challenge_id: str
    channel: Channel
    send_id: str
    token: str
    due_at: datetime
    leased: bool
    attempts: int = 0
    charges: tuple[Charged, ...] = ()
    key_id: str = ""
    forced: tuple[str, ...] | None = None
    waits_for: str | None = None


@attrs.frozen(kw_only=True)
class Mark:
    """The old verification that must be cancelled at the vendor before a new one starts in the slot.

    Args:
        reference: Empty: it is cancelled by recipient.
    """

    scope: str
    challenge_id: str
    delivery_id: str
    channel: Channel
    reference: str = ""


@attrs.frozen(kw_only=True)
class SlotRecord:
    """Who may use a vendor account for one phone, where the vendor keys its code on both.

    Args:
        holder: Challenge id; empty: nobody.
        mark: An old verification to cancel before the next start, or None.
    """

    scope: str
    phone_key: str
    holder: str
    mark: Mark | None = None


@attrs.frozen(kw_only=True)
class FailureRecord:
    """Verification failures in a row, and until when they lock the phone (None: not)."""

    key: str
    failures: int
    locked_until: datetime | None = None


@attrs.frozen(kw_only=True)
class BreakerRecord:
    """Consecutive failures of one instance; open from ``BreakerRule.threshold`` on, and since ``opened_at``."""

    instance: str
    failures: int
    probe_at: datetime
    opened_at: datetime | None = None


@attrs.frozen(kw_only=True)
class CounterRecord:
    """One send counter, for people: how much of a window is used up."""

    key: str
    count: int
    window_ends_at: datetime


@attrs.frozen(kw_only=True)
class ReceiptRecord:
    """One delivery receipt, kept so that a repeat of it changes nothing.

    Args:
        delivery_id: The delivery that it is about; empty: none is known yet.
        kind: With ``undelivered``, why.
        applied: False: it came before the answer to the call that it is about, and waits for that.
    """

    instance: str
    reference: str
    delivery_id: str
    status: ReceiptStatus
    kind: ErrorKind | None = None
    provider_code: str = ""
    received_at: datetime
    applied: bool


@attrs.frozen(kw_only=True)
class WorkerRecord:
    """The sign of life of one process, or part of one, that runs retries and upkeep.

    Args:
        name: Made up at its start, such as ``worker-3fa2b1c9``; tells nothing about the machine.
        kind: ``background``, ``worker``, or a plugin's runner.
        running: Retries under way when it was last seen.
    """

    name: str
    kind: str
    started_at: datetime
    seen_at: datetime
    running: int = 0


# What a walk is told, and what it learns.


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
        lease: The row is born leased for this long.
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
    lease: timedelta
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
        attempts: This is the how-manieth retry, from 1.
        deliveries: All earlier deliveries of the same send.
    """

    challenge: ChallengeRecord
    walk: WalkRef
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
    """Whether an attempt was reserved."""

    RESERVED = "reserved"
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
class Reservation:
    """One reserved attempt, or why there is none.

    Args:
        deliveries: All of the challenge, newest last.
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


@attrs.frozen(kw_only=True)
class KeyUse:
    """What the kept challenges need one code key for.

    Args:
        challenges: How many were written under it.
        begun_at: When the newest of them began.
        expires_at: When the last of them expires, or expired.
    """

    key_id: str
    challenges: int
    begun_at: datetime
    expires_at: datetime


@attrs.frozen(kw_only=True)
class PurgeCount:
    """How much a purge removed."""

    challenges: int = 0
    deliveries: int = 0
    counters: int = 0
    receipts: int = 0
    refusals: int = 0
    verified: int = 0


# What people watch.


@attrs.frozen(kw_only=True)
class OutcomeCount:
    """How many deliveries of one instance and rule prefix came to one outcome."""

    instance: str
    prefix: str
    outcome: Outcome
    count: int


@attrs.frozen(kw_only=True)
class RouteCount:
    """How many challenges belong to one instance and rule prefix."""

    instance: str
    prefix: str
    count: int


@attrs.frozen(kw_only=True)
class Waiting:
    """Sends that wait for their next try, by the instance that they tried last (empty: none yet).

    Args:
        oldest: When the first send of the one that waits longest began.
    """

    instance: str
    prefix: str
    count: int
    oldest: datetime


@attrs.frozen(kw_only=True)
class StoreStatus:
    """What happened since a given time, and what is waiting now.

    Args:
        deliveries: Recorded since then.
        verified: Approved challenges by the deliveries that were accepted since then.
        waiting: Now, whatever the time.
        breakers: Those that have failures.
        workers: All signs of life.
    """

    deliveries: tuple[OutcomeCount, ...] = ()
    verified: tuple[RouteCount, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    breakers: tuple[BreakerRecord, ...] = ()
    workers: tuple[WorkerRecord, ...] = ()
