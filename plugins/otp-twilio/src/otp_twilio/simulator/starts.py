"""What the simulated Verify refuses of a start or a check, before it looks for a verification."""

from __future__ import annotations

import ipaddress
import json
import re
from datetime import datetime, timedelta
from typing import Any

from otp_twilio.languages import verify_locale
from otp_twilio.settings import VERIFY_CHANNELS
from otp_twilio.simulator.account import SimulatedAccount
from otp_twilio.simulator.answers import error
from otpcore.providers import Channel
from otpcore.simulators import SimulatedAnswer

__all__ = ["CODE", "RateLimits", "invalid", "not_found", "refused_payment", "refused_start"]

_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
_CHANNEL = re.compile("|".join(VERIFY_CHANNELS))
CODE = re.compile(r".{4,10}")
"""A code that Verify takes."""

_APP_HASH = re.compile(r"[A-Za-z0-9+/]{11}")
_RISK_CHECK = re.compile("enable|disable")
_TEMPLATE = re.compile("HJ[0-9a-fA-F]{32}")
_SHAPES = {
    "To": _NUMBER,
    "Channel": _CHANNEL,
    "AppHash": _APP_HASH,
    "CustomCode": CODE,
    "RiskCheck": _RISK_CHECK,
    "TemplateSid": _TEMPLATE,
}
_MOST_TAGS = 10
_LONGEST_TAG = 128


def invalid(parameter: str, value: str) -> SimulatedAnswer:
    """A parameter that Verify does not take."""
    return error(400, 60200, f"Invalid parameter `{parameter}`: {value}")


def not_found(resource: str) -> SimulatedAnswer:
    """There is none of it."""
    return error(404, 20404, f"The requested resource {resource} was not found")


def refused_start(form: dict[str, str], account: SimulatedAccount) -> SimulatedAnswer | None:
    """What is wrong with the form of a start; None: nothing."""
    for parameter in ("To", "Channel"):
        if parameter not in form:
            return error(400, 20001, f"Missing required parameter {parameter} in the post body")
    for parameter, shape in _SHAPES.items():
        if parameter in form and not shape.fullmatch(form[parameter]):
            return invalid(parameter, form[parameter])
    if (locale := form.get("Locale")) and verify_locale(locale) != locale:
        return not_found("Locale")
    if wrong := _wrong_object(form, account):
        return invalid(wrong, form[wrong])
    if account.psd2 and form["Channel"] == Channel.CALL:
        return error(400, 60214, "Call channel is not allowed with PSD2")
    return refused_payment(form, account)


def refused_payment(form: dict[str, str], account: SimulatedAccount) -> SimulatedAnswer | None:
    """What is wrong with payee and amount of a start or a check; None: nothing."""
    given = [bool(form.get(parameter)) for parameter in ("Payee", "Amount")]
    if account.psd2 and not all(given):
        return error(400, 60206, "PSD2 requires Amount and Payee")
    if not account.psd2 and any(given):
        return error(403, 60204, "Service does not support this feature")
    return None


class RateLimits:
    """The service's own rate limits, each with one bucket."""

    def __init__(self, account: SimulatedAccount) -> None:
        self._account = account
        self._counted: dict[tuple[str, str], list[datetime]] = {}

    def refusal(self, form: dict[str, str]) -> SimulatedAnswer | None:
        """Count a start; or why it may not begin."""
        now, asked = self._account.clock(), _object(form.get("RateLimits", "{}")).items()
        waits = [wait for name, value in asked if (wait := self._wait(name, value, now)) > timedelta(0)]
        if waits:
            headers = {"Retry-After": str(int(max(waits).total_seconds())), "Twilio-Reached-Rate-Limit": "true"}
            return error(429, 20429, "Too many requests", headers)
        for key in asked:
            self._counted.setdefault(key, []).append(now)
        return None

    def _wait(self, name: str, value: str, now: datetime) -> timedelta:
        """How long a value is refused by a limit."""
        most, interval = self._account.rate_limits[name]
        recent = [at for at in self._counted.get((name, value), []) if at > now - interval]
        self._counted[name, value] = recent
        return recent[0] + interval - now if len(recent) >= most else timedelta(0)


def _wrong_object(form: dict[str, str], account: SimulatedAccount) -> str:
    """The parameter whose content Verify does not take; empty: none."""
    if "DeviceIp" in form and not _is_address(form["DeviceIp"]):
        return "DeviceIp"
    for parameter in ("Tags", "RateLimits", "TemplateCustomSubstitutions"):
        if parameter in form and not _object(form[parameter]):
            return parameter
    tags = _object(form.get("Tags", "{}"))
    if len(tags) > _MOST_TAGS or any(len(text) > _LONGEST_TAG for pair in tags.items() for text in pair):
        return "Tags"
    if not _object(form.get("RateLimits", "{}")).keys() <= account.rate_limits.keys():
        return "RateLimits"
    return ""


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _object(text: str) -> dict[str, str]:
    """A JSON object of texts; empty where it is none."""
    try:
        value: Any = json.loads(text)
    except ValueError:
        return {}
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        return {}
    return value
