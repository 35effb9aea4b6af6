"""What ``otp doctor`` finds out about what goes wrong slowly: clocks, credentials, number data, limits, workers, receipts; pure."""

from __future__ import annotations

import enum
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from otpcore.messages.texts import render_sms, segments
from otpcore.models import Channel
from otpcore.providers.requests import ProviderInfo
from otpcore.service.obstacles import ALIVE_WITHIN
from otpcore.service.status import WorkerStatus
from otpcore.settings.tree import LimitSettings, OtpSettings, Settings

__all__ = [
    "Found",
    "Level",
    "alphabets",
    "clock",
    "credentials",
    "limits",
    "network",
    "number_data",
    "receipts",
    "workers",
]

_SKEW = timedelta(seconds=5)  # a third of the default lease: more, and one machine takes over what another still does
_NEVER_BEFORE = datetime(2026, 1, 1, tzinfo=UTC)  # this version is younger
_YEAR = timedelta(days=365)


class Level(enum.StrEnum):
    """How bad a finding is; only problems let the command fail."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


@attrs.frozen
class Found:
    """One thing that was looked at."""

    level: Level
    detail: str
    fix: str = ""


# The clock. Without the network nobody can say that it is right; what lies in its future says that it is wrong.


def clock(now: datetime, written: Mapping[str, datetime], seen: Sequence[WorkerStatus] = ()) -> Iterator[Found]:
    """Compare the clock with what was written on this machine, and by workers that share the store.

    Args:
        written: When each file was last written, by its name.
        seen: Signs of life; each has the time of the clock of its own machine.
    """
    fix = "let the machine take its time from the network (NTP)"
    if now < _NEVER_BEFORE:
        yield Found(Level.PROBLEM, f"the clock says {now:%Y-%m-%d}, which is long past", fix)
        return
    future = {name: at for name, at in written.items() if at > now + _SKEW}
    ahead = max(seen, key=lambda worker: worker.seen_at, default=None)
    for name, at in future.items():
        yield Found(Level.NOTE, f"{name} was written {_short(at - now)} after now: the clock went back", fix)
    if ahead is not None and ahead.seen_at > now + _SKEW:
        yield Found(
            Level.PROBLEM,
            f"the clock of {ahead.name}'s machine is {_short(ahead.seen_at - now)} ahead of this one",
            fix,
        )
    elif not future:
        yield Found(Level.OK, f"{now:%Y-%m-%d %H:%M:%S} UTC; nothing here comes from later")


# The way to the vendors.

_PROXY_VARIABLES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "SSL_CERT_FILE")


def network(settings: Settings, environment: Mapping[str, str]) -> Iterator[Found]:
    """Which proxy and which certificates are used, and what of the environment is not."""
    http = settings.http
    own = {name: [key for key in ("proxy", "ca_file") if one.get(key)] for name, one in settings.providers.items()}
    said = [f"http.{key}" for key, value in (("proxy", http.proxy), ("ca_file", http.ca_file)) if value]
    said += [f"providers.{name}.{key}" for name, keys in own.items() for key in keys]
    named = [name for name in _PROXY_VARIABLES if environment.get(name)]
    if named and not http.trust_env and not said:
        yield Found(
            Level.NOTE,
            f"{', '.join(named)} of the environment is not used: nothing is taken from there unless asked",
            "in [http]: trust_env = true; or proxy and ca_file there",
        )
    else:
        parts = [f"set by {', '.join(said)}"] if said else []
        if named and http.trust_env:
            parts.append(f"where nothing is set, by {', '.join(named)} of the environment")
        yield Found(Level.OK, "; ".join(parts) or "straight to the vendors, with the usual certificates")


# Credentials. The plugins check what they know; these are shapes that no vendor gives out.

_SHAPES = {
    "is empty": re.compile(r""),
    "has blanks around it": re.compile(r"\s.*|.*\s", re.DOTALL),
    "has quotation marks around it": re.compile(r"""(["'`]).*\1""", re.DOTALL),
    "is a variable that nobody filled in": re.compile(r"\$\{?\w+\}?|\{\{.*\}\}|%\w+%"),
    "is a placeholder": re.compile(
        r"<.*>|x{4,}|\*{4,}|\.{3,}|(change|replace)[-_ ]?me|todo|fixme|placeholder|secret|password|your[-_ ].*"
        r"|(the secret )?of[- ](the|bell).*|AKIA\w*EXAMPLE",  # as our own READMEs and AWS's have it
        re.IGNORECASE,
    ),
}


def credentials(settings: Settings) -> Iterator[Found]:
    """Settings of instances whose text cannot be meant; the text itself is never shown."""
    found = False
    for instance, own in settings.providers.items():
        for key, value in _texts(f"providers.{instance}", own):
            wrong = next((what for what, shape in _SHAPES.items() if shape.fullmatch(value)), None)
            if wrong is not None:
                found = True
                yield Found(Level.NOTE, f"{key} {wrong}", "write what the vendor's console shows")
    if settings.providers and not found:
        yield Found(Level.OK, f"no placeholder in the settings of {', '.join(settings.providers)}")


