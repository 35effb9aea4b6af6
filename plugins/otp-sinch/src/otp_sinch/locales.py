"""How a locale of otpcore (BCP 47) becomes Sinch's: a header for SMS, a language with region for calls."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

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
    return next(({"Accept-Language": tag} for tag in _with_parents(locale) if _TAG.fullmatch(tag)), {})


def speech_locale(locale: str) -> str | None:
    """The locale of a call such as ``"en-US"``; None leaves it to Sinch. A tag with region is sent as the host wrote it."""
    tags = tuple(_with_parents(locale))
    if _WITH_REGION.fullmatch(tags[0]):
        return tags[0]
    return next((SPEECH_REGIONS[tag.lower()] for tag in tags if tag.lower() in SPEECH_REGIONS), None)


def _with_parents(locale: str) -> Iterator[str]:
    """``pt-BR``, then ``pt``."""
    subtags = locale.replace("_", "-").split("-")
    for length in range(len(subtags), 0, -1):
        yield "-".join(subtags[:length])
