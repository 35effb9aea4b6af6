"""The numbers that fail at every simulator of a table, so that a host can see how it fares without a line of code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from otp_http.meanings import Meaning
from otp_http.sections import Answer
from otpcore.providers import ErrorKind

__all__ = ["REFUSED", "UNREACHABLE", "numbers_of", "refusal_of"]

REFUSED: Mapping[str, ErrorKind] = MappingProxyType(
    {
        "+359880000013": ErrorKind.REJECTED_NUMBER,
        "+359880000014": ErrorKind.BLOCKED,
        "+359880000029": ErrorKind.THROTTLED,
        "+359880000053": ErrorKind.UNAVAILABLE,
        "+359880000061": ErrorKind.MISCONFIGURED,
        "+359880000062": ErrorKind.LIMIT_REACHED,
    }
)
"""Numbers that are refused with the first code of this kind; where the table lists none, their messages are taken."""

UNREACHABLE = "+359880000044"
"""Its messages are taken, and reported as not delivered where the simulator reports."""


def refusal_of(answer: Answer, recipient: str) -> str:
    """The code with which messages to a number are refused; empty: they are taken."""
    kind = REFUSED.get(recipient)
    listed = (code for code, text in answer.codes.items() if code not in answer.duplicates)
    return next((code for code in listed if Meaning.read(answer.codes[code]).kind is kind), "")


def numbers_of(answers: Iterable[Answer], *, can_report: bool) -> dict[str, str]:
    """What becomes of messages to each of these numbers, where one of the answers lists it."""
    known = list(answers)
    codes = {number: dict.fromkeys(code for one in known if (code := refusal_of(one, number))) for number in REFUSED}
    said = {number: f"{REFUSED[number]}, code {', '.join(codes[number])}" for number in REFUSED if codes[number]}
    return said | ({UNREACHABLE: "taken, and reported as not delivered"} if can_report else {})
