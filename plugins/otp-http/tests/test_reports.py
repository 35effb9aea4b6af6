"""Reports in the vendors' own shapes, from their documents: what each says, and that nothing else proves it.

Where a vendor signs, the signature is one that the vendor's own SDK believed (``captures/signing.py``).
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlencode

import pytest
from attrs import evolve
from otp_http import create_provider
from otp_http.catalogue import built_in, find

from otpcore.providers import Price, ProviderContext, ReceiptFault, ReceiptRefused, ReceiptRequest

CAPTURES = Path(__file__).parent / "captures"
DOCUMENTED = json.loads((CAPTURES / "documented" / "receipts.json").read_text(encoding="utf-8"))
SECRET = "a-long-random-text-of-ours"
NOW = datetime.fromisoformat("2026-12-01T00:00:00+00:00")
URL = "https://otp.example/receipts/http"
WITHOUT = {"smsapi", "kavenegar", "kavenegar_text", "link_mobility", "mobica", "webhook"}
"""No report of theirs was found in a document of theirs."""

EVERY = [(gateway, report) for gateway, reports in DOCUMENTED.items() for report in reports]
SIGNED = [
    (gateway, one)
    for gateway in sorted(set(built_in()) - {"webhook"})
    for stored in [json.loads((CAPTURES / f"{gateway}.json").read_text(encoding="utf-8"))]
    if "receipts" in stored
    for one in stored["receipts"]["signed"]
]


@pytest.fixture
def anyio_backend():
    return "asyncio"  # nothing of it differs on trio


def _title(value):
    return value if isinstance(value, str) else ""


def _provider(gateway, now=NOW, *, signing=False, **more):
    """An instance; of a gateway that signs if one wants, one that does not, unless ``signing``."""
    table = find(gateway)
    stored = json.loads((CAPTURES / f"{gateway}.json").read_text(encoding="utf-8"))
    proving = stored.get("receipts", {}).get("settings", {}) if signing or not table.receipts.signature else {}
    settings = {**stored["captures"][0]["settings"], **proving, **more}
    settings |= {} if table.base_url else {"base_url": "https://gateway.example"}
    context = ProviderContext(instance="http", settings={"gateway": gateway, **settings}, clock=lambda: now)
    return create_provider(context)


def _request(gateway, report, headers, *, secret=SECRET, delivery_id="d0c1b2a3"):
    """What the vendor calls: of one that signs nothing, the address of one message, or one with a secret in it."""
    proof, url, body = find(gateway).receipts.proof, URL, b""
    fields = dict(report.get("query", {}))
    if proof.kind == "query":
        fields[proof.field] = secret
    if "form" in report:
        body = urlencode(report["form"]).encode()
    elif "json" in report:
        body = json.dumps(report["json"], separators=(",", ":")).encode()
    return ReceiptRequest(
        method=report["method"],
        url=f"{url}?{urlencode(fields)}" if fields else url,
        headers=headers,
        body=body,
        delivery_id=delivery_id if proof.kind == "address" else "",
    )


def _as_stored(one):
    return ReceiptRequest(method=one["method"], url=one["url"], headers=one["headers"], body=one["body"].encode())


async def _said(provider, request):
    answer = await provider.parse_receipt(request)
    (receipt,) = getattr(answer, "receipts", (answer,))
    return receipt


def _settings(gateway):
    return {"receipts_secret": SECRET} if find(gateway).receipts.proof.kind == "query" else {}


@pytest.mark.parametrize(("gateway", "report"), EVERY, ids=_title)
async def test_a_documented_report_means_what_the_document_says(gateway, report):
    if find(gateway).receipts.proof.kind in ("hmac", "ed25519"):
        signed = next(one for name, one in SIGNED if name == gateway and json.loads(one["body"]) == report["json"])
        headers = signed["headers"]
    else:
        headers = {}
    receipt = await _said(_provider(gateway, **_settings(gateway)), _request(gateway, report, headers))
    expected = {"delivery_id": "", "code": "", "kind": None, **report["expect"]}
    if find(gateway).receipts.proof.kind == "address":
        expected["delivery_id"] = expected["delivery_id"] or receipt.delivery_id
    found = {
        "status": receipt.status and str(receipt.status),
        "reference": receipt.reference,
        "delivery_id": receipt.delivery_id,
        "code": receipt.provider_code if expected["code"] or expected["status"] == "undelivered" else "",
        "kind": receipt.kind and str(receipt.kind),
    }
    price = expected.pop("price", None)
    assert found == expected
    if price is not None:
        assert receipt.price == Price(amount=Decimal(price[0]), currency=price[1])


@pytest.mark.parametrize(("gateway", "one"), SIGNED, ids=_title)
async def test_what_the_vendors_sdk_believes_is_believed_and_nothing_else(gateway, one):
    genuine, provider = _as_stored(one), _provider(gateway, signing=True)
    receipt = await _said(provider, genuine)
    assert (receipt.reference, receipt.status) == (one["expect"]["reference"], one["expect"]["status"])
    changed = [
        evolve(genuine, body=genuine.body + b" ") if genuine.body else evolve(genuine, url=f"{genuine.url}+"),
        *(
            evolve(genuine, headers=genuine.headers | {name: value[:-6] + "AAAAAA"})
            for name, value in genuine.headers.items()
            if "time" not in name
        ),
    ]
    changed += [evolve(genuine, headers={})] if genuine.headers else []
    for forged in changed:
        with pytest.raises(ReceiptRefused) as refused:
            await provider.parse_receipt(forged)
        assert refused.value.fault is ReceiptFault.SIGNATURE


@pytest.mark.parametrize(
    ("gateway", "one"),
    [one for one in SIGNED if one[0] not in ("telesign", "whatsapp")],  # these two sign no time
    ids=_title,
)
async def test_a_report_that_names_its_time_is_believed_for_minutes(gateway, one):
    request = _as_stored(one)
    for late in (timedelta(minutes=-6), timedelta(minutes=6)):
        with pytest.raises(ReceiptRefused) as refused:
            await _provider(gateway, now=NOW + late, signing=True).parse_receipt(request)
        assert refused.value.fault is ReceiptFault.STALE


@pytest.mark.parametrize("gateway", [name for name in DOCUMENTED if find(name).receipts.proof.kind == "query"])
async def test_without_the_secret_of_the_address_nothing_is_believed(gateway):
    report = DOCUMENTED[gateway][0]
    provider = _provider(gateway, **_settings(gateway))
    for secret in ("", "another"):
        with pytest.raises(ReceiptRefused):
            await provider.parse_receipt(_request(gateway, report, {}, secret=secret))
    with pytest.raises(ReceiptRefused):  # no secret was set: an empty one would be everybody's
        await _provider(gateway).parse_receipt(_request(gateway, report, {}, secret=""))


@pytest.mark.parametrize("gateway", [name for name in DOCUMENTED if find(name).receipts.proof.kind == "address"])
async def test_at_an_address_that_is_no_messages_nothing_is_believed(gateway):
    with pytest.raises(ReceiptRefused):
        await _provider(gateway).parse_receipt(_request(gateway, DOCUMENTED[gateway][0], {}, delivery_id=""))


def test_every_gateway_that_reports_was_asked_here_or_is_said_not_to_be():
    assert set(built_in()) - set(DOCUMENTED) == WITHOUT
