"""What a person is told when something cannot be done, by class and reason; the text of an error is for the log."""

from __future__ import annotations

import math
from collections.abc import Mapping
from gettext import NullTranslations
from types import MappingProxyType
from typing import Protocol

from otpcore.errors import OTPError, known_as
from otpcore.models import Verification

__all__ = ["ENTER_CODE", "ENTER_PHONE", "SENTENCES", "Translation", "said_of", "said_of_code"]

ENTER_CODE = "Enter the code that was sent to you: digits only."
"""Of what cannot be a code."""
ENTER_PHONE = "Enter a phone number, with + and the country code."
"""Of what is no phone number."""

_NOT_SENT = "No code could be sent."
_LATER = "No code could be sent. Please try again later."
_USED_UP = "This code can no longer be used. Ask for a new one."
_IN_A_MINUTE = "Try again in a minute."
_WRONG = (
    "This is not the code. You can try %(num)d more time.",
    "This is not the code. You can try %(num)d more times.",
)
_IN_MINUTES = ("Try again in %(num)d minute.", "Try again in %(num)d minutes.")
_SAID: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("InvalidPhoneNumber", ""): ENTER_PHONE,
        ("NoRouteError", "no_route"): "No code can be sent to this number.",
        ("DeliveryError", "permanent"): "This number cannot be reached.",
        ("RateLimited", "denied"): "No code can be sent to this number.",
        ("RateLimited", "locked"): "Too many wrong codes.",
        ("RateLimited", "max_attempts"): "Too many wrong codes.",
        ("RateLimited", "phone"): "This number has got enough codes for now.",
        ("RateLimited", "client"): "You have asked for enough codes for now.",
    }
)
SENTENCES: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys((*_SAID.values(), ENTER_CODE, _NOT_SENT, _LATER, _USED_UP, _IN_A_MINUTE), ""),
        **dict((_WRONG, _IN_MINUTES)),
    }
)
"""All sentences, for catalogues of translations: each with its plural, or with empty text where it has none."""


class Translation(Protocol):
    """Where translations come from: an object of ``gettext``, or a module such as ``django.utils.translation``."""

    def gettext(self, message: str, /) -> str:
        """The sentence in the language of the person."""

    def ngettext(self, singular: str, plural: str, number: int, /) -> str:
        """The form of the sentence for this number, with ``%(num)d`` for it."""


_ENGLISH: Translation = NullTranslations()


def said_of(error: OTPError, translation: Translation | None = None) -> str:
    """One or two sentences about a send or a verification; with when to try again, where that is known.

    Args:
        error: What was raised.
        translation: Into the language of the person; None: English.
    """
    into = translation or _ENGLISH
    if not error.retry_after:
        return into.gettext(_SAID.get(known_as(error), _LATER))
    return f"{into.gettext(_SAID.get(known_as(error), _NOT_SENT))} {_when(error.retry_after, into)}"


def said_of_code(verification: Verification | None, translation: Translation | None = None) -> str:
    """One or two sentences about a code that is not right, or about none that was asked for (None).

    Args:
        verification: As ``verify`` returned it.
        translation: Into the language of the person; None: English.
    """
    into = translation or _ENGLISH
    left = verification.attempts_left if verification is not None else 0
    return _counted(_WRONG, left, into) if left else into.gettext(_USED_UP)


def _when(seconds: float, translation: Translation) -> str:
    minutes = math.ceil(seconds / 60)
    return translation.gettext(_IN_A_MINUTE) if minutes <= 1 else _counted(_IN_MINUTES, minutes, translation)


def _counted(forms: tuple[str, str], number: int, translation: Translation) -> str:
    return translation.ngettext(*forms, number) % {"num": number}
