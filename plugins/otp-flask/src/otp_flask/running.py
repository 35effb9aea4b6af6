"""The service of each app: made from its ``OTPCORE`` at first use, open once in each process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

from flask import Flask, current_app

from otp_flask import conf
from otpcore import OTPService

if TYPE_CHECKING:
    from otp_flask.extension import OTP

__all__ = ["EXTENSION", "Running", "active_app", "running_of", "service", "stand_in"]

EXTENSION = "otp"
"""Under which ``app.extensions`` has what runs."""


class Running:
    """What one app has: its extension and its service."""

    def __init__(self, app: Flask, extension: OTP) -> None:
        self.extension = extension
        self._app = app
        self._made: list[OTPService] = []

    def service(self) -> OTPService:
        """The app's own ``OTPService``; it opens at first use, and after a fork again.

        Raises:
            OTPConfigurationError: A setting is wrong.
        """
        if _stands_in:
            return _stands_in[-1].of(self._app)
        if not self._made:  # Two threads may both make one: the first that is kept is everyone's, none was opened.
            self._made.append(OTPService(conf.load(self._app)))
        return self._made[0]

    def forget(self) -> None:
        """Close what is open; the next use reads the settings anew."""
        made, self._made = self._made, []
        for one in made:
            one.close()


class _StandIn:
    """What apps have in the place of their services."""

    def __init__(self, make: Callable[[Flask], OTPService]) -> None:
        self._make = make
        self._made: WeakKeyDictionary[Flask, OTPService] = WeakKeyDictionary()

    def of(self, app: Flask) -> OTPService:
        return self._made.setdefault(app, self._make(app)) if app not in self._made else self._made[app]

    def close(self) -> None:
        for one in self._made.values():
            one.close()


_stands_in: list[_StandIn] = []


@contextlib.contextmanager
def stand_in(make: Callable[[Flask], OTPService]) -> Iterator[None]:
    """Within the block each app has the service that is made for it, in every thread; it is closed afterwards."""
    other = _StandIn(make)
    _stands_in.append(other)
    try:
        yield
    finally:
        _stands_in.remove(other)
        other.close()


def running_of(app: Flask) -> Running:
    """What the app has.

    Raises:
        RuntimeError: It has no extension.
    """
    found = app.extensions.get(EXTENSION)
    if found is None:
        raise RuntimeError(f"the app {app.name!r} has no otp_flask.OTP: call otp.init_app(app) where it is made")
    return cast("Running", found)


def active_app() -> Flask:
    """The app whose context is active, and no stand-in for it."""
    proxy: Any = current_app
    return cast("Flask", proxy._get_current_object())  # noqa: SLF001 - how Flask says to get at it


def service() -> OTPService:
    """That of the app whose context is active; for ``otp --app otp_flask.running:service``, which is ``flask otp``."""
    return running_of(active_app()).service()
