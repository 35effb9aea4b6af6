"""Which languages Twilio writes and speaks, as tables."""

from __future__ import annotations

__all__ = ["SAY_LANGUAGES", "VERIFY_LANGUAGES", "say_language", "verify_locale"]

# Verify v2, reference of "create a verification", parameter Locale. Any other value makes Verify answer 404, so
# languages that only newer pages list are left to Verify's own choice (by country code).
_VERIFY = """
    af ar ca cs da de el en en-GB es fi fr he hi hr hu id it ja ko ms nb nl pl pt pt-BR ro ru sv th tl tr vi zh zh-CN zh-HK
""".split()  # noqa: SIM905 - a list of words reads best as words
_VERIFY_SYNONYMS = {"no": "nb", "nn": "nb", "fil": "tl", "iw": "he", "in": "id", "zh-tw": "zh-HK", "zh-hant": "zh-HK"}
_VERIFY_KNOWN = _VERIFY_SYNONYMS | {tag.lower(): tag for tag in _VERIFY}

VERIFY_LANGUAGES = frozenset(_VERIFY_KNOWN)
"""The tags for which ``verify_locale`` has an answer."""

# Text-to-Speech: language IDs of <Say>. The first of a language stands for the bare language.
_SAY = """
    af-ZA ar-XA bg-BG bn-IN ca-ES cmn-CN cmn-TW cs-CZ da-DK de-DE el-GR en-US en-AU en-GB en-IN es-ES es-MX es-US eu-ES
    fi-FI fil-PH fr-FR fr-CA gl-ES gu-IN he-IL hi-IN hu-HU id-ID is-IS it-IT ja-JP kn-IN ko-KR lt-LT lv-LV ml-IN mr-IN
    ms-MY nb-NO nl-NL nl-BE pa-IN pl-PL pt-PT pt-BR ro-RO ru-RU sk-SK sr-RS sv-SE ta-IN te-IN th-TH tr-TR uk-UA vi-VN
    yue-HK
""".split()  # noqa: SIM905 - a list of words reads best as words
_SAY_SYNONYMS = {"zh": "cmn-CN", "zh-cn": "cmn-CN", "zh-hans": "cmn-CN", "zh-tw": "cmn-TW", "zh-hant": "cmn-TW"}
_SAY_SYNONYMS |= {"zh-hk": "yue-HK", "no": "nb-NO", "nn": "nb-NO", "iw": "he-IL", "in": "id-ID", "tl": "fil-PH"}
_SAY_KNOWN = {tag.partition("-")[0]: tag for tag in reversed(_SAY)} | _SAY_SYNONYMS | {tag.lower(): tag for tag in _SAY}

SAY_LANGUAGES = frozenset(_SAY_KNOWN)
"""The tags for which ``say_language`` has an answer."""


def verify_locale(tag: str) -> str:
    """Verify's ``Locale`` for a BCP 47 tag; "" where Verify should choose by itself."""
    return _find(tag, _VERIFY_KNOWN)


def say_language(tag: str) -> str:
    """The ``language`` of ``<Say>`` for a BCP 47 tag; "" where Twilio has no voice for it."""
    return _find(tag, _SAY_KNOWN)


def _find(tag: str, known: dict[str, str]) -> str:
    subtags = tag.replace("_", "-").lower().split("-")
    tries = ("-".join(subtags[:length]) for length in range(len(subtags), 0, -1))
    return next((known[each] for each in tries if each in known), "")
