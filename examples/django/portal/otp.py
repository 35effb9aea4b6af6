"""The one ``OTPService`` of the project; ``otp --app portal.otp:otp doctor`` and every other command work with the same.

Settings come from ``otpcore.toml`` and the environment; where the data is, from Django's ``DATABASES``. Nothing is opened by an
import, so ``manage.py`` opens nothing either; what serves requests does (``gunicorn.conf.py``, ``asgi.py``).
"""

from __future__ import annotations

import os
from pathlib import Path

import attrs
from sqlalchemy import URL

from otpcore import OTPService, load_settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

from django.conf import settings


def storage_url(database):
    """An SQLAlchemy URL for one of ``DATABASES``; beside an SQLite file of Django's a file of its own, for each has one writer."""
    engine = database["ENGINE"].rpartition(".")[2]
    if engine == "sqlite3":
        return f"sqlite:///{Path(database['NAME']).resolve().with_name('otp.sqlite3')}"
    host = database.get("HOST") or ""
    is_socket = host.startswith("/")
    url = URL.create(
        {"postgresql": "postgresql", "mysql": "mysql"}[engine],
        username=database.get("USER") or None,
        password=database.get("PASSWORD") or None,
        host=None if is_socket else host or None,
        port=int(database["PORT"]) if database.get("PORT") else None,
        database=database["NAME"],
        query={"host" if engine == "postgresql" else "unix_socket": host} if is_socket else {},
    )
    return url.render_as_string(hide_password=False)


_read = load_settings()
otp = OTPService(
    attrs.evolve(_read, storage=attrs.evolve(_read.storage, url=storage_url(settings.DATABASES["default"])))
)
