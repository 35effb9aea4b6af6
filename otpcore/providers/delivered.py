"""What a person would have received, where nobody is sent anything: the sandbox's and the outbox's messages."""

from __future__ import annotations

from datetime import datetime

import attrs

from otpcore.models import Channel
from otpcore.phone.numbers import PhoneNumber
from otpcore.providers.requests import DeliveryRequest

__all__ = ["DeliveredMessage", "message_of"]


@attrs.frozen(kw_only=True)
class DeliveredMessage:
    """What a person would have received. ``code`` and ``text`` are readable here and nowhere else; never in repr.

    Args:
        challenge_id: The challenge it belongs to.
        instance: The provider instance that would have carried it; empty: it does not know its name, as an outbox.
        phone: To whom; masked when shown.
        channel: Over which channel.
        purpose: What the code is for.
        code: The code in it.
        text: What would have been read or heard.
        locale: BCP 47 tag of the text.
        at: When, aware UTC.
    """

    challenge_id: str
    instance: str = ""
    phone: PhoneNumber
    channel: Channel
    purpose: str
    locale: str
    at: datetime
    code: str = attrs.field(repr=False)
    text: str = attrs.field(repr=False)


def message_of(request: DeliveryRequest, at: datetime, instance: str = "") -> DeliveredMessage:
    """The message or call that this request asks for, delivered now."""
    return DeliveredMessage(
        challenge_id=request.challenge_id,
        instance=instance,
        phone=request.recipient,
        channel=request.channel,
        purpose=request.purpose,
        locale=request.locale,
        at=at,
        code=request.code or "",
        text=request.text or "",
    )
