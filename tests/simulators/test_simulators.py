"""Tests of the simulators' base: faults look on the wire as their names say, and nothing is left behind."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from datetime import UTC, datetime

import pytest

from otpcore.models import Channel
from otpcore.simulators.exchange import Fault, SimulatedAnswer, SimulatedRequest, find_code
from otpcore.simulators.simulator import Simulator, running


class EchoSimulator(Simulator):
    def __init__(self):
        super().__init__()
        self.work_done = 0

    def handle(self, request: SimulatedRequest) -> SimulatedAnswer:
        self.work_done += 1
        return SimulatedAnswer.json(200, {"path": request.path, "work": self.work_done}, {"X-Vendor": "echo"})


@pytest.fixture
def echo():
    with EchoSimulator() as simulator:
        yield simulator


@pytest.fixture
def client(echo):
    connection = http.client.HTTPConnection("127.0.0.1", _port(echo), timeout=5)
    yield connection
    connection.close()


def _port(simulator: Simulator) -> int:
    return int(simulator.base_url.rpartition(":")[2])


def _ask(connection, method="POST", path="/x", body=b"a=1&a=2&b=", **headers):
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer, answer.read()


def test_a_request_is_recorded_as_it_was_sent(echo, client):
    answer, body = _ask(client, "PUT", "/id/+4915%2B1?q=%41", X_Trace="T1")
    assert (answer.status, json.loads(body)["path"], answer.headers["x-vendor"]) == (200, "/id/+4915%2B1", "echo")
    request = echo.requests[0]
    assert (request.method, request.path, request.query) == ("PUT", "/id/+4915%2B1", "q=%41")
    assert request.headers["x_trace"] == "T1"
    assert request.form() == {"a": ["1", "2"], "b": [""]}


def test_one_connection_serves_many_requests(echo, client):
    _ask(client)
    port = client.sock.getsockname()[1]
    _ask(client)
    assert client.sock.getsockname()[1] == port


def test_a_fault_happens_as_often_as_asked_then_the_vendor_is_well_again(echo, client):
    echo.fail(Fault.HTTP_503, times=2)
    echo.fail(Fault.HTTP_429)
    answers = [_ask(client)[0] for _ in range(4)]
    assert [answer.status for answer in answers] == [503, 503, 429, 200]
    assert answers[2].headers["retry-after"] == "7"
    assert (echo.work_done, len(echo.requests)) == (1, 4)


def test_a_lasting_fault_ends_with_recover(echo, client):
    echo.fail(Fault.HTTP_500, times=None)
    assert [_ask(client)[0].status for _ in range(3)] == [500] * 3
    echo.recover()
    assert _ask(client)[0].status == 200


@pytest.mark.parametrize(
    ("fault", "status", "content"),
    [
        (Fault.HTTP_401, 401, b"Unauthorized"),
        (Fault.HTTP_404, 404, b"Not Found"),
        (Fault.HTTP_405, 405, b"Method Not Allowed"),
        (Fault.GARBAGE_BODY, 200, b"\xff<<nonsense"),
        (Fault.REDIRECT, 307, b""),
        (Fault.HUGE_BODY, 200, b" " * 4 * 1024 * 1024),
    ],
)
def test_a_fault_that_is_an_answer_keeps_the_connection_usable(echo, client, fault, status, content):
    echo.fail(fault)
    answer, body = _ask(client)
    assert (answer.status, body) == (status, content)
    assert _ask(client)[0].status == 200
    assert echo.work_done == 1


@pytest.mark.parametrize(
    ("fault", "expected", "work"),
    [
        (Fault.CLOSE_AFTER_READ, http.client.RemoteDisconnected, 0),
        (Fault.RESET_AFTER_READ, ConnectionResetError, 0),
        (Fault.RESET_AFTER_WORK, ConnectionResetError, 1),
        (Fault.GARBAGE_STATUS_LINE, http.client.BadStatusLine, 0),
    ],
)
def test_a_fault_that_breaks_the_connection_breaks_it_as_its_name_says(echo, client, fault, expected, work):
    echo.fail(fault)
    with pytest.raises(expected) as caught:
        _ask(client)
    assert type(caught.value) is expected
    assert (echo.work_done, len(echo.requests)) == (work, 1)


@pytest.mark.parametrize(("fault", "work"), [(Fault.HANG, 0), (Fault.HANG_AFTER_WORK, 1)])
def test_a_hanging_request_stays_silent_until_the_simulator_stops(echo, fault, work):
    echo.fail(fault)
    with socket.create_connection(("127.0.0.1", _port(echo)), timeout=5) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(1)
        assert (len(echo.requests), echo.work_done) == (1, work)
        echo.stop()
        assert client.recv(1) == b""


def test_a_slow_body_comes_byte_by_byte_and_never_ends(echo):
    echo.fail(Fault.SLOW_BODY)
    with socket.create_connection(("127.0.0.1", _port(echo)), timeout=5) as client, client.makefile("rb") as answer:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        while answer.readline() != b"\r\n":
            pass
        first, second = answer.read1(100), answer.read1(100)  # on a busy machine, more than one byte may have come
        assert first
        assert second
        assert (first + second).strip() == b""


def test_down_refuses_connections_and_breaks_open_ones_and_up_returns_on_the_same_port(echo, client):
    _ask(client)
    before = echo.base_url
    echo.down()
    with pytest.raises(ConnectionError):
        _ask(client)
    client.close()
    with pytest.raises(ConnectionRefusedError):
        _ask(client)
    client.close()
    echo.up()
    assert echo.base_url == before
    answer, body = _ask(client)
    assert (answer.status, json.loads(body)["work"]) == (200, 2)


def test_stop_leaves_no_thread_and_no_listening_port(recwarn):
    before = threading.active_count()
    with EchoSimulator() as simulator:
        port = _port(simulator)
        simulator.fail(Fault.HANG)
        hanging = socket.create_connection(("127.0.0.1", port), timeout=5)
        hanging.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        idle = socket.create_connection(("127.0.0.1", port), timeout=5)
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    hanging.close()
    idle.close()
    with pytest.raises(RuntimeError, match="not been started"):
        _ = simulator.base_url


def test_several_run_together_on_ports_of_their_own():
    with running(EchoSimulator(), EchoSimulator()) as (first, second):
        assert first.base_url != second.base_url


def test_a_delivered_message_carries_the_code_found_in_its_text(echo):
    echo.deliver(recipient="+359871234567", channel=Channel.SMS, text="Code 042137, 5 minutes", reference="SM1")
    echo.deliver(recipient="+359871234567", channel="call", text="hello", code="9999")
    assert [(m.code, m.channel, m.reference) for m in echo.inbox] == [
        ("042137", Channel.SMS, "SM1"),
        ("9999", Channel.CALL, ""),
    ]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Your code is 123456. It works for 5 minutes.", "123456"),
        ("5 minutes: 0042", "0042"),
        ("Acme 2024: 042137", "042137"),
        ("Your Acme 2024 code is: 1, 2, 3, 4.", "1234"),
        ("Your code is 1, 2, 3, 4, 5, 6. Again: 1, 2, 3, 4, 5, 6.", "123456"),
        ("Your code: 1 2 3 4. Once more: 1 2 3 4.", "1234"),
        ("call 359871234567 now", ""),
        ("no digits", ""),
    ],
)
def test_the_code_is_found_written_or_spoken(text, code):
    assert find_code(text) == code


@pytest.mark.parametrize(
    ("answer", "kind", "body"),
    [
        (SimulatedAnswer.json(200, {"id": "ü"}), "application/json", b'{"id": "\\u00fc"}'),
        (SimulatedAnswer.xml(200, "<id>ü</id>"), "text/xml; charset=utf-8", "<id>ü</id>".encode()),
        (SimulatedAnswer.text(200, "OK:ü"), "text/plain; charset=utf-8", "OK:ü".encode()),
        (SimulatedAnswer.text(200, "OK", {"Content-Type": "text/html"}), "text/html", b"OK"),
        (SimulatedAnswer.empty(200), None, b""),
    ],
)
def test_an_answer_says_what_it_is_written_in(answer, kind, body):
    assert (answer.status, answer.headers.get("Content-Type"), answer.body) == (200, kind, body)


def test_the_clock_can_be_replaced(echo):
    assert echo.clock().tzinfo is UTC
    echo.clock = lambda: datetime(2026, 1, 1, tzinfo=UTC)
    assert echo.clock().year == 2026


class ReportingSimulator(Simulator):
    """Reports as the request says, to the address that stands in it."""

    def handle(self, request: SimulatedRequest) -> SimulatedAnswer:
        wish = request.json()
        self.call_back(wish.pop("url"), **wish)
        return SimulatedAnswer.empty(204)


FORM, JSON = "application/x-www-form-urlencoded", "application/json"


@pytest.mark.parametrize(
    ("wish", "query", "kind", "body"),
    [
        ({"method": "GET", "query": {"MsgId": "M 1", "to": "+359"}}, "k=v&MsgId=M+1&to=%2B359", None, b""),
        ({"form": {"id": "M1", "status": "a&b"}}, "k=v", FORM, b"id=M1&status=a%26b"),
        ({"json": [{"id": "M1"}]}, "k=v", JSON, b'[{"id": "M1"}]'),
        ({"json": {}, "headers": {"Content-Type": "text/json"}}, "k=v", "text/json", b"{}"),
        ({"method": "PUT"}, "k=v", None, b""),
    ],
)
def test_a_customer_is_called_with_the_verb_and_the_fields_that_the_vendor_uses(echo, wish, query, kind, body):
    with ReportingSimulator() as vendor:
        connection = http.client.HTTPConnection("127.0.0.1", _port(vendor), timeout=5)
        address = f"{echo.base_url}/receipts/acme/d1/proof"
        _ask(connection, body=json.dumps({"url": f"{address}?k=v", **wish}).encode())
        connection.close()
        vendor.wait_for_callbacks()
        assert [one.url for one in vendor.callbacks] == [f"{address}?{query}"]
    (heard,) = echo.requests
    assert (heard.method, heard.path, heard.query) == (wish.get("method", "POST"), "/receipts/acme/d1/proof", query)
    assert (heard.headers.get("content-type"), heard.body) == (kind, body)
