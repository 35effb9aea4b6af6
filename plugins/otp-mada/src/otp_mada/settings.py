"""The settings of one Mada instance (``providers.<instance>``)."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from typing import TypeAlias

import attrs

from otp_mada.soap import Address
from otpcore.messages import segments

__all__ = ["MadaSettings", "UnicodePolicy", "sender_problem"]

_ALPHANUMERIC = 5
_LONGEST_NAME = 11
_DIGITS = re.compile(r"[0-9]{1,15}")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_TONS = frozenset(range(7))
_NPIS = frozenset({0, 1, 3, 4, 6, 8, 9, 10, 14, 18})
_RECEIPT_FLAGS = frozenset(range(3))


class UnicodePolicy(enum.StrEnum):
    """What becomes of a text that GSM-7 cannot carry."""

    REFUSE = "refuse"
    """It is not sent here; the next instance may."""
    SEND = "send"
    """It is sent as it is, up to 70 UTF-16 units. Only after a test with the real gateway: its encoding is its own affair."""
    UCS2 = "ucs2"
    """It is sent as UCS-2 (``dataCoding`` 8, ``hexData``), up to 70 UTF-16 units. Only after a test with the real gateway."""


def sender_problem(name: str, ton: int) -> str:
    """What is wrong with a sender of this type of number; "" when nothing is.

    An alphanumeric sender has at most 11 GSM characters (3GPP TS 23.040 §9.1.2.5), any other is digits (E.164: at most 15).
    """
    if ton != _ALPHANUMERIC:
        return "" if _DIGITS.fullmatch(name) else "must be 1 to 15 digits unless source_ton is 5 (alphanumeric)"
    counted = segments(name)
    fits = counted.encoding == "GSM-7" and counted.units <= _LONGEST_NAME
    if fits and name and name == name.strip() and not _CONTROLS.search(name):
        return ""
    hint = "; for a longer number set source_ton = 1" if _DIGITS.fullmatch(name) else ""
    return f"must be 1 to 11 characters of the GSM alphabet{hint}"


_Validator: TypeAlias = Callable[["MadaSettings", "attrs.Attribute[int]", int], None]


def _one_of(allowed: frozenset[int], meaning: str) -> _Validator:
    def check(_: MadaSettings, __: attrs.Attribute[int], value: int) -> None:
        if value not in allowed:
            raise ValueError(f"must be {meaning}: one of {', '.join(map(str, sorted(allowed)))}")

    return check


def _is_user(_: MadaSettings, __: attrs.Attribute[str], value: str) -> None:
    if not value or ":" in value or value != value.strip() or not value.isprintable():
        raise ValueError("must be the user name of the account, without ':', spaces around it and control characters")


def _is_password(_: MadaSettings, __: attrs.Attribute[str], value: str) -> None:
    if not value or _CONTROLS.search(value):
        raise ValueError("must be the password of the account, without control characters")


def _is_sender(settings: MadaSettings, _: attrs.Attribute[str], value: str) -> None:
    if problem := sender_problem(value, settings.source_ton):
        raise ValueError(problem)


_TON = _one_of(_TONS, "an SMPP type of number")
_NPI = _one_of(_NPIS, "an SMPP numbering plan")


@attrs.frozen(kw_only=True)
class MadaSettings:
    """What a Mada instance needs to know.

    Args:
        url: The whole URL of the gateway, path and port too; the request goes to exactly this.
        username: User of HTTP Basic authentication.
        password: Its password.
        source_name: The sender that people see.
        source_ton: Its type of number: 5 alphanumeric, 1 international, 3 network specific (short codes), …
        source_npi: Its numbering plan: 1 E.164, 0 unknown, …
        destination_ton: Type of number of the recipient.
        destination_npi: Numbering plan of the recipient.
        registered_delivery: Delivery receipts asked for: 0 none, 1 always, 2 on failure.
        unicode: What becomes of a text that GSM-7 cannot carry.
        validity_period: Tell the gateway to give up when the code expires.
        allow_plain_http: Allow ``http://`` beyond loopback.
    """

    url: str
    username: str = attrs.field(validator=_is_user)
    password: str = attrs.field(repr=False, validator=_is_password)
    source_name: str = attrs.field(validator=_is_sender)
    source_ton: int = attrs.field(default=_ALPHANUMERIC, validator=_TON)
    source_npi: int = attrs.field(default=1, validator=_NPI)
    destination_ton: int = attrs.field(default=1, validator=_TON)
    destination_npi: int = attrs.field(default=1, validator=_NPI)
    registered_delivery: int = attrs.field(default=1, validator=_one_of(_RECEIPT_FLAGS, "a delivery receipt flag"))
    unicode: UnicodePolicy = UnicodePolicy.REFUSE
    validity_period: bool = False
    allow_plain_http: bool = False

    @property
    def source(self) -> Address:
        """The sender's address."""
        return Address(ton=self.source_ton, npi=self.source_npi, addr=self.source_name)
