"""The real server: uvicorn on loopback, in a thread of the test or in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from otp_server.app import app_of
from otp_server.keys import Kind, Scope
from otp_server.server import Server
from otp_server.serving import configured
from webhook_receiver import Receiver, listening

from otpcore import AsyncOTPService
from otpcore.cli.main import run
from otpcore.stores.sql.store import upgrade
from otpcore.testing import Outbox

KEY = "b3RwY29yZS50ZXN0aW5nIGtleSwgbmV2ZXIgZm9yIHVzZXJzISE"
KEYS = {"index": KEY, "code": {"test": KEY}, "current": "test"}
PATIENCE = 60.0


@attrs.define(eq=False)
class Running:
    """A server that answers, and a client for it."""

    server: Server
    app: FastAPI
    url: str
    outbox: Outbox
    loop: asyncio.AbstractEventLoop
    connections: set[Any]

    def do(self, work: Any) -> Any:
        """Run a coroutine where the server runs."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE)

    def token(self, kind: Kind = Kind.TEST, app: str = "", scopes: Any = tuple(Scope), **more: Any) -> str:
        made: str = self.do(self.server.keys.new(kind, app=app, scopes=scopes, by="the test", **more)).token
        return made

    def client(self, kind: Kind = Kind.TEST, app: str = "", scopes: Any = tuple(Scope), **more: Any) -> httpx.Client:
        """One with a key, and without TLS: to read the certificates of all authorities takes longer than most tests."""
        token = self.token(kind, app, scopes, **more)
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=PATIENCE, verify=False)

    def code(self) -> str:
        """Of the latest message that the sandbox kept."""
        return self.server.sandbox.sandbox_inbox()[-1].code


@contextlib.contextmanager
def running(settings: Mapping[str, Any], providers: Mapping[str, object] | None = None) -> Iterator[Running]:
    """A server over these settings, whose live keys send into an outbox, unless the settings say sandbox."""
    outbox = Outbox()
    is_sandbox = settings.get("sms", {}).get("sandbox")
    server = Server(AsyncOTPService(settings, providers=None if is_sandbox else providers or outbox.providers))
    app = app_of(server)
    runs = uvicorn.Server(configured(app, server))
    listening = socket.create_server(("127.0.0.1", 0))
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        await runs.serve(sockets=[listening])

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    end = time.monotonic() + PATIENCE
    while not runs.started and thread.is_alive() and time.monotonic() < end:
        time.sleep(0.01)
    assert runs.started
    try:
        yield Running(
            server,
            app,
            f"http://127.0.0.1:{listening.getsockname()[1]}",
            outbox,
            loops[0],
            runs.server_state.connections,
        )
    finally:
        runs.should_exit = True
        thread.join(PATIENCE)


def settings_at(url: str, **sections: Any) -> dict[str, Any]:
    """Settings for tests over a database, without limits between sends."""
    return {
        "keys": KEYS,
        "storage": {"url": url},
        "retry": {"runner": "inline"},
        "limits": {"phone": [], "client": []},
        **sections,
    }


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory, run_server: Callable[..., contextlib.AbstractContextManager[Running]]
) -> Iterator[Running]:
    """A server on SQLite that the tests of a file share."""
    with run_server(f"sqlite:///{tmp_path_factory.mktemp('server')}/otp.sqlite3") as server:
        yield server


@pytest.fixture(scope="module")
def client(shared: Running) -> Iterator[httpx.Client]:
    """With a test key that may do everything."""
    with shared.client() as made:
        yield made


@pytest.fixture(scope="session")
def run_server(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., contextlib.AbstractContextManager[Running]]:
    """A server of a test's own: its URL of the database, which has its tables, and sections of settings."""
    migrated = tmp_path_factory.mktemp("migrated") / "otp.sqlite3"
    upgrade(f"sqlite:///{migrated}")

    def run(url: str, providers: Mapping[str, object] | None = None, **sections: Any) -> Any:
        scheme, _, file = url.partition(":///")
        if scheme == "sqlite" and not Path(file).exists():
            shutil.copy(migrated, file)  # making them takes longer than most tests
        return running(settings_at(url, **sections), providers)

    return run


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """An app's server that hears webhooks."""
    with listening() as made:
        yield made


_numbers = itertools.count()


@pytest.fixture
def phone() -> str:
    """A number that no other test has used, of which everything arrives."""
    return f"+35987{1_000_000 + next(_numbers)}"


@pytest.fixture
def otp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., tuple[int, Any]]]:
    """Run a command of ``otp`` in a directory of its own: its exit code, and its document."""
    monkeypatch.chdir(tmp_path)
    logger = logging.getLogger("otpcore")
    handlers, level = list(logger.handlers), logger.level

    def run_command(*arguments: str) -> tuple[int, Any]:
        capsys.readouterr()
        code = run(["--json", *arguments])
        return code, json.loads(capsys.readouterr().out)

    yield run_command
    logger.handlers[:] = handlers
    logger.setLevel(level)


@attrs.define(eq=False)
class Process:
    """``otp serve`` in a process of its own."""

    process: subprocess.Popen[str]
    told: dict[str, Any]

    @property
    def url(self) -> str:
        url: str = self.told["url"]
        return url

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Start ``otp serve`` in a directory."""
    started: list[Process] = []

    def start(
        directory: Path = tmp_path,
        *arguments: str,
        command: Sequence[str] = (sys.executable, "-m", "otpcore"),
        **environment: str,
    ) -> Process:
        own = {name: value for name, value in os.environ.items() if not name.startswith("OTPCORE_")}
        process = subprocess.Popen(
            [*command, "--json", "serve", "--port", "0", *arguments],
            cwd=directory,
            env={**own, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(Process(process, _document(process)))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


def _document(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if line == "}\n":
            document: dict[str, Any] = json.loads(text)
            return document
    raise AssertionError((text, process.stderr.read() if process.stderr else ""))


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """A database of a server from a wheel, with its tables."""
    if os.environ.get("OTPCORE_TEST_SERVERS") == "none":
        pytest.skip("OTPCORE_TEST_SERVERS=none: PostgreSQL is left out")
    own_servers = pytest.importorskip("tests.own_servers", reason="PostgreSQL is started by the repository's tests")

    with own_servers.postgres_server() as url:
        upgrade(url)
        yield url


@pytest.fixture
def redis_process(tmp_path: Path) -> Iterator[Any]:
    """A server from a wheel."""
    pytest.importorskip("otp_redis", reason="otp-redis is not installed")
    servers = pytest.importorskip("redis_servers", reason="Redis is started by the tests of otp-redis")
    (tmp_path / "redis").mkdir()
    with servers.redis_server(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def redis(redis_process: Any) -> str:
    """Its address."""
    url: str = redis_process.url
    return url
