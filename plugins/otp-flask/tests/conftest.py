"""Apps of this process, whose data is in a directory of the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from otp_flask import OTP
from otp_flask.running import running_of
from otp_flask.testing.fixtures import otp_outbox
from otp_flask_settings import settings

__all__ = ["otp_outbox"]


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
