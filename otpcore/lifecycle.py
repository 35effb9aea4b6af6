"""Rules of the challenge life cycle (DESIGN §6-§8) as pure functions; every store decides through them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from otpcore.errors import ErrorKind
from otpcore.models import ChallengeState, Outcome, ReceiptStatus, UnsendableReason
from otpcore.records import ChallengeRecord, DeliveryRecord, Mark
from otpcore.verbs import LockRule

__all__ = [
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
    "after_receipt",
    "failure_keys",
    "forbids",
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
]

OVER = frozenset({ChallengeState.APPROVED, ChallengeState.EXPIRED, ChallengeState.CANCELLED})
ERASED: Mapping[str, Any] = MappingProxyType({"code_sealed": None, "message_sealed": None, "asked": ()})
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

_MAX_IN_DOUBT = 2  # the first try and one repeat at the same instance


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


def lock_wait(failures: int, rule: LockRule) -> timedelta | None:
    """How long a phone is locked after this many failures in a row; None: not at all."""
    if failures < rule.lock_after:
        return None
    doublings = min(failures - rule.lock_after, 20)
    return timedelta(seconds=min(rule.first_wait * 2**doublings, rule.max_wait))
