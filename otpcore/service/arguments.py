"""What the public methods are given, checked and parsed before anything is done with it: a mistake is told at the edge."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping

from otpcore.codes import parse_code, typed_code
from otpcore.errors import InvalidArgument, SettingsError
from otpcore.events import fields
from otpcore.messages.payments import Payment, payment_text
from otpcore.messages.texts import check_message, has_place
from otpcore.models import Channel
from otpcore.phone.numbers import look_up_phone, parse_phone
from otpcore.rate_limits.clients import is_list, names_nobody
from otpcore.service.extras import NOTHING_SAID, Extras
from otpcore.service.sending import SendOrder
from otpcore.service.service import recipient
from otpcore.service.verifying import Guess
from otpcore.settings.apps import APP
from otpcore.settings.sections import OtpSettings

__all__ = [
    "LONGEST_NAME",
    "Clients",
    "check_app",
    "check_short",
    "check_storable",
    "check_text",
    "findable",
    "guess_of",
    "is_id",
    "named_channel",
    "order_of",
]

_logger = logging.getLogger("otpcore.limits")

LONGEST_NAME = 100
"""Characters of a purpose or a locale; the same for every store."""

_MOST_ITEMS = 10  # of metadata
_LONGEST_ITEM_NAME = 40  # characters
_LONGEST_ITEM = 200  # characters
_LONGEST_CLIENT = 1_000  # characters; of more, the end: the nearest proxy wrote it
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_ID = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9_-]{16,}")


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
    payment: object,
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
    own_code = None if code is None else parse_code(code)
    bound = _checked_payment(payment)
    _check_said(own_code, message, bound, verifiable=verifiable)
    is_strict = settings.number_policy == "valid"
    number = parse_phone(phone, default_region=settings.default_region, require_valid=is_strict)
    if bound is not None:
        message, locale = _worded(settings.of_app(app), bound, word, locale)
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
        payment=bound,
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
    payment: object,
) -> Guess:
    """The guess that these arguments of ``AsyncOTPService.verify`` make.

    Raises:
        InvalidPhoneNumber, InvalidArgument, SettingsError: As there.
    """
    check_text(purpose=purpose)
    check_storable(purpose=purpose)
    check_short(purpose=purpose)
    check_app(app)
    _require_id(settings.verify_by, challenge_id)
    if phone is None and challenge_id is None:
        raise InvalidArgument("verify needs a phone or a challenge_id, and both are None")
    return Guess(
        phone=look_up_phone(phone, default_region=settings.default_region) if phone is not None else None,
        challenge_id=findable(challenge_id) if challenge_id is not None else None,
        purpose=purpose,
        app=app,
        client=clients.named(client),
        code=typed_code(code),
        payment=_checked_payment(payment),
    )


def _require_id(verify_by: str, challenge_id: str | None) -> None:
    """Refuse a look-up by phone alone where the settings forbid it."""
    if verify_by == "id" and challenge_id is None:
        raise SettingsError('otp.verify_by is "id": a phone alone is not enough. Fix: pass challenge_id to verify')


def check_text(**given: object) -> None:
    """Refuse what is no text, by the name of the argument.

    Raises:
        InvalidArgument: It is of another type, or None. It is never quoted.
    """
    for name, value in given.items():
        if not isinstance(value, str):
            raise InvalidArgument(f"{name} must be text, not {type(value).__name__}")


def check_storable(**texts: object) -> None:
    """Refuse what no database keeps, by the name of the argument; the driver's own error would quote it.

    Raises:
        InvalidArgument: It is neither text nor None, or holds such characters.
    """
    for name, text in texts.items():
        if text is None:
            continue
        check_text(**{name: text})
        if _UNSTORABLE.search(str(text)):
            raise InvalidArgument(f"{name}: holds half a character (a lone surrogate) or a NUL, which cannot be stored")


def is_id(target: str) -> bool:
    """Whether this is a challenge's id, and no phone number."""
    return _ID.fullmatch(target) is not None


def check_short(**texts: str | None) -> None:
    """Refuse what nobody means, by the name of the argument: it is kept with each challenge, and shown.

    Raises:
        InvalidArgument: It is longer than ``LONGEST_NAME``.
    """
    for name, text in texts.items():
        if text is not None and len(text) > LONGEST_NAME:
            raise InvalidArgument(f"{name}: has {len(text)} characters; it may have {LONGEST_NAME} at most")


