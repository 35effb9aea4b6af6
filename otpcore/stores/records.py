"""What a store keeps, row by row: frozen values, no I/O."""

from __future__ import annotations

import enum
import functools
import operator
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar

import attrs

from otpcore.errors import ErrorKind
from otpcore.models import (
    ChallengeState,
    Channel,
    CodeOwner,
    Outcome,
    ReceiptStatus,
    UnsendableReason,
)
from otpcore.prices import Price

__all__ = [
    "AuditRecord",
    "BreakerRecord",
    "ChallengeRecord",
    "Charged",
    "CounterRecord",
    "DeliveryRecord",
    "FailureRecord",
    "Mark",
    "ReceiptRecord",
    "ScheduleRecord",
    "SlotRecord",
    "Waits",
    "WorkerRecord",
    "changed",
    "made",
    "names_of",
    "values_of",
    "whole_key",
]

R = TypeVar("R")


@functools.cache
def names_of(kind: type[Any]) -> tuple[str, ...]:
    """Names of a record's fields, in their order."""
    return tuple(field.name for field in attrs.fields(kind))


def values_of(record: Any) -> dict[str, Any]:
    """A record's fields by name."""
    kind: Any = type(record)
    return dict(zip(names_of(kind), getter_of(kind)(record), strict=True))


def changed(record: R, **changes: Any) -> R:
    """A copy with some fields changed: ``attrs.evolve`` for the hot path, at a fifth of its cost.

    Straight from slot to slot, as no record converts or checks its values.
    """
    kind: Any = type(record)
    values = list(getter_of(kind)(record))
    places = _places(kind)
    for name, value in changes.items():
        values[places[name]] = value
    copy: R = made(kind, values)
    return copy


def made(kind: type[R], values: Iterable[Any]) -> R:
    """A record of all its fields' values, in their order."""
    record = object.__new__(kind)
    slots: Any = _slots
    for set_slot, value in zip(slots(kind), values, strict=True):
        set_slot(record, value)
    return record


@functools.cache
def getter_of(kind: Any) -> Callable[[Any], tuple[Any, ...]]:
    """All fields of a record at once; records have two fields at least."""
    return operator.attrgetter(*names_of(kind))


@functools.cache
def _places(kind: Any) -> dict[str, int]:
    return {name: place for place, name in enumerate(names_of(kind))}


@functools.cache
def _slots(kind: Any) -> tuple[Callable[[Any, Any], None], ...]:
    """What writes each field."""
    return tuple(getattr(kind, name).__set__ for name in names_of(kind))


@attrs.frozen(kw_only=True)
class ChallengeRecord:
    """One challenge at rest. Nothing in it can be read without the keys.

    Args:
        subject: MAC of phone, purpose and app. At most one living challenge a subject.
        phone_key: Keyed look-up of the phone (HMAC under the index key).
        phone_sealed: The number, sealed with ``id`` as associated data; what a retry sends to.
        phone_masked: What people see.
        key_id: The code key under which everything of this challenge is digested and sealed.
        provider: The instance of the delivery that was recorded or accepted last; None: there was none yet.
        attempts: Verification attempts used up; never reset by a resend.
        givebacks: Attempts given back because no provider answered.
        first_sent_at: Start of the first send; the life is capped from here.
        code_digest: Keyed digest of the core code.
        code_sealed: The core code, sealed; None once it can never be sent again.
        code_number: 0: otpcore made the code. Else the host did, and this is the number of its code, from 1: each that
            replaces another has the next.
        message_sealed: The latest custom message, sealed; None for the template.
        extras_sealed: What the host said of the latest send (client and metadata), sealed; None: nothing.
        forced: Ordered instance names forced by the host, or None to follow the rules.
        core_recorded: A core-owned delivery was recorded, so the core code may have reached the person.
        budget: Which unverified budget its accepted sends are charged to; empty: none.
        app: For which of the host's apps the code is; empty: it names none.
        verifiable: False: it was only relayed, with a code of the host's or none, and nothing ever verifies it.
        cooldowns: By channel, until when another send over it sends nothing; a channel that is not named sends.
        approved_at: When the right code was typed; None: it was not.
    """

    id: str
    subject: str
    phone_key: str
    phone_sealed: bytes = attrs.field(repr=False)
    phone_masked: str
    key_id: str
    purpose: str
    app: str = ""
    verifiable: bool = True
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
    code_number: int = 0
    message_sealed: bytes | None = attrs.field(default=None, repr=False)
    extras_sealed: bytes | None = attrs.field(default=None, repr=False)
    locale: str
    forced: tuple[str, ...] | None = None
    core_recorded: bool = False
    budget: str = ""
    cooldowns: Mapping[Channel, datetime] = attrs.field(factory=dict, hash=False)
    approved_at: datetime | None = None

    def cooldown(self, channel: Channel) -> datetime | None:
        """When the same request over this channel sends again; None: it does so at once."""
        return self.cooldowns.get(channel)


