"""What a person receives: SMS text, spoken text, SMS segments; and the code a person typed; pure.

Texts hold the placeholders ``{code}`` (``_CODE_`` is the same), ``{minutes}`` and ``{app}``. Nothing else is special:
other braces stay as they are, and what a placeholder brings in is never looked at again.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import attrs

from otpcore.errors import InvalidArgument, SettingsError
from otpcore.messages.carrying import lookup_tags
from otpcore.messages.wordings import WORDINGS, Wording

__all__ = [
    "RETRIEVER_BYTES",
    "Segments",
    "check_android_hash",
    "check_message",
    "check_template",
    "check_web_otp_host",
    "fits",
    "has_place",
    "own_locales",
    "render_call",
    "render_sms",
    "segments",
    "size",
    "text_locale",
]

Templates = Mapping[str, Mapping[str, str]]

RETRIEVER_BYTES = 140
"""What an Android app reads by itself is at most so long."""

_PLACEHOLDER = re.compile(r"\{(code|minutes|app)\}|_CODE_")
_CODE = re.compile(r"\{code\}|_CODE_")
_LAST_RESORT = "en"

_HOST_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"{_HOST_LABEL}(?:\.{_HOST_LABEL})*", re.ASCII | re.IGNORECASE)
_ANDROID_HASH = re.compile(r"[A-Za-z0-9+/]{11}")

# 3GPP TS 23.038: the GSM 7-bit default alphabet, and the characters that need an escape before them.
_GSM_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_EXTENSION = frozenset("\f^{}\\[~]|€")
_LAST_BMP = "\uffff"

_SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？", "।", "؟")  # noqa: RUF001 - other scripts' full stops


@attrs.frozen(kw_only=True)
class Segments:
    """How a text travels as SMS (3GPP TS 23.038 and 23.040).

    Args:
        encoding: One character outside the GSM alphabet turns the whole text into UCS-2.
        units: Septets (an extension character takes two) or UTF-16 units (a surrogate pair takes two).
        count: Messages that are sent and paid for.
    """

    encoding: Literal["GSM-7", "UCS-2"]
    units: int
    count: int


def render_sms(
    *,
    code: str,
    locale: str,
    purpose: str,
    minutes: int,
    app: str,
    templates: Templates | None = None,
    message: str | None = None,
    web_otp_host: str | None = None,
    android_hash: str | None = None,
    default_locale: str = _LAST_RESORT,
) -> str:
    """The SMS for one code.

    The text is ``message``, else the host's template, else ours. Among templates the purpose counts more than the
    language: its own entry, then ``"default"``, each by ``locale`` (``pt-BR``, then ``pt``), then by
    ``default_locale``, then ``en``. A host's template in the default language therefore goes before our text in the
    person's language: who registers texts with a carrier must know that no other text leaves.

    A WebOTP line is always the last line and holds nothing else (WICG "Origin-bound one-time codes": parsers read only
    the last line, nothing before the ``@``). An Android hash takes the last line, or the one before WebOTP: Google's SMS
    Retriever asks that the message *includes* it and is at most 140 bytes.

    With such lines our own text loses first its time, then its warning, then its words, until everything fits into one
    SMS (and, with a hash, into 140 bytes). A host's text is never shortened.

    Args:
        code: The digits; empty: the message is a whole text without one, and no line for machines is added.
        locale: BCP 47 tag of the person's language.
        purpose: What the code is for; a key of ``templates``.
        minutes: Whole minutes that the code still lives, rounded down; in a host's text 0 becomes ``<1``.
        app: Name the person knows the host by, or empty.
        templates: The host's texts: purpose (or ``"default"``) to locale to text.
        message: The caller's own text for this one send.
        web_otp_host: Host name for WebOTP, from settings, never from a request.
        android_hash: Hash of the Android app that may read the message.
        default_locale: Tag to fall back to.

    Raises:
        SettingsError: The chosen template has no place for the code, or host or hash is malformed.
        InvalidArgument: The message has no place for the code.
    """
    chosen = _choose(locale, purpose, templates, message, default_locale)
    if message is not None and code:
        check_message(message)
    lines = _lines_for_machines(code, web_otp_host, android_hash) if code else ()
    if chosen.text is not None:
        return _joined(_fill(chosen.text, code=code, app=app, minutes=str(minutes) if minutes > 0 else "<1"), lines)
    time_left = _time_left(chosen.wording, minutes)
    texts = (
        _joined(_fill(text, code=code, app=app, minutes=time_left), lines)
        for text in _shorter_and_shorter(chosen.wording, app)
    )
    whole = next(texts)
    if not lines or fits(whole, read_by_android=bool(android_hash)):
        return whole
    return next((text for text in texts if fits(text, read_by_android=bool(android_hash))), whole)


def fits(text: str, *, read_by_android: bool) -> bool:
    """Whether a text is one SMS, and no longer than what an Android app reads by itself (Google, "SMS Retriever").

    Google does not say in which encoding its 140 bytes are counted: they are kept to in UTF-8 and as they travel.
    """
    return segments(text).count == 1 and not (read_by_android and size(text) > RETRIEVER_BYTES)


def size(text: str) -> int:
    """Bytes of a text in UTF-8."""
    return len(text.encode(errors="surrogatepass"))


def render_call(
    *,
    code: str,
    locale: str,
    purpose: str,
    app: str,
    message: str | None = None,
    templates: Templates | None = None,
    minutes: int | None = None,
    default_locale: str = _LAST_RESORT,
) -> str:
    """What a call speaks: the whole text twice, the digits one by one (``1, 2, 3``), as a run is read as one number.

    Args:
        code: The digits; empty: the message is a whole text without one.
        locale: BCP 47 tag of the person's language.
        purpose: What the code is for; a key of ``templates``.
        app: Name the person knows the host by, or empty.
        message: The caller's own text for this one call.
        templates: The host's texts for calls, chosen as for ``render_sms``.
        minutes: Whole minutes for ``{minutes}`` in a host's text, spoken as 1 at least; None leaves it as written.
        default_locale: Tag to fall back to.

    Raises:
        SettingsError: The chosen template has no place for the code.
        InvalidArgument: The message has no place for the code.
    """
    if message is not None and code:
        check_message(message)
    chosen = _choose(locale, purpose, templates, message, default_locale)
    text = chosen.text
    if text is None:
        text = chosen.wording.call if app else chosen.wording.call_without_app
    values = {} if minutes is None else {"minutes": str(max(minutes, 1))}
    spoken = _fill(text, code=", ".join(code), app=app, **values).strip()
    pause = "" if spoken.endswith(_SENTENCE_ENDS) else "."
    return f"{spoken}{pause} {spoken}"


def text_locale(
    *, locale: str, purpose: str, templates: Templates | None = None, default_locale: str = _LAST_RESORT
) -> str:
    """The language that the rendered text will be in: what a voice must speak.

    The ``locale`` itself if there is a text in its language, region or not, else the tag that was fallen back to.
    """
    return _choose(locale, purpose, templates, None, default_locale).locale


def own_locales(templates: Templates, default_locale: str) -> tuple[str, ...]:
    """The languages in which a text of ours may leave: those for which the host has no text of the purpose ``default``."""
    return tuple(
        locale
        for locale in WORDINGS
        if (chosen := _choose(locale, "default", templates, None, default_locale)).text is None
        and chosen.locale == locale
    )


def check_message(message: str) -> None:
    """Refuse a caller's text that could not carry the code.

    Raises:
        InvalidArgument: Neither ``{code}`` nor ``_CODE_`` is in it. The message is never quoted.
    """
    if not has_place(message):
        raise InvalidArgument("the message must contain {code} (or _CODE_) where the code goes")


def has_place(message: str) -> bool:
    """Whether a text says where a code goes."""
    return _CODE.search(message) is not None


def check_template(text: str, *, key: str) -> None:
    """Refuse a template that could not carry the code.

    Raises:
        SettingsError: Neither ``{code}`` nor ``_CODE_`` is in it; names ``key``.
    """
    if not _CODE.search(text):
        raise SettingsError(f"{key}: the text has no place for the code; write {{code}} where it goes")


def check_web_otp_host(host: str, *, key: str = "otp.web_otp_host") -> None:
    """Refuse what a browser would not find in a WebOTP line.

    Raises:
        SettingsError: Not a bare host name; names ``key``.
    """
    if not _HOST.fullmatch(host):
        raise SettingsError(
            f"{key}: not a host name; write it as example.com: no https://, port or path, other scripts as xn--…"
        )


def check_android_hash(android_hash: str, *, key: str = "otp.android_hash") -> None:
    """Refuse what no Android app has as its SMS Retriever hash.

    Raises:
        SettingsError: Not 11 characters of Base64; names ``key``.
    """
    if not _ANDROID_HASH.fullmatch(android_hash):
        raise SettingsError(f"{key}: an SMS Retriever hash is 11 characters of A-Z, a-z, 0-9, + and /")


def segments(text: str) -> Segments:
    """Count what a text costs as SMS: one message up to 160 or 70 units, else parts of 153 or 67.

    Neither a surrogate pair nor an escaped character is split between two parts. An empty text is one message.
    """
    if all(character in _GSM_BASIC or character in _GSM_EXTENSION for character in text):
        costs = [2 if character in _GSM_EXTENSION else 1 for character in text]
        return Segments(encoding="GSM-7", units=sum(costs), count=_parts(costs, alone=160, joined=153))
    costs = [2 if character > _LAST_BMP else 1 for character in text]
    return Segments(encoding="UCS-2", units=sum(costs), count=_parts(costs, alone=70, joined=67))


@attrs.frozen(kw_only=True)
class _Choice:
    """The text to render: the host's ``text``, or the ``wording`` of otpcore where there is none."""

    locale: str
    text: str | None = attrs.field(repr=False)
    wording: Wording