def check_app(app: str) -> None:
    """Refuse what is no word of an app.

    Raises:
        InvalidArgument: It is no text, or holds something else than at most 40 letters, digits, ``.``, ``_`` and ``-``.
    """
    check_text(app=app)
    if app and not APP.fullmatch(app):
        raise InvalidArgument("app: is at most 40 ASCII letters, digits, dots, _ and -")


def named_channel(word: str) -> Channel:
    """The channel that a caller named.

    Raises:
        InvalidArgument: It is no word that a channel could have.
    """
    if isinstance(word, Channel):
        return word
    check_text(channel=word)
    try:
        return Channel(word)
    except ValueError as error:
        raise InvalidArgument(f"channel: {error}, such as sms, call or whatsapp") from None


def _check_said(code: str | None, message: str | None, payment: Payment | None, *, verifiable: bool) -> None:
    """Refuse a text that does not fit what is to be done with the code.

    Raises:
        InvalidArgument: Says which.
    """
    if payment is not None and (message is not None or not verifiable):
        raise InvalidArgument("a payment is worded by otpcore, and verified: it takes no message, and is not relayed")
    if not verifiable:
        _check_relayed(code, message)
    elif message is not None:
        check_message(message)


def _checked_payment(given: object) -> Payment | None:
    """A payment as the host gives it.

    Raises:
        InvalidArgument: It is none.
    """
    if given is not None and not isinstance(given, Payment):
        raise InvalidArgument(f"payment must be an otpcore.Payment, not {type(given).__name__}")
    return given


def _worded(texts: OtpSettings, payment: Payment, channel: Channel, locale: str | None) -> tuple[str, str | None]:
    """The text of a payment, and its language where the caller named one."""
    text, language = payment_text(
        payment,
        is_spoken=channel is Channel.CALL,
        app=texts.app,
        locale=locale or "",
        default_locale=texts.locale,
    )
    return text, language if locale else None


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


def _checked_metadata(given: object) -> dict[str, str]:
    """Metadata as the host passes it, checked item by item; None is none.

    Raises:
        InvalidArgument: It is no mapping of texts, or too much. An item is named, and never quoted.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InvalidArgument(f"metadata must be a mapping of names to texts, not {type(given).__name__}")
    if len(given) > _MOST_ITEMS:
        raise InvalidArgument(f"metadata: has {len(given)} items; it may have {_MOST_ITEMS} at most")
    for place, (name, text) in enumerate(given.items(), 1):
        _check_item(f"the name of metadata item {place}", name, least=1, most=_LONGEST_ITEM_NAME)
        _check_item(f"metadata {name!r}", text, least=0, most=_LONGEST_ITEM)
    return {str(name): str(text) for name, text in given.items()}


def _check_item(what: str, text: object, *, least: int, most: int) -> None:
    """Refuse the name or the text of one item of metadata."""
    check_text(**{what: text})
    check_storable(**{what: text})
    if not least <= len(str(text)) <= most:
        raise InvalidArgument(f"{what}: has {len(str(text))} characters; it may have {least} to {most}")


def findable(challenge_id: str) -> str:
    """An id from a request as it may be looked for: one that could not have been stored names no challenge.

    Raises:
        InvalidArgument: It is no text.
    """
    check_text(challenge_id=challenge_id)
    return "" if _UNSTORABLE.search(challenge_id) else challenge_id


class Clients:
    """Takes ``client`` as the host passes it. What the host does wrong is logged once, and not for every send."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def named(self, client: object) -> str | None:
        """The client; None: the host names none.

        Raises:
            InvalidArgument: It is no text.
        """
        if client is None:
            return None
        check_text(client=client)
        client = str(client)[-_LONGEST_CLIENT:]
        if names_nobody(client):
            self._say(
                fields("client_missing"),
                "client names nobody (it is empty, or that of a Unix socket): limits.client counts nothing; pass the address "
                "that your proxy forwards, or None",
            )
            return None
        if is_list(client):
            self._say(
                fields("client_list"),
                "client is a list of addresses: the last one counts; pass the one that your proxy saw",
            )
        return client

    def extras(self, client: object, metadata: object) -> Extras:
        """What the host says of a send besides its text.

        Raises:
            InvalidArgument: The client is no text, or metadata are no texts or too much.
        """
        if client is None and metadata is None:
            return NOTHING_SAID
        return Extras(client=self.named(client), metadata=_checked_metadata(metadata))

    def _say(self, about: dict[str, str], message: str) -> None:
        if message not in self._said:
            self._said.add(message)
            _logger.error(message, extra=about)
