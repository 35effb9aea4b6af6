"""What each placeholder of a request stands for."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta

import attrs

from otp_http.sections import Life, NumberFormat
from otpcore.messages import segments
from otpcore.providers import DeliveryRequest, PhoneNumber

__all__ = ["HOST_OR_SETTING", "METADATA", "VALUES", "Sending", "Value", "language_of", "values_of", "written"]

METADATA = "metadata."
"""What comes before the name of an item of metadata."""

HOST_OR_SETTING = frozenset({"sender", "template_id"})
"""What a host may say of a message, else the settings of the instance do."""


@attrs.frozen
class Value:
    """A placeholder.

    Args:
        meaning: For people.
        of: What it stands for in one message; an empty text: nothing.
    """

    meaning: str
    of: Callable[[Sending], str]


@attrs.frozen(kw_only=True)
class Sending:
    """One message on its way to one gateway.

    Args:
        request: What is to be sent.
        settings: Of the instance, by name.
        number: How the gateway writes numbers.
        life: Which lives it takes; None: any.
        languages: The gateway's names of languages.
        now: Aware UTC.
        receipt_url: Answers where it may report of this message; empty: nowhere.
    """

    request: DeliveryRequest
    settings: Mapping[str, str] = attrs.field(repr=False)
    number: NumberFormat
    life: Life | None
    languages: Mapping[str, str]
    now: datetime
    receipt_url: Callable[[], str] = attrs.field(repr=False)

    @property
    def seconds(self) -> int:
        """How long the code lives, rounded up and cut as the gateway wants it; 0: nothing is to be said of it."""
        left = math.ceil((self.request.deadline - self.now).total_seconds())
        limits = self.life or Life(max=max(left, 1))
        return min(left, limits.max) if left >= max(limits.min, 1) else 0

    @property
    def ends(self) -> datetime | None:
        """When the gateway may give up; None: nothing is to be said of it."""
        return self.now + timedelta(seconds=self.seconds) if self.seconds else None


def written(number: PhoneNumber, how: NumberFormat) -> str:
    """A number as the table says."""
    fitting = [prefix for prefix in how.prefixes if number.e164.startswith(prefix)]
    if fitting:
        longest = max(fitting, key=len)
        return how.prefixes[longest] + number.e164.removeprefix(longest)
    return _FORMATS[how.format](number)


def language_of(locale: str, languages: Mapping[str, str]) -> str:
    """The vendor's name of a language: of the whole tag, else of what it begins with; empty: it has none.

    A vendor that names none is given the language without its region.
    """
    subtags = locale.replace("_", "-").casefold().split("-")
    if not languages:
        return subtags[0]
    known = {tag.replace("_", "-").casefold(): name for tag, name in languages.items()}
    tries = ("-".join(subtags[:length]) for length in range(len(subtags), 0, -1))
    return next((known[tag] for tag in tries if tag in known), "")


def values_of(sending: Sending, names: Collection[str]) -> dict[str, str]:
    """The values of these placeholders; empty texts for what there is not."""
    return {name: _value(sending, name) for name in names}


def _value(sending: Sending, name: str) -> str:
    if name in VALUES:
        return VALUES[name].of(sending)
    if name.startswith(METADATA):
        return sending.request.metadata.get(name.removeprefix(METADATA), "")
    said = getattr(sending.request, name) if name in HOST_OR_SETTING else None
    return said or sending.settings.get(name, "")


def _national(number: PhoneNumber) -> str:
    import phonenumbers  # noqa: PLC0415 - heavy, and few gateways want it

    parsed = phonenumbers.parse(number.e164)
    return re.sub("[^0-9]", "", phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL))


def _calling_code(number: PhoneNumber) -> str:
    import phonenumbers  # noqa: PLC0415 - as above

    return str(phonenumbers.parse(number.e164).country_code)


def _minutes(sending: Sending) -> int:
    return math.ceil(sending.seconds / 60)


def _unicode(sending: Sending) -> str:
    text = sending.request.text or ""
    return "unicode" if segments(text).encoding != "GSM-7" else ""


def _some(number: int) -> str:
    return str(number) if number else ""


def _hours_and_minutes(sending: Sending) -> str:
    minutes = _minutes(sending)
    return f"{minutes // 60:02}:{minutes % 60:02}" if minutes else ""


def _unix(moment: datetime | None) -> str:
    return str(math.ceil(moment.timestamp())) if moment else ""


def _iso(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment else ""


_FORMATS: Mapping[str, Callable[[PhoneNumber], str]] = {
    "e164": lambda number: number.e164,
    "digits": lambda number: number.digits,
    "zeros": lambda number: f"00{number.digits}",
    "national": _national,
}

VALUES: Mapping[str, Value] = {
    "e164": Value("the number as `+359…`", lambda sending: sending.request.recipient.e164),
    "digits": Value("the number as `359…`", lambda sending: sending.request.recipient.digits),
    "zeros": Value("the number as `00359…`", lambda sending: f"00{sending.request.recipient.digits}"),
    "national": Value(
        "the number as it is dialled within its country, digits alone",
        lambda sending: _national(sending.request.recipient),
    ),
    "number": Value(
        "the number as the section `[number]` says", lambda sending: written(sending.request.recipient, sending.number)
    ),
    "region": Value("the number's country, such as `BG`", lambda sending: sending.request.recipient.region),
    "calling_code": Value(
        "the number's calling code, such as `359`", lambda sending: _calling_code(sending.request.recipient)
    ),
    "text": Value("what is to be read, or spoken", lambda sending: sending.request.text or ""),
    "code": Value("the code", lambda sending: sending.request.code or ""),
    "unicode": Value("the word `unicode` where the text has letters beyond the GSM alphabet", _unicode),
    "locale": Value("the language, such as `pt-BR`", lambda sending: sending.request.locale),
    "language": Value(
        "the gateway's name of the language (`languages`), else the language without its region",
        lambda sending: language_of(sending.request.locale, sending.languages),
    ),
    "life": Value("seconds that the code lives, rounded up", lambda sending: _some(sending.seconds)),
    "life_ms": Value("the same in milliseconds", lambda sending: _some(sending.seconds * 1000)),
    "life_minutes": Value("the same in minutes, rounded up", lambda sending: _some(_minutes(sending))),
    "life_hhmm": Value("the same as `00:05`", _hours_and_minutes),
    "expires_unix": Value("when it expires, in Unix seconds", lambda sending: _unix(sending.ends)),
    "expires_iso": Value("the same as `2026-03-01T12:05:00Z`", lambda sending: _iso(sending.ends)),
    "delivery_id": Value("our id of this try", lambda sending: sending.request.delivery_id),
    "challenge_id": Value("our id of the verification", lambda sending: sending.request.challenge_id),
    "idempotency_key": Value(
        "the same for every try of one send, for gateways that drop repeats",
        lambda sending: sending.request.idempotency_key,
    ),
    "purpose": Value("what the code is for", lambda sending: sending.request.purpose),
    "app": Value("which of the host's apps it is for", lambda sending: sending.request.app),
    "client": Value("the IP address of who asked for it", lambda sending: sending.request.client_address),
    "android_hash": Value(
        "the hash of the Android app that may read it", lambda sending: sending.request.android_hash or ""
    ),
    "receipt_url": Value("where the gateway may report of this message", lambda sending: sending.receipt_url()),
    "now_unix": Value("now, in Unix seconds", lambda sending: _unix(sending.now)),
    "now_iso": Value("now, as `2026-03-01T12:00:00Z`", lambda sending: _iso(sending.now)),
}
"""Each placeholder that is neither a setting nor metadata, and what it stands for."""
