"""The settings of one Sinch instance (``providers.<instance>``)."""

from __future__ import annotations

import enum
import re

import attrs

from otp_sinch.signing import decode_secret

__all__ = ["Auth", "SinchSettings"]

_KEY = re.compile(r"[!-9;-~]+")


class Auth(enum.StrEnum):
    """How requests prove who sends them."""

    APPLICATION = "application"
    """Each request signed with the secret: what Sinch asks for in production."""
    BASIC = "basic"
    """The secret itself in each request: what Sinch calls prototyping. No options (expiry, speech) are sent."""


def _is_key(_: SinchSettings, __: attrs.Attribute[str], value: str) -> None:
    if not _KEY.fullmatch(value):
        raise ValueError("must be the application key of a Sinch app: visible ASCII without spaces or ':'")


def _is_secret(_: SinchSettings, __: attrs.Attribute[str], value: str) -> None:
    decode_secret(value)


@attrs.frozen(kw_only=True)
class SinchSettings:
    """What a Sinch instance needs to know.

    Args:
        application_key: Key of the Verification app (not a project key).
        application_secret: Its secret, Base64 as the dashboard shows it.
        auth: ``application`` (signed) or ``basic``.
        base_url: Scheme and host only; ``/verification/v1/…`` is added and signed here.
        allow_plain_http: Allow ``http://`` beyond loopback.
    """

    application_key: str = attrs.field(validator=_is_key)
    application_secret: str = attrs.field(repr=False, validator=_is_secret)
    auth: Auth = Auth.APPLICATION
    base_url: str = "https://verification.api.sinch.com"
    allow_plain_http: bool = False

    @property
    def secret(self) -> bytes:
        """The decoded secret."""
        return decode_secret(self.application_secret)

    @property
    def basic_auth(self) -> tuple[str, str] | None:
        """User and password of Basic authentication, or None where requests are signed."""
        return (self.application_key, self.application_secret) if self.auth is Auth.BASIC else None
