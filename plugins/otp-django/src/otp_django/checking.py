"""System checks: the settings with every ``check``, and what ``otp doctor`` finds with ``check --deploy``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as Note
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch

from otp_django.conf import database_alias, load, own, spelling
from otp_django.databases import is_of_a_test
from otpcore import Operator, OTPConfigurationError, OTPError
from otpcore.operator import Finding

__all__ = ["TAG", "find", "read"]

TAG = "otp"


def read(**_: Any) -> Sequence[CheckMessage]:
    """That the settings can be used; nothing is opened, so that ``migrate`` can make the tables.

    Django's test runner checks when it has put a database in memory in the place of the project's: there otpcore can
    keep nothing, and tests use an outbox.
    """
    try:
        if not _keeps_nothing():
            load()
        resolve_url(own().verified_url)
    except OTPConfigurationError as error:
        return [_error(error, obj="settings.OTPCORE", id="otp.E001")]
    except NoReverseMatch:
        told = f"OTPCORE: verified_url: {own().verified_url!r} is neither an address nor the name of a view"
        fix = "write it as '/account/', or as a view's name in the URLconf, such as 'shop:account'"
        return [Error(told, hint=fix, obj="settings.OTPCORE", id="otp.E001")]
    return []


def find(**_: Any) -> Sequence[CheckMessage]:
    """What stands in the way of sending, or soon will: the store is opened for it, and nothing is sent."""
    if read() or _keeps_nothing():
        return []  # which is told already; or there is nothing to open
    try:
        with Operator(load()) as operator:
            found = operator.findings()
    except (OTPError, OTPConfigurationError) as error:
        return [_error(error, obj="otpcore", id="otp.E002")]
    return [_message(one) for one in found if one.level in ("problem", "note")]


_NOTES: Mapping[str, str] = {
    "settings": "otp.W002",
    "keys": "otp.W003",
    "store": "otp.W004",
    "sandbox": "otp.W005",
    "credentials": "otp.W006",
    "network": "otp.W007",
    "limits": "otp.W008",
    "number data": "otp.W009",
    "texts": "otp.W010",
    "sending": "otp.W011",
    "kept keys": "otp.W012",
    "rules": "otp.W013",
    "providers": "otp.W014",
    "carrying": "otp.W015",
    "alphabets": "otp.W016",
    "receipts": "otp.W017",
    "retries": "otp.W018",
    "workers": "otp.W019",
    "clock": "otp.W020",
}
"""By what they are about, so that a project can silence one and see the others. An id never gets another meaning."""

_OTHER_NOTES = "otp.W001"


def _keeps_nothing() -> bool:
    alias = database_alias()
    return alias is not None and is_of_a_test(alias)


def _message(one: Finding) -> CheckMessage:
    told = f"{one.about}: {spelling().told(one.detail)}"
    if one.level == "problem":
        return Error(told, hint=_fix(one.fix), obj="otpcore", id="otp.E003")
    return Note(told, hint=_fix(one.fix), obj="otpcore", id=_NOTES.get(one.about, _OTHER_NOTES))


def _error(error: Exception, **where: str) -> Error:
    message, _dot, fix = str(error).partition(" Fix: ")
    return Error(message, hint=_fix(fix), **where)


def _fix(told: str) -> str | None:
    return spelling().told(told) or None
