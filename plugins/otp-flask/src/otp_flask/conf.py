"""``app.config["OTPCORE"]``: read into otpcore's settings, and kept out of what shows a configuration."""

from __future__ import annotations

from pathlib import Path

import attrs
from flask import Flask

from otpcore import Settings
from otpcore.embedding import Embedding, Spelling, TrustedProxies, in_sandbox

__all__ = ["EMBEDDING", "SETTING", "hide", "load", "proxies", "spelling"]

SETTING = "OTPCORE"

EMBEDDING = Embedding(variable=SETTING, written=f'app.config["{SETTING}"]', command="flask otp")
"""How an app has the settings."""


def hide(app: Flask) -> None:
    """Put what no traceback shows in the place of the dictionary; without one nothing is done."""
    if SETTING in app.config:
        app.config[SETTING] = EMBEDDING.hidden(app.config[SETTING])


def proxies(app: Flask) -> TrustedProxies:
    """Whose word about the client counts.

    Raises:
        SettingsError: What is said cannot be meant.
    """
    return EMBEDDING.proxies(app.config.get(SETTING))


def spelling(app: Flask) -> Spelling:
    """How what helps is told of this app."""
    return EMBEDDING.spelling(app.config.get(SETTING))


def load(app: Flask) -> Settings:
    """The settings, checked as a whole; with ``TESTING`` the sandbox stands in for every provider.

    Raises:
        SettingsError: All that is wrong, each with its key and the fix.
        RoutingSyntaxError: A rule cannot be read.
    """
    proxies(app)
    read = EMBEDDING.settings(app.config.get(SETTING))
    placed = read if read.files else _placed(app, read)
    if not app.testing:
        return placed
    told = EMBEDDING.error(
        'environment: is "production" while TESTING is on, which sends nothing to people. '
        "Fix: another environment in the settings of tests"
    )
    return in_sandbox(placed, refused=told)


def _placed(app: Flask, read: Settings) -> Settings:
    """Where nothing says where the data is, it is in the app's instance folder, wherever the app is started."""
    if read.storage.url or read.storage.store:
        return read
    place = Path(app.instance_path)
    place.mkdir(parents=True, exist_ok=True)
    return attrs.evolve(read, storage=attrs.evolve(read.storage, url=f"sqlite:///{place / 'otp.sqlite3'}"))
