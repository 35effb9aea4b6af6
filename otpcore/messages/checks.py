"""Whether the texts of the settings, ours and the host's, reach people as they are meant to; pure.

Each is measured as the longest that may leave: a whole code, and every count of minutes that it may name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

import attrs

from otpcore.errors import SettingsError
from otpcore.messages.texts import RETRIEVER_BYTES, Templates, fits, own_locales, render_sms, segments, size

__all__ = ["MeasuredText", "check_android_reads", "dear_characters", "links_in", "measured_texts", "name_of"]

_LINK = re.compile(r"https?://|\bwww\.|\b[\w-]+\.[a-z]{2,}\b")
_MOST_NAMED = 5  # more foreign characters than these are a script of their own,
_MOST_FOREIGN = 0.25  # and so is more than this share of a text
_LIMIT = f"and an Android app reads by itself one SMS of at most {RETRIEVER_BYTES} bytes"
_PLAIN = "?"  # stands for any character of the GSM alphabet


class TextSettings(Protocol):
    """What of the settings makes a text."""

    @property
    def length(self) -> int: ...
    @property
    def app(self) -> str: ...
    @property
    def locale(self) -> str: ...
    @property
    def templates(self) -> Templates: ...
    @property
    def web_otp_host(self) -> str | None: ...
    @property
    def android_hash(self) -> str | None: ...
    @property
    def longest_life(self) -> float: ...


@attrs.frozen(kw_only=True)
class MeasuredText:
    """The longest SMS of one text.

    Args:
        key: The setting that holds it; empty: it is ours.
        locale: Its language.
        text: With a made-up code.
    """

    key: str = ""
    locale: str
    text: str


def measured_texts(otp: TextSettings) -> Iterator[MeasuredText]:
    """The longest SMS of each text that may leave: of every template, and of our own in each language that no template serves."""
    for purpose, texts in otp.templates.items():
        for locale in texts:
            yield MeasuredText(
                key=f"otp.templates.{purpose}.{locale}", locale=locale, text=_longest(otp, purpose, locale)
            )
    for locale in own_locales(otp.templates, otp.locale):
        yield MeasuredText(locale=locale, text=_longest(otp, "default", locale))


def check_android_reads(otp: TextSettings) -> None:
    """Refuse what no Android app would read by itself, though ``otp.android_hash`` asks for it.

    Raises:
        SettingsError: A text takes more than one SMS or 140 bytes with its lines; names the template, or the languages of ours.
    """
    if otp.android_hash is None:
        return
    too_long = [one for one in measured_texts(otp) if not fits(one.text, read_by_android=True)]
    for one in too_long:
        if one.key:
            dear = "".join(f"; {name_of(character)} alone makes it longer" for character in dear_characters(one.text))
            raise SettingsError(
                f"{one.key}: {_measured(one.text)} with the lines of otp.android_hash{_host(otp)}, {_LIMIT}{dear}. "
                "Fix: shorten the text"
            )
    if too_long:
        languages = ", ".join(one.locale for one in too_long)
        longest = max((one.text for one in too_long), key=size)
        raise SettingsError(
            f"otp.android_hash: our shortest text in {languages} takes {_measured(longest)} with its line{_host(otp)}, "
            f"{_LIMIT}. Fix: a shorter {'otp.web_otp_host, or a shorter otp.app' if otp.web_otp_host else 'otp.app'}"
        )


def dear_characters(text: str) -> tuple[str, ...]:
    """The few characters outside the GSM alphabet without which a text would take fewer SMS; none of a script of its own."""
    found = [character for character in text if segments(character).encoding != "GSM-7"]
    foreign = tuple(dict.fromkeys(found))
    if not 0 < len(foreign) <= _MOST_NAMED or len(found) > _MOST_FOREIGN * len(text):
        return ()
    plain = "".join(_PLAIN if character in foreign else character for character in text)
    return foreign if segments(plain).count < segments(text).count else ()


def name_of(character: str) -> str:
    """A character with its code point: many of them cannot be told from others by the eye."""
    point = f"U+{ord(character):04X}"
    return f"{character!r} ({point})" if character.isprintable() else point


def links_in(text: str) -> tuple[str, ...]:
    """What a phone shows as a link, in a text without its lines for machines."""
    return tuple(match[0] for match in _LINK.finditer(text))


def _host(otp: TextSettings) -> str:
    return " and otp.web_otp_host" if otp.web_otp_host else ""


def _measured(text: str) -> str:
    return f"{segments(text).count} SMS of {size(text)} bytes in all"


def _longest(otp: TextSettings, purpose: str, locale: str) -> str:
    most = max(int(otp.longest_life) // 60, 1)
    texts = [
        render_sms(
            code="8" * otp.length,
            locale=locale,
            purpose=purpose,
            minutes=minutes,
            app=otp.app,
            templates=otp.templates,
            web_otp_host=otp.web_otp_host,
            android_hash=otp.android_hash,
            default_locale=otp.locale,
        )
        for minutes in sorted({0, 1, 2, min(most, 10), most})
    ]
    by_android = otp.android_hash is not None
    return max(texts, key=lambda text: (not fits(text, read_by_android=by_android), segments(text).count, size(text)))
