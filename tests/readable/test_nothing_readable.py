"""A full run through every feature; then everything that was written or shown is searched for what nobody may read."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from otpcore import AsyncOTPService

from .forms import search
from .scene import Scene, playing
from .steps import STEPS


async def test_nothing_readable_is_stored_logged_or_shown(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with playing(tmp_path) as scene:
        async with AsyncOTPService(scene.settings(), observers=[scene]) as scene._otp:
            for step in STEPS:
                await step(scene)
            scene.show("standard output and error", "\n".join(capfd.readouterr()))
            places, secrets = scene.places(), scene.secrets()
        scene.shown.clear()
        places |= {f"{where}, closed": content for where, content in scene.places().items() if "file" in where}
    assert len(secrets) > 100
    assert {"logs", "tracebacks", "database", "file otp.sqlite3", "file otp.sqlite3-wal"} <= set(places)
    assert_nothing_in(places, scene)


def assert_nothing_in(places: dict[str, bytes], scene: Scene) -> None:
    found = search(places, scene.secrets())
    assert found == [], "\n".join(map(str, map(attrs.asdict, found)))
