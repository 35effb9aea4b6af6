"""Which voice speaks which language on a call, as a table.

The voices are those of ``SendVoiceMessage`` (its enum ``VoiceId``), their languages those of Amazon Polly's page
"Available voices". The first of a language speaks for the language without a region.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["LANGUAGES", "VOICES", "voice_of"]

VOICES: Mapping[str, str] = {
    "ar": "ZEINA",
    "cmn-CN": "ZHIYU",
    "cy-GB": "GWYNETH",
    "da-DK": "NAJA",
    "de-DE": "VICKI",
    "en-US": "JOANNA",
    "en-AU": "NICOLE",
    "en-GB": "AMY",
    "en-IN": "RAVEENA",
    "es-ES": "LUCIA",
    "es-MX": "MIA",
    "es-US": "LUPE",
    "fr-FR": "LEA",
    "fr-CA": "CHANTAL",
    "is-IS": "DORA",
    "it-IT": "BIANCA",
    "ja-JP": "MIZUKI",
    "ko-KR": "SEOYEON",
    "nb-NO": "LIV",
    "nl-NL": "LOTTE",
    "pl-PL": "EWA",
    "pt-PT": "INES",
    "pt-BR": "CAMILA",
    "ro-RO": "CARMEN",
    "ru-RU": "TATYANA",
    "sv-SE": "ASTRID",
    "tr-TR": "FILIZ",
}
"""By BCP 47 tag."""

_SYNONYMS = {"zh": "cmn-CN", "zh-cn": "cmn-CN", "zh-hans": "cmn-CN", "no": "nb-NO", "nn": "nb-NO"}
_KNOWN = (
    {tag.partition("-")[0]: voice for tag, voice in reversed(list(VOICES.items()))}
    | {tag.lower(): voice for tag, voice in VOICES.items()}
    | {tag: VOICES[known] for tag, known in _SYNONYMS.items()}
)

LANGUAGES = frozenset(_KNOWN)
"""The tags for which there is a voice."""


def voice_of(locale: str, chosen: Mapping[str, str]) -> str:
    """The ``VoiceId`` for a BCP 47 tag; "" where AWS has none, and its default speaks.

    Args:
        locale: Of the text.
        chosen: The instance's own choice, by tag; it goes before the table.
    """
    known = _KNOWN | {tag.replace("_", "-").lower(): voice for tag, voice in chosen.items()}
    subtags = locale.replace("_", "-").lower().split("-")
    tries = ("-".join(subtags[:length]) for length in range(len(subtags), 0, -1))
    return next((known[tag] for tag in tries if tag in known), "")
