"""The examples, each run as a real server or program against vendors on loopback."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path

import attrs
import httpx
import pytest

from otpcore.config import generate_keys, starter_file
from otpcore.plugins import SIMULATORS
from otpcore.simulators import Simulator, running

EXAMPLES = Path(__file__).parent.parent / "examples"
FILES = sorted(EXAMPLES.glob("*/*.py"))
PHONES = {"mada": "+359871234567", "twilio": "+12025550123"}
OTHER = "+359881234567"
PROMPT = "Code sent to +3598******67: "
PATIENCE = 60.0  # seconds until a test gives up on a server
GUNICORN = ["-m", "gunicorn", "--bind", "fd://{fd}", "--workers", "2", "--preload", "--chdir"]
COMMANDS = {
    "fastapi": ["-m", "uvicorn", "--fd", "{fd}", "--app-dir", str(EXAMPLES / "fastapi"), "app:app"],
    "flask": [*GUNICORN, str(EXAMPLES / "flask"), "app:app"],
    "django": [*GUNICORN, str(EXAMPLES / "django"), "app:application"],
}


@attrs.frozen
class Host:
    """A directory with a settings file, and the environment of a program that runs there."""

    directory: Path
    environment: dict[str, str]

    @classmethod
    def set_up(cls, directory: Path, vendors: Mapping[str, Simulator]) -> Host:
        settings, secrets = starter_file(generate_keys(datetime.now(UTC)))
        settings = settings.replace('otp_sms_provider = ""', 'otp_sms_provider = "Mada:+359;Twilio:+1"')
        (directory / "otpcore.toml").write_text(settings + '[otp]\nverify_by = "id"\ncooldown = 0\n', encoding="utf-8")
        (directory / ".otpcore.secrets.toml").write_text(secrets, encoding="utf-8")
        accounts = {
            f"OTPCORE_PROVIDERS__{name.upper()}__{key.upper()}": str(value)
            for name, vendor in vendors.items()
            for key, value in vendor.provider_settings().items()
        }
        own = {"OTPCORE_SETTINGS_FILE": str(directory / "otpcore.toml"), "SECRET_KEY": "of the test"}
        return cls(directory, {**os.environ, **accounts, **own})

    @contextlib.contextmanager
    def serving(self, command: list[str]) -> Iterator[str]:
        """The URL of a server that runs until SIGTERM. It inherits the listening socket: nobody waits until it is ready."""
        with socket.create_server(("127.0.0.1", 0)) as listener, self.log.open("wb") as output:
            fd, port = listener.fileno(), listener.getsockname()[1]
            server = subprocess.Popen(
                [sys.executable, *(word.replace("{fd}", str(fd)) for word in command)],
                cwd=self.directory,
                env=self.environment,
                pass_fds=[fd],
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        with server:
            try:
                yield f"http://127.0.0.1:{port}"
                server.send_signal(signal.SIGTERM)
                assert server.wait(PATIENCE) in (0, -signal.SIGTERM)
            finally:
                server.kill()

    @property
    def log(self) -> Path:
        return self.directory / "log"


@attrs.frozen
class Site:
    """A server that runs, and the vendors that it sends through."""

    client: httpx.Client
    vendors: Mapping[str, Simulator]
    takes_forms: bool

    def post(self, path: str, **values: str) -> httpx.Response:
        return self.client.post(path, data=values) if self.takes_forms else self.client.post(path, json=values)


@pytest.fixture(scope="module")
def vendors() -> Iterator[dict[str, Simulator]]:
    simulators = {point.name: point.load()() for point in entry_points(group=SIMULATORS) if point.name in PHONES}
    with running(*simulators.values()):
        yield simulators


@pytest.fixture(scope="module", params=COMMANDS)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, vendors: Mapping[str, Simulator]
) -> Iterator[Site]:
    host = Host.set_up(tmp_path_factory.mktemp(request.param), vendors)
    with (
        host.serving(COMMANDS[request.param]) as url,
        httpx.Client(base_url=url, timeout=PATIENCE, trust_env=False) as client,
    ):
        yield Site(client, vendors, takes_forms=request.param == "django")
    log = host.log.read_text(encoding="utf-8")
    assert "Traceback" not in log
    assert not re.search(r"\b[0-9]{6}\b|35987|35988|1202555", log), "a code or a number in the server's log"


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}d}"


def test_there_is_a_short_example_for_each_kind_of_host():
    assert [file.parent.name for file in FILES] == ["django", "fastapi", "flask", "trio"]
    assert max(len(file.read_text(encoding="utf-8").splitlines()) for file in FILES) < 40


@pytest.mark.parametrize(("vendor", "phone"), PHONES.items())
def test_a_site_sends_a_code_and_accepts_it_once(site, vendor, phone):
    sent = site.post("/codes", phone=phone)
    assert sent.is_success, sent.text
    message = site.vendors[vendor].inbox[-1]
    assert message.recipient == phone
    guess = {"phone": phone, **sent.json()}
    answers = [
        site.post("/codes/verify", code=code, **guess).json()
        for code in (wrong(message.code), message.code, message.code)
    ]
    assert answers == [{"code_valid": False}, {"code_valid": True}, {"code_valid": False}]


def test_a_site_says_with_the_status_what_cannot_be_done(site):
    for phone, error in {
        "+35987": "InvalidPhoneNumber",
        "+447400123456": "NoRouteError",
        "+359888000011": "DeliveryError",  # the gateway knows no such recipient
    }.items():
        refused = site.post("/codes", phone=phone)
        assert (refused.status_code, error in refused.text) == (422, True)
    site.vendors["mada"].down()
    refused = site.post("/codes", phone=OTHER)
    assert (refused.status_code, "DeliveryError" in refused.text) == (503, True)
    site.vendors["mada"].up()
    assert [site.post("/codes", phone=OTHER).status_code // 100 for _ in range(4)] == [2, 2, 2, 4]
    refused = site.post("/codes", phone=OTHER)
    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 601


def test_the_trio_program_verifies_a_phone(tmp_path, vendors):
    host = Host.set_up(tmp_path, vendors)
    with verifying(host, PHONES["mada"]) as first, verifying(host, PHONES["mada"]) as second:
        assert {first.stdout.read(len(PROMPT)), second.stdout.read(len(PROMPT))} == {PROMPT}
        code = vendors["mada"].inbox[-1].code
        said, _ = first.communicate(f"{wrong(code)}\n{code}\n", PATIENCE)
        assert (said, first.returncode) == ("Wrong; 4 more to try: ", 0)
        said, _ = second.communicate(f"{code}\n", PATIENCE)
        assert (said, second.returncode) == ("This code can no longer be used.\n", 1)


@contextlib.contextmanager
def verifying(host: Host, phone: str) -> Iterator[subprocess.Popen[str]]:
    """The trio program."""
    with subprocess.Popen(
        [sys.executable, "-u", str(EXAMPLES / "trio" / "verify_phone.py"), phone],
        cwd=host.directory,
        env=host.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as program:
        try:
            yield program
        finally:
            program.kill()
