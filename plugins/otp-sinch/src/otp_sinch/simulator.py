"""A simulator of Sinch's Verification API v1 on loopback, with state: for tests, the demo and users' own tests.

It makes the codes, checks signatures and Basic credentials, ends a running verification when a new one starts, lets
verifications expire by ``clock``, and counts wrong codes. Where Sinch publishes no figure, the ones here are ours:
four digits, five minutes by default, five wrong codes, timestamps up to five minutes off.

``MAGIC_NUMBERS`` (from the range that Sweden keeps for fiction) choose a failure.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote

import attrs
from otpcore.models import Channel
from otpcore.simulators import SimulatedAnswer, SimulatedMessage, SimulatedRequest, Simulator

from otp_sinch.answers import VerificationStatus
from otp_sinch.signing import decode_secret, signature, string_to_sign

__all__ = ["MAGIC_NUMBERS", "Ending", "SinchSimulator"]


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

_MESSAGES = {
    40001: "Number is invalid. Too short.",
    40002: "A required parameter is missing.",
    40003: "Invalid request.",
    40005: "Number is missing leading plus.",
    40100: "Authorization header is missing.",
    40101: "Timestamp header is missing or stale.",
    40102: "Invalid signature.",
    40108: "Invalid credentials.",
    40301: "Invalid authorization scheme.",
    40400: "Resource not found.",
}
_INVALID_CODE = "Invalid identity or code."
_BASE = "/verification/v1/verifications"
_METHODS = {"sms": Channel.SMS, "callout": Channel.CALL}
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
_EXPIRY = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2})")


@attrs.define(kw_only=True)
class _Verification:
    id: str
    method: str
    number: str
    code: str
    reference: str
    started: datetime
    expires: datetime
    status: VerificationStatus = VerificationStatus.PENDING
    reason: str = ""
    wrong_codes: int = 0

    def end(self, status: VerificationStatus, reason: str = "") -> None:
        self.status, self.reason = status, reason

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "method": self.method,
            "status": str(self.status),
            **({"reason": self.reason} if self.reason else {}),
            **({"reference": self.reference} if self.reference else {}),
            "identity": {"type": "number", "endpoint": self.number},
            # Sinch writes UTC without saying so.
            "verificationTimestamp": self.started.replace(tzinfo=None).isoformat(timespec="microseconds"),
        }


class SinchSimulator(Simulator):
    """Sinch on loopback.

    Attributes:
        application_key: Of its one app.
        application_secret: Of its one app, Base64.
        code_digits: How long its codes are.
        default_expiry: Life of a verification whose start does not say ``smsOptions.expiry``.
        wrong_codes: After so many wrong codes a verification has failed.
        timestamp_tolerance: How far ``x-timestamp`` may be off.
    """

    application_key = "9f1c6a52-7d0e-4f3b-8a56-0d6a3f1f7c11"
    application_secret = "c2ltdWxhdGVkLXNlY3JldA=="  # noqa: S105 - the simulator's own, for loopback
    code_digits = 4
    default_expiry = timedelta(minutes=5)
    wrong_codes = 5
    timestamp_tolerance = timedelta(minutes=5)

    def __init__(self) -> None:
        super().__init__()
        self._verifications: list[_Verification] = []

    def provider_settings(self) -> dict[str, Any]:
        """The settings of an instance that talks to this simulator."""
        return {
            "application_key": self.application_key,
            "application_secret": self.application_secret,
            "base_url": self.base_url,
        }

    def handle(self, request: SimulatedRequest) -> SimulatedAnswer:
        """Answer one request."""
        if refusal := self._unauthorized(request):
            return _error(refusal)
        for method, path, action in _ROUTES:
            match = path.fullmatch(request.path)
            if match and request.method == method:
                return action(self, request, *map(unquote, match.groups()))
        return _error(40400)

    def _unauthorized(self, request: SimulatedRequest) -> int:
        """The error code of a request that does not prove who sends it; 0 where it does."""
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        match scheme.lower():
            case "":
                return 40100
            case "basic":
                expected = base64.b64encode(f"{self.application_key}:{self.application_secret}".encode()).decode()
                return 0 if hmac.compare_digest(credentials.encode(), expected.encode()) else 40108
            case "application":
                return self._unsigned(request, credentials)
            case _:
                return 40301

    def _unsigned(self, request: SimulatedRequest, credentials: str) -> int:
        key, _, given = credentials.partition(":")
        if key != self.application_key:
            return 40108
        timestamp = request.headers.get("x-timestamp", "")
        try:
            late = self.clock() - datetime.fromisoformat(timestamp)
        except (ValueError, TypeError):  # TypeError: a time without offset
            return 40101
        if abs(late) > self.timestamp_tolerance:
            return 40101
        text = string_to_sign(
            method=request.method,
            path=request.path,
            content_type=request.headers.get("content-type", ""),
            timestamp=timestamp,
            body=request.body,
        )
        right = signature(decode_secret(self.application_secret), text)
        return 0 if hmac.compare_digest(given.encode(), right.encode()) else 40102

    def _start(self, request: SimulatedRequest) -> SimulatedAnswer:
        body = _object(request)
        number, method = _part(body, "identity").get("endpoint"), body.get("method")
        if not isinstance(number, str) or method not in _METHODS:
            return _error(40002)
        if not _NUMBER.fullmatch(number):
            return _error(40001 if number.startswith("+") else 40005)
        magic = MAGIC_NUMBERS.get(number)
        if isinstance(magic, int):
            return _error(magic)
        for running in self._of(number):
            if running.status is VerificationStatus.PENDING:
                running.end(VerificationStatus.ABORTED)
        verification = self._begin(number, method, body)
        if magic is not None:
            verification.end(magic.status, magic.reason)
            if magic.at_once:
                return SimulatedAnswer.json(200, verification.to_json())
        else:
            self._deliver(verification)
        return _started(verification, request.headers.get("accept-language") or "en-US")

    def _begin(self, number: str, method: str, body: dict[str, Any]) -> _Verification:
        now = self.clock()
        expiry = _EXPIRY.fullmatch(str(_part(body, "smsOptions").get("expiry", "")))
        hours, minutes, seconds = map(int, expiry.groups()) if expiry else (0, 0, 0)
        life = timedelta(hours=hours, minutes=minutes, seconds=seconds) if expiry else self.default_expiry
        verification = _Verification(
            id=str(uuid.uuid4()),
            method=method,
            number=number,
            code=f"{secrets.randbelow(10**self.code_digits):0{self.code_digits}}",
            reference=str(body.get("reference") or ""),
            started=now,
            expires=now + life,
        )
        self._verifications.append(verification)
        return verification

    def _deliver(self, verification: _Verification) -> None:
        said = verification.code if verification.method == "sms" else ", ".join(verification.code)
        self.inbox.append(
            SimulatedMessage(
                recipient=verification.number,
                channel=_METHODS[verification.method],
                text=f"Your verification code is {said}.",
                code=verification.code,
                reference=verification.id,
            )
        )

    def _report_by_id(self, request: SimulatedRequest, verification_id: str) -> SimulatedAnswer:
        found = self._latest(lambda verification: verification.id == verification_id)
        return self._report(request, found) if found else _error(40400)

    def _report_by_number(self, request: SimulatedRequest, number: str) -> SimulatedAnswer:
        found = self._latest(lambda verification: verification.number == number)
        return self._report(request, found) if found else _error(40400, _INVALID_CODE)

    def _report(self, request: SimulatedRequest, verification: _Verification) -> SimulatedAnswer:
        body = _object(request)
        code = _part(body, verification.method).get("code")
        if verification.status is not VerificationStatus.PENDING or body.get("method") != verification.method:
            return _error(40400, _INVALID_CODE)
        if code == verification.code:
            verification.end(VerificationStatus.SUCCESSFUL)
            return SimulatedAnswer.json(200, verification.to_json())
        verification.wrong_codes += 1
        if verification.wrong_codes < self.wrong_codes:
            return _error(40400, _INVALID_CODE)
        verification.end(VerificationStatus.FAIL, "Invalid code")
        return SimulatedAnswer.json(200, verification.to_json())

    def _status_by_id(self, _: SimulatedRequest, verification_id: str) -> SimulatedAnswer:
        return _status(self._latest(lambda verification: verification.id == verification_id))

    def _status_by_reference(self, _: SimulatedRequest, reference: str) -> SimulatedAnswer:
        return _status(self._latest(lambda verification: verification.reference == reference))

    def _status_by_number(self, _: SimulatedRequest, method: str, number: str) -> SimulatedAnswer:
        return _status(self._latest(lambda found: (found.method, found.number) == (method, number)))

    def _of(self, number: str) -> Iterator[_Verification]:
        return (verification for verification in self._verifications if verification.number == number)

    def _latest(self, wanted: Callable[[_Verification], bool]) -> _Verification | None:
        """The newest one wanted; where its time is over, it has expired."""
        found = next(filter(wanted, reversed(self._verifications)), None)
        if found and found.status is VerificationStatus.PENDING and self.clock() >= found.expires:
            found.end(VerificationStatus.FAIL, "Expired")
        return found


_Action = Callable[..., SimulatedAnswer]
_ROUTES: tuple[tuple[str, re.Pattern[str], _Action], ...] = (
    ("POST", re.compile(_BASE), SinchSimulator._start),  # noqa: SLF001 - this module's own
)


def _started(verification: _Verification, language: str) -> SimulatedAnswer:
    links = [
        {"rel": rel, "href": f"{_BASE}/id/{verification.id}", "method": method}
        for rel, method in (("status", "GET"), ("report", "PUT"))
    ]
    answer = {"id": verification.id, "method": verification.method, "_links": links}
    if verification.method == "sms":
        life = int((verification.expires - verification.started).total_seconds())
        answer["sms"] = {"template": "Your verification code is {{CODE}}.", "interceptionTimeout": life, "codeType": "Numeric"}
    return attrs.evolve(SimulatedAnswer.json(200, answer))


def _status(verification: _Verification | None) -> SimulatedAnswer:
    return SimulatedAnswer.json(200, verification.to_json()) if verification else _error(40400)


def _error(code: int, message: str = "") -> SimulatedAnswer:
    body = {"errorCode": code, "message": message or _MESSAGES.get(code, "Refused."), "reference": uuid.uuid4().hex}
    return SimulatedAnswer.json(code // 100, body)


def _object(request: SimulatedRequest) -> dict[str, Any]:
    try:
        body = request.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _part(body: dict[str, Any], name: str) -> dict[str, Any]:
    part = body.get(name)
    return part if isinstance(part, dict) else {}
