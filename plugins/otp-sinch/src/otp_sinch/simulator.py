"""A simulator of Sinch's Verification API v1 on loopback, with state: for tests, the demo and users' own tests.

It makes the codes, checks signatures and Basic credentials, ends a running verification when a new one starts, lets
verifications expire by ``clock``, and counts wrong codes. Where Sinch publishes no figure, the ones here are ours:
four digits, five minutes by default, five wrong codes, timestamps up to five minutes off.

The numbers in ``otp_sinch.magic`` choose a failure.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import http
import json
import re
import secrets
import string
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

import attrs

from otp_sinch.answers import VerificationStatus
from otp_sinch.magic import MAGIC_NUMBERS, told
from otp_sinch.signing import decode_secret, signature, signed_headers, string_to_sign
from otpcore.providers import Channel, Price
from otpcore.simulators import SimulatedAnswer, SimulatedRequest, Simulator

__all__ = ["SinchSimulator"]


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
_ALPHABETS = {
    "Numeric": string.digits,
    "Alpha": string.ascii_uppercase,
    "Alphanumeric": string.ascii_uppercase + string.digits,
}
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
    custom: str
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
            **({"source": "manual"} if self.status is VerificationStatus.SUCCESSFUL else {}),
            **({"callComplete": self.status is not VerificationStatus.PENDING} if self.method == "callout" else {}),
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
        code_type: ``Numeric``, ``Alpha`` or ``Alphanumeric``: of its codes, where the start of an SMS does not say
            ``smsOptions.codeType``; those of calls are digits.
        default_expiry: Life of a verification whose start does not say ``smsOptions.expiry``.
        wrong_codes: After so many wrong codes a verification has failed.
        timestamp_tolerance: How far ``x-timestamp`` may be off.
        callback_url: Where events are sent to, as the app's setting in the dashboard says; empty: nowhere. Then a verification
            begins only if the customer allows it.
        price: What a verification costs, in US dollars, as the question whether it may begin says; None: it says none.
    """

    application_key = "9f1c6a52-7d0e-4f3b-8a56-0d6a3f1f7c11"
    application_secret = "c2ltdWxhdGVkLXNlY3JldA=="  # noqa: S105 - the simulator's own, for loopback
    code_digits = 4
    code_type = "Numeric"
    default_expiry = timedelta(minutes=5)
    wrong_codes = 5
    timestamp_tolerance = timedelta(minutes=5)
    callback_url = ""
    price: float | None = 0.0127

    def __init__(self) -> None:
        super().__init__()
        self.numbers = told()
        self._latest: dict[tuple[str, str], _Verification] = {}

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
        routes: tuple[tuple[str, str, Callable[..., SimulatedAnswer]], ...] = (
            ("POST", _BASE, self._start),
            ("PUT", f"{_BASE}/id/([^/]+)", self._report_by_id),
            ("PUT", f"{_BASE}/number/([^/]+)", self._report_by_number),
            ("GET", f"{_BASE}/(id|reference)/([^/]+)", self._status),
            ("GET", f"{_BASE}/(sms|callout)/number/([^/]+)", self._status),
        )
        for method, path, action in routes:
            match = re.fullmatch(path, request.path)
            if match and request.method == method:
                return action(request, *map(unquote, match.groups()))
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
        if not isinstance(number, str) or not isinstance(method, str) or method not in _METHODS:
            return _error(40002)
        if not _NUMBER.fullmatch(number):
            return _error(40001 if number.startswith("+") else 40005)
        code_type = str(_part(body, "smsOptions").get("codeType", self.code_type)) if method == "sms" else "Numeric"
        if code_type not in _ALPHABETS:
            return _error(40001, "Code type is not valid.")
        magic = MAGIC_NUMBERS.get(number)
        if isinstance(magic, int):
            return _error(magic)
        older = self._find("number", number)
        if older and older.status is VerificationStatus.PENDING:
            older.end(VerificationStatus.ABORTED)
            self._report_result(older)
        verification = self._begin(number, method, body, self._new_code(code_type, older.code if older else ""))
        if self.callback_url and (denial := self._denial(verification)):
            verification.end(VerificationStatus.DENIED, denial)
            self._report_result(verification)
            return SimulatedAnswer.json(200, verification.to_json())
        if magic is not None:
            verification.end(magic.status, magic.reason)
            self._report_result(verification)
            if magic.at_once:
                return SimulatedAnswer.json(200, verification.to_json())
        else:
            self._deliver(verification, _part(body, "smsOptions").get("applicationHash", ""))
        return _started(verification, request.headers.get("accept-language") or "en-US", code_type)

    def _begin(self, number: str, method: str, body: dict[str, Any], code: str) -> _Verification:
        now = self.clock()
        expiry = _EXPIRY.fullmatch(str(_part(body, "smsOptions").get("expiry", "")))
        hours, minutes, seconds = map(int, expiry.groups()) if expiry else (0, 0, 0)
        life = timedelta(hours=hours, minutes=minutes, seconds=seconds) if expiry else self.default_expiry
        verification = _Verification(
            id=str(uuid.uuid4()),
            method=method,
            number=number,
            code=code,
            reference=str(body.get("reference") or ""),
            custom=str(body.get("custom") or ""),
            started=now,
            expires=now + life,
        )
        names = (("id", verification.id), ("reference", verification.reference), ("number", number), (method, number))
        self._latest.update(dict.fromkeys(names, verification))
        return verification

    def _new_code(self, code_type: str, older_code: str) -> str:
        """Never the number's last one, or tests that tell old from new would fail by chance."""
        alphabet = _ALPHABETS[code_type]
        while (code := "".join(secrets.choice(alphabet) for _ in range(self.code_digits))) == older_code:
            pass
        return code

    def _deliver(self, verification: _Verification, application_hash: object) -> None:
        said = verification.code if verification.method == "sms" else ", ".join(verification.code)
        last_line = f"\n{application_hash}" if application_hash and verification.method == "sms" else ""
        self.deliver(
            recipient=verification.number,
            channel=_METHODS[verification.method],
            text=f"Your verification code is {said}.{last_line}",
            code=verification.code,
            reference=verification.id,
            price=None if self.price is None or not self.callback_url else Price.read(str(self.price), "USD"),
        )
        if self.callback_url and verification.method == "sms":
            event = self._event("VerificationSmsDeliveredEvent", verification, smsResult="Successful")
            self.call_back(self.callback_url, *event)

    def _denial(self, verification: _Verification) -> str:
        """Ask the customer; why the verification does not begin, or "" where it may."""
        status, answer = self.ask(
            self.callback_url, *self._event("VerificationRequestEvent", verification, **self._said_price())
        )
        action: Any = None
        with contextlib.suppress(ValueError, AttributeError):
            action = json.loads(answer).get("action") if status == http.HTTPStatus.OK else None
        return {"allow": "", "deny": "Denied by callback"}.get(action, "Invalid callback")

    def _said_price(self) -> dict[str, Any]:
        return {} if self.price is None else {"price": {"amount": self.price, "currencyId": "USD"}}

    def _report_result(self, verification: _Verification) -> None:
        """Tell the customer how a verification ended, and before that what became of its SMS."""
        if not self.callback_url:
            return
        if verification.method == "sms" and verification.reason == "SMS delivery failure":
            self.call_back(
                self.callback_url, *self._event("VerificationSmsDeliveredEvent", verification, smsResult="Failed")
            )
        result = {"status": str(verification.status), "reason": verification.reason, "source": "manual"}
        self.call_back(self.callback_url, *self._event("VerificationResultEvent", verification, **result))

    def _event(self, name: str, verification: _Verification, **more: Any) -> tuple[dict[str, str], bytes]:
        """Headers and body of one signed event."""
        event = {
            "id": verification.id,
            "event": name,
            "method": verification.method,
            "identity": {"type": "number", "endpoint": verification.number},
            "reference": verification.reference,
            **({"custom": verification.custom} if verification.custom else {}),
            **more,
        }
        body = json.dumps(event).encode()
        headers = signed_headers(
            self.application_key,
            decode_secret(self.application_secret),
            method="POST",
            path=urlsplit(self.callback_url).path or "/",
            content_type="application/json; charset=utf-8",
            body=body,
            now=self.clock(),
        )
        return headers, body

    def _report_by_id(self, request: SimulatedRequest, verification_id: str) -> SimulatedAnswer:
        found = self._find("id", verification_id)
        return self._report(request, found) if found else _error(40400)

    def _report_by_number(self, request: SimulatedRequest, number: str) -> SimulatedAnswer:
        found = self._find("number", number)
        return self._report(request, found) if found else _error(40400, _INVALID_CODE)

    def _report(self, request: SimulatedRequest, verification: _Verification) -> SimulatedAnswer:
        body = _object(request)
        code = _part(body, verification.method).get("code")
        if verification.status is not VerificationStatus.PENDING or body.get("method") != verification.method:
            return _error(40400, _INVALID_CODE)
        if code == verification.code:
            verification.end(VerificationStatus.SUCCESSFUL)
            self._report_result(verification)
            return SimulatedAnswer.json(200, verification.to_json())
        verification.wrong_codes += 1
        if verification.wrong_codes < self.wrong_codes:
            return _error(40400, _INVALID_CODE)
        verification.end(VerificationStatus.FAIL, "Invalid code")
        self._report_result(verification)
        return SimulatedAnswer.json(200, verification.to_json())

    def _status(self, _: SimulatedRequest, name: str, value: str) -> SimulatedAnswer:
        found = self._find(name, value)
        return SimulatedAnswer.json(200, found.to_json()) if found else _error(40400)

    def _find(self, name: str, value: str) -> _Verification | None:
        """The newest one of that id, reference, number, or method and number; where its time is over, it has expired."""
        found = self._latest.get((name, value))
        if found and found.status is VerificationStatus.PENDING and self.clock() >= found.expires:
            found.end(VerificationStatus.FAIL, "Expired")
        return found


def _started(verification: _Verification, language: str, code_type: str) -> SimulatedAnswer:
    links = [
        {"rel": rel, "href": f"{_BASE}/id/{verification.id}", "method": method}
        for rel, method in (("status", "GET"), ("report", "PUT"))
    ]
    answer: dict[str, Any] = {"id": verification.id, "method": verification.method, "_links": links}
    if verification.method == "sms":
        life = int((verification.expires - verification.started).total_seconds())
        answer["sms"] = {
            "template": "Your verification code is {{CODE}}.",
            "interceptionTimeout": life,
            "codeType": code_type,
        }
    return SimulatedAnswer.json(200, answer, {"Content-Language": language})


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
