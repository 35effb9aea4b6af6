"""Numbers for which the simulator fails, each in its own way; from the range that Sweden keeps for fiction."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from otp_sinch.answers import VerificationStatus

__all__ = ["MAGIC_NUMBERS", "Ending", "told"]


@attrs.frozen
class Ending:
    """How a verification of a magic number ends.

    Args:
        status: Its status.
        reason: The reason beside it.
        at_once: The answer to the start says so; else the start looks well and only a status query shows it.
    """

    status: VerificationStatus
    reason: str
    at_once: bool = True


MAGIC_NUMBERS: Mapping[str, Ending | int] = {
    "+46701740610": Ending(VerificationStatus.DENIED, "Fraud"),
    "+46701740611": Ending(VerificationStatus.DENIED, "Blocked"),
    "+46701740612": Ending(VerificationStatus.DENIED, "Not enough credit"),
    "+46701740613": Ending(VerificationStatus.DENIED, "Destination denied"),
    "+46701740614": Ending(VerificationStatus.DENIED, "Denied by callback"),
    "+46701740615": Ending(VerificationStatus.DENIED, "Invalid callback"),
    "+46701740620": Ending(VerificationStatus.ERROR, "Network error or number unreachable"),
    "+46701740621": Ending(VerificationStatus.ERROR, "Internal error"),
    "+46701740622": Ending(VerificationStatus.ERROR, "SMS delivery failure", at_once=False),
    "+46701740630": 40001,
    "+46701740631": 40200,
    "+46701740632": 40303,
    "+46701740633": 40900,
    "+46701740634": 42201,
    "+46701740635": 42900,
    "+46701740636": 42901,
    "+46701740637": 50000,
    "+46701740638": 50300,
    "+46701740639": 50301,
}
"""What a start for these numbers leads to: an ending, or an ``errorCode`` (whose first three digits are the HTTP status)."""


def told() -> dict[str, str]:
    """The same in a few words."""
    return {number: _words(what) for number, what in MAGIC_NUMBERS.items()}


def _words(what: Ending | int) -> str:
    if isinstance(what, int):
        return f"errorCode {what}"
    return f"{what.status}: {what.reason}{'' if what.at_once else ', later'}"
