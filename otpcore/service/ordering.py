"""What a caller asks for with one send, checked and parsed before anything is done with it."""

from __future__ import annotations

from otpcore.messages.texts import check_message
from otpcore.phone.numbers import parse_phone
from otpcore.service.arguments import Clients, check_app, check_short, check_storable, check_text, named_channel
from otpcore.service.sending import SendOrder
from otpcore.service.service import recipient
from otpcore.settings.sections import OtpSettings

__all__ = ["order_of"]


def order_of(
    settings: OtpSettings,
    clients: Clients,
    phone: str,
    *,
    channel: str,
    purpose: str,
    client: object,
    locale: str | None,
    message: str | None,
    app: str,
    metadata: object,
) -> SendOrder:
    """The order that these arguments of ``AsyncOTPService.send`` make.

    Raises:
        InvalidPhoneNumber, InvalidArgument: As there.
    """
    word = named_channel(channel)
    check_text(purpose=purpose)
    check_storable(purpose=purpose, locale=locale, message=message)
    check_short(purpose=purpose, locale=locale)
    check_app(app)
    if message is not None:
        check_message(message)
    is_strict = settings.number_policy == "valid"
    number = parse_phone(phone, default_region=settings.default_region, require_valid=is_strict)
    return SendOrder(
        phone=recipient(number, word),
        channel=word,
        purpose=purpose,
        extras=clients.extras(client, metadata),
        locale=locale or "",
        message=message,
        app=app,
    )
