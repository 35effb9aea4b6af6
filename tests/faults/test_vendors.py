"""Vendors that misbehave on the wire, met through the public API: a real plugin, real sockets, a real database.

The first instance of the route talks to the broken one, the second to a simulator that is well. Whatever happens, the
person gets a message whose code verifies, and the broken vendor sees one request at most.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import socket
import ssl
import time
import tracemalloc
from typing import Any

import anyio
import pytest
from otp_mada.simulator import MadaSimulator
from otp_twilio.simulator import TwilioSimulator

from otpcore import AsyncOTPService, ChallengeState
from otpcore.clock import utc_now
from otpcore.http import transport as _http_transport
from otpcore.settings.tree import generate_keys
from otpcore.simulators.exchange import Fault
from otpcore.testing import EventRecorder

from .failures import failures
from .wire import Certificates, RawVendor, reset

PHONE = "+359871234567"
TIMEOUT = 1.0
AMPLE = 10.0
"""Seconds for a provider, where nobody is silent: what is tested is the answer, on a machine with much else to do too."""
XML = b'<?xml version="1.0"?><e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>%s</e:Body></e:Envelope>'
SAID = {"sid": "SM" + "1" * 32, "status": "queued", "error_code": None}


def service(
    tmp_path, broken_url: str, plugin: str, well: MadaSimulator, recorder: EventRecorder, timeout: float = TIMEOUT
) -> AsyncOTPService:
    keys = generate_keys(utc_now())
    made: dict[str, Any] = {
        "mada": {"plugin": "mada", "url": broken_url, "username": "u", "password": "p", "source_name": "otpcore"},
        "twilio": {
            "plugin": "twilio",
            "mode": "messaging",
            "account_sid": "AC" + "1" * 32,
            "auth_token": "t" * 32,
            "from_number": "+15005550006",
            "api_base_url": broken_url,
        },
    }
    settings = {
        "otp_sms_provider": "broken;well",
        "providers": {"broken": made[plugin], "well": {"plugin": "mada", **well.provider_settings()}},
        "keys": {"index": keys.index, "code": dict(keys.code), "current": keys.current},
        "storage": {"url": f"sqlite:///{tmp_path / 'otp.sqlite3'}", "synchronous": "NORMAL"},
        "otp": {"provider_timeout": timeout, "send_timeout": 30},
        "limits": {"phone": []},
    }
    return AsyncOTPService(settings, observers=[recorder])


@pytest.fixture(autouse=True)
def tables(tmp_path, migrated) -> None:
    """As in a database that has been there for long."""
    shutil.copy(migrated, tmp_path / "otp.sqlite3")


async def met(tmp_path, broken_url: str, plugin: str, timeout: float = TIMEOUT) -> str:
    """Send through the broken vendor; the kind of its failure. What the next provider delivered verifies."""
    recorder = EventRecorder()
    with MadaSimulator() as well:
        async with service(tmp_path, broken_url, plugin, well, recorder, timeout) as otp:
            began = time.monotonic()
            challenge = await otp.send_sms(PHONE)
            assert time.monotonic() - began < 15
            assert (challenge.provider, challenge.state) == ("well", ChallengeState.SENT)
            assert await otp.verify(challenge_id=challenge.id, code=well.inbox[0].code)
    ((instance, kind),) = failures(recorder)
    assert instance == "broken"
    return kind


def says(*parts: bytes, then_hang: bool = False):
    """A script that sends these bytes and closes, or falls silent."""

    def script(connection, over):
        for part in parts:
            connection.sendall(part)
        if then_hang:
            over.wait(20)

    return script


def answer(body: bytes, *headers: bytes, status: bytes = b"200 OK", length: bytes | None = None) -> bytes:
    length = b"%d" % len(body) if length is None else length
    return b"\r\n".join(
        [b"HTTP/1.1 " + status, *headers, b"Content-Length: " + length, b"Connection: close", b"", body]
    )


def endlessly(part: bytes, pause: float = 0.0, begin: bytes = b""):
    """A script that never stops saying the same."""

    def script(connection, over):
        connection.sendall(begin)
        while not over.wait(pause):
            connection.sendall(part)

    return script


GOOD = json.dumps(SAID).encode()
LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\n"

IN_DOUBT = {
    "nothing": says(then_hang=True),
    "closed": says(),
    "reset": reset,
    "half a status line": says(b"HTTP/1.1 20", then_hang=True),
    "status line byte by byte": endlessly(b"H", 0.02),
    "headers byte by byte": endlessly(b"x", 0.02, HEAD + b"X-Slow: "),
    "headers without end": endlessly(b"X-Header: " + b"x" * 1000 + b"\r\n", 0, HEAD),
    "one header without end": endlessly(b"x" * 4096, 0, HEAD + b"X-Long: "),
    "body byte by byte": endlessly(b" ", 0.02, LONG),
    "body without end": endlessly(b" " * 65536, 0.005, HEAD + b"Connection: close\r\n\r\n"),
    "chunks without end": endlessly(
        b"1000\r\n" + b" " * 4096 + b"\r\n", 0.005, HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    ),
    "half a body": says(answer(GOOD, length=b"1000")),
    "100 without end": endlessly(b"HTTP/1.1 100 Continue\r\n\r\n", 0.001),
    "103 and silence": says(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", then_hang=True),
    "101": says(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", then_hang=True),
    "no HTTP": says(b"220 mail.example ESMTP\r\n"),
    "HTTP/0.9": says(GOOD),
    "HTTP/2": says(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + b"\x00" * 18),
    "TLS on a plain port": says(b"\x15\x03\x01\x00\x02\x02\x28"),
    "noise": says(os.urandom(4096)),
    "status 999": says(answer(GOOD, status=b"999 Never")),
    "status 000": says(answer(GOOD, status=b"000 Zero")),
    "status in words": says(answer(GOOD, status=b"OK")),
    "header without colon": says(answer(b"x", b"no colon here")),
    "header with NUL": says(answer(b"x", b"X-Nul: a\0b")),
    "length in words": says(answer(b"x", length=b"one")),
    "negative length": says(answer(b"x", length=b"-1")),
    "two lengths": says(answer(b"x" * 8, b"Content-Length: 2")),
    "chunk size in words": says(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "a megabyte": says(answer(b" " * 1_048_576)),
    "four megabytes": says(answer(b" " * 4_194_304)),
    "compressed though told not to": says(answer(gzip.compress(b" " * 50_000_000), b"Content-Encoding: gzip")),
    "broken compression": says(answer(b"\x1f\x8bxx", b"Content-Encoding: gzip")),
    "empty": says(answer(b"")),
    "no text": says(answer(b"\xff\xfe\x00")),
    "invalid JSON": says(answer(b'{"sid": ')),
    "JSON without end": says(answer(b"[" * 200_000)),
    "JSON of another kind": says(answer(b"[]")),
    "invalid XML": says(answer(b"<e:Envelope>")),
    "XML of another kind": says(answer(b"<html/>")),
    "XML bomb": says(answer(b'<!DOCTYPE a [<!ENTITY b "bbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">]>' + XML % b"<r>&c;</r>")),
    "XML without end": says(answer(b"<a>" * 100_000)),
}


CONTENT = {name for name in IN_DOUBT if name.split()[0] in ("empty", "no", "invalid", "JSON", "XML")}
CASES = [(name, "mada") for name in IN_DOUBT] + [(name, "twilio") for name in CONTENT]


@pytest.mark.parametrize(("name", "plugin"), sorted(CASES))
async def test_what_makes_no_sense_is_in_doubt_and_the_next_provider_sends(tmp_path, name, plugin) -> None:
    with RawVendor(IN_DOUBT[name]) as vendor:
        assert await met(tmp_path, f"http://127.0.0.1:{vendor.port}", plugin) == "ambiguous"
        assert vendor.requests == 1


@pytest.mark.parametrize("plugin", ["mada", "twilio"])
async def test_a_redirect_is_not_followed(tmp_path, plugin) -> None:
    with RawVendor(says(answer(GOOD))) as elsewhere:
        there = b"Location: http://127.0.0.1:%d/" % elsewhere.port
        with RawVendor(says(answer(b"", there, status=b"307 Temporary Redirect"))) as vendor:
            assert await met(tmp_path, f"http://127.0.0.1:{vendor.port}", plugin, AMPLE) == "misconfigured"
        assert elsewhere.requests == 0


async def test_a_connection_that_breaks_before_the_request_was_read_is_in_doubt(tmp_path) -> None:
    """Unless the client finds the connection broken before it writes a byte."""
    with RawVendor(reset, reads=False) as vendor:
        assert await met(tmp_path, f"http://127.0.0.1:{vendor.port}", "mada") in ("ambiguous", "unavailable")


async def test_a_real_answer_after_early_hints_is_understood(tmp_path) -> None:
    accepted = XML % b"<r><commandStatus>0</commandStatus><messageId>1</messageId></r>"
    with RawVendor(says(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", answer(accepted))) as vendor:
        recorder = EventRecorder()
        with MadaSimulator() as well:
            url = f"http://127.0.0.1:{vendor.port}"
            async with service(tmp_path, url, "mada", well, recorder, AMPLE) as otp:
                challenge = await otp.send_sms(PHONE)
                assert (challenge.provider, challenge.confirmed) == ("broken", True)


async def test_a_flood_is_not_kept_in_memory(tmp_path) -> None:
    bomb = gzip.compress(b" " * 200_000_000)
    with RawVendor(says(answer(bomb, b"Content-Encoding: gzip"))) as vendor:
        tracemalloc.start()
        try:
            await met(tmp_path, f"http://127.0.0.1:{vendor.port}", "mada")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 32 * 1024 * 1024


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Certificates:
    made = Certificates(tmp_path_factory.mktemp("tls"))
    made.server("localhost")
    return made


TLS = {
    "good": {"name": "localhost"},
    "self-signed": {"name": "localhost", "signed": False},
    "another host": {"name": "vendor.example"},
    "expired": {"name": "localhost", "days": (-10, -1)},
    "not valid yet": {"name": "localhost", "days": (1, 10)},
}


@pytest.mark.parametrize("certificate", TLS)
async def test_only_a_certificate_that_is_right_gets_to_see_a_request(
    tmp_path, certificates, certificate, monkeypatch
) -> None:
    trusting = ssl.create_default_context(cafile=str(certificates.authority))
    monkeypatch.setattr(
        _http_transport, "_shared_ssl_context", lambda: trusting
    )  # an authority that this machine trusts
    with RawVendor(says(answer(b"")), tls=certificates.server(**TLS[certificate])) as vendor:
        kind = await met(tmp_path, f"https://localhost:{vendor.port}", "mada", AMPLE)
        assert (kind, vendor.requests) == (("ambiguous", 1) if certificate == "good" else ("unavailable", 0))


@pytest.mark.parametrize(
    "script",
    [says(answer(b"")), says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), reset, says(), says(then_hang=True)],
    ids=["plain answer", "plain refusal", "reset", "closed", "nothing"],
)
async def test_a_port_that_speaks_no_tls_gets_to_see_no_request(tmp_path, script) -> None:
    with RawVendor(script, reads=False) as vendor:
        assert await met(tmp_path, f"https://127.0.0.1:{vendor.port}", "mada") == "unavailable"


async def test_a_name_that_is_not_found_is_unavailable(tmp_path) -> None:
    assert await met(tmp_path, "https://vendor.invalid", "mada") == "unavailable"


async def test_a_name_server_that_does_not_answer_is_unavailable_within_the_timeout(tmp_path, monkeypatch) -> None:
    real = socket.getaddrinfo

    def slow(host, *arguments, **options):
        if host in ("vendor.invalid", b"vendor.invalid"):
            time.sleep(3)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return real(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)  # a resolver that hangs, as libc's does for many seconds
    assert await met(tmp_path, "https://vendor.invalid", "mada") == "unavailable"


async def test_a_vendor_that_answers_after_everybody_left_delivers_a_code_that_verifies(tmp_path) -> None:
    """Half open: the message leaves, the answer never comes, and a retry is not needed for the code to work."""
    recorder = EventRecorder()
    with TwilioSimulator() as twilio, MadaSimulator() as well:
        twilio.fail(Fault.HANG_AFTER_WORK)
        keys = generate_keys(utc_now())
        settings = {
            "otp_sms_provider": "twilio;well",
            "providers": {"twilio": twilio.provider_settings(), "well": {"plugin": "mada", **well.provider_settings()}},
            "keys": {"index": keys.index, "code": dict(keys.code), "current": keys.current},
            "storage": {"url": f"sqlite:///{tmp_path / 'otp.sqlite3'}"},
            "otp": {"provider_timeout": TIMEOUT, "send_timeout": 30},
        }
        async with AsyncOTPService(settings, observers=[recorder]) as otp:
            challenge = await otp.send_sms(PHONE)
            assert challenge.provider == "well"
            assert await otp.verify(challenge_id=challenge.id, code=twilio.inbox[0].code)
    assert failures(recorder) == [("twilio", "ambiguous")]


async def test_twenty_sends_at_once_to_a_vendor_that_hangs_all_reach_the_next_one(tmp_path) -> None:
    recorder = EventRecorder()
    with RawVendor(says(then_hang=True)) as vendor, MadaSimulator() as well:
        url = f"http://127.0.0.1:{vendor.port}"
        async with (
            service(tmp_path, url, "mada", well, recorder, 4 * TIMEOUT) as otp,
            anyio.create_task_group() as tasks,
        ):
            for number in range(20):
                tasks.start_soon(otp.send_sms, f"+3598712345{number:02}")
    assert len(well.inbox) == 20
