"""Webhooks: what changed reaches its app, signed, in spite of failures, and never a private network by mistake."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from console_scenes import gateways
from otp_server.keys import Kind, Scope
from otp_server.server import Server
from otp_server.webhooks import teller
from otp_server.webhooks.calling import Caller, is_public
from standardwebhooks import Webhook, WebhookVerificationError
from webhook_receiver import Receiver

from otpcore import AsyncOTPService, Price, SettingsError
from otpcore.providers import Network
from otpcore.testing import wrong_code

START = "/v1/verifications"
SECRET, NEXT_SECRET = "whsec_" + "c2VjcmV0" * 4, "whsec_" + "bmV4dCEh" * 4


@pytest.fixture
def telling(run_server: Callable[..., Any], tmp_path: Path, receiver: Receiver) -> Callable[..., Any]:
    """A server whose app "shop" hears at the receiver."""

    def run(**more: Any) -> contextlib.AbstractContextManager[Any]:
        url = f"sqlite:///{tmp_path}/otp.sqlite3"
        webhook = {"url": receiver.url, "secrets": [SECRET, NEXT_SECRET]}
        apps = {"shop": {"webhook": webhook}, "bank": {}}
        server = {"apps": apps, "webhook_networks": ["127.0.0.0/8"], **more}
        return run_server(url, storage={"url": url, "outbox": True}, server=server)

    return run


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teller, "DELAYS", (0.05, 0.05, 0.05))
    monkeypatch.setattr(teller, "_POLL", 0.05)


def test_an_app_hears_what_changed_and_can_prove_it(
    telling: Callable[..., Any], receiver: Receiver, phone: str
) -> None:
    with telling() as server, server.client(app="shop") as shop, server.client(app="bank") as bank:
        bank.post(START, json={"to": phone})
        begun = shop.post(START, json={"to": phone, "purpose": "sign-in"}).json()
        code = server.code()
        shop.post(f"{START}/{begun['id']}/check", json={"code": wrong_code(code)})
        shop.post(f"{START}/{begun['id']}/check", json={"code": code})
        events = receiver.wait(2)
    assert {one["type"] for one in events} == {"verification.sent", "verification.approved"}
    assert {one["data"]["id"] for one in events} == {begun["id"]}
    assert {one["data"]["test"] for one in events} == {True}
    headers, body = receiver.heard[0]
    for secret in (SECRET, NEXT_SECRET):
        assert Webhook(secret).verify(body, headers) is not None
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "b3RoZXIh" * 4).verify(body, headers)
    whole = b"".join(body for _, body in receiver.heard)
    assert phone[1:].encode() not in whole
    assert code.encode() not in whole


def test_an_app_hears_what_its_messages_cost(
    run_server: Callable[..., Any], tmp_path: Path, receiver: Receiver, phone: str
) -> None:
    url = f"sqlite:///{tmp_path}/otp.sqlite3"
    apps = {"shop": {"webhook": {"url": receiver.url, "secrets": [SECRET]}}}
    mada, twilio = gateways()
    mada.price = Price.read("0.00750", "USD")
    with (
        run_server(
            url,
            {"mada": mada, "twilio_eu": twilio},
            storage={"url": url, "outbox": True},
            server={"apps": apps, "webhook_networks": ["127.0.0.0/8"]},
            otp={"cooldown": 0},
        ) as server,
        server.client(Kind.LIVE, app="shop") as shop,
        server.client(Kind.LIVE, app="shop", scopes=[Scope.VERIFY]) as without,
    ):
        begun = shop.post(START, json={"to": phone}).json()
        assert receiver.wait(1)[0]["data"]["costs"] == [{"amount": "0.00750", "currency": "USD"}]
        mada.price = None
        shop.post(f"{START}/{begun['id']}/resend", json={})
        mada.price = Price.read("0.1", "USD")
        shop.post(f"{START}/{begun['id']}/resend", json={})
        shop.post(f"{START}/{begun['id']}/check", json={"code": mada.codes[-1]})
        approved = next(one for one in receiver.wait(4) if one["type"] == "verification.approved")
        assert approved["data"]["costs"] == [{"amount": "0.10750", "currency": "USD"}]
        prices = [one["price"] for one in shop.get(f"{START}/{begun['id']}").json()["deliveries"]]
        assert prices == [{"amount": "0.00750", "currency": "USD"}, None, {"amount": "0.1", "currency": "USD"}]
        assert without.get(f"{START}/{begun['id']}").json()["deliveries"] is None


def test_what_was_not_heard_is_told_again_under_the_same_id_until_it_is_given_up(
    telling: Callable[..., Any], receiver: Receiver, phone: str
) -> None:
    receiver.answers = [500, 302, 200]
    with telling() as server, server.client(app="shop") as shop, server.client(app="bank") as bank:
        shop.post(START, json={"to": phone})
        receiver.wait(3)
        assert len({headers["webhook-id"] for headers, _ in receiver.heard}) == 1
        attempts = _attempts(shop, 3)
        assert [(one["number"], one["status"], one["last"]) for one in reversed(attempts)] == [
            (1, 500, False),
            (2, 302, False),
            (3, 200, True),
        ]
        assert bank.get("/v1/webhooks/attempts").json() == {"attempts": []}
        replayed = shop.post(f"/v1/webhooks/attempts/{attempts[0]['attempt']}/replay")
        assert replayed.json() == {"heard": True, "status": 204, "problem": ""}
        assert receiver.heard[-1][0]["webhook-id"] == attempts[0]["event"]
        assert bank.post(f"/v1/webhooks/attempts/{attempts[0]['attempt']}/replay").status_code == 404
        receiver.answers = [500] * 9
        other = phone[:-1] + "x".replace("x", str((int(phone[-1]) + 5) % 10))
        shop.post(START, json={"to": other})
        assert receiver.wait(8)
        latest = _attempts(shop, 8)[0]
        assert (latest["number"], latest["last"], latest["heard"]) == (4, True, False)


def test_410_ends_it_until_somebody_replays(telling: Callable[..., Any], receiver: Receiver, phone: str) -> None:
    receiver.answers = [410]
    with telling() as server, server.client(app="shop") as shop:
        begun = shop.post(START, json={"to": phone}).json()
        receiver.wait(1)
        (attempt,) = _attempts(shop, 1)
        assert attempt["last"] is True
        shop.post(f"{START}/{begun['id']}/cancel")
        time.sleep(0.5)
        assert len(receiver.heard) == 1
        assert shop.post(f"/v1/webhooks/attempts/{attempt['attempt']}/replay").json()["heard"] is True


def _attempts(shop: Any, count: int) -> list[dict[str, Any]]:
    end = time.monotonic() + 60
    while True:
        found: list[dict[str, Any]] = shop.get("/v1/webhooks/attempts").json()["attempts"]
        if len(found) >= count or time.monotonic() > end:
            return found
        time.sleep(0.02)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "169.254.169.254",
        "192.168.0.1",
        "0.0.0.0",
        "100.64.0.1",
        "224.0.0.1",
        "::1",
        "fe80::1",
        "fc00::1",
        "::",
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ],
)
def test_a_private_address_is_none_that_a_webhook_may_go_to(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_a_public_one_is(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("networks", [(), ("10.0.0.0/8",)])
async def test_a_name_is_judged_by_what_it_resolves_to(receiver: Receiver, networks: tuple[str, ...]) -> None:
    port = receiver.url.split(":")[2]
    for url in (receiver.url, f"http://localhost:{port}", f"https://localhost:{port}", f"http://2130706433:{port}"):
        called = await Caller(networks, Network()).call(url, {}, b"{}")
        assert (called.status, called.problem[:28]) == (0, "the address is in a private "), url
    assert receiver.heard == []
    nowhere = await Caller(networks, Network()).call("https://no-such-host.invalid/", {}, b"{}")
    assert nowhere.problem == "the name cannot be resolved"


@pytest.mark.parametrize(
    ("webhook", "outbox", "told"),
    [
        ({"url": "https://shop.example", "secrets": [SECRET]}, False, "storage.outbox"),
        ({"url": "https://shop.example"}, True, "must hold a secret"),
        ({"url": "https://shop.example", "secrets": ["whsec_c2hvcnQ="]}, True, "whsec_"),
        ({"url": "ftp://shop.example", "secrets": [SECRET]}, True, "must be an address"),
    ],
)
def test_what_could_not_be_told_stops_the_start(webhook: dict[str, Any], outbox: bool, told: str) -> None:
    settings = {"sms": {"sandbox": True}, "storage": {"store": "memory", "outbox": outbox}}
    with pytest.raises(SettingsError, match=told) as caught:
        Server(AsyncOTPService({**settings, "server": {"apps": {"shop": {"webhook": webhook}}}}))
    assert "c2hvcnQ" not in str(caught.value)
