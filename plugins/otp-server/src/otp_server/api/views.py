"""Verifications and messages as they are told: read from the store, and never with a number."""

from __future__ import annotations

from typing import Any

from otp_server.api.auth import Caller
from otp_server.api.schemas import Delivery, Money, Verification
from otp_server.keys import Scope
from otp_server.problems import ProblemError
from otp_server.statuses import status_of
from otpcore.stores import ChallengeRecord, DeliveryRecord

__all__ = ["Seen", "deliveries_of", "look_up", "told"]

_RESTRICTED = {"sms", "call"}
_LONGEST_ID = 64
Seen = tuple[ChallengeRecord, tuple[DeliveryRecord, ...]]


async def look_up(caller: Caller, verification_id: str, *, verifiable: bool = True) -> Seen:
    """A challenge of this caller's app.

    Raises:
        ProblemError: There is none, or it is another app's.
    """
    good = 0 < len(verification_id) <= _LONGEST_ID and verification_id.isascii() and verification_id.isprintable()
    for view in await caller.service.store.view(challenge_id=verification_id) if good else ():
        challenge = view.challenge
        if challenge.app == caller.app and challenge.verifiable == verifiable:
            return challenge, view.deliveries
    raise ProblemError("not_found")


def told(caller: Caller, seen: Seen, metadata: dict[str, str], channel: str | None = None) -> Verification:
    """A verification as it is told.

    Args:
        caller: Who asks.
        seen: What the store knows.
        metadata: That came with it.
        channel: Of the latest message; None: that of the latest delivery.
    """
    challenge, deliveries = seen
    over = channel or (str(deliveries[-1].channel) if deliveries else "sms")
    cooldown = next((until for one, until in challenge.cooldowns.items() if one == over), None)
    return Verification(
        id=challenge.id,
        status=status_of(challenge),
        delivery_state=str(challenge.state),
        to=challenge.phone_masked,
        channel=over,
        purpose=challenge.purpose,
        confirmed=challenge.confirmed,
        restricted=over in _RESTRICTED,
        attempts_left=max(challenge.max_attempts - challenge.attempts, 0),
        created_at=challenge.first_sent_at,
        expires_at=challenge.expires_at,
        resend_at=cooldown,
        approved_at=challenge.approved_at,
        metadata=metadata,
        deliveries=deliveries_of(caller, deliveries),
    )


def deliveries_of(caller: Caller, deliveries: tuple[DeliveryRecord, ...]) -> list[Delivery] | None:
    """What was handed to providers, for a key that may read it."""
    return [_delivery(one) for one in deliveries] if caller.may(Scope.READ) else None


def _delivery(one: DeliveryRecord) -> Delivery:
    values: dict[str, Any] = {"at": one.recorded_at, "delivered_at": one.delivered_at, "is_retry": one.is_retry}
    return Delivery(
        provider=one.instance,
        channel=str(one.channel),
        outcome=str(one.outcome),
        provider_code=one.provider_code or None,
        price=None if one.price is None else Money(amount=f"{one.price.amount:f}", currency=one.price.currency),
        **values,
    )
