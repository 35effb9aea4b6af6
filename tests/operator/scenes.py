"""What the tests of the operator work with: settings of a file, and who looks at it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from otpcore.testing import Outbox

PHONE = "+359871234567"
OTHER_PHONE = "+4915112345678"
BY = {"by": "ann", "reason": "mada is down"}


def on_file(directory: Path, **sections: Any) -> dict[str, Any]:
    """Settings with keys for tests and an SQLite file that many services see."""
    url = f"sqlite:///{directory / 'otp.sqlite3'}"
    return {**Outbox().settings, "storage": {"url": url}, "routing": {"reload_every": 0.1}, **sections}
