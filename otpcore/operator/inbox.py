"""What the sandbox kept from being sent, as the store knows it."""

from __future__ import annotations

from otpcore.errors import SettingsError
from otpcore.operator.desk import Desk
from otpcore.operator.results.upkeep import InboxMessage
from otpcore.providers.sandbox import is_harmless
from otpcore.stores.lifecycle import NOT_SENT, in_force, is_living
from otpcore.stores.records import ChallengeRecord, DeliveryRecord

__all__ = ["inbox"]


async def inbox(desk: Desk, phone: str, *, reveal: bool) -> tuple[InboxMessage, ...]:
    """Deliveries of the code in force, of living challenges, newest last; it is sealed in the store, and the keys open it here.

    What was only relayed has no code that verifies, and is not listed. Challenges that a vendor has delivered, from before the
    sandbox was switched on, are none of its business.

    Raises:
        InvalidPhoneNumber: It is not one number.
        SettingsError: The sandbox is off, or has keys that nobody else knows.
    """
    service = desk.service
    if not service.settings.sms.sandbox:
        raise SettingsError("sms.sandbox is off: what was sent went to the providers. Fix: in [sms]: sandbox = true")
    if service.settings.needs_throw_away_keys and not desk.is_live:
        raise SettingsError(
            "the sandbox's throw-away keys are known to the process that sent, and to nobody else. "
            f"Fix: {service.settings.makes_keys}"
        )
    e164 = desk.number(phone).e164
    found: list[InboxMessage] = []
    for view in reversed(await service.store.view(phone_key=service.keys.phone_key(e164))):
        left = [delivery for delivery in view.deliveries if delivery.outcome not in NOT_SENT]
        ours = is_harmless(e164, [delivery.reference for delivery in left])
        if ours and view.challenge.verifiable and is_living(view.challenge, service.clock()):
            carried = in_force(view.challenge, left)
            found.extend(_message(desk, view.challenge, delivery, reveal=reveal) for delivery in carried)
    return tuple(found)


def _message(desk: Desk, challenge: ChallengeRecord, delivery: DeliveryRecord, *, reveal: bool) -> InboxMessage:
    code = None
    if reveal and challenge.code_sealed is not None:
        code = desk.service.keys.unseal(challenge.id, "code", challenge.code_sealed)
    return InboxMessage(
        at=delivery.recorded_at,
        channel=str(delivery.channel),
        instance=delivery.instance,
        outcome=str(delivery.outcome),
        phone=desk.shown(challenge, reveal=reveal),
        challenge_id=challenge.id,
        purpose=challenge.purpose,
        code=code,
    )
