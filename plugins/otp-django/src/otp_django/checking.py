"""System checks: the settings with every ``check``, and what ``otp doctor`` finds with ``check --deploy``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as Note
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch

from otp_django.conf import NEW_KEYS, database_alias, load, own
from otp_django.databases import is_of_a_test
from otp_django.running import service
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
        alias = database_alias()
        if alias is None or not is_of_a_test(alias):
            load()
        else:
            own()
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
    if read():
        return []  # which is told already
    try:
        with Operator(service().settings) as operator:
            found = operator.findings()
    except (OTPError, OTPConfigurationError) as error:
        return [_error(error, obj="otpcore", id="otp.E002")]
    return [_message(one) for one in found if one.level in _KINDS]


_KINDS: Mapping[str, tuple[type[Error | Note], str]] = {
    "problem": (Error, "otp.E003"),
    "note": (Note, "otp.W001"),
}


def _message(one: Finding) -> CheckMessage:
    kind, name = _KINDS[one.level]
    return kind(f"{one.about}: {one.detail}", hint=_fix(one.fix), obj="otpcore", id=name)


def _error(error: Exception, **where: str) -> Error:
    message, _dot, fix = str(error).partition(" Fix: ")
    return Error(message, hint=_fix(fix), **where)


_FIXES: Sequence[tuple[str, str]] = (
    (r", or run `otp init`$", ""),
    (r"\botp (?=[a-z])", "manage.py otp "),
    (r"^.*\botp init\b.*$", NEW_KEYS),
)
"""What otpcore's own fixes say otherwise here: the settings are the project's, and so are the commands."""


def _fix(told: str) -> str | None:
    for pattern, here in _FIXES:
        told = re.sub(pattern, here, told)
    return told or None
