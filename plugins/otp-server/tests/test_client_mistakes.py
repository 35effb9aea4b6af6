"""What a client gets wrong is its own affair: 422 with the field, and never a 5xx that nobody here can do anything about."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from otp_server.keys import Kind

from otpcore import Channel, hookimpl
from otpcore.providers import Carries, DeliveryReceipt, DeliveryRequest, ProviderInfo
from otpcore.testing import Outbox

START, MESSAGES, DECOYS = "/v1/verifications", "/v1/messages", "/v1/decoys"
WHATSAPP = Channel("whatsapp")


class Plain:
    """Carries a code in English, and nothing of anybody's own."""

    @hookimpl
    def describe(self) -> ProviderInfo:
        carries = Carries(features=frozenset(), languages=frozenset({"en"}))
        return ProviderInfo(display_name="Plain", carries={Channel.SMS: carries})

    @hookimpl
    def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        return DeliveryReceipt(reference=request.delivery_id)


def refused(answer: httpx.Response) -> tuple[int, str, list[str], list[str]]:
    """Status, reason, places and channels."""
    told = answer.json()
    return answer.status_code, told["reason"], [one["pointer"] for one in told["errors"]], told.get("channels", [])


@pytest.mark.parametrize(
    ("path", "body", "pointers"),
    [
        (START, {"channel": "fax"}, ["/channel"]),
        (START, {"channels": ["sms", "fax", "whatsapp"]}, ["/channels/1", "/channels/2"]),
        (START, {"channel": "call", "channels": ["call", "fax"]}, ["/channels/1"]),
        (DECOYS, {"channels": ["sms", "fax"]}, ["/channels/1"]),
        (MESSAGES, {"code": "123456", "channel": "fax"}, ["/channel"]),
    ],
)
def test_a_channel_without_rules_is_named_with_those_that_have_some(
    client: httpx.Client, phone: str, path: str, body: dict[str, Any], pointers: list[str]
) -> None:
    answer = client.post(path, json={"to": phone, **body})
    assert refused(answer) == (422, "no_such_channel", pointers, ["sms", "call"])
    assert "fax" not in answer.text


def test_a_resend_names_a_channel_too(client: httpx.Client, phone: str) -> None:
    begun = client.post(START, json={"to": phone}).json()
    answer = client.post(f"{START}/{begun['id']}/resend", json={"channel": "fax"})
    assert refused(answer) == (422, "no_such_channel", ["/channel"], ["sms", "call"])


def test_an_app_hears_of_its_own_channels_alone(run_server: Any, tmp_path: Any, phone: str) -> None:
    apps = {"shop": {"channels": ["sms", "whatsapp", "fax"], "purposes": ["pay"]}}
    outbox = Outbox(channels=frozenset({Channel.SMS, Channel.CALL, WHATSAPP}))
    with (
        run_server(f"sqlite:///{tmp_path}/otp.sqlite3", outbox.providers, server={"apps": apps}) as server,
        server.client(Kind.LIVE, app="shop") as shop,
    ):
        asked = {"to": phone, "channels": ["sms", "call"], "purpose": "browse"}
        other = shop.post(START, json=asked)
        assert refused(other) == (422, "not_this_app", ["/purpose", "/channels/1"], ["sms", "whatsapp"])
        fax = shop.post(START, json={"to": phone, "channel": "fax", "purpose": "pay"})
        assert refused(fax) == (422, "no_such_channel", ["/channel"], ["sms", "whatsapp"])
        taken = shop.post(START, json={"to": phone, "channel": "whatsapp", "purpose": "pay"})
        assert taken.status_code == 202


def test_a_service_without_any_rules_is_the_operators_affair(run_server: Any, tmp_path: Any, phone: str) -> None:
    with (
        run_server(f"sqlite:///{tmp_path}/otp.sqlite3", sms={"sandbox": True}) as server,
        server.client() as client,
    ):
        answer = client.post(START, json={"to": phone})
        assert (answer.status_code, answer.json()["reason"]) == (503, "no_rules")


def test_a_test_number_takes_every_channel(run_server: Any, tmp_path: Any) -> None:
    numbers = {"review": {"number": "+12025550110", "code": "314159", "until": "2199-12-31"}}
    sms = {"test_numbers": numbers, "test_numbers_on": ["review"]}
    with (
        run_server(f"sqlite:///{tmp_path}/otp.sqlite3", environment="development", sms=sms) as server,
        server.client(Kind.LIVE) as client,
    ):
        begun = client.post(START, json={"to": "+12025550110", "channel": "fax"})
        assert begun.status_code == 202
        checked = client.post(f"{START}/{begun.json()['id']}/check", json={"code": "314159"})
        assert checked.json()["valid"]
        assert client.post(START, json={"to": "+12025550112", "channel": "fax"}).status_code == 422


@pytest.mark.parametrize(
    ("path", "body", "pointers"),
    [
        (START, {"locale": "fr"}, ["/locale"]),
        (START, {"bind": {"payee": "Linden Books", "amount": "9", "currency": "EUR"}}, ["/bind"]),
        (MESSAGES, {"text": "Your code is {code}", "code": "123456"}, ["/text", "/code"]),
    ],
)
def test_what_no_provider_carries_is_told_of_what_asked_for_it(
    run_server: Any, tmp_path: Any, phone: str, path: str, body: dict[str, Any], pointers: list[str]
) -> None:
    with (
        run_server(f"sqlite:///{tmp_path}/otp.sqlite3", {"plain": Plain()}) as server,
        server.client(Kind.LIVE) as client,
    ):
        assert refused(client.post(path, json={"to": phone, **body})) == (422, "not_carried", pointers, [])
        assert client.post(START, json={"to": phone}).status_code == 202


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        (START, {"bind": {"payee": "two\nlines", "amount": "9", "currency": "EUR"}}, "/bind/payee"),
        (DECOYS, {"bind": {"payee": " ", "amount": "9", "currency": "EUR"}}, "/bind/payee"),
        (MESSAGES, {"text": "no place for it", "code": "123456"}, "/text"),
        (MESSAGES, {"text": "a place {code} for none"}, "/text"),
    ],
)
def test_a_text_that_cannot_be_sent_is_named(
    client: httpx.Client, phone: str, path: str, body: dict[str, Any], pointer: str
) -> None:
    answer = client.post(path, json={"to": phone, **body})
    assert refused(answer) == (422, "invalid", [pointer], [])


def test_a_parameter_of_an_address_is_named_as_one(client: httpx.Client) -> None:
    answer = client.get("/v1/webhooks/attempts?limit=0")
    assert answer.json()["errors"] == [{"parameter": "limit", "reason": "greater_than_equal"}]
