"""Tests of the plugins' HTTP client against real sockets: what is sent, how often, and what each failure is called."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import gzip
import logging
import socket
import subprocess
import sys
import traceback
from contextlib import AsyncExitStack
from decimal import Decimal

import anyio
import httpx
import httpx_aiohttp
import pytest

from otpcore.errors import ErrorKind, ProviderError
from otpcore.http import transport as _http_transport
from otpcore.http.client import HttpAnswer
from otpcore.prices import Price
from otpcore.providers.hooks import ProviderContext
from otpcore.settings.network import Network
from otpcore.simulators.exchange import Fault, SimulatedAnswer
from otpcore.simulators.simulator import Simulator

from .clients import client_of, failure_of

NUMBER = "359871234567"
SECRET = "correct-horse-battery"


class Vendor(Simulator):
    """Answers 200 with a cookie and, if there is one, the test's own answer."""

    prepared: SimulatedAnswer | None = None

    def handle(self, request):
        return self.prepared or SimulatedAnswer.json(200, {"ok": True}, {"Set-Cookie": "stick=1"})


@pytest.fixture
def vendor():
    with Vendor() as simulator:
        yield simulator


async def test_a_form_goes_out_with_its_headers_and_basic_auth(vendor):
    async with client_of(vendor.base_url + "/v2", auth=("user", SECRET), headers={"X-Acme": "1"}) as client:
        answer = await client.request("POST", "/send", form={"To": "+359 1", "Body": "é"}, headers={"x-acme": "2"})
    request = vendor.requests[0]
    assert (answer.status, answer.json(), answer.headers["CONTENT-TYPE"]) == (200, {"ok": True}, "application/json")
    assert (request.method, request.path, request.body) == ("POST", "/v2/send", b"To=%2B359+1&Body=%C3%A9")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode() == f"user:{SECRET}"
    assert request.headers["x-acme"] == "2"
    assert request.headers["user-agent"] == "otpcore"


async def test_each_kind_of_body_says_what_it_is(vendor):
    async with client_of(vendor.base_url) as client:
        await client.request("POST", "", form=[("Event", "a"), ("Event", "b")])
        await client.request("POST", "/", json={"text": "ж", "n": [1]})
        await client.request("POST", "/", content=b"<a/>", headers={"Content-Type": "text/xml"})
        await client.request("GET", "/")
        with pytest.raises(ValueError, match="one body"):
            await client.request("POST", "/", json=1, content=b"")
    assert [(r.body.decode(), r.headers.get("content-type")) for r in vendor.requests] == [
        ("Event=a&Event=b", "application/x-www-form-urlencoded"),
        ('{"text":"ж","n":[1]}', "application/json"),
        ("<a/>", "text/xml"),
        ("", None),
    ]
    assert vendor.requests[0].path == "/"


@pytest.mark.parametrize("target", [f"/number/+{NUMBER}", "/a%2Bb%41%2f~/b:c@d", "/q?to=+1&x=%41+%20", "/"])
@pytest.mark.parametrize("method", ["POST", "PUT", "GET"])
async def test_the_path_goes_out_byte_for_byte(vendor, method, target):
    async with client_of(vendor.base_url + "/+base") as client:
        await client.request(method, target, content=None if method == "GET" else b"x")
    request = vendor.requests[0]
    assert request.path + ("?" + request.query if request.query else "") == "/+base" + target


@pytest.mark.parametrize("target", [f"/a b/{NUMBER}", "/é", "/a/../b", "/a\nb", "/a?b c"])
async def test_a_path_that_would_be_changed_on_the_way_is_refused_unquoted(vendor, target):
    async with client_of(vendor.base_url) as client:
        with pytest.raises(ValueError, match="percent-encoded") as caught:
            await client.request("GET", target)
    assert NUMBER not in "".join(traceback.format_exception(caught.value.with_traceback(None)))
    assert not vendor.requests


async def test_no_cookie_comes_back_and_no_redirect_is_followed(vendor):
    async with client_of(vendor.base_url) as client:
        await client.request("GET", "/")
        vendor.fail(Fault.REDIRECT)
        answer = await client.request("POST", "/", form={"a": "b"})
        await client.request("GET", "/")
    assert answer.status == 307
    assert len(vendor.requests) == 3
    assert not any("cookie" in request.headers for request in vendor.requests)


