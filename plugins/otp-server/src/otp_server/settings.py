"""``[server]`` of the settings: what the service may be told, and what each app may."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from otp_server.addresses import parts_of
from otp_server.console_settings import ConsoleSettings
from otp_server.page_settings import PageSettings
from otp_server.relay_settings import RelaysSettings
from otp_server.webhooks.signing import is_secret
from otpcore import PhoneNumber
from otpcore.embedding import check_region
from otpcore.runners import Settings, SettingsError, structure

__all__ = ["AppSettings", "ServerSettings", "WebhookSettings", "check", "read_settings"]

_CHANNEL = re.compile(r"[a-z][a-z0-9_]{0,19}")
_APP = re.compile(r"[A-Za-z0-9._-]{1,40}")
_LONGEST_NAME = 100
_HIGHEST_PORT = 65_535


def _good_names(_: Any, __: Any, value: Sequence[str]) -> None:
    if not all(0 < len(one) <= _LONGEST_NAME for one in value):
        raise SettingsError(f"names of 1 to {_LONGEST_NAME} characters, such as sign-in")


def _good_channels(_: Any, __: Any, value: Sequence[str]) -> None:
    if not all(map(_CHANNEL.fullmatch, value)):
        raise SettingsError("words such as sms, call or whatsapp")


def _good_countries(_: Any, __: Any, value: Sequence[str]) -> None:
    for one in value:
        check_region(one, key="countries")


def _good_address(_: Any, __: Any, value: str) -> None:
    parts = parts_of(value)
    if value and (parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment):
        raise SettingsError("must be the address under which others reach it, such as https://otp.example.com")


def _good_networks(_: Any, __: Any, value: Sequence[str]) -> None:
    for one in value:
        try:
            ipaddress.ip_network(one)
        except ValueError:
            raise SettingsError("must be addresses or networks, such as 10.0.0.0/8") from None


def _good_port(_: Any, __: Any, value: int) -> None:
    if not 0 <= value <= _HIGHEST_PORT:
        raise SettingsError("must be 0 to 65535")


def _good_apps(_: Any, __: Any, value: Mapping[str, AppSettings]) -> None:
    for name in value:
        if not _APP.fullmatch(name):
            raise SettingsError("a name is 1 to 40 ASCII letters, digits, dots, _ and -")


def _good_webhook(_: Any, __: Any, value: str) -> None:
    parts = parts_of(value)
    if value and (parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment or parts.username):
        raise SettingsError("must be an address such as https://shop.example.com/otp-events")


def _good_secrets(instance: WebhookSettings, _: Any, value: Sequence[str]) -> None:
    if not all(map(is_secret, value)):
        raise SettingsError("must be whsec_ and base64 of 24 to 64 bytes, as Standard Webhooks write it")
    if instance.url and not value:
        raise SettingsError("must hold a secret, as receivers prove by it that an event is ours")


@attrs.frozen(kw_only=True)
class WebhookSettings:
    """``server.apps.<app>.webhook``: where an app hears what changed.

    Args:
        url: Of the app; empty: it hears nothing. Over TLS, but in networks of ``server.webhook_networks``.
        secrets: That sign; each of them does, so that one can be exchanged.
    """

    url: str = attrs.field(default="", validator=_good_webhook)
    secrets: Sequence[str] = attrs.field(default=(), repr=False, validator=_good_secrets)


@attrs.frozen(kw_only=True)
class AppSettings:
    """``server.apps.<app>``: what the keys of one app may ask for. Its texts stand below ``otp.apps.<app>``.

    Args:
        purposes: What its codes may be for; empty: anything.
        channels: Over which they may go; empty: over any that has rules.
        countries: Whose numbers they may go to; empty: any.
        page: Its verification page.
        webhook: Where it hears what changed.
        relay: Which auth systems hand their messages over.
    """

    purposes: Sequence[str] = attrs.field(default=(), validator=_good_names)
    channels: Sequence[str] = attrs.field(default=(), validator=_good_channels)
    countries: Sequence[str] = attrs.field(default=(), validator=_good_countries)
    page: PageSettings = attrs.field(factory=PageSettings)
    webhook: WebhookSettings = attrs.field(factory=WebhookSettings)
    relay: RelaysSettings = attrs.field(factory=RelaysSettings)

    def takes(self, purpose: str, *, over: str | None = None) -> bool:
        """Whether its codes may be for this purpose, and go over this channel; None: over whichever."""
        may_go = over is None or not self.channels or over in self.channels
        return may_go and (not self.purposes or purpose in self.purposes)

    def reaches(self, phone: PhoneNumber) -> bool:
        """Whether its codes may go to this number's country."""
        return not self.countries or phone.region in self.countries


@attrs.frozen(kw_only=True)
class ServerSettings:
    """``server.*``.

    Args:
        host: Where ``otp serve`` listens; only on this machine, unless it is told otherwise.
        port: And on which port; 0: one that is free.
        public_url: The address under which others reach it; empty: that of the request.
        trusted_proxies: Addresses and networks of the proxies before it, whose word on the caller's address counts.
        webhook_networks: Private networks to which webhooks may go, and without TLS.
        apps: By name; none: one app without a name, whose keys may ask for everything.
        page: The verification page of the app without a name.
        relay: Which auth systems hand messages over for the app without a name.
        console: Where operators look at the service.
    """

    host: str = "127.0.0.1"
    port: int = attrs.field(default=8025, validator=_good_port)
    public_url: str = attrs.field(default="", validator=_good_address)
    trusted_proxies: Sequence[str] = attrs.field(default=(), validator=_good_networks)
    webhook_networks: Sequence[str] = attrs.field(default=(), validator=_good_networks)
    apps: Mapping[str, AppSettings] = attrs.field(factory=dict, validator=_good_apps)
    page: PageSettings = attrs.field(factory=PageSettings)
    relay: RelaysSettings = attrs.field(factory=RelaysSettings)
    console: ConsoleSettings = attrs.field(factory=ConsoleSettings)

    def app(self, name: str) -> AppSettings | None:
        """The settings of an app; None: there is none of that name."""
        if self.apps:
            return self.apps.get(name)
        return AppSettings(page=self.page, relay=self.relay) if not name else None

    @property
    def tells_anybody(self) -> bool:
        """Some app has a webhook."""
        return any(one.webhook.url for one in self.apps.values())


def read_settings(values: Mapping[str, Any]) -> ServerSettings:
    """The section ``server``, checked.

    Raises:
        SettingsError: All that is wrong, each with its key.
    """
    return structure(values, ServerSettings, prefix="server")


def check(settings: Settings) -> ServerSettings:
    """The section ``server`` beside all others, as a start and ``otp doctor`` want it.

    Raises:
        SettingsError: With these the server does not start.
    """
    own = read_settings(settings.server)
    if own.tells_anybody and not settings.storage.outbox:
        raise SettingsError("storage.outbox: is off, and webhooks are told from it. Fix: in [storage]: outbox = true")
    return own
