"""The settings of one Twilio instance (``providers.<instance>``)."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import attrs

from otp_twilio.overrides import overrides_problem

__all__ = ["CLIENT", "NUMBER", "VERIFY_CHANNELS", "Mode", "RiskCheck", "TwilioSettings", "is_number"]

NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
"""A full phone number (E.164)."""

VERIFY_CHANNELS = ("sms", "call", "whatsapp")
"""What Verify can send over, in its own words."""

CLIENT = "client"
"""What stands for the client's address where else the name of an item of metadata stands."""

_USUAL_CHANNELS = ("sms", "call")
_MOST_TAGS = 10  # of one verification
_SHORT_CODE = re.compile(r"[0-9]{3,8}")
_SENDER_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 _&+-]{1,11}")  # Twilio's alphanumeric sender ID
_HOST_PART = re.compile(r"[a-z0-9-]+")

_Validator: TypeAlias = "Callable[[TwilioSettings, attrs.Attribute[str], str], None]"


class Mode(enum.StrEnum):
    """Which of Twilio's products carries the code."""

    VERIFY = "verify"
    """Verify v2: Twilio makes, words, sends and checks the code."""
    MESSAGING = "messaging"
    """Programmable Messaging and Voice: otpcore makes, words and checks it, Twilio carries text and speech."""


class RiskCheck(enum.StrEnum):
    """Whether Twilio's guards against fraud may refuse a message, whatever the account's own settings say."""

    ENABLE = "enable"
    DISABLE = "disable"


def is_number(sender: str) -> bool:
    """Whether a sender is a full phone number (E.164), which can also call."""
    return NUMBER.fullmatch(sender) is not None


def _sid(prefix: str, what: str) -> _Validator:
    shape = re.compile(rf"{prefix}[0-9a-fA-F]{{32}}")

    def check(_: TwilioSettings, __: attrs.Attribute[str], value: str) -> None:
        if value and not shape.fullmatch(value):
            raise ValueError(f"must be the SID of {what}: {prefix} and 32 hexadecimal digits")

    return check


def _required_account(_: TwilioSettings, __: attrs.Attribute[str], value: str) -> None:
    if not value:
        raise ValueError("must be the SID of the account: AC and 32 hexadecimal digits")


def _one_way_to_log_in(settings: TwilioSettings, _: attrs.Attribute[str], value: str) -> None:
    if value and (settings.api_key or settings.api_key_secret):
        raise ValueError("give either auth_token, or api_key with api_key_secret, not both")
    if not value and not settings.api_key:
        raise ValueError("is required, unless api_key and api_key_secret are given")


def _beside(other: str) -> _Validator:
    def check(settings: TwilioSettings, _: attrs.Attribute[str], value: str) -> None:
        if value and not getattr(settings, other):
            raise ValueError(f"needs {other} beside it")

    return check


def _service_of_verify(settings: TwilioSettings, _: attrs.Attribute[str], value: str) -> None:
    if settings.mode is Mode.VERIFY and not value:
        raise ValueError('is required (the SID of a Verify service, VA…), unless mode = "messaging"')
    if settings.mode is Mode.MESSAGING and value:
        raise ValueError('belongs to mode = "verify" only')


def _only_in_verify(settings: TwilioSettings, attribute: attrs.Attribute[Any], value: object) -> None:
    usual: Any = attribute.default
    if settings.mode is Mode.MESSAGING and value != (usual.factory() if isinstance(usual, attrs.Factory) else usual):  # type: ignore[arg-type] # the stubs call the class a function
        raise ValueError('belongs to mode = "verify" only')


