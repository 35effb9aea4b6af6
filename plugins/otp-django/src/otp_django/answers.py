"""What a person is told when something cannot be done, by class and reason; the text of an error is for the log."""

from __future__ import annotations

import math
from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from otpcore import OTPError, Verification, known_as

__all__ = ["said_of", "said_of_code"]

_NOT_SENT = _("No code could be sent.")
_LATER = _("No code could be sent. Please try again later.")
_SAID: Mapping[tuple[str, str], str | Promise] = {
    ("InvalidPhoneNumber", ""): _("Enter a phone number, with + and the country code."),
    ("NoRouteError", "no_route"): _("No code can be sent to this number."),
    ("DeliveryError", "permanent"): _("This number cannot be reached."),
    ("RateLimited", "denied"): _("No code can be sent to this number."),
    ("RateLimited", "locked"): _("Too many wrong codes."),
    ("RateLimited", "max_attempts"): _("Too many wrong codes."),
    ("RateLimited", "phone"): _("This number has got enough codes for now."),
    ("RateLimited", "client"): _("You have asked for enough codes for now."),
}
_MINUTE = 60


def said_of(error: OTPError) -> str:
    """One or two sentences in the active language; with when to try again, where that is known."""
    if not error.retry_after:
        return str(_SAID.get(known_as(error), _LATER))
    return f"{_SAID.get(known_as(error), _NOT_SENT)} {_when(error.retry_after)}"


def said_of_code(verification: Verification) -> str:
    """Of a code that is not right."""
    left = verification.attempts_left
    if not left:
        return gettext("This code can no longer be used. Ask for a new one.")
    return ngettext(
        "This is not the code. You can try %(left)d more time.",
        "This is not the code. You can try %(left)d more times.",
        left,
    ) % {"left": left}


def _when(seconds: float) -> str:
    if seconds <= _MINUTE:
        return gettext("Try again in a minute.")
    minutes = math.ceil(seconds / _MINUTE)
    return ngettext("Try again in %(minutes)d minute.", "Try again in %(minutes)d minutes.", minutes) % {
        "minutes": minutes
    }
