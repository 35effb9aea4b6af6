"""A project in this process, with its database in a file; and real ones, made by ``django-admin startproject``."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
import pytest
from django.conf import settings
from otp_django_settings import SECRET, otpcore_settings

_PLACE = tempfile.TemporaryDirectory(prefix="otp-django-")

if not settings.configured:
    settings.configure(
        SECRET_KEY="of the tests",
        ROOT_URLCONF="otp_django_site",
        ALLOWED_HOSTS=["*"],
        INSTALLED_APPS=[
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.messages",
            "django.contrib.sessions",
            "django.contrib.staticfiles",
            "otp_django",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.locale.LocaleMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ],
        DATABASES={
            "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": Path(_PLACE.name) / "site.sqlite3"},
            "memory": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
            "pg": {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": "shop",
                "USER": "shop",
                "PASSWORD": SECRET,
                "HOST": "127.0.0.1",
                "PORT": "1",
            },
        },
        STATIC_URL="/static/",
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        USE_TZ=True,
        OTPCORE=otpcore_settings(),
    )
    django.setup()


@pytest.fixture(scope="session")
def tables() -> Iterator[None]:
    """As ``manage.py migrate`` makes them."""
    from django.core.management import call_command  # noqa: PLC0415 - Django must be set up first
    from django.db import connections  # noqa: PLC0415 - the same
    from django.test.utils import setup_test_environment, teardown_test_environment  # noqa: PLC0415 - the same
    from otp_django import running  # noqa: PLC0415 - the same

    call_command("migrate", verbosity=0)
    setup_test_environment()
    yield
    teardown_test_environment()
    running.forget()
    connections.close_all()


@pytest.fixture
def otp_outbox() -> Iterator[Any]:
    from otp_django.testing import sending_to_outbox  # noqa: PLC0415 - Django must be set up first

    with sending_to_outbox() as made:
        yield made
