"""``server.relay`` and ``server.apps.<app>.relay``: which auth systems hand their messages over, and how they prove it."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from typing import Any

import attrs

from otp_server.keys import Kind
from otp_server.webhooks.signing import is_secret
from otpcore.runners import SettingsError

__all__ = ["RelaySettings", "RelaysSettings", "SigningRelaySettings", "Wording"]

_SHARED = re.compile(r"[!-~]{24,}")
_OF_SUPABASE = "v1,"


class Wording(enum.StrEnum):
    """Who words a message that came as a text and its code."""

    CALLER = "caller"
    """The auth system: its text goes out as it is."""
    OTPCORE = "otpcore"
    """otpcore: the code goes out in its words, or in those of the settings."""


def _good_shared(_: Any, __: Any, value: Sequence[str]) -> None:
    if not all(map(_SHARED.fullmatch, value)):
        raise SettingsError(
            "must be at least 24 printable ASCII characters without blanks, such as openssl rand -hex 32 makes"
        )


def _good_signing(_: Any, __: Any, value: Sequence[str]) -> None:
    if not all(is_secret(one.removeprefix(_OF_SUPABASE)) for one in value):
        raise SettingsError(
            "must be whsec_ and base64 of 24 to 64 bytes, as Standard Webhooks write it; Supabase puts v1, before it"
        )


@attrs.frozen(kw_only=True)
class RelaySettings:
    """What one auth system may hand over.

    Args:
        secrets: By which it proves itself; each of them is taken, so that one can be exchanged. None: it may nothing.
        kind: ``live``, or ``test``: nobody is reached, as with a test key.
        text: Who words the message, where the auth system sends a text and its code.
    """

    secrets: Sequence[str] = attrs.field(default=(), repr=False, validator=_good_shared)
    kind: Kind = Kind.LIVE
    text: Wording = Wording.CALLER


@attrs.frozen(kw_only=True)
class SigningRelaySettings(RelaySettings):
    """The same of one that signs as Standard Webhooks say."""

    secrets: Sequence[str] = attrs.field(default=(), repr=False, validator=_good_signing)


@attrs.frozen(kw_only=True)
class RelaysSettings:
    """The auth systems of an app, each with an address of its own below ``/v1/relay/``."""

    supabase: SigningRelaySettings = attrs.field(factory=SigningRelaySettings)
    kratos: RelaySettings = attrs.field(factory=RelaySettings)
    auth0: SigningRelaySettings = attrs.field(factory=SigningRelaySettings)
    authentik: RelaySettings = attrs.field(factory=RelaySettings)
    zitadel: RelaySettings = attrs.field(factory=RelaySettings)
    logto: RelaySettings = attrs.field(factory=RelaySettings)

    def of(self, name: str) -> RelaySettings:
        """Those of one of them."""
        found: RelaySettings = getattr(self, name)
        return found
