"""``otp serve`` is killed under load, again and again: no verification that was asked for is lost, and no webhook."""

from __future__ import annotations

import contextlib
import json
import os
import random
import secrets
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest

START = "/v1/verifications"
LONG = os.environ.get("CHAOS_SCENES") == "all"
KILLS, PEOPLE, BETWEEN = (12, 8, 40) if LONG else (2, 4, 4)
PATIENCE = 900.0 if LONG else 180.0  # seconds for everything to be told, on a machine with much else to do
HASTY = (
    "import datetime, otp_server.webhooks.teller as teller; teller._LEASE = datetime.timedelta(seconds=3);"
    "teller.DELAYS = (0.2,) * 6; from otpcore.cli import main; main()"
)
"""The command, with which what was begun to be told is told again after seconds, not minutes."""
SETTINGS = """
otp_sms_provider = "mada"
[sms]
retry = true
[otp]
provider_timeout = 1
send_timeout = 3
cooldown = 2
[retry]
first_delay = 0.1
max_delay = 0.5
lease = 2
poll = 0.2
[limits]
phone = []
client = []
unverified = []
[storage]
outbox = true
url = "{url}"
[server]
webhook_networks = ["127.0.0.0/8"]
[server.apps.shop.webhook]
url = "{receiver}"
secrets = ["whsec_{secret}"]
[providers.mada]
{vendor}
"""


@attrs.define(eq=False)
class Site:
    """A server that dies, its vendor, and those who want to be verified there."""

    token: str
    vendor: Any
    url: str = ""
    over: threading.Event = attrs.field(factory=threading.Event)
    verified: dict[str, str] = attrs.field(factory=dict)
    confirmed: set[str] = attrs.field(factory=set)
    unexpected: list[str] = attrs.field(factory=list)

    def person(self, number: int) -> None:
        """One after another is verified; who is not answered asks again."""
        with httpx.Client(headers={"Authorization": f"Bearer {self.token}"}, timeout=60) as client:
            turn = 0
            while not self.over.is_set():
                turn += 1
                try:
                    self._one(client, f"+35987{number}{turn:06d}")
                except Exception as error:  # noqa: BLE001 - told by the test itself
                    self.unexpected.append(f"{type(error).__name__}: {error}")
                    return

    def _one(self, client: httpx.Client, phone: str) -> None:
        begun = self._answered(client, START, {"to": phone, "metadata": {"of": phone[-6:]}}, {202})
        if begun[
            "confirmed"
        ]:  # else it died before it wrote down that the vendor took it: then nothing says so but the approval
            self.confirmed.add(begun["id"])
        code = self._code(client, begun["id"], phone)
        checked = self._answered(client, f"{START}/{begun['id']}/check", {"code": code}, {200})
        # Where the answer to a right code was lost, the next one says that it was used.
        if not (checked["valid"] or checked["status"] == "approved"):
            self.unexpected.append(f"{begun} came to {checked}")
        self.verified[begun["id"]] = phone

    def _answered(self, client: httpx.Client, path: str, body: dict[str, Any], statuses: set[int]) -> dict[str, Any]:
        while True:
            try:
                answer = client.post(self.url + path, json=body)
            except httpx.TransportError:
                time.sleep(0.05)
                continue
            assert answer.status_code in statuses, answer.text
            document: dict[str, Any] = answer.json()
            return document

    def _code(self, client: httpx.Client, verification: str, phone: str) -> str:
        """As it arrived. What was interrupted is sent again by itself, once; then who waits asks for another message."""
        end, ask = time.monotonic() + PATIENCE, time.monotonic() + 10
        while not (arrived := [one.code for one in self.vendor.inbox if one.recipient == phone]):
            assert time.monotonic() < end, f"nothing arrives at {phone}"
            if time.monotonic() > ask:
                self._answered(client, f"{START}/{verification}/resend", {}, {202, 429, 503})
                ask = time.monotonic() + 3
            time.sleep(0.05)
        code: str = arrived[-1]
        return code


@contextlib.contextmanager
def receiver() -> Iterator[tuple[str, dict[tuple[str, str], set[str]]]]:
    """An app's server: which events it heard of which verification, by their ids. Of some it fails to hear at first."""
    heard: dict[tuple[str, str], set[str]] = defaultdict(set)
    missed: set[str] = set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name = self.headers["webhook-id"]
            if name not in missed and random.random() < 0.1:
                missed.add(name)
                self.send_error(503)
                return
            heard[event["data"]["id"], event["type"]].add(name)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/events", heard
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_killed_under_load_it_loses_no_verification_and_no_webhook(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, otp: Callable[..., Any], serve: Callable[..., Any]
) -> None:
    simulator = pytest.importorskip("otp_mada.simulator", reason="the vendor is a simulator of otp-mada")
    url = request.getfixturevalue("postgres") if kind == "postgres" else f"sqlite:///{tmp_path}/otp.sqlite3"
    assert otp("init")[0] == 0
    with receiver() as (address, heard), simulator.MadaSimulator() as vendor:
        own = "\n".join(f"{key} = {json.dumps(value)}" for key, value in vendor.provider_settings().items())
        secret = secrets.token_hex(24)
        text = SETTINGS.format(url=url, receiver=address, secret=secret, vendor=own)
        (tmp_path / "otpcore.toml").write_text(text)
        if kind == "postgres":
            assert otp("db", "upgrade")[0] == 0
        site = Site(otp("keys", "api", "new", "shop", "--kind", "live")[1]["token"], vendor)
        command = ["-m", "otpcore"] if LONG else ["-c", HASTY]
        _storm(site, lambda: serve(tmp_path, command=[sys.executable, *command]))
        assert site.unexpected == []
        assert len(site.verified) >= KILLS * BETWEEN
        _check_states(site)
        _check_events(site, heard)


def _storm(site: Site, start: Callable[[], Any]) -> None:
    """Let people in, and kill the server while they are at it; at the end it stays."""
    running = start()
    site.url = running.url
    people = [threading.Thread(target=site.person, args=(number,), daemon=True) for number in range(1, PEOPLE + 1)]
    for one in people:
        one.start()
    for _ in range(KILLS):
        before = len(site.verified)
        while len(site.verified) < before + BETWEEN and not site.unexpected:
            time.sleep(0.01)
        time.sleep(random.uniform(0, 0.3))
        running.end(signal.SIGKILL)
        running = start()
        site.url = running.url
    site.over.set()
    for one in people:
        one.join(PATIENCE)
        assert not one.is_alive()


def _check_states(site: Site) -> None:
    with httpx.Client(headers={"Authorization": f"Bearer {site.token}"}, timeout=60) as client:
        for one, phone in site.verified.items():
            seen = client.get(f"{site.url}{START}/{one}").json()
            assert (seen["status"], seen["metadata"]) == ("approved", {"of": phone[-6:]}), seen


def _check_events(site: Site, heard: dict[tuple[str, str], set[str]]) -> None:
    """Each was told that it was approved, under one id, and that it was sent where a start was answered so."""
    owed = {(one, "verification.approved") for one in site.verified}
    owed |= {(one, "verification.sent") for one in site.verified.keys() & site.confirmed}
    assert len(owed) > len(site.verified)
    end = time.monotonic() + PATIENCE
    while not owed <= heard.keys() and time.monotonic() < end:
        time.sleep(0.1)
    assert owed - heard.keys() == set()
    assert {name: ids for name, ids in heard.items() if name[1] == "verification.approved" and len(ids) > 1} == {}
