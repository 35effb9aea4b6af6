"""The settings: one frozen, typed tree, read once and checked as a whole."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, ClassVar, Literal, Self
from urllib.parse import quote

import attrs

from otpcore.errors import InvalidPhoneNumber, RoutingSyntaxError, SettingsError
from otpcore.models import Channel, World
from otpcore.phone.numbers import parse_phone
from otpcore.rate_limits.parsing import Limit, is_prefix, parse_limit, parse_seconds
from otpcore.routing import RULE_SETTING, parse_rules
from otpcore.settings.channels import ChannelSettings, good_channel_rules, good_channels, without_blank_rules
from otpcore.settings.fields import a_section, not_a_setting, one_of, setting
from otpcore.settings.files import read_settings
from otpcore.settings.keys import KeySettings, generate_keys, new_keys_beside, throw_away_keys
from otpcore.settings.limits import LimitSettings, is_target
from otpcore.settings.reference import SettingDescription, describe_settings, starter_file
from otpcore.settings.sections import (
    CallSettings,
    HttpSettings,
    OtpSettings,
    PluginSettings,
    RetrySettings,
    RoutingSettings,
    SmsSettings,
    StorageSettings,
    TelemetrySettings,
)
from otpcore.settings.structuring import structure
from otpcore.settings.test_numbers import FixedNumber

__all__ = [
    "CallSettings",
    "ChannelSettings",
    "FixedNumber",
    "HttpSettings",
    "KeySettings",
    "Limit",
    "LimitSettings",
    "OtpSettings",
    "PluginSettings",
    "RetrySettings",
    "RoutingSettings",
    "SettingDescription",
    "Settings",
    "SmsSettings",
    "StorageSettings",
    "TelemetrySettings",
    "documented_keys",
    "generate_keys",
    "is_prefix",
    "is_target",
    "load_settings",
    "parse_limit",
    "parse_seconds",
    "starter_file",
    "throw_away_keys",
]

_SQL_SCHEMES = ("sqlite", "postgresql", "postgres", "mysql", "mariadb")
_INSTANCE = re.compile(r"[a-z][a-z0-9_-]{0,63}")  # an instance as routing rules write it, folded


def _good_rules(_: Settings, attribute: attrs.Attribute[str], value: str) -> None:
    if not value.strip():
        return
    try:
        parse_rules(value)
    except RoutingSyntaxError as error:
        raise RoutingSyntaxError(f"{attribute.name}: {error.problem}", error.text, error.column) from error


def _retries_have_time(instance: Settings, _: attrs.Attribute[RetrySettings], value: RetrySettings) -> None:
    if value.lease <= instance.otp.provider_timeout:
        allowed = f"otp.provider_timeout ({instance.otp.provider_timeout:g} s)"
        raise SettingsError(f"retry.lease: must be longer than {allowed}, or two workers make the same call")
    if instance.retries_anything and value.min_useful_life >= instance.otp.life:
        raise SettingsError(f"retry.min_useful_life: must be shorter than otp.life ({instance.otp.life:g} s)")


def _not_in_production(instance: Settings, _: attrs.Attribute[SmsSettings], value: SmsSettings) -> None:
    if instance.environment == "production":
        for key, is_on in (("sandbox", value.sandbox), ("test_numbers_on", bool(value.test_numbers_on))):
            if is_on:
                raise SettingsError(f'sms.{key}: is refused with environment = "production"; switch it off')


def _usable_test_numbers(instance: Settings, _: attrs.Attribute[SmsSettings], value: SmsSettings) -> None:
    """What only the other settings can tell."""
    for name in value.test_numbers_on:
        one, key = value.test_numbers[name], f"sms.test_numbers.{name}"
        if len(one.code) != instance.otp.length:
            raise SettingsError(f"{key}.code: must have otp.length ({instance.otp.length}) digits")
        try:
            parse_phone(one.number, require_valid=instance.otp.number_policy == "valid")
        except InvalidPhoneNumber as error:
            raise SettingsError(f"{key}.number: {error}; see otp.number_policy") from None


def _good_providers(_: Settings, __: attrs.Attribute[Any], value: Mapping[str, Mapping[str, Any]]) -> None:
    for name, settings in value.items():
        if not _INSTANCE.fullmatch(name.casefold()):
            raise SettingsError(f"providers.{name}: a name is an ASCII letter, then up to 63 letters, digits, - and _")
        if not isinstance(settings.get("plugin", ""), str):
            raise SettingsError(f"providers.{name}.plugin: must be text: an entry point or module:factory")


def _casefolded(providers: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    result = {name.casefold(): settings for name, settings in providers.items()}
    if len(result) < len(providers):
        raise SettingsError(f"providers: names must differ in more than case: {', '.join(providers)}")
    return result


@attrs.frozen(kw_only=True)
class Settings:
    """Everything otpcore can be told. Built from files by ``load_settings``, from a mapping by ``from_mapping``.

    Args:
        files: Absolute paths of the files that were read.
        directory: Where the settings file is; None when there was none.

    The other fields are described in their metadata; see ``documented_keys``.
    """

    section: ClassVar[str] = ""

    otp_sms_provider: str = setting(
        "", "Which provider sends to which numbers: Twilio;Mada:+35987,+35988.", _good_rules
    )
    otp_call_provider: str = setting("", "The same for calls; not set: otp_sms_provider.", _good_rules)
    otp_channel_providers: Mapping[str, str] = setting(
        dict,
        "The same for another channel, such as otp_whatsapp_provider; not set: those of otp_sms_provider that can do it.",
        good_channel_rules,
        gathers=("otp_<channel>_provider", RULE_SETTING),
        converter=without_blank_rules,
    )
    sms: SmsSettings = attrs.field(
        factory=SmsSettings, validator=[a_section(SmsSettings), _not_in_production, _usable_test_numbers]
    )
    call: CallSettings = attrs.field(factory=CallSettings, validator=a_section(CallSettings))
    channels: Mapping[str, ChannelSettings] = setting(dict, "", good_channels, names="<channel>")
    otp: OtpSettings = attrs.field(factory=OtpSettings, validator=a_section(OtpSettings))
    limits: LimitSettings = attrs.field(factory=LimitSettings, validator=a_section(LimitSettings))
    retry: RetrySettings = attrs.field(factory=RetrySettings, validator=[a_section(RetrySettings), _retries_have_time])
    routing: RoutingSettings = attrs.field(factory=RoutingSettings, validator=a_section(RoutingSettings))
    http: HttpSettings = attrs.field(factory=HttpSettings, validator=a_section(HttpSettings))
    plugins: PluginSettings = attrs.field(factory=PluginSettings, validator=a_section(PluginSettings))
    storage: StorageSettings = attrs.field(factory=StorageSettings, validator=a_section(StorageSettings))
    telemetry: TelemetrySettings = attrs.field(factory=TelemetrySettings, validator=a_section(TelemetrySettings))
    keys: KeySettings = attrs.field(factory=KeySettings, validator=a_section(KeySettings))
    environment: Literal["development", "staging", "production"] = setting(
        "development", "Production refuses what is made for trying out.", one_of("development", "staging", "production")
    )
    providers: Mapping[str, Mapping[str, Any]] = setting(
        dict,
        "Settings of one provider instance; plugin names its plugin (not set: http where gateway is, else the instance's name).",
        _good_providers,
        secret=True,
        names="<instance>",
        converter=_casefolded,
    )
    server: Mapping[str, Any] = setting(dict, "Settings of otp-server, which reads them.", secret=True, names="<key>")
    files: tuple[str, ...] = not_a_setting(())
    directory: str | None = not_a_setting(None)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Check and convert a plain nested mapping with lower-case keys.

        Raises:
            SettingsError: All that is wrong, each with its key and the fix.
            RoutingSyntaxError: A rule cannot be read.
        """
        return structure(values, cls)

    @property
    def rule_texts(self) -> dict[str, str]:
        """The rules of each channel that has some, by the name of their setting."""
        texts = {"otp_sms_provider": self.otp_sms_provider, "otp_call_provider": self.otp_call_provider}
        return {name: text for name, text in {**texts, **self.otp_channel_providers}.items() if text.strip()}

    def retrying(self, channel: Channel) -> SmsSettings | CallSettings | ChannelSettings:
        """What says how a channel is retried; a channel of which nothing is said is retried as SMS are."""
        return self._retrying.get(channel, self.sms)

    @property
    def retries_anything(self) -> bool:
        """Some channel is retried."""
        return any(one.is_retried for one in self._retrying.values())

    @functools.cached_property
    def _retrying(self) -> Mapping[str, SmsSettings | CallSettings | ChannelSettings]:
        return {Channel.SMS: self.sms, Channel.CALL: self.call, **self.channels}

    @property
    def world(self) -> World:
        """Whom a service of these settings reaches."""
        return World.SANDBOX if self.sms.sandbox else World.REAL

    @property
    def makes_keys(self) -> str:
        """What makes keys to keep, where there are none: beside the settings file that was read, which ``otp init`` leaves alone."""
        return "make keys with `otp init`" if self.directory is None else new_keys_beside(self.directory)

    @property
    def needs_throw_away_keys(self) -> bool:
        """The sandbox is on and there are no keys at all; some of them missing is a mistake everywhere."""
        return self.sms.sandbox and self.keys == KeySettings()

    @property
    def store_name(self) -> str:
        """``storage.store``, else the one that the URL names: ``sql`` for its databases, another by the scheme itself."""
        if self.storage.store:
            return self.storage.store
        scheme, colon, _ = (self.storage.url or "").partition(":")
        scheme = scheme.casefold()
        return "sql" if not colon or scheme.partition("+")[0] in _SQL_SCHEMES else scheme

    @property
    def database_url(self) -> str:
        """``storage.url``, else an SQLite file beside the settings file.

        Raises:
            SettingsError: There is neither.
        """
        if self.storage.url:
            return self.storage.url
        if self.directory is None:
            raise SettingsError(
                "storage.url: must be set when there is no settings file to put a database beside, "
                "for example sqlite:////var/lib/myapp/otpcore.sqlite3"
            )
        path = PurePath(self.directory, "otpcore.sqlite3").as_posix()
        return f"sqlite:///{quote(path)}"  # SQLAlchemy unquotes it: a directory may be called "100%25"


def load_settings(path: str | os.PathLike[str] | None = None) -> Settings:
    """Read the settings file, ``.otpcore.secrets.toml`` beside it, and the environment (``OTPCORE_SMS__RETRY=true``).

    Args:
        path: The settings file. None: the one that ``OTPCORE_SETTINGS_FILE`` names, else the first of otpcore.toml,
            otpcore.yaml and otpcore.json in the current directory, else none.

    Raises:
        SettingsError: All that is wrong, each with its key, where it was read, and the fix.
        RoutingSyntaxError: A rule cannot be read.
    """
    tree = read_settings(path)
    try:
        settings = structure(tree.values, Settings, where=tree.where)
    except RoutingSyntaxError as error:
        key, _, problem = error.problem.partition(": ")
        raise RoutingSyntaxError(f"{key} ({tree.where(key)}): {problem}", error.text, error.column) from error
    return attrs.evolve(settings, files=tree.files, directory=tree.directory)


def documented_keys() -> tuple[SettingDescription, ...]:
    """Every key with its default and meaning, in the order of the reference."""
    return tuple(describe_settings(Settings))
