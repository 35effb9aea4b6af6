"""Answers in Twilio's form, and the failures that magic numbers stand for."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

import attrs

from otpcore.providers import Channel
from otpcore.simulators import SimulatedAnswer

__all__ = [
    "ANSWERED",
    "CALL_ENDS",
    "CALL_FAILURES",
    "DELIVERED",
    "FAILS_LATER",
    "MESSAGE_ENDS",
    "MESSAGE_FAILURES",
    "NEVER_ARRIVES",
    "VERIFY_FAILURES",
    "End",
    "Failure",
    "error",
    "new_sid",
    "told",
]

FAILS_LATER = "+15005550998"
NEVER_ARRIVES = "+15005550999"


@attrs.frozen
class End:
    """What becomes of a message or call after it was taken, as status callbacks tell.

    Args:
        statuses: One callback each.
        code: Twilio's error code beside those that are failures; 0: none.
        arrives: The person receives it.
    """

    statuses: tuple[str, ...]
    code: int = 0
    arrives: bool = True


@attrs.frozen
class Failure:
    """How a create is refused.

    Args:
        status: HTTP status.
        code: Twilio's error code.
        message: Twilio's words.
        channel: Only on this one; None: on each.
        retry_after: Seconds in the header ``Retry-After``; 0: no header.
    """

    status: int
    code: int
    message: str
    channel: Channel | None = None
    retry_after: int = 0

    def answer(self) -> SimulatedAnswer:
        """The refusal on the wire."""
        headers = {"Retry-After": str(self.retry_after)} if self.retry_after else {}
        return error(self.status, self.code, self.message, headers)


def error(status: int, code: int, message: str, headers: Mapping[str, str] | None = None) -> SimulatedAnswer:
    """Twilio's error body."""
    more = f"https://www.twilio.com/docs/errors/{code}"
    return SimulatedAnswer.json(
        status, {"code": code, "message": message, "more_info": more, "status": status}, headers
    )


def new_sid(prefix: str) -> str:
    """A SID that nobody had before."""
    return prefix + secrets.token_hex(16)


_EVERYWHERE = {
    "+15005550401": Failure(401, 20003, "Authenticate"),
    "+15005550402": Failure(403, 20005, "Account not active"),
    "+15005550429": Failure(429, 20429, "Too Many Requests", retry_after=7),
    "+15005550500": Failure(500, 20500, "Internal Server Error"),
    "+15005550503": Failure(503, 20503, "Service Unavailable"),
}

DELIVERED = End(("sent", "delivered"))
ANSWERED = End(("completed",))

MESSAGE_ENDS: Mapping[str, End] = {
    NEVER_ARRIVES: End(("sent",), arrives=False),
    "+15005550603": End(("sent", "undelivered"), 30003, arrives=False),
    "+15005550606": End(("sent", "undelivered"), 30006, arrives=False),
    "+15005550607": End(("sent", "undelivered"), 30007, arrives=False),
    "+15005550610": End(("failed",), 21610, arrives=False),
    "+15005550634": End(("undelivered",), 30034, arrives=False),
    "+15005550690": End(("sent", "undelivered", "delivered"), 30008),
}

CALL_ENDS: Mapping[str, End] = {
    NEVER_ARRIVES: End((), arrives=False),
    "+15005550603": End(("no-answer",), arrives=False),
    "+15005550606": End(("busy",), arrives=False),
    "+15005550607": End(("failed",), arrives=False),
}

MESSAGE_FAILURES: Mapping[str, Failure] = {
    **_EVERYWHERE,
    "+15005550001": Failure(400, 21211, "The 'To' number +15005550001 is not a valid phone number."),
    "+15005550002": Failure(400, 21612, "The 'To' phone number +15005550002 is not currently reachable via SMS."),
    "+15005550003": Failure(400, 21408, "Permission to send an SMS has not been enabled for the region."),
    "+15005550004": Failure(400, 21610, "Attempt to send to unsubscribed recipient"),
    "+15005550009": Failure(400, 21614, "'To' number is not a valid mobile number"),
}

CALL_FAILURES: Mapping[str, Failure] = {
    **_EVERYWHERE,
    "+15005550001": Failure(400, 21217, "Phone number does not appear to be valid"),
    "+15005550002": Failure(400, 21214, "'To' phone number cannot be reached"),
    "+15005550003": Failure(400, 21215, "Account not authorized to call +15005550003."),
    "+15005550004": Failure(400, 21216, "Account not allowed to call +15005550004"),
    "+15005550410": Failure(400, 21216, "Account not allowed to call +15005550410"),
}

VERIFY_FAILURES: Mapping[str, Failure] = {
    **_EVERYWHERE,
    "+15005550001": Failure(400, 60200, "Invalid parameter `To`: +15005550001"),
    "+15005550003": Failure(403, 60605, "The destination phone number has been blocked by Verify Geo-Permissions."),
    "+15005550004": Failure(403, 60412, "The destination phone number has been blocked by fraud prevention."),
    "+15005550009": Failure(403, 60205, "SMS is not supported by landline phone number", Channel.SMS),
    "+15005550203": Failure(429, 60203, "Max send attempts reached"),
    "+15005550212": Failure(429, 60212, "Too many concurrent requests for phone number"),
    "+15005550410": Failure(403, 60410, "The destination phone number has been temporarily blocked", Channel.SMS),
}


def told() -> dict[str, str]:
    """What becomes of what is sent to each number that is not a person's, by each API, in a few words."""
    apis: tuple[tuple[str, Mapping[str, Failure], Mapping[str, End]], ...] = (
        ("SMS", MESSAGE_FAILURES, MESSAGE_ENDS),
        ("call", CALL_FAILURES, CALL_ENDS),
        ("Verify", VERIFY_FAILURES, {}),
    )
    said: dict[str, list[str]] = {}
    for api, failures, ends in apis:
        for number, failure in failures.items():
            said.setdefault(number, []).append(f"{api} {failure.code}")
        for number, end in ends.items():
            said.setdefault(number, []).append(f"{api} {' '.join(end.statuses[-1:]) or 'never answered'}")
    said[FAILS_LATER] = ["taken, and fails"]
    said[NEVER_ARRIVES] = ["taken, and never arrives"]
    return {number: ", ".join(said[number]) for number in sorted(said)}
