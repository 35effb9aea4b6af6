"""The simulator of a table, judged by what the vendors' own SDKs were seen to send, and used as a person would."""

from __future__ import annotations

import http.client
import json
import threading
from contextlib import AsyncExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import entry_points
from urllib.parse import urlencode

import pytest
from captured import captures
from otp_http import create_provider
from otp_http.catalogue import built_in
from otp_http.simulator import GatewaySimulator

from otpcore.providers import ErrorKind, ProviderContext, ProviderError, ReceiptRequest

CAPTURES = [one for one in captures() if one.gateway in built_in()]


def sent(simulator, request, **headers):
    """The status and body of the simulator's answer to a request as an SDK made it."""
    connection = http.client.HTTPConnection(simulator.base_url.removeprefix("http://"))
    body = (
        json.dumps(request["json"], separators=(",", ":")) if "json" in request else urlencode(request.get("form", {}))
    )
    target = request["path"] + (f"?{urlencode(request['query'])}" if request.get("query") else "")
    connection.request(request["method"], target, body, {**request["headers"], **headers})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda capture: capture.title)
def test_what_an_sdk_sends_is_taken(capture):
    with GatewaySimulator(capture.gateway) as simulator:
        simulator.account |= capture.settings
        status, body = sent(simulator, capture.request)
        assert status // 100 == 2, body
        (message,) = simulator.inbox
        assert (message.recipient, message.channel) == (capture.send["recipient"], capture.channel)
        assert message.code == capture.send["code"]
        told = simulator.told[message.reference or capture.send["delivery_id"]]
        assert told[1] in ("", capture.send["receipt_url"])
        expected = next(answer for answer in capture.answers if answer["accepted"])
        assert set(json.loads(body)) & set(expected["body"]), "the shape of the vendor's own answer"


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda capture: capture.title)
def test_another_account_is_refused(capture):
    with GatewaySimulator(capture.gateway) as simulator:
        secrets = [name for name, setting in simulator.table.settings.items() if setting.secret]
        simulator.account |= {**capture.settings, **dict.fromkeys(secrets, "of-another-account")}
        assert sent(simulator, capture.request)[0] == 401
        assert not simulator.inbox


@pytest.mark.parametrize(
    ("gateway", "name", "other"),
    [
        ("africastalking", "username", "another"),
        ("messente", "username", "another"),
        ("mobica", "user", "another"),
        ("telesign", "customer_id", "12345678-9ABC-DEF0-1234-56789ABCDEF1"),
        ("vonage_sms", "api_key", "another"),
    ],
)
async def test_the_name_of_another_account_is_refused(gateway, name, other, request_to, anyio_backend_name):
    with GatewaySimulator(gateway) as simulator:
        settings = {**simulator.provider_settings(), name: other}
        made = create_provider(ProviderContext(instance="acme", settings=settings))
        async with AsyncExitStack() as stack:
            await made.start(stack)
            with pytest.raises(ProviderError) as refused:
                await made._send(request_to())
    assert refused.value.kind is ErrorKind.MISCONFIGURED
    assert not simulator.inbox


async def test_a_gateway_that_is_not_there_is_told_with_the_key_of_its_setting(
    telegram, request_to, anyio_backend_name
):
    settings = {**telegram.provider_settings(), "base_url": f"{telegram.base_url}/elsewhere"}
    made = create_provider(ProviderContext(instance="w4", settings=settings))
    async with AsyncExitStack() as stack:
        await made.start(stack)
        with pytest.raises(ProviderError, match=r"not found: check providers\.w4\.base_url"):
            await made._send(request_to(channel="telegram"))


NUMBERS = ("+359871234567", "+989121234567", "+14155550123", "+447700900123", "+4915123456789", "+390612345678")


