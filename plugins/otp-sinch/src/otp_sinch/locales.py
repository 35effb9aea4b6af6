"""How a locale of otpcore (BCP 47) becomes Sinch's: a header for SMS, a language with region for calls."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["SPEECH_REGIONS", "accept_language", "speech_locale"]

SPEECH_REGIONS: Mapping[str, str] = {
    "da": "da-DK",
    "de": "de-DE",
    "en": "en-US",
    "es": "es-ES",
    "fr": "fr-FR",
    "it": "it-IT",
    "ja": "ja-JP",
    "nb": "nb-NO",
    "nl": "nl-NL",
    "pl": "pl-PL",
    "pt": "pt-BR",
    "ro": "ro-RO",
    "ru": "ru-RU",
    "sv": "sv-SE",
    "tr": "tr-TR",
}
"""The region for a bare language. Sinch speaks a subset of languages that it does not publish for verifications; a
bare language that is not here is left to Sinch's default rather than risk a refused call."""

_TAG = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_WITH_REGION = re.compile(r"[A-Za-z]{2,3}-[A-Za-z]{2}")


def accept_language(locale: str) -> dict[str, str]:
    """The ``Accept-Language`` header of an SMS; none for what is no language tag, so Sinch takes the app's default."""
    return {"Accept-Language": locale} if _TAG.fullmatch(locale) else {}


def speech_locale(locale: str) -> str | None:
    """The locale of a call such as ``"en-US"``; None leaves it to Sinch. A tag with region is sent as the host wrote it."""
    if _WITH_REGION.fullmatch(locale):
        return locale
    return SPEECH_REGIONS.get(locale.lower())
