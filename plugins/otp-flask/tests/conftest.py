"""Apps of this process, whose data is in a directory of the test."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from otp_flask import OTP
from otp_flask.running import running_of

pytest_plugins = ["otp_flask.testing.fixtures"]

KEY = base64.urlsafe_b64encode(b"of the tests, and never for users").decode().rstrip("=")
SECRET = "s3cret-of-the-provider"


def settings(place: Path, **sections: Any) -> dict[str, Any]:
    """In the sandbox, with an SQLite file there."""
    return {
        "sms": {"sandbox": True},
        "otp_sms_provider": "Nobody",
        "keys": {"index": KEY, "code": {"k1": KEY}, "current": "k1"},
        "storage": {"url": f"sqlite:///{place}/otp.sqlite3"},
        "limits": {"phone": []},
        "otp": {"app": "Shop", "cooldown": 0},
        **sections,
    }


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., tuple[Flask, OTP]]]:
    """An app with its extension, and other settings on demand; its service is closed after the test."""
    made: list[Flask] = []

    def new(name: str = "shop", config: dict[str, Any] | None = None, **sections: Any) -> tuple[Flask, OTP]:
        app = Flask(name, instance_path=str(tmp_path / f"instance of {name}"))
        app.config.update(SECRET_KEY="of the tests", OTPCORE=settings(tmp_path, **sections), **(config or {}))
        made.append(app)
        return app, OTP(app)

    yield new
    for app in made:
        running_of(app).forget()
