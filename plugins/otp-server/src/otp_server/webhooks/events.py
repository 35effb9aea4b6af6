"""What an app is told of a change: masked, and without a code."""

from __future__ import annotations

import json
from collections.abc import Iterable

import attrs

from otp_server.keys import Kind
from otp_server.statuses import status_of
from otp_server.vault import Vault
from otpcore import ChallengeState
from otpcore.stores import ChallengeRecord, Change, ChangeRecord, CostSums, DeliveryRecord

__all__ = ["WebhookEvent", "event_of"]

_WORDS = {
    Change.SENT: "sent",
    Change.DELIVERED: "delivered",
    Change.UNDELIVERED: "undelivered",
    Change.VERIFIED: "approved",
}
_ENDS = {ChallengeState.EXPIRED: "expired", ChallengeState.CANCELLED: "canceled"}


@attrs.frozen(kw_only=True)
class WebhookEvent:
    """One change, ready to be told.

    Args:
        id: The same in every try, so that who hears it twice knows.
        type: Such as ``verification.approved``.
        app: Whose.
        body: JSON.
        about: The look-up of the phone, with which what is noted of it is erased.
    """

    id: str
    type: str
    app: str
    body: bytes
    about: str = ""


def event_of(
    vault: Vault, kind: Kind, change: ChangeRecord, challenge: ChallengeRecord, deliveries: Iterable[DeliveryRecord]
) -> WebhookEvent:
    """The event of a change.

    Args:
        vault: Makes its id.
        kind: Of the keys that work in its world.
        change: Of the outbox.
        challenge: As it stands now.
        deliveries: What was handed to providers for it until now.
    """
    about = "verification" if challenge.verifiable else "message"
    word = _WORDS.get(change.kind) or _ENDS.get(change.state or ChallengeState.UNSENDABLE, "failed")
    name = f"{about}.{word}"
    data = {
        "id": challenge.id,
        "status": status_of(challenge),
        "delivery_state": str(challenge.state),
        "to": challenge.phone_masked,
        "purpose": challenge.purpose,
        "confirmed": challenge.confirmed,
        "test": kind is Kind.TEST,
        "costs": _costs(deliveries),
    }
    body = {"type": name, "timestamp": change.happened_at.isoformat(), "data": data}
    event_id = vault.digest("webhook", str(kind), str(change.number), challenge.id, name)[:32]
    return WebhookEvent(
        id=f"evt_{event_id}",
        type=name,
        app=challenge.app,
        body=json.dumps(body, separators=(",", ":")).encode(),
        about=challenge.phone_key,
    )


def _costs(deliveries: Iterable[DeliveryRecord]) -> list[dict[str, str]]:
    """What vendors have said until now that all its messages cost, one exact sum for each currency."""
    sums = CostSums()
    sums.add(deliveries)
    return [
        {"amount": f"{amount:f}", "currency": currency} for one in sums.items() for currency, amount in one.sums.items()
    ]