def _choose(
    locale: str, purpose: str, templates: Templates | None, message: str | None, default_locale: str
) -> _Choice:
    if message is None and not templates:
        return _own_choice(locale, default_locale)
    own, tags, ours = _languages(locale, default_locale)
    if message is not None:
        return _Choice(locale=locale, text=message, wording=WORDINGS[ours])
    for name in (purpose, "default"):
        texts = {_tag(written): (written, text) for written, text in (templates or {}).get(name, {}).items()}
        for tag in tags:
            if tag in texts:
                written, text = texts[tag]
                check_template(text, key=f"otp.templates.{name}.{written}")
                return _Choice(locale=locale if tag in own else written, text=text, wording=WORDINGS[ours])
    return _own_choice(locale, default_locale)


@functools.lru_cache(maxsize=1024)
def _own_choice(locale: str, default_locale: str) -> _Choice:
    """Where the host has no text."""
    own, _, ours = _languages(locale, default_locale)
    return _Choice(locale=locale if ours in own else ours, text=None, wording=WORDINGS[ours])


@functools.lru_cache(maxsize=1024)
def _languages(locale: str, default_locale: str) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """The tags of the person's language, all tags to look for, and the first of them in which we have a text."""
    own = tuple(lookup_tags(locale))
    tags = (*own, *lookup_tags(default_locale), _LAST_RESORT)
    return own, tags, next(tag for tag in tags if tag in WORDINGS)


