"""Settings of the apps that the tests make."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

KEY = base64.urlsafe_b64encode(b"of the tests, and never for users").decode().rstrip("=")
SECRET = "s3cret-of-the-provider"


def settings(place: Path, **sections: Any) -> dict[str, Any]:
    """In the sandbox, with an SQLite file there."""
    return {
        "sms": {"sandbox": True},
        "otp_sms_provider": "Carrier",
        "keys": {"index": KEY, "code": {"k1": KEY}, "current": "k1"},
        "storage": {"url": f"sqlite:///{place}/otp.sqlite3"},
        "limits": {"phone": []},
        "otp": {"app": "Shop", "cooldown": 0},
        **sections,
    }