@pytest.mark.parametrize("gateway", built_in())
async def test_a_message_arrives_at_its_number_whatever_the_country(gateway, request_to, anyio_backend_name):
    with GatewaySimulator(gateway) as simulator:
        made = create_provider(ProviderContext(instance="acme", settings=simulator.provider_settings()))
        async with AsyncExitStack() as stack:
            await made.start(stack)
            for channel in sorted(made.channels):
                for index, number in enumerate(NUMBERS):
                    told = f"{channel}-{index}"
                    await made._send(request_to(number, channel=channel, delivery_id=told, idempotency_key=told))
        assert [message.recipient for message in simulator.inbox] == list(NUMBERS) * len(made.channels)


def test_what_no_channel_of_the_gateway_has_is_not_found():
    with GatewaySimulator("vonage_sms") as simulator:
        assert sent(simulator, {"method": "POST", "path": "/sms/xml", "headers": {}})[0] == 404


@pytest.fixture
def telegram():
    with GatewaySimulator("telegram") as simulator:
        yield simulator


@pytest.fixture
async def provider(telegram, anyio_backend_name):
    made = create_provider(ProviderContext(instance="telegram", settings=telegram.provider_settings()))
    async with AsyncExitStack() as stack:
        await made.start(stack)
        yield made


async def test_it_refuses_by_the_codes_of_the_table(telegram, provider, request_to):
    telegram.refusals["+359880000013"] = "PHONE_NUMBER_NOT_FOUND"
    telegram.refuse("FLOOD_WAIT_*")
    request = request_to(channel="telegram", delivery_id="d1")
    with pytest.raises(ProviderError) as refused:
        await provider._send(request)
    assert (refused.value.kind, refused.value.retry_after) == (ErrorKind.THROTTLED, 7)
    assert await provider._send(request)
    with pytest.raises(ProviderError) as refused:
        await provider._send(request_to("+359880000013", channel="telegram"))
    assert refused.value.kind is ErrorKind.REJECTED_NUMBER
    assert len(telegram.inbox) == 1


async def test_it_reports_to_where_it_was_told(telegram, provider, request_to):
    arrived = []

    class Host(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            arrived.append((self.path, dict(self.headers), body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    host = HTTPServer(("127.0.0.1", 0), Host)
    thread = threading.Thread(target=host.serve_forever)
    thread.start()
    telegram.receipts_at = f"http://127.0.0.1:{host.server_port}/receipts/telegram"
    telegram.reports("read")
    try:
        receipt = await provider._send(request_to(channel="telegram"))
        telegram.wait_for_callbacks()
    finally:
        host.shutdown()
        thread.join()
        host.server_close()
    ((path, headers, body),) = arrived
    assert path == "/receipts/telegram"
    answer = await provider.parse_receipt(ReceiptRequest(url=telegram.receipts_at, headers=headers, body=body))
    (report,) = answer.receipts
    assert (report.status, report.reference, report.delivery_id) == ("delivered", receipt.reference, "delivery-1")


TULIP = """
name = "Tulip"
base_url = "https://api.tulip.example"
[send.sms]
path = "/send"
form = { to = "{digits}", text = "{text}" }
[answer]
reference = "id"
code = "code"
codes = { 07 = "blocked", 11 = "rejected_number" }
examples = { accepted = { id = %s }, refused = { code = 20 } }
"""


@pytest.mark.parametrize(("example", "made"), [("12", 1), ('"12"', "1"), ('"a12"', "sim-00000001")])
def test_ids_and_codes_are_written_as_in_the_examples(example, made, tmp_path):
    table = tmp_path / "tulip.toml"
    table.write_text(TULIP % example, encoding="utf-8")
    request = {"method": "POST", "path": "/send", "headers": {}, "form": {"to": "359871234567", "text": "1234"}}
    with GatewaySimulator(table) as simulator:
        assert json.loads(sent(simulator, request)[1]) == {"id": made}
        for code, written in (("11", 11), ("07", "07")):
            simulator.refuse(code)
            assert json.loads(sent(simulator, request)[1]) == {"code": written}


def test_every_gateway_has_its_simulator_under_its_name():
    ours = {point.name: point for point in entry_points(group="otpcore.simulators") if point.dist.name == "otp-http"}
    assert set(ours) == set(built_in())
    with ours["infobip"].load()() as simulator:
        assert simulator.provider_settings()["gateway"] == "infobip"