async def test_proxies_of_the_environment_are_not_used(vendor, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with client_of(vendor.base_url) as client:
        assert (await client.request("GET", "/")).status == 200


async def test_a_transport_given_by_a_test_wins():
    seen = []

    def answer(request):
        seen.append((request.method, str(request.url)))
        return httpx.Response(201, json={"sid": "1"})

    async with client_of("https://api.acme.example", transport=httpx.MockTransport(answer)) as client:
        assert (await client.request("POST", "/+1", form={"a": "b"})).json() == {"sid": "1"}
    assert seen == [("POST", "https://api.acme.example/+1")]


BREAKS = [Fault.CLOSE_AFTER_READ, Fault.RESET_AFTER_READ, Fault.RESET_AFTER_WORK, Fault.GARBAGE_STATUS_LINE]


@pytest.mark.parametrize("reused", [False, True], ids=["fresh", "reused"])
@pytest.mark.parametrize(
    ("method", "body"), [("POST", b"x"), ("PUT", b"x"), ("PUT", None), ("DELETE", b"x"), ("GET", None)]
)
@pytest.mark.parametrize("fault", BREAKS)
async def test_a_request_whose_connection_breaks_arrives_once_and_is_ambiguous(vendor, fault, method, body, reused):
    async with client_of(vendor.base_url) as client:
        if reused:
            await client.request("GET", "/")
        before = len(vendor.requests)
        vendor.fail(fault, times=None)
        error = await failure_of(client.request(method, "/", content=body))
    assert error.kind is ErrorKind.AMBIGUOUS
    assert len(vendor.requests) - before == 1


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("fault", [Fault.CLOSE_AFTER_READ, Fault.RESET_AFTER_READ, Fault.RESET_AFTER_WORK])
async def test_over_a_hosts_own_transport_a_lost_answer_is_ambiguous_too(vendor, fault):
    """``httpx-aiohttp`` says of it that the connection could not be made."""
    vendor.fail(fault)
    async with httpx_aiohttp.AiohttpTransport() as transport, client_of(vendor.base_url, transport=transport) as client:
        assert (await failure_of(client.request("POST", "/", content=b"x"))).kind is ErrorKind.AMBIGUOUS
        assert (await client.request("POST", "/", content=b"x")).status == 200
        vendor.down()
        errors = [await failure_of(client.request("POST", "/", content=b"x")) for _ in range(2)]
        vendor.up()
    assert errors[-1].kind is ErrorKind.UNAVAILABLE


async def connected(client):
    """However long connecting takes on a busy machine: a part of the client's time may be too short for it."""
    with anyio.fail_after(10):
        while True:
            with contextlib.suppress(ProviderError):
                await client.request("GET", "/")
                return


@pytest.mark.parametrize("fault", [Fault.HANG, Fault.HANG_AFTER_WORK, Fault.SLOW_BODY, Fault.HUGE_BODY])
async def test_no_answer_in_time_or_far_too_much_of_it_is_ambiguous(vendor, fault):
    async with client_of(vendor.base_url, timeout=0.5 if fault is not Fault.HUGE_BODY else 5) as client:
        await connected(client)  # only the answer can be late
        vendor.requests.clear()
        vendor.fail(fault)
        with anyio.fail_after(10):
            error = await failure_of(client.request("PUT", "/", content=b"x"))
            while not vendor.requests:  # on a busy machine the vendor reads later than we give up
                await anyio.sleep(0.01)
    assert error.kind is ErrorKind.AMBIGUOUS
    assert len(vendor.requests) == 1


async def test_a_large_answer_that_does_not_say_its_length_is_not_kept(vendor):
    vendor.prepared = SimulatedAnswer(200, gzip.compress(b" " * 3_000_000), {"Content-Encoding": "gzip"})
    async with client_of(vendor.base_url) as client:
        error = await failure_of(client.request("GET", "/"))
    assert (error.kind, "too large" in str(error)) == (ErrorKind.AMBIGUOUS, True)


async def test_a_refused_connection_is_unavailable(vendor):
    async with client_of(vendor.base_url) as client:
        await client.request("GET", "/")
        vendor.down()
        vendor.requests.clear()
        errors = [await failure_of(client.request("POST", "/", content=b"x")) for _ in range(2)]
        vendor.up()
        assert (await client.request("POST", "/", content=b"x")).status == 200
    assert errors[-1].kind is ErrorKind.UNAVAILABLE
    assert "127.0.0.1" in str(errors[-1])


async def test_a_name_that_does_not_exist_is_unavailable():
    async with client_of("https://acme.invalid", timeout=5) as client:
        assert (await failure_of(client.request("POST", "/", content=b"x"))).kind is ErrorKind.UNAVAILABLE


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_server_that_never_accepts_is_unavailable_within_the_timeout(scheme):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0 if scheme == "http" else 8)  # https: TCP is there, TLS never answers
        port = silent.getsockname()[1]
        backlog = [socket.socket() for _ in range(3 if scheme == "http" else 0)]
        for filler in backlog:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        async with client_of(f"{scheme}://127.0.0.1:{port}", timeout=0.4) as client:
            error = await failure_of(client.request("POST", "/", content=b"x"))
        for filler in backlog:
            filler.close()
    assert error.kind is ErrorKind.UNAVAILABLE


async def test_waiting_in_vain_for_a_free_connection_is_unavailable(vendor):
    errors = []
    vendor.fail(Fault.HANG)

    async def post(client):
        errors.append((await failure_of(client.request("POST", "/", content=b"x"))).kind)

    async with client_of(vendor.base_url, timeout=1, max_connections=1) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(post, client)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(post, client)
    assert errors == [ErrorKind.UNAVAILABLE, ErrorKind.AMBIGUOUS]
    assert len(vendor.requests) == 1


