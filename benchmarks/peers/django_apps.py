"""django-otp (Twilio and email devices) and django-phone-verify over SQLite, WAL and synchronous = NORMAL."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import django
from django.conf import settings

from benchmarks.lanes import serve
from benchmarks.measuring import phones, steady_threads

_CODE = re.compile(r"\d{6}")
_PLACE = tempfile.TemporaryDirectory(prefix="otpcore-bench-django-")
_PRAGMAS = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"


def configure() -> None:
    """Django as one small project; it can be configured but once in a process."""
    options = {"init_command": _PRAGMAS, "transaction_mode": "IMMEDIATE"}
    database = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(Path(_PLACE.name, "db.sqlite3")),
        "OPTIONS": options,
    }
    settings.configure(
        SECRET_KEY="0123456789abcdef" * 4,  # signs nothing that matters
        USE_TZ=True,
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.humanize",
            "django_otp",
            "django_otp.plugins.otp_email",
            "otp_twilio",
            "phone_verify",
        ],
        DATABASES={"default": {**database, "CONN_MAX_AGE": None}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        EMAIL_BACKEND="django.core.mail.backends.dummy.EmailBackend",
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
        OTP_EMAIL_COOLDOWN_DURATION=0,
        OTP_TWILIO_ACCOUNT="AC" + "0" * 32,
        OTP_TWILIO_AUTH="0" * 32,
        OTP_TWILIO_FROM="+15005550006",
        OTP_TWILIO_NO_DELIVERY=True,
        OTP_TWILIO_TOKEN_TEMPLATE="{token} is your verification code. It is valid for 5 minutes.",  # noqa: S106 - a text
        PHONE_VERIFICATION={
            "BACKEND": "benchmarks.peers.django_backend.SilentBackend",
            "OPTIONS": {},
            "TOKEN_LENGTH": 6,
            "MESSAGE": "Your {app} code is {security_code}.",
            "APP_NAME": "bench",
            "SECURITY_CODE_EXPIRATION_SECONDS": 300,
            "VERIFY_SECURITY_CODE_ONLY_ONCE": True,
        },
    )
    django.setup()
    from django.core.management import call_command  # noqa: PLC0415 - Django must be set up first

    call_command("migrate", verbosity=0)


def twilio_device(directory: str, **times: float) -> Mapping[str, Any]:  # noqa: ARG001 - every round trip is told one
    return _one_at_a_time(_twilio_trip(), **times)


def twilio_device_sends(base_url: str, in_flight: int, **times: float) -> Mapping[str, Any]:  # noqa: ARG001 - it is one
    """Only the sending half, with delivery: requests opens a connection for each."""
    settings.OTP_TWILIO_URL, settings.OTP_TWILIO_NO_DELIVERY = base_url, False
    try:
        device = _device()
        return _one_at_a_time(device.generate_challenge, **times)
    finally:
        settings.OTP_TWILIO_NO_DELIVERY = True


def email_device(directory: str, **times: float) -> Mapping[str, Any]:  # noqa: ARG001 - as above
    from django_otp.plugins.otp_email.models import EmailDevice  # noqa: PLC0415 - Django must be set up first

    device = EmailDevice.objects.create(user=_user(), name="bench", email="person@example.com")

    def trip() -> None:
        device.generate_challenge()
        _approved(device.verify_token(device.token))

    return _one_at_a_time(trip, **times)


def phone_verify(directory: str, **times: float) -> Mapping[str, Any]:  # noqa: ARG001 - as above
    from phone_verify.services import send_security_code_and_generate_session_token  # noqa: PLC0415 - as above

    from benchmarks.peers.django_backend import SilentBackend  # noqa: PLC0415 - as above

    numbers = iter(phones())
    backend = SilentBackend()

    def trip() -> None:
        phone = next(numbers)
        token = send_security_code_and_generate_session_token(phone)
        code = _CODE.search(SilentBackend.last)
        _verification, status = backend.validate_security_code(code[0] if code else "", phone, token)
        _approved(status == SilentBackend.SECURITY_CODE_VALID)

    return _one_at_a_time(trip, **times)


def _twilio_trip() -> Callable[[], None]:
    device = _device()

    def trip() -> None:
        device.generate_challenge()
        _approved(device.verify_token(device.token))

    return trip


def _device() -> Any:
    from otp_twilio.models import TwilioSMSDevice  # noqa: PLC0415 - Django must be set up first

    return TwilioSMSDevice.objects.create(user=_user(), name="bench", number="+359871234567", confirmed=True)


def _user() -> Any:
    from django.contrib.auth.models import User  # noqa: PLC0415 - Django must be set up first

    return User.objects.get_or_create(username="bench")[0]


def _approved(answer: Any) -> None:
    if not answer:
        raise RuntimeError("a right code was refused")


def _one_at_a_time(operation: Callable[[], object], *, warm_up: float, seconds: float) -> Mapping[str, Any]:
    return steady_threads(operation, in_flight=1, warm_up=warm_up, seconds=seconds)


if __name__ == "__main__":
    configure()
    serve(
        {
            "twilio_device": twilio_device,
            "twilio_device_sends": twilio_device_sends,
            "email_device": email_device,
            "phone_verify": phone_verify,
        }
    )
