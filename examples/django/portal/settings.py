"""Settings of the project, from the environment.

``PUBLIC_URL`` is what people and vendors call, such as ``https://example.com``. ``FORWARDED_ALLOW_IPS`` lists the proxies whose
word about the client's address counts; gunicorn and uvicorn read it too.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

SECRET_KEY = os.environ["SECRET_KEY"]
PUBLIC_URL = os.environ["PUBLIC_URL"].rstrip("/")
PROXIES = [one.strip() for one in os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1").split(",")]

# otpcore's own settings are in otpcore.toml, and in the environment; its tables are in DATABASES["default"].
OTPCORE = {"settings_file": os.environ["OTPCORE_SETTINGS_FILE"], "trusted_proxies": [*PROXIES, "unix"]}

ROOT_URLCONF = "portal.urls"
ALLOWED_HOSTS = [urlsplit(PUBLIC_URL).hostname]
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
CSRF_FAILURE_VIEW = "portal.views.forbidden"
CSRF_COOKIE_SECURE = SESSION_COOKIE_SECURE = PUBLIC_URL.startswith("https:")
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions", "otp_django"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "portal.answers.JsonErrors",
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ["PGDATABASE"],
        "USER": os.environ.get("PGUSER", ""),
        "PASSWORD": os.environ.get("PGPASSWORD", ""),
        "HOST": os.environ.get("PGHOST", ""),
        "PORT": os.environ.get("PGPORT", ""),
    }
    if "PGDATABASE" in os.environ
    else {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": Path(os.environ.get("STATE_DIRECTORY", ".")) / "portal.sqlite3",
    }
}
USE_TZ = True
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
}
