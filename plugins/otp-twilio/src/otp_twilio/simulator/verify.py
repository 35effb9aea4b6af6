"""Simulated Verify v2: five sends and five checks of one code within ten minutes."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

import attrs

from otp_twilio.simulator.account import SimulatedAccount
from otp_twilio.simulator.answers import FAILS_LATER, NEVER_ARRIVES, VERIFY_FAILURES, error, new_sid
from otp_twilio.simulator.starts import CODE, RateLimits, invalid, not_found, refused_payment, refused_start
from otpcore.providers import Channel
from otpcore.simulators import SimulatedAnswer

__all__ = ["SimulatedVerify"]

_MAX_SENDS = 5
_MAX_CHECKS = 5
_CHECKABLE = ("pending", "max_attempts_reached")
_SHOWN = {"sms": "SMS", "call": "CALL"}  # as in the examples of Twilio's specification: the others in small letters
_OF_FRAUD_GUARDS = frozenset({60410, 60412, 60605})  # what RiskCheck=disable passes by


@attrs.define(kw_only=True)
class Verification:
    """One verification; it lives while its status is ``pending`` and its time is not over."""

    sid: str
    to: str
    code: str
    channel: Channel
    created: datetime
    payment: tuple[str, str] = ("", "")
    status: str = "pending"
    checks: int = 0
    sends: list[dict[str, str]] = attrs.field(factory=list)

    def used_up(self) -> SimulatedAnswer | None:
        """Why nothing more is sent for it, nor anything else to its number before its time is over or it is cancelled."""
        if self.checks >= _MAX_CHECKS:
            return error(429, 60202, "Max check attempts reached")
        return error(429, 60203, "Max send attempts reached") if len(self.sends) >= _MAX_SENDS else None


class SimulatedVerify:
    """The resources of one Verify service."""

    def __init__(self, account: SimulatedAccount) -> None:
        self._account = account
        self._verifications: list[Verification] = []
        self._limits = RateLimits(account)

    def answer(self, method: str, resource: str, name: str, form: dict[str, str]) -> SimulatedAnswer:
        """Answer one request; ``name`` is the last part of the path: a SID, a number, or nothing."""
        if (method, resource, name) == ("POST", "Verifications", ""):
            return self._create(form)
        if (method, resource, name) == ("POST", "VerificationCheck", ""):
            return self._check(form)
        if resource == "Verifications" and name and method in ("GET", "POST"):
            return self._update(name, form) if method == "POST" else self._fetch(name)
        return not_found(resource)

    def _create(self, form: dict[str, str]) -> SimulatedAnswer:
        if refusal := refused_start(form, self._account) or self._limits.refusal(form):
            return refusal
        if "CustomCode" in form and not self._account.custom_codes:
            return error(403, 60204, "Service does not support this feature: custom codes")
        to, channel, payment = form["To"], Channel(form["Channel"]), _payment(form)
        failure = VERIFY_FAILURES.get(to)
        is_passed_by = form.get("RiskCheck") == "disable" and channel is Channel.SMS
        if failure and failure.channel in (None, channel) and not (is_passed_by and failure.code in _OF_FRAUD_GUARDS):
            return failure.answer()
        verification = self._newest(to, payment) or self._new(to, channel, payment, form.get("CustomCode"))
        if refusal := verification.used_up():
            return refusal
        verification.channel = channel
        verification.sends.append(
            {
                "time": self._account.clock().isoformat(),
                "channel": _SHOWN.get(channel, channel),
                "attempt_sid": new_sid("VL"),
            }
        )
        if to == FAILS_LATER:
            verification.status = "failed"
        elif to != NEVER_ARRIVES:
            self._deliver(verification, form.get("AppHash", ""))
        return SimulatedAnswer.json(201, self._shown(verification))

    def _check(self, form: dict[str, str]) -> SimulatedAnswer:
        if not CODE.fullmatch(form.get("Code", "")):
            return invalid("Code", form.get("Code", ""))
        if ("To" in form) == ("VerificationSid" in form):
            return invalid("To" if "To" in form else "VerificationSid", "give one of To and VerificationSid")
        if refusal := refused_payment(form, self._account):
            return refusal
        payment = _payment(form)
        verification = self._newest(form["To"], payment) if "To" in form else self._find(form["VerificationSid"])
        if verification is None or verification.status not in _CHECKABLE or verification.payment != payment:
            return not_found("VerificationCheck")
        if verification.checks >= _MAX_CHECKS:
            return error(429, 60202, "Max check attempts reached")
        verification.checks += 1
        if form["Code"] == verification.code:
            verification.status = "approved"
            self._verifications.remove(verification)
        answer = SimulatedAnswer.json(201, self._shown(verification))
        if verification.status == "pending" and verification.checks >= _MAX_CHECKS:
            verification.status = "max_attempts_reached"
        return answer

    def _update(self, name: str, form: dict[str, str]) -> SimulatedAnswer:
        verification = self._newest(name) if name.startswith("+") else self._find(name)
        if verification is None or verification.status == "canceled":
            return not_found("Verifications")
        if form.get("Status") not in ("approved", "canceled"):
            return invalid("Status", form.get("Status", ""))
        verification.status = form["Status"]
        if verification.status == "approved":
            self._verifications.remove(verification)
        return SimulatedAnswer.json(200, self._shown(verification))

    def _fetch(self, name: str) -> SimulatedAnswer:
        verification = self._newest(name) if name.startswith("+") else self._find(name)
        if verification is None:
            return not_found("Verifications")
        return SimulatedAnswer.json(200, self._shown(verification))

    def _kept(self) -> list[Verification]:
        """The verifications whose time is not over, newest first."""
        oldest = self._account.clock() - self._account.verification_life
        self._verifications = [each for each in self._verifications if each.created > oldest]
        return self._verifications[::-1]

    def _find(self, sid: str) -> Verification | None:
        return next((each for each in self._kept() if each.sid == sid), None)

    def _newest(self, to: str, payment: tuple[str, str] | None = None) -> Verification | None:
        """The newest one of a number that may be checked; with ``payment``, of that payment: each has a code of its own."""
        running = (each for each in self._kept() if each.to == to and each.status in _CHECKABLE)
        return next((each for each in running if payment in (None, each.payment)), None)

    def _new(self, to: str, channel: Channel, payment: tuple[str, str], custom_code: str | None) -> Verification:
        digits = self._account.code_digits
        verification = Verification(
            sid=new_sid("VE"),
            to=to,
            code=custom_code or f"{secrets.randbelow(10**digits):0{digits}}",
            channel=channel,
            created=self._account.clock(),
            payment=payment,
        )
        self._verifications.append(verification)
        return verification

    def _deliver(self, verification: Verification, app_hash: str) -> None:
        apart = verification.channel is Channel.CALL
        code = ", ".join(verification.code) if apart else verification.code
        last_line = f"\n{app_hash}" if app_hash and not apart else ""
        self._account.deliver(
            recipient=verification.to,
            channel=verification.channel,
            text=f"Your Simulated Service verification code is: {code}{last_line}",
            code=verification.code,
            reference=verification.sid,
        )

    def _shown(self, verification: Verification) -> dict[str, Any]:
        service, (payee, amount) = self._account.service_sid, verification.payment
        return {
            "sid": verification.sid,
            "service_sid": service,
            "account_sid": self._account.account_sid,
            "to": verification.to,
            "channel": str(verification.channel),
            "status": verification.status,
            "valid": verification.status == "approved",
            "lookup": {},
            "amount": amount or None,
            "payee": payee or None,
            "sna": None,
            "send_code_attempts": verification.sends,
            "date_created": _iso(verification.created),
            "date_updated": _iso(self._account.clock()),
            "url": f"https://verify.twilio.com/v2/Services/{service}/Verifications/{verification.sid}",
        }


def _payment(form: dict[str, str]) -> tuple[str, str]:
    return form.get("Payee", ""), form.get("Amount", "")


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
