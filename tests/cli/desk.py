"""What the tests of the command line work with: a settings directory, a gateway, and what a command came to."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import attrs
from otp_mada.simulator import MadaSimulator

from otpcore import AsyncOTPService

PHONE = "+359871234567"
OTHER_PHONE = "+359881234567"


@attrs.frozen
class Ended:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Its one JSON document."""
        return json.loads(self.out)


Otp = Callable[..., Ended]


@attrs.define
class Desk:
    """A directory with settings that point at a simulated gateway.

    Args:
        mada: The gateway.
    """

    directory: Path
    mada: MadaSimulator

    @property
    def settings(self) -> dict[str, Any]:
        """What the settings file says; tests change it and write it again."""
        return {
            "otp_sms_provider": "Mada",
            "sms": {"retry": False},
            "retry": {"runner": "worker", "first_delay": 0.05, "max_delay": 0.1, "poll": 0.05},
            "routing": {"reload_every": 0.1},
            "limits": {"phone": []},
            "providers": {"mada": self.mada.provider_settings()},
        }

    def write(self, **sections: Any) -> Path:
        """Write the settings file: these sections in place of, or merged into, the usual ones."""
        settings = self.settings
        for name, value in sections.items():
            is_table = isinstance(value, Mapping) and isinstance(settings.get(name), Mapping)
            settings[name] = {**settings[name], **value} if is_table else value
        file = self.directory / "otpcore.json"
        file.write_text(json.dumps(settings), encoding="utf-8")
        return file

    def code(self, phone: str = PHONE) -> str:
        """The last code that this person got."""
        return next(message.code for message in reversed(self.mada.inbox) if message.recipient == phone)

    def secrets(self) -> list[str]:
        """What no output may hold: numbers, codes, the gateway's password."""
        return [
            PHONE[1:],
            OTHER_PHONE[1:],
            self.mada.password,
            *(message.code for message in self.mada.inbox if message.code),
        ]


def send_at(now: datetime, phone: str, client: str | None = None) -> None:
    """Send as a service whose clock stands at ``now``."""

    async def send() -> None:
        async with AsyncOTPService.from_settings(clock=lambda: now) as service:
            await service.send_sms(phone, client=client)

    anyio.run(send)


def shown_secrets(text: str, secrets: list[str]) -> list[str]:
    """Those that stand in the text as words of their own: a few digits occur in an id or a time by chance."""
    return [secret for secret in secrets if re.search(rf"(?<![0-9A-Za-z.]){re.escape(secret)}(?![0-9A-Za-z])", text)]


def registered(package: Path) -> Path:
    """Its sources, with the metadata that an installation would give them."""
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    metadata = package / "src" / "otp_acme-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    groups = project["entry-points"].items()
    lines = [line for group, points in groups for line in (f"[{group}]", *(f"{k} = {v}" for k, v in points.items()))]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return package / "src"
