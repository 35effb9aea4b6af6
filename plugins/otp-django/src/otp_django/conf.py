"""``settings.OTPCORE``: read into otpcore's settings, and kept out of what Django shows of settings."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

import attrs
from django.conf import settings
from django.core import mail

from otp_django.databases import storage_url
from otpcore import OTPConfigurationError, Settings, SettingsError, load_settings

__all__ = ["NEW_KEYS", "SETTING", "UNIX", "Hidden", "Own", "database_alias", "hide", "load", "load_to_send", "own"]

SETTING = "OTPCORE"

NEW_KEYS = f"{SETTING}['keys'] = what `otp keys new` prints"
"""How a project without keys gets them; ``otp init`` would write files that it never reads."""

UNIX = "unix"
"""In ``trusted_proxies``: those who connect over a Unix socket, of whom Django knows no address."""

_OWN = ("database", "settings_file", "trusted_proxies", "verified_url")


class Hidden(Mapping[str, Any]):
    """The project's ``OTPCORE``, to be read as the dictionary that it was; no ``repr`` and no debug page shows it.

    A ``dict`` would not do: the debug page goes through it and masks by name, and neither a database URL nor most
    credentials of providers have a name that it knows. A section of it, such as ``settings.OTPCORE["keys"]``, is hidden
    the same; a value in it is not, once a variable holds it.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {name: Hidden(one) if isinstance(one, Mapping) else one for name, one in values.items()}

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<{SETTING}: hidden>"


@attrs.frozen(kw_only=True)
class Own:
    """What ``OTPCORE`` says to this app, besides otpcore's own settings.

    Args:
        trusted_proxies: Addresses whose word about the client counts; see ``client_of``.
        trusts_unix: The same of those who connect over a Unix socket.
        verified_url: Where the ready view leads once a phone is verified: an address, or the name of a view.
    """

    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    trusts_unix: bool
    verified_url: str


def hide() -> None:
    """Put a ``Hidden`` in the place of the dictionary."""
    given = getattr(settings, SETTING, None)
    if isinstance(given, Mapping) and not isinstance(given, Hidden):
        setattr(settings, SETTING, Hidden(given))


def own() -> Own:
    """What is said to this app.

    Raises:
        SettingsError: A value cannot be meant.
    """
    given = _given()
    proxies = _texts(given, "trusted_proxies")
    verified_url = given.get("verified_url", "/")
    if not isinstance(verified_url, str):
        raise SettingsError("OTPCORE: verified_url: must be text: an address, or the name of a view")
    return Own(
        trusted_proxies=tuple(_network(one) for one in proxies if one != UNIX),
        trusts_unix=UNIX in proxies,
        verified_url=verified_url,
    )


def database_alias() -> str | None:
    """The alias in ``DATABASES``: ``default``, unless another is named, or ``storage`` says where the data is.

    Raises:
        SettingsError: Both are said, or the alias is no text; or what is read for it is wrong.
    """
    return _alias(_given(), _read())


def load() -> Settings:
    """The settings, checked as a whole.

    Its errors come without the frames in which the values lie open, as the debug page shows what is in frames.

    Raises:
        SettingsError: All that is wrong, each with its key and the fix.
        RoutingSyntaxError: A rule cannot be read.
    """
    try:
        return _load()
    except OTPConfigurationError as error:
        wrong = error.with_traceback(None)
    raise wrong from None


def load_to_send() -> Settings:
    """As ``load``; while Django's test environment is set up, the sandbox stands in for every provider.

    A test that forgets the outbox would send messages to people otherwise, and pay for them.

    Raises:
        SettingsError: As ``load``; or a test runs with settings of production, which have no sandbox.
        RoutingSyntaxError: A rule cannot be read.
    """
    read = load()
    if read.sms.sandbox or not hasattr(mail, "outbox"):  # which is there in tests alone
        return read
    if read.environment == "production":
        raise SettingsError(
            'OTPCORE: environment: is "production" in a test without an outbox, which sends nothing to people. '
            "Fix: OTPTestMixin of otp_django.testing, or another environment in the settings of tests"
        )
    return attrs.evolve(read, sms=attrs.evolve(read.sms, sandbox=True))


def _load() -> Settings:
    own()
    read = _read()
    alias = _alias(_given(), read)
    if alias is None:
        return read
    return attrs.evolve(read, storage=attrs.evolve(read.storage, url=storage_url(alias)))


def _read() -> Settings:
    """What is said to otpcore, in ``OTPCORE`` or in its own settings file, and there in the environment too."""
    given = _given()
    tree = {name: value for name, value in given.items() if name not in _OWN}
    if "settings_file" not in given:
        return Settings.from_mapping(tree)
    if tree:
        raise SettingsError(
            f"OTPCORE: settings_file names a file, and {', '.join(map(str, tree))} stand here. Fix: write them there"
        )
    return load_settings(given["settings_file"])


def _alias(given: Mapping[str, Any], read: Settings) -> str | None:
    is_elsewhere = bool(read.storage.url or read.storage.store)
    if "database" not in given:
        return None if is_elsewhere else "default"
    alias = given["database"]
    if not isinstance(alias, str) or not alias:
        raise SettingsError("OTPCORE: database: must be an alias of DATABASES, such as 'default'")
    if is_elsewhere:
        raise SettingsError("OTPCORE: database and storage say different places. Fix: leave one of them out")
    return alias


def _given() -> Mapping[str, Any]:
    given = getattr(settings, SETTING, None)
    if given is None:
        raise SettingsError("OTPCORE: is not set. Fix: OTPCORE = {...} in the project's settings, as the page says")
    if not isinstance(given, Mapping):
        raise SettingsError("OTPCORE: must be a dictionary with the settings of otpcore")
    for name in given:
        if isinstance(name, str) and name not in _OWN and (near := difflib.get_close_matches(name, _OWN, 1, 0.8)):
            raise SettingsError(f"OTPCORE: {name}: unknown; {near[0]} is meant?")
    return given


def _texts(given: Mapping[str, Any], name: str) -> tuple[str, ...]:
    values = given.get(name, ())
    if isinstance(values, str) or not all(isinstance(one, str) for one in values):
        raise SettingsError(f"OTPCORE: {name}: must be a list of texts")
    return tuple(values)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text.strip())
    except ValueError:
        raise SettingsError(
            "OTPCORE: trusted_proxies: an address or a network is needed, such as 10.0.0.0/8, or 'unix'"
        ) from None
