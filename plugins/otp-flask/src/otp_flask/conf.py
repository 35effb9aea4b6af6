"""``app.config["OTPCORE"]``: read into otpcore's settings, and kept out of what shows a configuration."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

import attrs
from flask import Flask

from otpcore import Settings, SettingsError, load_settings

__all__ = ["OWN", "SETTING", "UNIX", "Hidden", "Own", "hide", "load", "own"]

SETTING = "OTPCORE"

UNIX = "unix"
"""In ``trusted_proxies``: those who connect over a Unix socket, who have no address."""

OWN = ("settings_file", "trusted_proxies")


class Hidden(dict[str, Any]):
    """The dictionary that was given; a ``repr`` of the app's configuration, as in a traceback, does not show it."""

    def __repr__(self) -> str:
        return f"<{SETTING}: hidden>"


@attrs.frozen(kw_only=True)
class Own:
    """What ``OTPCORE`` says to this extension, besides otpcore's own settings.

    Args:
        trusted_proxies: Addresses whose word about the client counts; see ``OTP.client``.
        trusts_unix: The same of those who connect over a Unix socket.
    """

    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    trusts_unix: bool


def hide(app: Flask) -> None:
    """Put a ``Hidden`` in the place of the dictionary; without one nothing is done."""
    given = app.config.get(SETTING)
    if isinstance(given, Mapping) and not isinstance(given, Hidden):
        app.config[SETTING] = Hidden(given)


def own(app: Flask) -> Own:
    """What is said to this extension.

    Raises:
        SettingsError: A value cannot be meant.
    """
    proxies = _given(app).get("trusted_proxies", ())
    if isinstance(proxies, str) or not all(isinstance(one, str) for one in proxies):
        raise SettingsError("OTPCORE: trusted_proxies: must be a list of texts")
    return Own(
        trusted_proxies=tuple(_network(one) for one in proxies if one != UNIX),
        trusts_unix=UNIX in proxies,
    )


def load(app: Flask) -> Settings:
    """The settings, checked as a whole; with ``TESTING`` the sandbox stands in for every provider.

    Raises:
        SettingsError: All that is wrong, each with its key and the fix.
        RoutingSyntaxError: A rule cannot be read.
    """
    own(app)
    read = _read(app, _given(app))
    if not app.testing or read.sms.sandbox:
        return read
    if read.environment == "production":
        raise SettingsError(
            'OTPCORE: environment: is "production" while TESTING is on, which sends nothing to people. '
            "Fix: another environment in the settings of tests"
        )
    return attrs.evolve(read, sms=attrs.evolve(read.sms, sandbox=True))


def _read(app: Flask, given: Mapping[str, Any]) -> Settings:
    tree = {name: value for name, value in given.items() if name not in OWN}
    if "settings_file" not in given:
        return _placed(app, Settings.from_mapping(tree))
    if tree:
        raise SettingsError(
            f"OTPCORE: settings_file names a file, and {', '.join(map(str, tree))} stand here. Fix: write them there"
        )
    return load_settings(given["settings_file"])


def _placed(app: Flask, read: Settings) -> Settings:
    """Where nothing says where the data is, it is in the app's instance folder, wherever the app is started."""
    if read.storage.url or read.storage.store:
        return read
    place = Path(app.instance_path)
    place.mkdir(parents=True, exist_ok=True)
    return attrs.evolve(read, storage=attrs.evolve(read.storage, url=f"sqlite:///{place / 'otp.sqlite3'}"))


def _given(app: Flask) -> Mapping[str, Any]:
    given = app.config.get(SETTING)
    if given is None:
        raise SettingsError('OTPCORE: is not set. Fix: app.config["OTPCORE"] = {...}, as the page says')
    if not isinstance(given, Mapping):
        raise SettingsError("OTPCORE: must be a dictionary with the settings of otpcore")
    for name in given:
        if isinstance(name, str) and name not in OWN and (near := difflib.get_close_matches(name, OWN, 1, 0.8)):
            raise SettingsError(f"OTPCORE: {name}: unknown; {near[0]} is meant?")
    return given


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text.strip())
    except ValueError:
        raise SettingsError(
            "OTPCORE: trusted_proxies: an address or a network is needed, such as 10.0.0.0/8, or 'unix'"
        ) from None
