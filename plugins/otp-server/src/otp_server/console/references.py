"""Addresses that name a phone or a client without showing it: sealed, and good for a day."""

from __future__ import annotations

import base64
import binascii
import enum
import time

from otp_server.vault import Vault
from otpcore import SettingsError

__all__ = ["Named", "named_by", "reference_of"]

_LASTS = 86_400  # seconds
_LONGEST = 1_000


class Named(enum.StrEnum):
    """What an address names."""

    PHONE = "phone"
    CLIENT = "client"


def reference_of(vault: Vault, kind: Named, name: str) -> str:
    """The part of an address that names it; another one each time.

    Args:
        vault: That seals it.
        kind: What it is.
        name: A number in E.164, or a client as the host passes it.
    """
    sealed = vault.seal(_place(kind), {"name": name, "until": int(time.time()) + _LASTS})
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


def named_by(vault: Vault, kind: Named, reference: str) -> str | None:
    """What such a part names; None: nothing, or it is older than a day."""
    try:
        sealed = base64.urlsafe_b64decode(reference[:_LONGEST] + "=" * (-len(reference) % 4))
        value = vault.open(_place(kind), sealed)
    except (SettingsError, binascii.Error, ValueError):
        return None
    name: str = value["name"]
    return name if value["until"] > time.time() else None


def _place(kind: Named) -> str:
    return f"console/{kind}"
