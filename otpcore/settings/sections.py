"""The sections of the settings: each key with its default, its meaning and its range."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import date
from typing import Any, ClassVar, Literal

import attrs

from otpcore.errors import SettingsError
from otpcore.messages.checks import check_android_reads
from otpcore.messages.texts import check_android_hash, check_template, check_web_otp_host
from otpcore.phone.numbers import same_phone
from otpcore.phone.regions import check_region
from otpcore.settings.apps import AppSettings, good_apps, with_app
from otpcore.settings.by_use import check_by_use
from otpcore.settings.fields import between, compliant, full_key, matching, one_of, setting
from otpcore.settings.network import DIRECT, check_public_url, parse_proxy
from otpcore.settings.test_numbers import FixedNumber, good_test_numbers, known_test_numbers

__all__ = [
    "CallSettings",
    "HttpSettings",
    "OtpSettings",
    "PluginSettings",
    "RetrySettings",
    "RoutingSettings",
    "SmsSettings",
    "StorageSettings",
    "TelemetrySettings",
]

_DAY = 86_400
_LIFE_CAP = 600.0
_FOREVER = 10 * 365 * _DAY  # long enough for every retention rule, short enough for a timestamp


def _within_life(instance: OtpSettings, attribute: attrs.Attribute[float], value: float) -> None:
    if value > instance.life:
        raise SettingsError(f"{full_key(instance, attribute)}: must not be longer than otp.life ({instance.life:g} s)")


def _holds_one_call(instance: OtpSettings, attribute: attrs.Attribute[float], value: float) -> None:
    if value < instance.provider_timeout:
        allowed = f"otp.provider_timeout ({instance.provider_timeout:g} s)"
        raise SettingsError(f"{full_key(instance, attribute)}: must be at least {allowed}")


def _not_below_first_delay(instance: RetrySettings, attribute: attrs.Attribute[float], value: float) -> None:
    if value < instance.first_delay:
        allowed = f"retry.first_delay ({instance.first_delay:g} s)"
        raise SettingsError(f"{full_key(instance, attribute)}: must be at least {allowed}")


def _known_region(instance: OtpSettings, attribute: attrs.Attribute[str | None], value: str | None) -> None:
    if value:
        check_region(value, key=full_key(instance, attribute))


def _good_templates(_: OtpSettings, __: attrs.Attribute[Any], value: Mapping[str, Mapping[str, str]]) -> None:
    for purpose, texts in value.items():
        for locale, text in texts.items():
            check_template(text, key=f"otp.templates.{purpose}.{locale}")


def _good_by_use(instance: OtpSettings, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None:
        check_by_use(value, key=full_key(instance, attribute))


def _good_host(_: OtpSettings, __: attrs.Attribute[str | None], value: str | None) -> None:
    if value is not None:
        check_web_otp_host(value)


def _good_hash(instance: OtpSettings, _: attrs.Attribute[str | None], value: str | None) -> None:
    if value is not None:
        check_android_hash(value)
        check_android_reads(instance)


def _good_receipts_url(instance: OtpSettings, attribute: attrs.Attribute[str | None], value: str | None) -> None:
    if value is not None:
        check_public_url(value, key=full_key(instance, attribute))


def _good_proxy(instance: HttpSettings, attribute: attrs.Attribute[str | None], value: str | None) -> None:
    if value not in (None, DIRECT):
        parse_proxy(value or "", key=full_key(instance, attribute))


@attrs.frozen(kw_only=True)
class SmsSettings:
    """``sms.*``."""

    section: ClassVar[str] = "sms"

    retry: bool = setting(False, "Try again later when no provider took the message.")
    max_retries: int = setting(20, "Tries after the first, 0 to 100; 0 is as if it were off.", between(0, 100))
    sandbox: bool = setting(False, "Call no provider, over any channel; refused in production.")
    test_numbers: Mapping[str, FixedNumber] = setting(dict, "", good_test_numbers, names="<name>")
    test_numbers_on: tuple[str, ...] = setting(
        (),
        "Names of the test numbers that work, over any channel; refused in production.",
        known_test_numbers,
    )

    @property
    def is_retried(self) -> bool:
        """Whether anything is ever tried again."""
        return self.retry and self.max_retries > 0

    def test_number(self, e164: str, today: date) -> str | None:
        """The name of the test number that this is, if it works today (UTC)."""
        name = self._switched_on.get(same_phone(e164))
        return None if name is None or self.test_numbers[name].is_over(today) else name

    @functools.cached_property
    def _switched_on(self) -> Mapping[str, str]:
        """Names by number, of those that are switched on."""
        return {self.test_numbers[name].e164: name for name in self.test_numbers_on}


@attrs.frozen(kw_only=True)
class CallSettings:
    """``call.*``."""

    section: ClassVar[str] = "call"

    retry: bool = setting(False, "Try again later when no provider placed the call.")
    max_retries: int = setting(2, "Tries after the first, 0 to 100; 0 is as if it were off.", between(0, 100))

    @property
    def is_retried(self) -> bool:
        """Whether anything is ever tried again."""
        return self.retry and self.max_retries > 0


@attrs.frozen(kw_only=True)
class OtpSettings:
    """``otp.*``: codes, their life, their text.

    The usual ranges of ``length`` and ``life`` are those of NIST SP 800-63B-4 §3.1.3.2, of ``attempts`` that of
    Regulation (EU) 2018/389, article 4.
    """

    section: ClassVar[str] = "otp"

    length: int = setting(
        6, "Digits of a code, 6 to 10 (from 4 with allow_noncompliant).", compliant((6, 10), (4, 10), "digits")
    )
    life: float = setting(
        300.0,
        "Seconds a code can be verified, 30 to 600 (to 86400 with allow_noncompliant).",
        compliant((30, 600), (30, _DAY), "seconds"),
    )
    attempts: int = setting(
        5,
        "Codes that may be tried against one challenge, 1 to 5 (to 20 with allow_noncompliant).",
        compliant((1, 5), (1, 20), "attempts"),
    )
    verify_by: Literal["phone", "id"] = setting(
        "phone", "Whether the phone number is enough to verify, or the challenge's id is needed.", one_of("phone", "id")
    )
    default_region: str | None = setting(
        None, "Region of numbers written without a leading +, such as BG.", _known_region
    )
    number_policy: Literal["valid", "possible"] = setting(
        "valid",
        "Whether a number must be in an assigned range and not premium-rate, or just have a possible length.",
        one_of("valid", "possible"),
    )
    cooldown: float = setting(
        30.0, "Seconds before the same request sends again; 0 to otp.life.", between(0, _DAY, "seconds"), _within_life
    )
    app: str = setting("", "The app's name, for {app} in texts.")
    locale: str = setting(
        "en",
        "Language of texts when a call does not say, such as pt-BR.",
        matching(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*", "must be a language tag like pt-BR"),
    )
    templates: Mapping[str, Mapping[str, str]] = setting(
        dict, "Own texts; each contains {code}.", _good_templates, names="<purpose>.<locale>"
    )
    web_otp_host: str | None = setting(
        None,
        "Host name for the last line @host #code, which lets browsers fill in the code.",
        _good_host,
    )
    android_hash: str | None = setting(
        None,
        "Hash of the Android app that may read the SMS; every text must then be one SMS of at most 140 bytes.",
        _good_hash,
    )
    apps: Mapping[str, AppSettings] = setting(dict, "", good_apps, names="<app>")
    sender: str | Mapping[str, Any] | None = setting(
        None,
        "Sender name or number for providers that take one; or a table of them by instance, purpose and locale.",
        _good_by_use,
    )
    template_id: str | Mapping[str, Any] | None = setting(
        None,
        "Id of the text as registered with the operators, where they want one; or a table of them, as for otp.sender.",
        _good_by_use,
    )
    provider_timeout: float = setting(
        5.0, "Seconds for one call to one provider, at most 60.", between(0.01, 60, "seconds")
    )
    send_timeout: float = setting(
        10.0,
        "Seconds for one call of a host in all, waits for the store included, at most 120.",
        between(0.01, 120, "seconds"),
        _holds_one_call,
    )
    receipts_url: str | None = setting(
        None,
        "Public URL below which vendors that sign nothing report, such as https://example.com/receipts; not set: they are "
        "told of none, so they do not report.",
        _good_receipts_url,
    )
    allow_noncompliant: bool = setting(False, "Allow lengths, lives and attempts outside the standards' ranges.")

    @property
    def longest_life(self) -> float:
        """Seconds from the first send on that no resend exceeds: ten minutes (NIST SP 800-63B 3.1.3.2), or a longer ``life``."""
        return max(self.life, _LIFE_CAP)

    def of_app(self, app: str) -> OtpSettings:
        """What counts for the codes of one app: what ``apps`` says of it, before all others."""
        return self._of_apps.get(app, self)

    @functools.cached_property
    def _of_apps(self) -> Mapping[str, OtpSettings]:
        return {name: with_app(self, one) for name, one in self.apps.items()}


@attrs.frozen(kw_only=True)
class RetrySettings:
    """``retry.*``: when and where due retries run. Times in seconds."""

    section: ClassVar[str] = "retry"

    runner: str = setting(
        "background", "Where retries run: background, inline, worker or a plugin's.", matching(r"\S+", "must be a name")
    )
    first_delay: float = setting(
        0.5, "Seconds before the first retry; each next delay doubles.", between(0.01, 3600, "seconds")
    )
    max_delay: float = setting(
        30.0,
        "Seconds that no delay exceeds, unless a provider asks.",
        between(0.01, 3600, "seconds"),
        _not_below_first_delay,
    )
    jitter: float = setting(0.2, "Fraction by which delays vary at random, 0 to 0.5.", between(0, 0.5))
    min_useful_life: float = setting(
        30.0, "Seconds of life a code needs for a retry to be worth it.", between(0, _DAY, "seconds")
    )
    lease: float = setting(
        15.0,
        "Seconds for which a claimed retry is its worker's; if that dies, another takes it over.",
        between(1, 600, "seconds"),
    )
    concurrency: int = setting(64, "Retries that run at once in one process, 1 to 1000.", between(1, 1000))
    poll: float = setting(
        0.25, "Longest sleep in seconds before looking for due retries.", between(0.01, 60, "seconds")
    )
    options: Mapping[str, Any] = setting(
        dict, "Settings of a plugin's runner, such as its url; its page lists them.", secret=True, names="<name>"
    )
    breaker_threshold: int = setting(
        5, "Failures in a row after which an instance is left out for a while, 1 to 1000.", between(1, 1000)
    )


@attrs.frozen(kw_only=True)
class RoutingSettings:
    """``routing.*``."""

    section: ClassVar[str] = "routing"

    fallback_to_default: bool = setting(False, "Try instances without prefixes after those whose prefix matched.")
    reload_every: float = setting(
        5.0, "Seconds between looks at the rules in the database.", between(0.1, 3600, "seconds")
    )


@attrs.frozen(kw_only=True)
class PluginSettings:
    """``plugins.*``."""

    section: ClassVar[str] = "plugins"

    on_error: Literal["raise", "skip"] = setting(
        "raise",
        "Whether a broken plugin of a routed instance stops the start, or is left out.",
        one_of("raise", "skip"),
    )
    thread_slots: int = setting(
        32, "Calls that may be in flight in one instance's blocking hooks, 1 to 1000.", between(1, 1000)
    )


@attrs.frozen(kw_only=True)
class HttpSettings:
    """``http.*``: the way to the vendors."""

    section: ClassVar[str] = "http"

    proxy: str | None = setting(
        None,
        "URL of the forward proxy to all vendors, such as http://user:password@proxy.example.com:3128; not set: none.",
        _good_proxy,
        secret=True,
    )
    ca_file: str | None = setting(
        None, "File of certificates (PEM) of the network's own CA, which are trusted besides the usual ones."
    )
    trust_env: bool = setting(
        False, "Where neither is set, take HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY and SSL_CERT_FILE."
    )


@attrs.frozen(kw_only=True)
class StorageSettings:
    """``storage.*``."""

    section: ClassVar[str] = "storage"

    store: str | None = setting(
        None,
        "sql, memory or a plugin's store; not set: the one that keeps data at the url.",
        matching(r"\S+", "must be a name"),
    )
    url: str | None = setting(
        None,
        "Of the database: an SQLAlchemy URL, or one of a plugin's; not set: otpcore.sqlite3 beside the settings file.",
        secret=True,
    )
    synchronous: Literal["FULL", "NORMAL"] = setting(
        "FULL",
        "SQLite only: NORMAL is faster and may forget the last moments at a power cut.",
        one_of("FULL", "NORMAL"),
    )
    keep_challenges: float = setting(
        float(_DAY), "Seconds before a finished challenge is purged.", between(0, _FOREVER, "seconds")
    )
    keep_deliveries: float = setting(
        30.0 * _DAY,
        "Seconds before the record of a delivery is purged; at least a day, the longest life that a code may have.",
        between(_DAY, _FOREVER, "seconds"),  # a living challenge is verified and retried by its deliveries
    )
    keep_verified: float = setting(
        90.0 * _DAY,
        "Seconds before a phone counts as never verified again; operators give a number to somebody else after about as long.",
        between(0, _FOREVER, "seconds"),
    )
    keep_audit: float = setting(
        365.0 * _DAY,
        "Seconds before the record of what an operator changed is purged.",
        between(_DAY, _FOREVER, "seconds"),
    )
    outbox: bool = setting(False, "Write what changes in challenges to an outbox, for a service that works through it.")
    keep_series: float = setting(
        30.0 * _DAY, "Seconds before counts over time are purged.", between(0, _FOREVER, "seconds")
    )


@attrs.frozen(kw_only=True)
class TelemetrySettings:
    """``telemetry.*``."""

    section: ClassVar[str] = "telemetry"

    opentelemetry: bool = setting(
        False, "Measure through the OpenTelemetry providers that the process has set up; needs the extra otel."
    )
