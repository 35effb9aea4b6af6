"""Where an example runs: its settings, its server behind a proxy, and a client that nobody has seen yet."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import httpx
from otp_twilio import Mode

from otpcore.settings.tree import generate_keys, starter_file
from otpcore.simulators.simulator import Simulator

from .. import gateways  # noqa: TID252 - tests are no package that could be imported by name
from ..forwarding import PEER, forwarding  # noqa: TID252 - the same
from ..proxy import Address  # noqa: TID252 - the same

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
PHONES = {"mada": "+359871234567", "twilio": "+12025550123", "sinch": "+46701234567"}
PATIENCE = 60.0  # seconds until a test gives up on a server

ADDRESSES = (f"198.51.100.{number}" for number in itertools.count(1))
RULES = "Mada:+359;Twilio:+1;Sinch:+46;Texts:+1500555060;Bell:+33"
SETTINGS = """
[otp]
verify_by = "id"
cooldown = 0
[limits]
client = ["4/1h"]
[retry]
breaker_threshold = 3
[providers.texts]
plugin = "twilio"
[providers.bell]
plugin = "gateways:Bell"
"""


def gunicorn(name: str, *bind: str) -> list[str]:
    folder = str(EXAMPLES / name)
    return ["-m", "gunicorn", "--config", f"{folder}/gunicorn.conf.py", "--chdir", folder, "--bind", *bind]


def uvicorn(name: str, app: str, *bind: str) -> list[str]:
    return ["-m", "uvicorn", "--app-dir", str(EXAMPLES / name), *bind, app]


SITES = {
    "fastapi": uvicorn("fastapi", "app:app", "--fd", "{fd}"),
    "fastapi-unix": uvicorn("fastapi", "app:app", "--uds", "{path}"),
    "flask": [*gunicorn("flask", "fd://{fd}"), "--preload"],
    "flask-unix": gunicorn("flask", "unix:{path}"),
    "django": gunicorn("django", "fd://{fd}"),
    "django-unix": uvicorn("django", "portal.asgi:application", "--uds", "{path}"),
}


@attrs.frozen
class Host:
    """A directory with a settings file, and the environment of a program that runs there."""

    directory: Path
    environment: dict[str, str]
    python: str

    @classmethod
    def set_up(cls, directory: Path, vendors: Mapping[str, Simulator], python: str) -> Host:
        settings, secrets = starter_file(generate_keys(datetime.now(UTC)))
        settings = settings.replace('otp_sms_provider = ""', f'otp_sms_provider = "{RULES}"')
        (directory / "otpcore.toml").write_text(settings + SETTINGS, encoding="utf-8")
        (directory / ".otpcore.secrets.toml").write_text(secrets, encoding="utf-8")
        (directory / ".otpcore.secrets.toml").chmod(0o600)
        shutil.copy(Path(gateways.__file__), directory)
        path = [str(directory), *filter(None, [os.environ.get("PYTHONPATH")])]
        accounts = {name: vendor.provider_settings() for name, vendor in vendors.items()}
        accounts["texts"] = vendors["twilio"].provider_settings(Mode.MESSAGING)
        own = {
            f"OTPCORE_PROVIDERS__{name.upper()}__{key.upper()}": str(value)
            for name, account in accounts.items()
            for key, value in account.items()
        } | {
            "OTPCORE_SETTINGS_FILE": str(directory / "otpcore.toml"),
            "SECRET_KEY": "of the test",
            "STATE_DIRECTORY": str(directory),
            "FORWARDED_ALLOW_IPS": "127.0.0.1",
            "PYTHONPATH": os.pathsep.join(path),
        }
        return cls(directory, {**os.environ, **own}, python)

    @contextlib.contextmanager
    def served(self, command: list[str]) -> Iterator[tuple[str, Address]]:
        """The URL of a proxy before a server that runs until SIGTERM, and where the server itself listens."""
        with contextlib.ExitStack() as stack:
            path = f"{stack.enter_context(tempfile.TemporaryDirectory())}/socket"  # the system wants it short
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            address: Address = listener.getsockname() if any("{fd}" in word for word in command) else path
            proxied = stack.enter_context(forwarding(address))
            words = [word.replace("{fd}", str(listener.fileno())).replace("{path}", path) for word in command]
            server = subprocess.Popen(
                [self.python, *words],
                cwd=self.directory,
                env=self.environment
                | {
                    "PUBLIC_URL": proxied,
                    "OTPCORE_OTP__RECEIPTS_URL": f"{proxied}/receipts",
                    "OTPCORE_PROVIDERS__TEXTS__STATUS_CALLBACK_URL": f"{proxied}/receipts/texts",
                },
                pass_fds=[listener.fileno()],
                stdout=stack.enter_context(self.log.open("wb")),
                stderr=subprocess.STDOUT,
            )
            listener.close()
            stack.enter_context(server)
            stack.callback(server.kill)
            yield proxied, address
            server.send_signal(signal.SIGTERM)
            assert server.wait(PATIENCE) in (0, -signal.SIGTERM)

    @property
    def log(self) -> Path:
        return self.directory / "log"


@attrs.frozen
class Site:
    """A server that runs behind a proxy, and the vendors that it sends through."""

    host: Host
    client: httpx.Client
    vendors: Mapping[str, Simulator]
    address: Address
    keeps_session: bool

    def post(self, path: str, *, address: str | None = None, headers: Mapping[str, str] = {}, **values: Any) -> Any:
        """As somebody whom nobody has seen yet, unless an address is given."""
        peer = {PEER: address or next(ADDRESSES)}
        return self.client.post(path, json=values, headers={**peer, **headers})

    def past_the_proxy(self, own: str) -> httpx.Client:
        """A client with the same session, that comes from this address on TCP."""
        on_tcp = not isinstance(self.address, str)
        transport = httpx.HTTPTransport(local_address=own) if on_tcp else httpx.HTTPTransport(uds=self.address)
        port = self.address[1] if on_tcp else 80
        token = {name: value for name, value in self.client.headers.items() if name.startswith("x-")}
        return httpx.Client(
            transport=transport,
            base_url=f"http://127.0.0.1:{port}",
            headers=token,
            cookies=self.client.cookies,
            timeout=PATIENCE,
        )

    def said(self) -> str:
        return self.host.log.read_text(encoding="utf-8")


def prepare_django(host: Host) -> None:
    """As a deployment does, with no ``PUBLIC_URL`` that anybody calls yet; otpcore's tables are made with Django's."""
    done = subprocess.run(
        [host.python, "manage.py", "migrate", "--verbosity", "0"],
        cwd=EXAMPLES / "django",
        env=host.environment | {"PUBLIC_URL": "http://127.0.0.1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
