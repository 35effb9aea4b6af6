"""What a caller asks for with one send or verification, checked and parsed before anything is done with it."""

from __future__ import annotations

from otpcore.errors import InvalidArgument
from otpcore.messages.texts import check_message, has_place
from otpcore.phone.numbers import look_up_phone, parse_phone
from otpcore.service.arguments import (
    Clients,
    check_app,
    check_short,
    check_storable,
    check_text,
    findable,
    given_code,
    named_channel,
    typed_code,
)
from otpcore.service.sending import SendOrder
from otpcore.service.service import recipient
from otpcore.service.verifying import Guess, require_id
from otpcore.settings.sections import OtpSettings

__all__ = ["guess_of", "order_of"]


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
    code: str | None,
    verifiable: bool,
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
    own_code = given_code(code)
    if not verifiable:
        _check_relayed(own_code, message)
    elif message is not None:
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
        code=own_code,
        verifiable=bool(verifiable),
        app=app,
    )


def guess_of(
    settings: OtpSettings,
    clients: Clients,
    phone: str | None,
    code: str,
    *,
    challenge_id: str | None,
    purpose: str,
    client: str | None,
    app: str,
) -> Guess:
    """The guess that these arguments of ``AsyncOTPService.verify`` make.

    Raises:
        InvalidPhoneNumber, InvalidArgument, SettingsError: As there.
    """
    check_text(purpose=purpose)
    check_storable(purpose=purpose)
    check_short(purpose=purpose)
    check_app(app)
    require_id(settings.verify_by, challenge_id)
    if phone is None and challenge_id is None:
        raise InvalidArgument("verify needs a phone or a challenge_id, and both are None")
    return Guess(
        phone=look_up_phone(phone, default_region=settings.default_region) if phone is not None else None,
        challenge_id=findable(challenge_id) if challenge_id is not None else None,
        purpose=purpose,
        app=app,
        client=clients.named(client),
        code=typed_code(code),
    )


def _check_relayed(code: str | None, message: str | None) -> None:
    """Refuse what would leave without what the host wants to be in it.

    Raises:
        InvalidArgument: There is neither a code nor a text, or one of them has no place in, or none for, the other.
    """
    if code is not None and message is not None:
        check_message(message)
    elif code is None and message is None:
        raise InvalidArgument("verifiable=False relays what is yours: give a code, a message, or both")
    elif message is not None and has_place(message):
        raise InvalidArgument("the message has a place for a code, and no code is given")
