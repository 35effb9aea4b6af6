"""Relayed messages, the route of a number, receipts, and what those see who watch over the server."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from otp_server.keys import Kind

from otpcore import ReceiptStatus, hookimpl
from otpcore.providers import DeliveryReceipt, ProviderInfo, Receipt, ReceiptFault, ReceiptRefused

MESSAGES = "/v1/messages"


def test_a_message_of_others_is_carried_and_never_verified(shared: Any, client: httpx.Client, phone: str) -> None:
    carried = client.post(MESSAGES, json={"to": phone, "code": "40719352", "purpose": "sign-in"})
    document = carried.json()
    assert (carried.status_code, document["delivery_state"], document["used"]) == (202, "sent", None)
    message = shared.server.sandbox.sandbox_inbox()[-1]
    assert (message.code, "40719352" in message.text) == ("40719352", True)
    check = client.post(f"/v1/verifications/{document['id']}/check", json={"code": "40719352"})
    assert (check.status_code, check.json()["reason"]) == (404, "not_found")
    used = client.post(f"{MESSAGES}/{document['id']}/outcome", json={"used": True})
    assert (used.status_code, used.json()["used"]) == (200, True)
    assert client.get(f"{MESSAGES}/{document['id']}").json()["used"] is True
    assert client.get(f"{MESSAGES}/nonesuch").status_code == 404
    assert "40719352" not in carried.text + used.text


def test_a_whole_text_is_carried_as_it_is(shared: Any, client: httpx.Client, phone: str) -> None:
    assert client.post(MESSAGES, json={"to": phone, "text": "Your parcel is here."}).status_code == 202
    assert shared.server.sandbox.sandbox_inbox()[-1].text == "Your parcel is here."
    nothing = client.post(MESSAGES, json={"to": phone})
    assert (nothing.status_code, nothing.json()["reason"]) == (422, "invalid")


def test_a_route_is_explained_and_nothing_is_sent(shared: Any, client: httpx.Client, phone: str) -> None:
    before = len(shared.server.sandbox.sandbox_inbox())
    answer = client.post("/v1/explain", json={"to": phone})
    document = answer.json()
    assert (answer.status_code, document["route"], document["barrier"]) == (200, ["sandbox"], None)
    assert document["to"] == f"{phone[:5]}******{phone[-2:]}"
    assert document["steps"][0]["position"] == 1
    assert len(shared.server.sandbox.sandbox_inbox()) == before
    assert phone not in answer.text


def test_the_inbox_is_for_the_sandbox_alone(shared: Any, client: httpx.Client, phone: str) -> None:
    begun = client.post("/v1/verifications", json={"to": phone}).json()
    latest = client.get("/v1/inbox").json()["messages"][0]
    assert (latest["verification"], latest["to"], latest["code"]) == (begun["id"], phone, shared.code())
    assert client.get("/inbox").status_code == 404
    assert httpx.get(f"{shared.url}/v1/inbox").status_code == 401


def test_a_sandbox_shows_its_inbox_on_a_page(
    run_server: Callable[..., contextlib.AbstractContextManager[Any]], tmp_path: Path, phone: str
) -> None:
    sections = {"sms": {"sandbox": True}, "otp_sms_provider": "anyone"}
    with run_server(f"sqlite:///{tmp_path}/otp.sqlite3", **sections) as server, server.client() as client:
        empty = client.get("/inbox")
        assert (empty.status_code, "No message yet." in empty.text) == (200, True)
        assert client.get("/").headers["location"] == "/inbox"
        assert client.get("/inbox", headers={"Host": "stranger.example"}).status_code == 404
        client.post("/v1/messages", json={"to": phone, "text": "<script>alert(1)</script>"})
        client.post("/v1/verifications", json={"to": phone})
        page = client.get("/inbox")
        assert server.code() in page.text
        assert "<script>" not in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert page.headers["cache-control"] == "no-store"
        (style,) = [one.split('"')[0] for one in page.text.split('rel="stylesheet" href="')[1:]]
        assert client.get(style).headers["cache-control"].endswith("immutable")
        assert client.get(style.replace("/static/", "/static/0")).status_code == 404
        assert client.get("/static/0/../settings.py").status_code == 404


class Reports:
    """A provider whose vendor reports by a word in the body."""

    @hookimpl
    def describe(self) -> ProviderInfo:
        return ProviderInfo(display_name="Reports")

    @hookimpl
    async def send_sms(self, request: Any) -> DeliveryReceipt:
        return DeliveryReceipt(reference=f"ref-{request.challenge_id}")

    @hookimpl
    async def parse_receipt(self, request: Any) -> Receipt:
        self.url = request.url
        if request.headers.get("x-proof") != "good":
            raise ReceiptRefused(ReceiptFault.SIGNATURE, "no proof")
        return Receipt(status=ReceiptStatus.DELIVERED, reference=request.body.decode(), answer='{"ok": true}')


def test_receipts_are_taken_in_and_answered_as_the_vendor_wants(
    run_server: Callable[..., contextlib.AbstractContextManager[Any]], tmp_path: Path, phone: str
) -> None:
    provider = Reports()
    sections = {"server": {"public_url": "https://otp.example.com"}}
    url = f"sqlite:///{tmp_path}/otp.sqlite3"
    with run_server(url, providers={"acme": provider}, **sections) as server, server.client(Kind.LIVE) as client:
        begun = client.post("/v1/verifications", json={"to": phone}).json()
        address = "/v1/receipts/acme?of=it"
        refused = httpx.post(f"{server.url}{address}", content=f"ref-{begun['id']}")
        assert (refused.status_code, refused.json()["reason"]) == (403, "signature")
        taken = httpx.post(f"{server.url}{address}", content=f"ref-{begun['id']}", headers={"X-Proof": "good"})
        assert (taken.status_code, taken.json()) == (200, {"ok": True})
        assert provider.url == "https://otp.example.com/v1/receipts/acme?of=it"
        (delivery,) = client.get(f"/v1/verifications/{begun['id']}").json()["deliveries"]
        assert delivery["delivered_at"] is not None
        unknown = httpx.post(f"{server.url}/v1/receipts/nobody", content="x")
        assert (unknown.status_code, unknown.json()["reason"]) == (404, "not_found")


def test_it_lives_is_ready_and_tells_what_it_measures(shared: Any, client: httpx.Client) -> None:
    assert httpx.get(f"{shared.url}/healthz").json() == {"status": "alive"}
    ready = httpx.get(f"{shared.url}/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "problems": []})
    measured = client.get("/metrics").text
    assert "otp_ready 1.0" in measured
    assert 'otp_http_requests_total{method="GET",route="/healthz",status="200"}' in measured
    assert 'otp_breaker_open{instance="outbox"}' in measured or "otp_workers" in measured


def test_a_pause_makes_it_not_ready_and_is_told(shared: Any, client: httpx.Client, phone: str) -> None:
    sending = shared.server.service.operator.sending
    shared.do(sending.pause(by="the test"))
    try:
        ready = httpx.get(f"{shared.url}/readyz")
        assert (ready.status_code, ready.json()["problems"]) == (503, ["paused"])
        with shared.client(Kind.LIVE) as live:
            refused = live.post("/v1/verifications", json={"to": phone})
        assert (refused.status_code, refused.json()["reason"]) == (503, "paused")
        assert "otp_ready 0.0" in client.get("/metrics").text
    finally:
        shared.do(sending.resume(by="the test"))


def test_the_store_away_is_503_and_comes_back(
    shared: Any, client: httpx.Client, phone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from otpcore import StoreError  # noqa: PLC0415 - beside where it is raised

    async def away(*_: Any, **__: Any) -> None:
        raise StoreError("the database does not answer")

    monkeypatch.setattr(type(shared.server.service.store), "get_record", away)
    answer = client.post("/v1/verifications", json={"to": phone})
    assert (answer.status_code, answer.json()["reason"]) == (503, "store_error")
    assert int(answer.headers["retry-after"]) > 0
    monkeypatch.undo()
    assert client.post("/v1/verifications", json={"to": phone}).status_code == 202


def test_what_has_names_of_a_pattern_has_no_others(client: httpx.Client) -> None:
    """JSON Schema lets a name that fits no pattern have any value, unless it is told otherwise."""
    schemas = client.get("/openapi.json").json()["components"]["schemas"].values()
    found = [part for one in schemas for part in one.get("properties", {}).values() if "patternProperties" in part]
    assert found
    assert all(part["additionalProperties"] is False for part in found)


def test_its_description_names_every_address_and_problem(client: httpx.Client) -> None:
    described = client.get("/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    assert {"/v1/verifications", "/v1/verifications/{verification_id}/check", "/v1/messages", "/v1/explain"} <= set(
        described["paths"]
    )
    start = described["paths"]["/v1/verifications"]["post"]
    assert start["security"] == [{"HTTPBearer": []}]
    assert [one["name"] for one in start["parameters"]] == ["Idempotency-Key"]
    problems = {one["type"] for one in client.get("/problems").json()}
    for answer in (client.get("/nowhere"), client.post("/v1/verifications", json={"to": "1"})):
        assert answer.json()["type"] in problems
