"""The examples, each run as a real server or program against a gateway on loopback."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path

import attrs
import httpx
import pytest

from otpcore import OTPService, VerificationStatus
from otpcore.config import generate_keys, starter_file
from otpcore.simulators import Simulator

EXAMPLES = Path(__file__).parent.parent / "examples"
FILES = sorted(EXAMPLES.glob("*/*.py"))
PHONE = "+359871234567"
PATIENCE = 60.0  # seconds until a test gives up on a server
UVICORN = ["-m", "uvicorn", "--app-dir", str(EXAMPLES / "fastapi"), "--fd", "{fd}", "app:app"]
GUNICORN = ["-m", "gunicorn", "--bind", "fd://{fd}", "--workers", "2", "--preload", "--chdir"]
COMMANDS = {
    "fastapi": UVICORN,
    "flask": [*GUNICORN, str(EXAMPLES / "flask"), "app:app"],
    "django": [*GUNICORN, str(EXAMPLES / "django"), "app:application"],
}


@pytest.fixture(scope="module")
def gateway() -> Iterator[Simulator]:
    (found,) = entry_points(group="otpcore.simulators", name="mada")
    with found.load()() as running:
        yield running


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory, gateway: Simulator) -> Iterator[Path]:
    """A host's settings file, and its environment, which says where the gateway is."""
    directory = tmp_path_factory.mktemp("host")
    settings, secrets = starter_file(generate_keys(datetime.now(UTC)))
    settings = settings.replace('otp_sms_provider = ""', 'otp_sms_provider = "Mada:+359"')
    (directory / "otpcore.toml").write_text(settings + '[otp]\nverify_by = "id"\n', encoding="utf-8")
    (directory / ".otpcore.secrets.toml").write_text(secrets, encoding="utf-8")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OTPCORE_SETTINGS_FILE", str(directory / "otpcore.toml"))
        environment.setenv("SECRET_KEY", "of the test")
        for key, value in gateway.provider_settings().items():
            environment.setenv(f"OTPCORE_PROVIDERS__MADA__{key.upper()}", str(value))
        yield directory


@attrs.frozen
class Site:
    """A server that runs."""

    client: httpx.Client
    takes_forms: bool

    def post(self, path: str, **values: str) -> httpx.Response:
        return self.client.post(path, data=values) if self.takes_forms else self.client.post(path, json=values)

    def code_valid(self, **values: str) -> bool:
        answer = self.post("/codes/verify", **values)
        assert answer.status_code == 200, answer.text
        return {'{"code_valid":true}': True, '{"code_valid":false}': False}[answer.text.strip().replace(" ", "")]


@pytest.fixture(scope="module", params=COMMANDS)
def site(request: pytest.FixtureRequest, directory: Path) -> Iterator[Site]:
    """The server on a free port, until SIGTERM."""
    log = directory / f"{request.param}.log"
    with serving(COMMANDS[request.param], directory, log) as url:
        with httpx.Client(base_url=url, timeout=PATIENCE, trust_env=False) as client:
            yield Site(client, takes_forms=request.param == "django")
    said = log.read_text(encoding="utf-8")
    assert "Traceback" not in said
    assert not re.search(r"\b[0-9]{6}\b|35988", said), "a code or a number in the server's log"


@contextlib.contextmanager
def serving(command: list[str], directory: Path, log: Path) -> Iterator[str]:
    """Run a server; it inherits the listening socket, so that connections may come before it is ready."""
    with socket.create_server(("127.0.0.1", 0)) as listener, log.open("wb") as output:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        words = [sys.executable, *(word.replace("{fd}", str(listener.fileno())) for word in command)]
        server = subprocess.Popen(
            words, cwd=directory, pass_fds=[listener.fileno()], stdout=output, stderr=subprocess.STDOUT
        )
    with server:
        try:
            yield url
            server.send_signal(signal.SIGTERM)
            assert server.wait(PATIENCE) in (0, -signal.SIGTERM)
        finally:
            server.kill()


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}d}"


def test_there_is_a_short_example_for_each_kind_of_host():
    assert [file.parent.name for file in FILES] == ["django", "fastapi", "flask", "trio"]
    assert max(len(file.read_text(encoding="utf-8").splitlines()) for file in FILES) < 40


def test_a_site_sends_a_code_and_accepts_it_once(site, gateway):
    gateway.inbox.clear()
    phone = f"+35988123450{list(COMMANDS).index('django') if site.takes_forms else 1}"
    sent = site.post("/codes", phone=phone)
    assert sent.is_success, sent.text
    guess = {"phone": phone, "challenge_id": sent.json().get("challenge_id", "")}
    (message,) = gateway.inbox
    assert message.recipient == phone
    assert not site.code_valid(code=wrong(message.code), **guess)
    assert site.code_valid(code=message.code, **guess)
    assert not site.code_valid(code=message.code, **guess)