async def test_a_cancelled_request_leaves_the_client_usable_and_closable(vendor):
    vendor.fail(Fault.HANG)
    async with client_of(vendor.base_url) as client:
        with anyio.move_on_after(0.1):
            await client.request("POST", "/", content=b"x")
        assert (await client.request("POST", "/", content=b"x")).status == 200


async def test_many_requests_at_once_share_few_connections(vendor):
    answers = []

    async def post(client):
        answers.append((await client.request("POST", "/", content=b"x")).status)

    async with client_of(vendor.base_url, max_connections=3) as client, anyio.create_task_group() as tasks:
        for _ in range(30):
            tasks.start_soon(post, client)
    assert answers == [200] * 30


@pytest.mark.parametrize("fault", [*BREAKS, Fault.HANG, Fault.HUGE_BODY, None])
async def test_neither_the_error_nor_any_log_shows_the_number_or_the_credentials(vendor, fault, caplog):
    caplog.set_level(logging.DEBUG)
    token = base64.b64encode(f"user:{SECRET}".encode()).decode()
    errors = []
    if fault is None:
        vendor.down()
    else:
        vendor.fail(fault)
    async with client_of(vendor.base_url, auth=("user", SECRET), timeout=0.4) as client:
        errors.append(await failure_of(client.request("PUT", f"/number/+{NUMBER}", form={"To": NUMBER})))
    vendor.up()
    async with client_of(vendor.base_url, auth=("user", SECRET)) as client:
        await client.request("PUT", f"/number/+{NUMBER}", form={"To": NUMBER})
        bad = {"Authorization": f"Bearer {SECRET}\n"}
        errors.append(await failure_of(client.request("POST", "/", headers=bad)))
    assert errors[1].kind is ErrorKind.MISCONFIGURED
    said = caplog.text
    for error in errors:
        assert error.__cause__ is None
        assert error.__context__ is None
        said += f"{error} {error!r} {error.args}" + "".join(traceback.format_exception(error))
    for secret in (NUMBER, SECRET, token):
        assert secret not in said


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("Thu, 01 Jan 2026 00:01:30 GMT", 90.0),
        ("Wed, 31 Dec 2025 23:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("1e9", None),
        ("", None),
    ],
)
async def test_retry_after_is_read_as_seconds_or_as_a_date(vendor, value, seconds):
    vendor.prepared = SimulatedAnswer(429, b"", {"Retry-After": value})
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    async with client_of(vendor.base_url, clock=lambda: now) as client:
        assert (await client.request("GET", "/")).retry_after == seconds


@pytest.mark.parametrize("body", [b"", b"\xff<<nonsense", b"[" * 100_000, b'{"code": 1'])
def test_a_body_that_is_no_json_is_ambiguous_and_not_quoted(body):
    answer = HttpAnswer(status=200, body=body)
    with pytest.raises(ProviderError) as caught:
        answer.json()
    assert caught.value.kind is ErrorKind.AMBIGUOUS
    assert caught.value.__context__ is None
    assert answer.json_object() == {}


def test_numbers_of_an_answer_keep_every_digit():
    body = b'{"price": 0.00750, "id": 12345678901234567890.5, "parts": 2, "rate": 1e-7}'
    answer = HttpAnswer(status=200, body=body)
    for said in (answer.json(), answer.json_object()):
        assert str(Price.read(said["price"], "USD")) == "0.00750 USD"
        assert str(said["id"]) == "12345678901234567890.5"
        assert (type(said["parts"]), said["parts"]) == (int, 2)
        assert said["rate"] == Decimal("0.0000001")


def test_the_body_of_an_answer_stays_out_of_repr():
    answer = HttpAnswer(status=400, headers={"Location": NUMBER}, body=b'{"code": 123456}')
    assert answer.json_object() == {"code": 123456}
    assert HttpAnswer(status=200, body=b"[1]").json_object() == {}
    assert "123456" not in repr(answer)
    assert NUMBER not in repr(answer)


def test_importing_the_module_does_not_import_httpx():
    program = "import sys, otpcore.http; sys.exit(any(m in sys.modules for m in ('httpx', 'aiohttp')))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_a_lost_syn_still_connects_and_the_phases_leave_time_for_the_answer(anyio_backend):
    """A lost SYN is repeated after a second (RFC 6298); waiting, TCP and TLS have a time each, and all fit into the whole."""
    seconds = ProviderContext(instance="acme").timeout
    async with AsyncExitStack() as stack:
        transport = await _http_transport.open_transport(
            stack, seconds=seconds, max_connections=1, network=Network(), url="https://example.com"
        )
        timeouts = transport.timeouts
    assert timeouts["connect"] > 1.0
    assert timeouts["pool"] + 2 * timeouts["connect"] < seconds