@attrs.frozen(kw_only=True)
class DeliveryRecord:
    """One try to hand the code to one instance, recorded before the network call.

    Args:
        send_id: The send (what somebody asked for once) that it belongs to.
        scope: Vendor account that owns the code, or empty.
        code_number: As in the challenge when it was recorded: where that has gone on since, this carries a code that no longer
            verifies.
        prefix: The rule prefix by which the number came here; empty: by default. Masked where it is the whole number.
        is_retry: Made by a retry, not by the first failover.
        outcome: Open until the provider answered.
        reference: The vendor's id; empty: unknown.
        provider_code: The vendor's error code; empty: none.
        lease_until: An open delivery counts as under way until then.
        not_before: The provider asked not to be tried again before.
        gone: The vendor said that its verification is over.
        answered_at: When the provider's answer was written; None: it was not.
        delivered_at: When the first receipt came that said that the message arrived; None: none did.
        price: What the vendor charges, as it said last; None: it did not say.
    """

    id: str
    challenge_id: str
    send_id: str
    instance: str
    channel: Channel
    owner: CodeOwner
    scope: str = ""
    code_number: int = 0
    prefix: str = ""
    is_retry: bool = False
    outcome: Outcome = Outcome.OPEN
    reference: str = ""
    provider_code: str = ""
    recorded_at: datetime
    lease_until: datetime
    not_before: datetime | None = None
    gone: bool = False
    answered_at: datetime | None = None
    delivered_at: datetime | None = None
    price: Price | None = None


@attrs.frozen(kw_only=True)
class Charged:
    """One counter, or the stripe of it, that a send was charged to, for its refund."""

    key: str
    window_ends_at: datetime


class Waits(enum.StrEnum):
    """For what a retry waits besides its time: it is due at once when such a breaker closes."""

    BREAKER = "breaker"
    """The open breaker of one instance."""
    BREAKERS = "breakers"
    """Any of several open ones."""


@attrs.frozen(kw_only=True)
class ScheduleRecord:
    """The schedule row of one challenge and channel: lease, fencing token and due time of its send.

    Args:
        token: Whoever holds it owns the failover; replaced by each resend and claim.
        due_at: When the next try is due, or the one under way was.
        lease_until: Until then a process holds it; None: nobody does.
        attempts: Retries claimed so far.
        charges: Refunded once, when the send ends and certainly nothing was sent.
        key_id: The challenge's; only processes that have the key may claim.
        forced: As in the challenge.
        waits: For what it waits besides its time; None: for nothing.
        waits_for: With BREAKER, the instance; else empty.
    """

    challenge_id: str
    channel: Channel
    send_id: str
    token: str
    due_at: datetime
    lease_until: datetime | None = None
    attempts: int = 0
    charges: tuple[Charged, ...] = ()
    key_id: str = ""
    forced: tuple[str, ...] | None = None
    waits: Waits | None = None
    waits_for: str = ""

    @property
    def claimable_at(self) -> datetime:
        """When a process may take it: when its lease runs out, else when it is due."""
        return self.due_at if self.lease_until is None else self.lease_until


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
    """Wrong codes in a row, of one client on a phone or of all on it, and until when they lock that (None: not)."""

    key: str
    failures: int
    locked_until: datetime | None = None


@attrs.frozen(kw_only=True)
class BreakerRecord:
    """What is wrong with one instance; the next message that it takes removes it.

    Args:
        failures: In a row; open from ``retry.breaker_threshold`` on.
        opened_at: Since when it is open; None: it is not.
        misconfigured_at: When it first answered ``misconfigured`` since it last took a message; None: it did not.
        code: The vendor's code of the last of these answers, or empty.
        words: What the provider made of that answer, in its own fixed words, or empty.
    """

    instance: str
    failures: int
    probe_at: datetime
    opened_at: datetime | None = None
    misconfigured_at: datetime | None = None
    code: str = ""
    words: str = ""


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
        price: What the vendor says there that it charges; None: nothing.
    """

    instance: str
    reference: str
    delivery_id: str
    status: ReceiptStatus
    kind: ErrorKind | None = None
    provider_code: str = ""
    received_at: datetime
    applied: bool
    price: Price | None = None


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


@attrs.frozen(kw_only=True)
class AuditRecord:
    """One change that an operator made, as it is kept: written with the change itself, or not at all.

    Args:
        number: In the order of writing; the store gives it.
        by: Who made it.
        action: What was done, such as ``sending.pause``.
        target: To what: a prefix, a challenge's id, an instance, a masked number; empty: to everything.
        reason: In the operator's words, or empty.
        detail: What else there is to know, as the text of a JSON object; nothing in it is a code or a full number.
        about: The look-up of the phone that it is about; erasing that phone blanks target, reason and detail. Empty: no one.
    """

    number: int = 0
    at: datetime
    by: str
    action: str
    target: str = ""
    reason: str = ""
    detail: str = "{}"
    about: str = ""


PART_MARK = "!"  # below the digits: no other counter's key lies between the key and its stripes


def whole_key(key: str) -> str:
    """The counter of a stripe; any other key is its own."""
    return key.partition(PART_MARK)[0]
