"""Rules of the challenge life cycle as pure functions, through which every store decides."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from otpcore.errors import ErrorKind
from otpcore.models import ChallengeState, Channel, EarlierTry, Outcome, ReceiptStatus, UnsendableReason
from otpcore.stores.records import ChallengeRecord, DeliveryRecord, Mark

__all__ = [
    "BEGUN",
    "CLOCK_SLACK",
    "ERASED",
    "FOREVER",
    "IN_DOUBT",
    "MAX_GIVEBACKS",
    "NOT_SENT",
    "OVER",
    "REFUSED_FOR_GOOD",
    "STOPS",
    "TAKEN",
    "TRANSITIONS",
    "after_receipt",
    "earlier_tries",
    "failure_keys",
    "forbids",
    "into",
    "is_due",
    "is_living",
    "is_spent",
    "left_out",
    "lock_wait",
    "mark_of",
    "nothing_sent",
    "sending_over",
    "superseded",
    "unresolved",
    "why_refused",
]

OVER = frozenset({ChallengeState.APPROVED, ChallengeState.EXPIRED, ChallengeState.CANCELLED})
"""From here no state follows; each of them may follow every other one."""
BEGUN = frozenset({ChallengeState.SENDING, ChallengeState.QUEUED})
"""How a challenge is born, and where a resend leads from every state that is not over."""
TRANSITIONS: Mapping[ChallengeState, frozenset[ChallengeState]] = MappingProxyType(
    {
        ChallengeState.SENDING: frozenset({ChallengeState.SENT, ChallengeState.QUEUED, ChallengeState.UNSENDABLE}),
        ChallengeState.QUEUED: frozenset({ChallengeState.SENT, ChallengeState.UNSENDABLE}),
        ChallengeState.SENT: frozenset({ChallengeState.UNDELIVERED, ChallengeState.QUEUED, ChallengeState.UNSENDABLE}),
        ChallengeState.UNDELIVERED: frozenset({ChallengeState.SENT, ChallengeState.QUEUED, ChallengeState.UNSENDABLE}),
        ChallengeState.UNSENDABLE: frozenset({ChallengeState.SENT}),
    }
)
"""What one write may make of each state within a send; a state may also stay. ``docs/reference/results.md`` draws it."""
ERASED: Mapping[str, Any] = MappingProxyType({"code_sealed": None, "message_sealed": None, "extras_sealed": None})
"""What goes from a challenge that is over."""
NOT_SENT = frozenset(
    {
        Outcome.UNAVAILABLE,
        Outcome.THROTTLED,
        Outcome.MISCONFIGURED,
        Outcome.REJECTED_NUMBER,
        Outcome.BLOCKED,
        Outcome.LIMIT_REACHED,
    }
)
"""Certainly nothing left."""
REFUSED_FOR_GOOD = frozenset(
    {
        Outcome.MISCONFIGURED,
        Outcome.REJECTED_NUMBER,
        Outcome.BLOCKED,
        Outcome.LIMIT_REACHED,
        Outcome.UNDELIVERED,
    }
)
"""Not tried again at this instance within the same send."""
TAKEN = frozenset({Outcome.ACCEPTED, Outcome.UNDELIVERED})
"""A provider took it, so it was charged to the budget, whatever became of it."""
STOPS = frozenset({Outcome.REJECTED_NUMBER, Outcome.BLOCKED})
"""Not tried at any other instance either."""
IN_DOUBT = frozenset({Outcome.OPEN, Outcome.AMBIGUOUS})
"""May have left."""
MAX_GIVEBACKS = 3
"""Attempts of one challenge that are given back when no provider answers."""
CLOCK_SLACK = timedelta(minutes=1)
"""Clocks are set back by less than this without notice, and those of several processes may differ by it."""
FOREVER = datetime(9999, 1, 1, tzinfo=UTC)
"""The lock that only an operator lifts."""

_FIRST_LOCK = timedelta(seconds=30)
_LONGEST_LOCK = timedelta(hours=1)
_MAX_IN_DOUBT = 2  # the first try and one repeat at the same instance


def into(challenge: ChallengeRecord, state: ChallengeState, *, is_resend: bool = False) -> ChallengeState:
    """The state that a transaction is about to write, if a challenge may come to it.

    Raises:
        RuntimeError: It may not: a transaction is wrong, and nothing of it is written.
    """
    old = challenge.state
    allowed = BEGUN if is_resend else TRANSITIONS.get(old, frozenset()) | OVER | {old}
    if old in OVER or state not in allowed:
        raise RuntimeError(f"a challenge that is {old} never becomes {state}")
    return state


def is_living(challenge: ChallengeRecord, now: datetime) -> bool:
    """It can still be verified.

    One that begins in the future was made before the clock was set back: it would live for longer than anybody was told, and
    nothing else could be sent to its phone until then, so it is over.
    """
    return challenge.state not in OVER and challenge.expires_at > now >= challenge.first_sent_at - CLOCK_SLACK


def is_due(last: datetime | None, every: timedelta, now: datetime) -> bool:
    """Whether something that happens every so often is to happen again; at once when the clock was set back."""
    return last is None or not timedelta(0) <= now - last < every


def is_spent(challenge: ChallengeRecord) -> bool:
    """No verification attempts are left, so a message could no longer help."""
    return challenge.attempts >= challenge.max_attempts


def left_out(instance: str, send: Iterable[DeliveryRecord]) -> bool:
    """This send no longer tries the instance: it refused for good, or its one repeat is used up too."""
    outcomes = [delivery.outcome for delivery in send if delivery.instance == instance]
    return any(outcome in REFUSED_FOR_GOOD for outcome in outcomes) or (
        sum(outcome in IN_DOUBT for outcome in outcomes) >= _MAX_IN_DOUBT
    )


def unresolved(instance: str, send: Sequence[DeliveryRecord]) -> str:
    """Id of the latest delivery of this send at the instance of which nobody knows the end; empty: none."""
    return next((d.id for d in reversed(send) if d.instance == instance and d.outcome in IN_DOUBT), "")


def in_force(challenge: ChallengeRecord, deliveries: Iterable[DeliveryRecord]) -> list[DeliveryRecord]:
    """Those that carry the code that verifies now, or start a verification beside it: not what another code has replaced."""
    return [delivery for delivery in deliveries if delivery.code_number == challenge.code_number]


def earlier_tries(
    deliveries: Iterable[DeliveryRecord], instance: str, channel: Channel, now: datetime
) -> tuple[EarlierTry, ...]:
    """What may have gone out for a challenge at an instance and over a channel, in the order in which it began."""
    return tuple(
        EarlierTry(delivery_id=d.id, reference=d.reference, age=max(now - d.recorded_at, timedelta(0)))
        for d in deliveries
        if (d.instance, d.channel) == (instance, channel) and (d.reference or d.outcome not in NOT_SENT)
    )


def after_receipt(outcome: Outcome, status: ReceiptStatus) -> Outcome:
    """What a delivery came to, given what a receipt says: it knows more than the answer to the call did.

    A failure is no news where certainly nothing was sent.
    """
    if status is ReceiptStatus.DELIVERED:
        return Outcome.ACCEPTED
    return outcome if outcome in NOT_SENT else Outcome.UNDELIVERED


def forbids(kind: ErrorKind | None) -> bool:
    """Whether the reason of a receipt forbids to try any other instance."""
    return kind is not None and Outcome(kind.value) in STOPS


def superseded(delivery: DeliveryRecord, later: Iterable[DeliveryRecord]) -> bool:
    """Whether a delivery no longer decides: a newer send began, or a newer delivery of its send may have arrived."""
    return any(d.send_id != delivery.send_id or d.outcome is Outcome.ACCEPTED or d.outcome in IN_DOUBT for d in later)


def nothing_sent(send: Iterable[DeliveryRecord]) -> bool:
    """Certainly no message of this send left."""
    return all(delivery.outcome in NOT_SENT for delivery in send)


def sending_over(
    send: Iterable[DeliveryRecord], reason: UnsendableReason, *, other_row: bool
) -> tuple[ChallengeState, UnsendableReason | None]:
    """The state after a send ended without acceptance, and its reason.

    Another channel's row decides later. A send in doubt counts as sent, whatever ended it, unless a crash did.
    """
    if other_row:
        return ChallengeState.QUEUED, None
    in_doubt = any(delivery.outcome in IN_DOUBT for delivery in send)
    if in_doubt and reason is not UnsendableReason.INTERRUPTED:
        return ChallengeState.SENT, None
    return ChallengeState.UNSENDABLE, reason


def why_refused(send: Iterable[DeliveryRecord], reported: Mapping[str, Collection[ErrorKind]]) -> UnsendableReason:
    """Why a send is over that no instance of its route may try again.

    The number is at fault only where a provider said so. Else the last word of each instance counts: one that may recover
    before limits, limits before what an operator must mend; so is a route that has nobody left.

    Args:
        reported: By delivery id, why receipts said that the message was not delivered.
    """
    last: dict[str, frozenset[Outcome]] = {}
    for delivery in send:
        words = frozenset(Outcome(kind.value) for kind in reported.get(delivery.id, ())) or {delivery.outcome}
        if not STOPS.isdisjoint(words):
            return UnsendableReason.PERMANENT
        last[delivery.instance] = frozenset(words)
    said = frozenset(itertools.chain.from_iterable(last.values()))
    if said - {Outcome.MISCONFIGURED, Outcome.LIMIT_REACHED}:
        return UnsendableReason.FAILED
    return UnsendableReason.LIMIT_REACHED if Outcome.LIMIT_REACHED in said else UnsendableReason.MISCONFIGURED


def mark_of(scope: str, old: Iterable[DeliveryRecord]) -> Mark | None:
    """What must be cancelled at the vendor when a slot changes hands, given the old holder's deliveries.

    By recipient where a delivery that may have started a verification has no reference, else the newest reference.
    """
    started = [d for d in old if d.scope == scope and d.outcome not in NOT_SENT and not d.gone]
    if not started:
        return None
    chosen = next((d for d in started if not d.reference), started[-1])
    return Mark(
        scope=scope,
        challenge_id=chosen.challenge_id,
        delivery_id=chosen.id,
        channel=chosen.channel,
        reference=chosen.reference,
    )


def failure_keys(phone_key: str, client: str) -> tuple[str, str]:
    """Counters of verification failures: that of (phone, client), which locks with growing waits, and that of the phone."""
    return f"{phone_key}/{client}", f"{phone_key}/*"


def lock_wait(failures: int, lock_after: int) -> timedelta | None:
    """How long a client is locked out of a phone after this many failures in a row; None: not at all."""
    if failures < lock_after:
        return None
    doublings = min(failures - lock_after, 20)
    return min(_FIRST_LOCK * (1 << doublings), _LONGEST_LOCK)
