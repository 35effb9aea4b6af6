"""The night of docs/operating.md, in commands and in Python, and the admin page: each against two gateways that are down."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest

from otpcore.settings.tree import generate_keys, starter_file
from otpcore.simulators.simulator import Simulator, running

from ..preloaded import Preloaded  # noqa: TID252 - tests are no package that could be imported by name

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
LOOK, STOP, ROUND, MORNING = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
(NIGHT,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
PHONE = "+359871234567"
WAITING = {
    "SMS__RETRY": "true",
    "RETRY__RUNNER": "worker",
    "RETRY__FIRST_DELAY": "400",
    "RETRY__MAX_DELAY": "400",
    "OTP__LIFE": "600",
}
"""The retry is due later than any machine takes for the commands, and within the life of the code."""
PATIENCE = 60.0  # seconds until a test gives up on a server


@attrs.frozen
class Night:
    """A directory with settings, two gateways that are down, and a send that waits; ``otp`` is in the folder ``commands``."""

    directory: Path
    gateways: dict[str, Simulator]
    commands: Path

    @property
    def environment(self) -> dict[str, str]:
        own = {
            f"OTPCORE_PROVIDERS__{name.upper()}__{key.upper()}": str(value)
            for name, gateway in self.gateways.items()
            for key, value in {**gateway.provider_settings(), "plugin": "mada"}.items()
        }
        return {
            **os.environ,
            **own,
            "PATH": os.pathsep.join([str(self.commands), str(Path(sys.executable).parent), os.environ["PATH"]]),
            "OTPCORE_SETTINGS_FILE": str(self.directory / "otpcore.toml"),
        }

    def runs(self, *words: str) -> str:
        """A command; what it prints."""
        done = subprocess.run(
            words, cwd=self.directory, env=self.environment, text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
        return done.stdout

    def otp(self, *words: str) -> Any:
        return json.loads(self.runs("otp", *words, "--json"))


@pytest.fixture
def night(tmp_path: Path, forked: Preloaded) -> Iterator[Night]:
    (found,) = entry_points(group="otpcore.simulators", name="mada")
    gateways = {"mada": found.load()(), "backup": found.load()()}
    settings, secrets = starter_file(generate_keys(datetime.now(UTC)))
    settings = settings.replace('otp_sms_provider = ""', 'otp_sms_provider = "Mada;Backup"')
    (tmp_path / "otpcore.toml").write_text(settings, encoding="utf-8")
    (tmp_path / ".otpcore.secrets.toml").write_text(secrets, encoding="utf-8")
    (tmp_path / ".otpcore.secrets.toml").chmod(0o600)
    with running(*gateways.values()), pytest.MonkeyPatch.context() as patched:
        for name, value in WAITING.items():
            patched.setenv(f"OTPCORE_{name}", value)
        made = Night(tmp_path, gateways, forked.folder)
        for gateway in gateways.values():
            gateway.down()
        assert made.otp("send", PHONE)["state"] == "queued"
        yield made


def due(night: Night) -> datetime:
    (waiting,) = night.otp("retries", "list")["retries"]
    return datetime.fromisoformat(waiting["due_at"])


def test_the_night_in_commands(night: Night) -> None:
    shown = night.runs("bash", "-ec", LOOK)
    assert "unavailable" in shown
    (queued,) = night.otp("challenges", "list", "--since", "1h", "--state", "queued")["challenges"]
    assert shown.count(queued["id"]) == 4, "in the story, in its line of the list, and in those of its two deliveries"
    (story,) = night.otp("challenges", "show", queued["id"])["challenges"]
    assert "unavailable" in {one["result"] for one in story["timeline"]}
    night.runs("bash", "-ec", STOP)
    before = due(night)
    told = night.runs("bash", "-ec", ROUND)
    assert "1 of 1 sends requeued" in told
    assert "draining" in night.runs("otp", "routes", "explain", PHONE, "--proposed", "Mada;Backup")
    assert due(night) < before
    night.runs("bash", "-ec", MORNING)
    assert night.otp("routes", "explain", PHONE)["route"] == ["mada", "backup"]
    changes = night.otp("audit")["changes"]
    assert [one["action"] for one in reversed(changes)] == [
        "sending.pause",
        "sending.deny",
        "instances.drain",
        "routes.set",
        "sending.resume",
        "retries.requeue",
        "instances.take_back",
        "routes.set",
        "sending.clear",
    ]
    assert {one["reason"] for one in changes if one["action"] == "retries.requeue"} == {"backup carries it"}
    assert all(one["by"] for one in changes)


def test_the_night_in_python(night: Night) -> None:
    before = due(night)
    told = night.runs(sys.executable, "-W", "error", "-c", NIGHT)
    assert "('mada', 'backup') would be ('backup',)" in told
    assert re.search(r"^\+3598\*{6}67 .* delivery mada unavailable$", told, re.MULTILINE)
    assert "ann sending.pause  mada takes messages and delivers none" in told
    assert due(night) < before
    assert night.otp("routes", "explain", PHONE)["route"] == ["mada", "backup"]


@pytest.fixture
def admin(night: Night) -> Iterator[httpx.Client]:
    """The page, served as a deployment would."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        words = ["-m", "gunicorn", "--chdir", str(ROOT / "examples/admin"), "--bind", f"fd://{listener.fileno()}"]
        server = subprocess.Popen(
            [str(night.commands / "python"), *words, "app:app"],
            cwd=night.directory,
            env=night.environment,
            pass_fds=[listener.fileno()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        stack.enter_context(server)
        stack.callback(server.kill)
        address = listener.getsockname()
        yield stack.enter_context(
            httpx.Client(base_url=f"http://127.0.0.1:{address[1]}", timeout=PATIENCE, trust_env=False)
        )
        server.send_signal(signal.SIGTERM)
        assert server.wait(PATIENCE) in (0, -signal.SIGTERM)


def test_the_admin_page_pauses_shows_a_timeline_and_requeues(night: Night, admin: httpx.Client) -> None:
    ann = {"X-Forwarded-User": "ann"}
    assert "1 sends wait" in admin.get("/").text
    assert admin.post("/", data={"do": "pause"}).status_code == 403
    foreign = {**ann, "Sec-Fetch-Site": "cross-site"}
    assert admin.post("/", data={"do": "pause"}, headers=foreign).status_code == 403
    assert admin.post("/", data={"do": "pause", "reason": "<mada>"}, headers=ann).status_code == 302
    assert "Sending is paused" in admin.get("/").text
    timeline = admin.get("/", params={"phone": PHONE}).text
    assert "+3598******67: queued" in timeline
    assert "delivery mada unavailable" in timeline
    assert PHONE[1:] not in timeline
    assert admin.get("/", params={"phone": "nobody"}).status_code == 422
    before = due(night)
    assert admin.post("/", data={"do": "requeue"}, headers=ann).status_code == 302
    assert due(night) < before
    admin.post("/", data={"do": "resume"}, headers=ann)
    assert [(one["by"], one["action"]) for one in night.otp("audit")["changes"]] == [
        ("ann", "sending.resume"),
        ("ann", "retries.requeue"),
        ("ann", "sending.pause"),
    ]