def _texts(key: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _texts(f"{key}.{name}", inner)
    elif isinstance(value, str):
        yield key, value


# Number data. libphonenumber brings out its data about every two weeks, and each version of it is a version of phonenumbers.

_FIRST_OF_SERIES = {9: datetime(2025, 3, 4, tzinfo=UTC)}
_BETWEEN_VERSIONS = timedelta(days=14)


def number_data(version: str, installed: datetime, now: datetime) -> Iterator[Found]:
    """How old the data about numbers is, estimated from its version; it is no younger than its installation.

    Args:
        version: Of the distribution phonenumbers.
        installed: When its files were written.
    """
    made = min(_made(version) or installed, installed)
    if now - made > _YEAR:
        yield Found(
            Level.NOTE,
            f"phonenumbers {version} is older than a year: newer numbers may be refused, or be charged to the wrong country",
            "pip install --upgrade phonenumbers",
        )
    else:
        yield Found(Level.OK, f"phonenumbers {version}, from {made:%B %Y} or so")


def _made(version: str) -> datetime | None:
    numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    first = _FIRST_OF_SERIES.get(int(numbers[1])) if numbers and numbers[2] == "0" else None
    return first + int(numbers[3]) * _BETWEEN_VERSIONS if numbers and first else None


# Limits.

_LIMITS = {
    "phone": ("one phone may be sent to without limit", 'in [limits]: phone = ["3/10m", "10/1d"]'),
    "client": ("one client may ask without limit", 'in [limits]: client = ["20/1h"]'),
    "prefix": ("no limit for prefixes that you watch", 'in [limits.prefix]: "+35987" = ["500/1h"]'),
    "country": ("no limit for each country", 'in [limits]: country = ["1000/1h"]'),
    "global_": ("no limit for all sends together", 'in [limits]: global = ["5000/1h"]'),
    "allow": ("every country may be sent to", 'in [limits]: allow = ["+359"]; name the countries that you serve'),
    "unverified": ("sends that nobody verifies are not counted", 'in [limits]: unverified = ["20/1d", "3/1h"]'),
}


def limits(settings: LimitSettings) -> Iterator[Found]:
    """Which limits are off."""
    known = {field.name for field in attrs.fields(LimitSettings)}
    off = [told for name, told in _LIMITS.items() if name in known and not getattr(settings, name)]
    for what, fix in off:
        yield Found(Level.NOTE, what, fix)
    if not off:
        yield Found(Level.OK, "every limit is set")


# Workers.


def workers(seen: Sequence[WorkerStatus], now: datetime, *, retried: bool, runner: str) -> Iterator[Found]:
    """Whether anybody runs retries, sweeps and purges.

    Args:
        retried: Retries are on.
        runner: The setting ``retry.runner``.
    """
    alive = [worker for worker in seen if worker.seen_at >= now - ALIVE_WITHIN]
    for worker in alive:
        yield Found(Level.OK, f"{worker.name}: seen {_short(now - worker.seen_at)} ago, {worker.running} running")
    if alive:
        return
    fix = "start `otp worker`" if runner == "worker" else "start the host, or `otp worker`"
    if runner == "inline":
        yield Found(Level.NOTE, "nobody sweeps and purges", "run `otp worker`, or `otp purge` every day")
    elif retried:
        yield Found(Level.NOTE, "retries are on, and nobody runs the worker now", fix)
    else:
        yield Found(Level.NOTE, "nobody sweeps and purges now", fix)


def _short(span: timedelta) -> str:
    return f"{max(span.total_seconds(), 0):.0f} s"


# Texts. An instance that cannot write them refuses each of them, and nobody hears of it before the first send.


def alphabets(otp: OtpSettings, infos: Mapping[str, ProviderInfo]) -> Iterator[Found]:
    """Texts that the settings ask for, and that an instance of the rules for SMS refuses for their letters.

    A problem where nobody else can send the one that is usual.

    Args:
        infos: Of those instances.
    """
    refusing = sorted(name for name, info in infos.items() if info.carried(Channel.SMS).gsm_only)
    if not refusing:
        return
    asked = {"otp.locale": ("default", otp.locale)}
    asked |= {
        f"otp.templates.{purpose}.{locale}": (purpose, locale)
        for purpose, texts in otp.templates.items()
        for locale in texts
    }
    found = False
    for key, (purpose, locale) in asked.items():
        text = render_sms(
            code="0" * otp.length,
            locale=locale,
            purpose=purpose,
            minutes=5,
            app=otp.app,
            templates=otp.templates,
            web_otp_host=otp.web_otp_host,
            android_hash=otp.android_hash,
            default_locale=otp.locale,
        )
        if stranger := next((letter for letter in text if segments(letter).encoding != "GSM-7"), ""):
            found = True
            named = unicodedata.name(stranger, "a character").lower()
            nobody_else = key == "otp.locale" and len(refusing) == len(infos)
            yield Found(
                Level.PROBLEM if nobody_else else Level.NOTE,
                f"{', '.join(refusing)} refuses the text of {key} = {locale!r}, which the GSM alphabet cannot write: "
                f"{named} (U+{ord(stranger):04X})",
                "let the instance send other alphabets (its plugin's README), write the text in Latin letters, or route elsewhere",
            )
    if not found:
        yield Found(Level.OK, f"{', '.join(refusing)} takes the GSM alphabet only, and the settings ask for no other")


# Receipts.


def receipts(receipts_url: str | None, infos: Mapping[str, ProviderInfo]) -> Iterator[Found]:
    """Instances whose vendors sign nothing, and whether they are told where to report.

    Args:
        receipts_url: The setting.
        infos: Of every loaded instance.
    """
    unsigned = ", ".join(sorted(name for name, info in infos.items() if not info.signs_receipts))
    if unsigned and receipts_url is None:
        yield Found(
            Level.NOTE,
            f"{unsigned}: the vendor is told no address, so a message that does not arrive is never reported",
            'in [otp]: receipts_url = "https://example.com/receipts"; your application answers below it',
        )
    elif unsigned:
        yield Found(Level.OK, f"{unsigned}: the vendor reports below {receipts_url}")
