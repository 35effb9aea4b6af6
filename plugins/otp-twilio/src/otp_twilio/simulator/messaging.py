"""Simulated Messages and Calls: what is sent arrives, what is said is heard."""

from __future__ import annotations

import email.utils
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs
from xml.etree import ElementTree as ET

from otp_twilio.simulator.answers import (
    CALL_FAILURES,
    FAILS_LATER,
    MESSAGE_FAILURES,
    NEVER_ARRIVES,
    Failure,
    error,
    new_sid,
)
from otpcore.models import Channel
from otpcore.simulators import SimulatedAnswer

if TYPE_CHECKING:
    from otp_twilio.simulator.account import TwilioSimulator

__all__ = ["SimulatedCalls", "SimulatedMessages", "SimulatedResource"]

_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
_TEST_NUMBER = "+15005550006"
_SENDERS = {
    "+15005550001": Failure(400, 21212, "The 'From' number +15005550001 is not a valid phone number."),
    "+15005550007": Failure(400, 21606, "The 'From' phone number is not a valid, SMS-capable inbound number."),
    "+15005550008": Failure(400, 21611, "This 'From' number has exceeded the maximum number of queued messages"),
}
_LONGEST_BODY = 1600
_LONGEST_VALIDITY = 36_000
_UNDELIVERABLE = {"error_code": 30005, "error_message": "Unknown destination handset"}


class SimulatedResource:
    """A list of things that can be created, fetched and listed."""

    name: str
    prefix: str

    def __init__(self, account: TwilioSimulator) -> None:
        self._account = account
        self._made: list[dict[str, Any]] = []

    def answer(self, method: str, sid: str | None, query: str, form: dict[str, str]) -> SimulatedAnswer:
        """Answer one request; ``sid`` is the last part of the path, if there is one."""
        if method == "POST" and sid is None:
            return self._create(form)
        if method == "GET":
            return _fetched(self._made, sid) if sid else _listed(self.name.lower(), self._made, query)
        return _not_found()

    def _create(self, form: dict[str, str]) -> SimulatedAnswer:
        raise NotImplementedError

    def _fetched(known: list[dict[str, Any]], sid: str) -> SimulatedAnswer:
    found = next((each for each in known if each["sid"] == sid), None)
    return SimulatedAnswer.json(200, found) if found else _not_found()


def _listed(name: str, known: list[dict[str, Any]], query: str) -> SimulatedAnswer:
    asked = {key: values[-1] for key, values in parse_qs(query).items()}
    size = int(asked.get("PageSize", 50))
    found = [each for each in reversed(known) if asked.get("To", each["to"]) == each["to"]][:size]
    page = {"page": 0, "page_size": size, "start": 0, "end": max(len(found) - 1, 0), "next_page_uri": None}
    return SimulatedAnswer.json(200, {name: found, **page})


def _not_found() -> SimulatedAnswer:
    return error(404, 20404, "The requested resource was not found")