def _few_enough(_: TwilioSettings, __: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    if len(value) > _MOST_TAGS:
        raise ValueError(f"Verify takes {_MOST_TAGS} tags at most")


def _only_in_messaging(settings: TwilioSettings, _: attrs.Attribute[Any], value: object) -> None:
    if settings.mode is Mode.VERIFY and value:
        raise ValueError('belongs to mode = "messaging" only')


def _sender_of_messaging(settings: TwilioSettings, attribute: attrs.Attribute[str], value: str) -> None:
    if settings.mode is Mode.MESSAGING and not value and not settings.messaging_service_sid:
        raise ValueError('is required in mode = "messaging", unless messaging_service_sid is given')
    _only_in_messaging(settings, attribute, value)
    if value and not any(shape.fullmatch(value) for shape in (NUMBER, _SHORT_CODE, _SENDER_NAME)):
        raise ValueError("must be a number with leading +, a short code, or a sender name of at most 11 characters")


def _signing_token(settings: TwilioSettings, _: attrs.Attribute[str], value: str) -> None:
    if value and settings.auth_token:
        raise ValueError("goes with api_key; with auth_token, that one is used")
    _only_in_messaging(settings, _, value)


def _callback_url(settings: TwilioSettings, attribute: attrs.Attribute[str], value: str) -> None:
    _only_in_messaging(settings, attribute, value)
    if value and not settings.receipt_token:
        raise ValueError("needs callback_auth_token beside it, since Twilio signs callbacks with the auth token only")
    if value and "_" in urlsplit(value).netloc:
        raise ValueError("Twilio calls no host whose name has an underscore")
    _, hash_sign, overrides = value.partition("#")
    if hash_sign and (problem := overrides_problem(overrides)):
        raise ValueError(f"behind # stand Twilio's connection overrides, such as #rc=5&rp=ct,rt,5xx: {problem}")


def _channels_of_verify(settings: TwilioSettings, _: attrs.Attribute[tuple[str, ...]], value: tuple[str, ...]) -> None:
    if settings.mode is Mode.MESSAGING and value != _USUAL_CHANNELS:
        raise ValueError('belongs to mode = "verify" only')
    if not value or not set(value) <= set(VERIFY_CHANNELS):
        raise ValueError(f"must name at least one of {', '.join(VERIFY_CHANNELS)}, and nothing else")


def _custom_codes_of_verify(settings: TwilioSettings, _: attrs.Attribute[bool], value: bool) -> None:
    if settings.mode is Mode.MESSAGING and value:
        raise ValueError('belongs to mode = "verify" only')


def _host_part(settings: TwilioSettings, attribute: attrs.Attribute[str], value: str) -> None:
    if value and not _HOST_PART.fullmatch(value):
        raise ValueError("must be in Twilio's spelling: lower-case letters and digits, such as ie1 or dublin")
    if value and (settings.verify_base_url or settings.api_base_url):
        raise ValueError(f"give either {attribute.name}, or the base URLs, not both")


@attrs.frozen(kw_only=True)
class TwilioSettings:
    """What a Twilio instance needs to know. Empty means not given.

    Args:
        mode: ``verify`` or ``messaging``.
        account_sid: ``AC…``; part of the URLs of Messages and Calls, and the user name beside ``auth_token``.
        auth_token: Password of the account. Twilio recommends an API key instead.
        api_key: ``SK…``.
        api_key_secret: Its secret.
        service_sid: ``VA…``, the Verify service; ``verify`` only.
        channels: Over what the Verify service sends, of ``sms``, ``call`` and ``whatsapp``; ``verify`` only.
        custom_codes: The Verify service sends otpcore's codes instead of its own; ``verify`` only. Twilio must have enabled
            custom codes for the service.
        from_number: Sender: a number (E.164), a short code or a sender name; ``messaging`` only. Calls need a number.
        messaging_service_sid: ``MG…``: sends the SMS instead of ``from_number``; ``messaging`` only.
        region: Twilio's region, such as ``ie1``; credentials belong to one region.
        edge: Twilio's edge, such as ``dublin``. The short host names with a region alone are retired, so both or neither.
        verify_base_url: Instead of ``https://verify.twilio.com``.
        api_base_url: Instead of ``https://api.twilio.com``.
        status_callback_url: Your URL to which Twilio reports what became of a message or call; ``messaging`` only.
            Connection overrides may stand behind ``#``.
        callback_auth_token: The token that signs those reports, where requests go out with an API key; ``messaging`` only.
        feedback: Tell Twilio which SMS brought a code that was typed; ``messaging`` only.
        allow_plain_http: Allow ``http://`` URLs beyond loopback.
        risk_check: ``enable`` or ``disable``: Twilio's guards against fraud, for the SMS of this instance; None: as the
            account's settings say.
        device_ip: Tell Verify the client's address, where the host passes one; ``verify`` only.
        tags: Names of the metadata that go out as tags, for Twilio's reports; ``verify`` only.
        rate_limits: By the unique name of a rate limit of the Verify service, what it counts: ``client``, or the name of an
            item of metadata; ``verify`` only.
        substitutions: Names of the metadata that fill in the variables of a Verify template; ``verify`` only.
        psd2: The Verify service is for payments (PSD2): the metadata ``payee`` and ``amount`` go out with each start and
            each check; ``verify`` only.
    """

    mode: Mode = Mode.VERIFY
    account_sid: str = attrs.field(validator=[_required_account, _sid("AC", "the account")])
    auth_token: str = attrs.field(default="", repr=False, validator=_one_way_to_log_in)
    api_key: str = attrs.field(default="", validator=[_sid("SK", "an API key"), _beside("api_key_secret")])
    api_key_secret: str = attrs.field(default="", repr=False, validator=_beside("api_key"))
    service_sid: str = attrs.field(default="", validator=[_sid("VA", "a Verify service"), _service_of_verify])
    channels: tuple[str, ...] = attrs.field(default=_USUAL_CHANNELS, validator=_channels_of_verify)
    custom_codes: bool = attrs.field(default=False, validator=_custom_codes_of_verify)
    from_number: str = attrs.field(default="", validator=_sender_of_messaging)
    messaging_service_sid: str = attrs.field(
        default="", validator=[_sid("MG", "a messaging service"), _only_in_messaging]
    )
    region: str = attrs.field(default="", validator=[_host_part, _beside("edge")])
    edge: str = attrs.field(default="", validator=[_host_part, _beside("region")])
    verify_base_url: str = ""
    api_base_url: str = ""
    status_callback_url: str = attrs.field(default="", validator=_callback_url)
    callback_auth_token: str = attrs.field(default="", repr=False, validator=_signing_token)
    feedback: bool = attrs.field(default=False, validator=_only_in_messaging)
    allow_plain_http: bool = False
    risk_check: RiskCheck | None = None
    device_ip: bool = attrs.field(default=True, validator=_only_in_verify)
    tags: tuple[str, ...] = attrs.field(default=(), validator=[_only_in_verify, _few_enough])
    rate_limits: Mapping[str, str] = attrs.field(factory=dict, validator=_only_in_verify)
    substitutions: tuple[str, ...] = attrs.field(default=(), validator=_only_in_verify)
    psd2: bool = attrs.field(default=False, validator=_only_in_verify)

    @property
    def receipt_token(self) -> str:
        """The token with which Twilio signs what it calls back; empty: none is known."""
        return self.callback_auth_token or self.auth_token

    @property
    def credentials(self) -> tuple[str, str]:
        """User and password of HTTP Basic authentication."""
        return (self.api_key, self.api_key_secret) if self.api_key else (self.account_sid, self.auth_token)

    def base_url(self, product: str) -> tuple[str, str]:
        """The base URL of ``verify`` or ``api``, and the name of the setting that would change it."""
        key = f"{product}_base_url"
        place = f"{self.edge}.{self.region}." if self.region else ""
        return getattr(self, key) or f"https://{product}.{place}twilio.com", key
