"""Webhooks and the way out: a slow app holds up no other, and a proxy opens no private network."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
import pytest
from otp_server.server import Server
from otp_server.webhooks import teller
from otp_server.webhooks.calling import Caller, network_of
from otp_server.webhooks.shares import Shares

from otpcore import AsyncOTPService, Settings, SettingsError
from otpcore.providers import Network

START = "/v1/verifications"
SECRET = "whsec_" + "c2VjcmV0" * 4
PUBLIC = "93.184.216.34"


@contextlib.contextmanager
def listening(wait: threading.Event | None = None) -> Iterator[tuple[str, list[bytes]]]:
    """An app's server: its address, and what it heard; with ``wait`` it answers once that is set."""
    heard: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(self.rfile.read(int(self.headers["Content-Length"])))
            if wait is not None:
                wait.wait(60)
            with contextlib.suppress(OSError):
                self.send_response(204)
                self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    class Listening(ThreadingHTTPServer):
        request_queue_size = 200

    with Listening(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/events", heard
        server.shutdown()


def test_a_slow_app_holds_up_no_other(
    run_server: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teller, "_POLL", 0.05)
    url, late = f"sqlite:///{tmp_path}/otp.sqlite3", threading.Event()
    with listening(late) as (slow, begun), listening() as (quick, heard):
        apps = {name: {"webhook": {"url": at, "secrets": [SECRET]}} for name, at in (("slow", slow), ("quick", quick))}
        own = {"apps": apps, "webhook_networks": ["127.0.0.0/8"]}
        with (
            run_server(url, storage={"url": url, "outbox": True}, server=own) as server,
            server.client(app="slow") as slow_app,
            server.client(app="quick") as quick_app,
        ):
            for number in range(80):  # more than are claimed at once, and all of them before the other app's
                assert slow_app.post(START, json={"to": f"+35987{number:07d}"}).status_code == 202
            for number in range(5):
                assert quick_app.post(START, json={"to": f"+35988{number:07d}"}).status_code == 202
            end = time.monotonic() + 8  # a call to the slow one takes ten seconds
            while len(heard) < 5 and time.monotonic() < end:
                time.sleep(0.02)
            assert len(heard) == 5
            assert len(begun) == 10
            late.set()
            end = time.monotonic() + 60
            while len(begun) < 80 and time.monotonic() < end:
                time.sleep(0.02)
            assert len(set(begun)) == len(begun) == 80
            time.sleep(0.5)
            attempts = slow_app.get("/v1/webhooks/attempts", params={"limit": 200}).json()["attempts"]
            assert {(one["number"], one["heard"]) for one in attempts} == {(1, True)}, "waiting is no try"


async def test_places_are_taken_given_back_and_promised_in_order() -> None:
    made = Shares(1)
    assert [made.take("one") for _ in range(31)] == [True] * 30 + [False]
    assert made.take("two")
    first, second = (made.next_turn("one", 100) for _ in range(2))
    assert second > first
    made.give_back("one")
    assert made.take("one")
    at_once: list[int] = []

    async def call() -> None:
        async with made.call("one"):
            at_once.append(1)
            await anyio.sleep_forever()

    with anyio.move_on_after(0.2):
        async with anyio.create_task_group() as tasks:
            for _ in range(30):
                tasks.start_soon(call)
    assert len(at_once) == 10
    crowded = Shares(500)
    assert sum(crowded.take("one") for _ in range(31)) == 6


@pytest.fixture
def proxying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any, str]]:
    """A proxy, a vendor with a certificate of its own authority, and that one's file; ``localhost`` seems to be public."""
    forward = pytest.importorskip("tests.forward_proxy", reason="the proxy is one of the repository's tests")
    certificates = pytest.importorskip("certificates").make_certificates(tmp_path)
    resolve = anyio.getaddrinfo

    async def resolved(host: str, port: int, **more: Any) -> Any:
        if host == "localhost":
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (PUBLIC, port))]
        return await resolve(host, port, **more)

    tunnel = forward.ForwardProxy._tunnel
    with forward.forward_proxy() as proxy, forward.private_vendor(certificates) as vendor:
        monkeypatch.setattr(anyio, "getaddrinfo", resolved)
        monkeypatch.setattr(
            forward.ForwardProxy, "_tunnel", lambda self, client, _: tunnel(self, client, f"127.0.0.1:{vendor.port}")
        )
        yield proxy, vendor, str(certificates.authority)


async def test_a_proxy_is_told_the_address_that_was_looked_at_and_the_name_is_proven(
    proxying: tuple[Any, Any, str],
) -> None:
    proxy, vendor, authority = proxying
    network = Network(proxy=proxy.url, ca_file=authority)
    called = await Caller((), network).call(f"https://localhost:{vendor.port}/events", {"a": "b"}, b"{}")
    assert called.status == 200
    assert proxy.seen == [("CONNECT", f"{PUBLIC}:{vendor.port}")]
    ((request, headers),) = vendor.seen
    assert (request, headers["host"], headers["a"]) == ("POST /events HTTP/1.1", f"localhost:{vendor.port}", "b")
    untrusted = await Caller((), Network(proxy=proxy.url)).call(f"https://localhost:{vendor.port}/", {}, b"")
    assert untrusted.problem == "no connection that can be trusted, or it broke"


async def test_through_a_proxy_a_private_network_is_refused_all_the_same(proxying: tuple[Any, Any, str]) -> None:
    proxy, vendor, authority = proxying
    caller = Caller((), Network(proxy=proxy.url, ca_file=authority))
    for host in ("127.0.0.1", "10.0.0.1", "[::1]", "169.254.169.254"):
        called = await caller.call(f"https://{host}:{vendor.port}/", {}, b"")
        assert called.problem.startswith("the address is in a private network"), host
    assert proxy.seen == []
    near = Caller(("127.0.0.0/8",), Network(proxy=proxy.url, ca_file=authority))
    assert (await near.call(f"https://127.0.0.1:{vendor.port}/", {}, b"")).status == 200
    assert proxy.seen == [], "what is near is called without it"


@pytest.mark.parametrize("login", ["", "user:secret"])
async def test_a_proxy_that_refuses_is_told_so(proxying: tuple[Any, Any, str], login: str) -> None:
    proxy, vendor, _ = proxying
    proxy.login, proxy.refuses = login, 0 if login else 403
    called = await Caller((), Network(proxy=proxy.url)).call(f"https://localhost:{vendor.port}/", {}, b"")
    assert (called.status, called.problem) == (0, "the proxy does not let it through")
    assert vendor.seen == []


def test_a_file_of_certificates_that_is_none_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    settings = {"sms": {"sandbox": True}, "storage": {"store": "memory"}, "http": {"ca_file": f"{tmp_path}/ca.pem"}}
    with pytest.raises(SettingsError, match=r"http\.ca_file"):
        Server(AsyncOTPService(settings))
    assert network_of(Settings()) == Network()
