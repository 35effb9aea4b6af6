"""Where the tests of this folder install plugins, and settings of the sandbox."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .sandboxes import Configure


@pytest.fixture
def site(importable):
    """Where distributions are installed."""
    return importable


@pytest.fixture(params=["memory", "sql"])
def configured(request: pytest.FixtureRequest, tmp_path: Path) -> Configure:
    """Settings of a sandbox with two providers; sections are merged over them."""

    def configure(rules: str = "twilio;mada", **sections: Any) -> dict[str, Any]:
        made = {
            "otp_sms_provider": rules,
            "sms": {"sandbox": True},
            "otp": {"provider_timeout": 0.05, "cooldown": 0},
            "retry": {"runner": "inline", "first_delay": 0.01, "max_delay": 0.02},
            "storage": {"store": request.param, "url": f"sqlite:///{tmp_path / 'otp.sqlite3'}"},
        }
        for name, value in sections.items():
            made[name] = {**made[name], **value} if isinstance(made.get(name), dict) else value
        return made

    return configure