def _tag(locale: str) -> str:
    return locale.replace("_", "-").casefold()


def _shorter_and_shorter(wording: Wording, app: str) -> Iterator[str]:
    """The SMS from the whole text to the code alone: what is worth least goes first where lines for machines need its room."""
    sentence = wording.sms if app else wording.sms_without_app
    yield sentence + wording.valid + wording.warning
    yield sentence + wording.warning
    yield sentence
    yield "{app}: {code}" if app else "{code}"


def _time_left(wording: Wording, minutes: int) -> str:
    """The phrase for whole minutes left, rounded down: 0 is "less than a minute"."""
    phrase = next(phrase for limit, phrase in wording.minutes if minutes <= limit)
    return phrase.replace("{minutes}", str(minutes))


def _lines_for_machines(code: str, web_otp_host: str | None, android_hash: str | None) -> tuple[str, ...]:
    lines = []
    if android_hash:
        check_android_hash(android_hash)
        lines.append(android_hash)
    if web_otp_host:
        check_web_otp_host(web_otp_host)
        lines.append(f"@{web_otp_host} #{code}")
    return tuple(lines)


def _joined(text: str, lines: tuple[str, ...]) -> str:
    return "\n".join((text.rstrip(), *lines)) if lines else text


def _fill(text: str, **values: str) -> str:
    # One pass: an app name that looks like a placeholder is text like any other.
    return _PLACEHOLDER.sub(lambda place: values.get(place[1] or "code", place[0]), text)


def _parts(costs: Iterable[int], *, alone: int, joined: int) -> int:
    costs = list(costs)
    if sum(costs) <= alone:
        return 1
    count, used = 1, 0
    for cost in costs:
        if used + cost > joined:
            count, used = count + 1, 0
        used += cost
    return count
