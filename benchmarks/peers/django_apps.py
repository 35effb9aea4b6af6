"""django-otp's Twilio device and django-phone-verify over PostgreSQL, and over SQLite in WAL mode with synchronous = NORMAL."""

from __future__ import annotations

import re
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import django
from django.conf import settings
from django.db import connection

from benchmarks.lanes import serve
from benchmarks.measuring import Stopwatch, numbers_for_threads, steady_threads

_CODE = re.compile(r"\d{6}")
_PLACE = tempfile.TemporaryDirectory(prefix="otpcore-bench-django-")
_mine = threading.local()
_PRAGMAS = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"


def configure(url: str) -> None:
    """Django as one small project over PostgreSQL at ``url``, or else an SQLite file; once in a process."""
    if settings.configured:
        return
    settings.configure(
        SECRET_KEY="0123456789abcdef" * 4,  # signs nothing that matters
        USE_TZ=True,
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.humanize",
            "django_otp",
            "otp_twilio",
            "phone_verify",
        ],
        DATABASES={"default": {**_database(url), "CONN_MAX_AGE": None}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
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


def _database(url: str) -> dict[str, Any]:
    if url:
        at = urlsplit(url)
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": at.path.lstrip("/"),
            "USER": at.username or "",
            "PASSWORD": unquote(at.password or ""),
            "HOST": parse_qs(at.query).get("host", [at.hostname or ""])[0],
            "PORT": at.port or "",
        }
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(Path(_PLACE.name, "db.sqlite3")),
        "OPTIONS": {"init_command": _PRAGMAS, "transaction_mode": "IMMEDIATE", "timeout": 60},
    }


def twilio_device(database: str, in_flight: int, **times: float) -> Mapping[str, Any]:
    """Round trips without delivery; every caller has a user with a device."""
    configure(database)

    def trip() -> None:
        device = _device()
        device.generate_challenge()
        _approved(device.verify_token(device.token))

    return _steady(trip, in_flight, **times)


def twilio_device_sends(database: str, base_url: str, in_flight: int, **times: float) -> Mapping[str, Any]:
    """Only the sending half, with delivery: requests opens a connection for each."""
    configure(database)
    settings.OTP_TWILIO_URL, settings.OTP_TWILIO_NO_DELIVERY = base_url, False
    try:
        return _steady(lambda: _device().generate_challenge(), in_flight, **times)
    finally:
        settings.OTP_TWILIO_NO_DELIVERY = True


def twilio_device_verifies(database: str, in_flight: int, count: int) -> Mapping[str, Any]:
    """Only the verifying half: each device's code was made before."""
    configure(database)
    watch, made = Stopwatch(), iter([_with_a_code(number) for number in range(count)])

    def caller() -> None:
        for device in made:
            began = time.perf_counter()
            _approved(device.verify_token(device.token))
            watch.count(began)
        _leave()

    callers = [threading.Thread(target=caller) for _ in range(in_flight)]
    watch.start()
    for one in callers:
        one.start()
    for one in callers:
        one.join()
    watch.stop()
    return watch.result()


def phone_verify(database: str, in_flight: int, **times: float) -> Mapping[str, Any]:
    """Round trips of django-phone-verify; every one has a number of its own."""
    configure(database)
    from phone_verify.services import send_security_code_and_generate_session_token  # noqa: PLC0415 - Django is set up

    from benchmarks.peers.django_backend import SilentBackend  # noqa: PLC0415 - as above

    next_number = numbers_for_threads()
    backend = SilentBackend()

    def trip() -> None:
        phone = next_number()
        token = send_security_code_and_generate_session_token(phone)
        code = _CODE.search(SilentBackend.sent.pop(phone))
        _verification, status = backend.validate_security_code(code[0] if code else "", phone, token)
        _approved(status == SilentBackend.SECURITY_CODE_VALID)

    return _steady(trip, in_flight, **times)


def _device() -> Any:
    """This thread's own."""
    if not hasattr(_mine, "device"):
        _mine.device = _new_device(f"bench-{threading.get_ident()}")
    return _mine.device


def _with_a_code(number: int) -> Any:
    device = _new_device(f"bench-code-{number}")
    device.generate_challenge()
    return device


def _new_device(name: str) -> Any:
    from django.contrib.auth.models import User  # noqa: PLC0415 - Django must be set up first
    from otp_twilio.models import TwilioSMSDevice  # noqa: PLC0415 - as above

    user = User.objects.get_or_create(username=name)[0]
    found = TwilioSMSDevice.objects.filter(user=user).first()
    return found or TwilioSMSDevice.objects.create(user=user, name="bench", number="+359871234567", confirmed=True)


def _approved(answer: Any) -> None:
    if not answer:
        raise RuntimeError("a right code was refused")


def _leave() -> None:
    """This thread's own connection, as ``connection`` is another one in each."""
    connection.close()


def _steady(operation: Callable[[], object], in_flight: int, **times: float) -> Mapping[str, Any]:
    return steady_threads(operation, in_flight=in_flight, at_end=_leave, **times)


if __name__ == "__main__":
    serve(
        {
            "twilio_device": twilio_device,
            "twilio_device_sends": twilio_device_sends,
            "twilio_device_verifies": twilio_device_verifies,
            "phone_verify": phone_verify,
        }
    )
