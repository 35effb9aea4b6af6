"""`OTP`: the extension, which reaches the service of whichever app is current."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar, cast
from weakref import WeakSet

from flask import Blueprint, Flask, has_app_context
from werkzeug.local import LocalProxy

from otp_flask import asking, conf, errors, receipts, sessions
from otp_flask.commands import otp_command
from otp_flask.running import EXTENSION, Running, active_app, running_of
from otpcore import OTPService

if TYPE_CHECKING:
    from otpcore import Challenge, Operator, Verification

__all__ = ["OTP", "current_otp"]

P = ParamSpec("P")
R = TypeVar("R")


def _of_service(
    method: Callable[Concatenate[OTPService, P], R],
) -> Callable[Concatenate[OTP, P], R]:
    name = method.__name__

    @functools.wraps(method)
    def call(self: OTP, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return cast("R", getattr(self.service, name)(*args, **kwargs))

    return call


class OTP:
    """One-time passcodes for an application, or for several.

    ``OTP(app)``, or ``otp = OTP()`` and ``otp.init_app(app)`` in a factory. Each app has a service of its own, made
    from its ``app.config["OTPCORE"]``, which opens at its first use in each process (so after a fork), or with
    ``open``, and closes at exit. Methods work on the app whose context is active; where none is, on the only app that
    was given.

    Args:
        app: The application; None: ``init_app`` says it.
        handles_errors: ``init_app`` registers handlers: an error that a view lets through becomes an answer.
    """

    def __init__(self, app: Flask | None = None, *, handles_errors: bool = True) -> None:
        self._handles_errors = handles_errors
        self._apps: WeakSet[Flask] = WeakSet()
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Give the app its service and ``flask otp``; nothing is read or opened yet.

        Raises:
            RuntimeError: It has one already.
        """
        if EXTENSION in app.extensions:
            raise RuntimeError(f"the app {app.name!r} has an otp_flask.OTP already; use that one, or current_otp")
        conf.hide(app)
        app.extensions[EXTENSION] = Running(app, self)
        self._apps.add(app)
        app.cli.add_command(otp_command)
        if self._handles_errors:
            self.register_error_handlers(app)

    def register_error_handlers(self, at: Flask | Blueprint) -> None:
        """Answer what views let through, in an app or a blueprint: see ``errors.answer``."""
        errors.register(at)

    def open(self) -> None:
        """Open now instead of at first use: retries of another process go on, and wrong settings stop the start.

        Call it where your server starts a worker process, after any fork.

        Raises:
            OTPConfigurationError: Something must be corrected before anything can be sent.
            StoreError: The store cannot be used.
        """
        self.service.open()

    @property
    def service(self) -> OTPService:
        """The app's own ``OTPService``, with everything that has no short cut here.

        Raises:
            OTPConfigurationError: A setting is wrong.
            RuntimeError: No app is active, or an event loop runs in this thread.
        """
        _refuse_inside_a_loop()
        return running_of(self._app()).service()

    @property
    def operator(self) -> Operator:
        """What operators see and change: for a page of yours."""
        return self.service.operator

    send = _of_service(OTPService.send)
    send_sms = _of_service(OTPService.send_sms)
    call = _of_service(OTPService.call)
    verify = _of_service(OTPService.verify)
    cancel = _of_service(OTPService.cancel)
    handle_receipt = _of_service(OTPService.handle_receipt)
    status = _of_service(OTPService.status)

    def client(self) -> str:
        """The address for which limits count: see ``asking.client_of``."""
        return asking.client_of(self._app())

    def ask(self, phone: str, *, channel: str = "sms", purpose: str = "default", app: str = "") -> Challenge:
        """Send a code for this client, and keep in the session whose it is.

        Args:
            phone: As the person writes it.
            channel: ``sms``, ``call``, or another word that a provider declares.
            purpose: What the code is for; codes of different purposes do not verify one another.
            app: Which of your apps asks; see ``otp.apps``.

        Raises:
            OTPError: It cannot be sent; the session is as before.
        """
        challenge = self.send(phone, channel=channel, purpose=purpose, app=app, client=self.client())
        sessions.asked(challenge)
        return challenge

    def confirm(self, code: str, *, purpose: str = "default") -> Verification | None:
        """Verify the code that this session asked for; from then on ``verified_phone`` says the number.

        Returns:
            What became of it, true if the code is right; None: this session has asked for none.

        Raises:
            OTPError: It cannot be compared.
        """
        kept = sessions.asked_for(purpose)
        if kept is None:
            return None
        verification = self.verify(
            kept.phone, code, challenge_id=kept.challenge, purpose=purpose, app=kept.app, client=self.client()
        )
        if verification:
            sessions.confirmed(purpose, kept.phone)
        return verification

    def receipts_blueprint(self, name: str = "otp_receipts") -> Blueprint:
        """Where vendors report: ``app.register_blueprint(otp.receipts_blueprint(), url_prefix="/receipts")``."""
        return receipts.blueprint(name)

    def _app(self) -> Flask:
        if has_app_context():
            return active_app()
        apps = list(self._apps)
        if len(apps) == 1:
            return apps[0]
        raise RuntimeError(
            f"no app is active, and this OTP has {len(apps)}: work within `with app.app_context():`, "
            "after otp.init_app(app)"
        )


def _refuse_inside_a_loop() -> None:
    """Flask gives each async view a loop that ends with it: a service cannot live on that, and must not block it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        "OTP blocks, and an event loop runs in this thread: an async view writes "
        "`await asyncio.to_thread(otp.send_sms, phone)`, or is a plain `def`"
    )


def _current() -> OTP:
    return running_of(active_app()).extension


current_otp = cast("OTP", LocalProxy(_current))
"""The ``OTP`` of the app whose context is active."""
