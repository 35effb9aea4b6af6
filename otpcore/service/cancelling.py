"""End verifications at the vendors that own their codes."""

from __future__ import annotations

import contextlib
from typing import Any

from otpcore.errors import ProviderError
from otpcore.events import EventType, Work
from otpcore.phone.numbers import PhoneNumber
from otpcore.providers.requests import CancelRequest
from otpcore.service.service import Service, recipient
from otpcore.stores.records import DeliveryRecord

__all__ = ["cancel_at_vendor", "cancel_verification"]


async def cancel_at_vendor(service: Service, phone: PhoneNumber, delivery: DeliveryRecord) -> None:
    """End a vendor's verification that can no longer help; a failure is left to the mark of the next start."""
    loaded = service.providers.get(delivery.instance)
    if loaded is None or not loaded.can_cancel:
        return
    request = CancelRequest(
        challenge_id=delivery.challenge_id,
        delivery_id=delivery.id,
        recipient=recipient(phone, delivery.channel),
        channel=delivery.channel,
        reference=delivery.reference,
    )
    with contextlib.suppress(ProviderError):
        await cancel_verification(service, delivery.instance, request, service.settings.otp.provider_timeout)


async def cancel_verification(service: Service, instance: str, request: CancelRequest, timeout: float) -> None:
    """One call to the provider, and an event that says how it ended.

    Raises:
        ProviderError: The verification may still verify.
    """
    about: dict[str, Any] = {
        "challenge_id": request.challenge_id,
        "phone": request.recipient.masked,
        "channel": request.channel,
        "instance": instance,
    }
    try:
        provider = await service.opened(instance, timeout)
        with service.span(Work.CALL, operation="cancel", instance=instance, channel=request.channel):
            await provider.cancel(request, timeout)
    except ProviderError as error:
        service.emit(
            EventType.VENDOR_NOT_CANCELLED,
            **about,
            reason=error.kind.value,
            provider_code=error.provider_code,
            detail=error.summary,
        )
        raise
    service.emit(EventType.VENDOR_CANCELLED, **about)
