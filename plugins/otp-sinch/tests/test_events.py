"""Callback events: the signature against every published one, the time window, and what each event means."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from otp_sinch.events import ALLOW, DENY, TOLERANCE, check_event, read_event
from otp_sinch.signing import decode_secret, signed_headers

from otpcore.providers import (
    Channel,
    ErrorKind,
    ProviderError,
    ReceiptFault,
    ReceiptRefused,
    ReceiptRequest,
    ReceiptStatus,
)
from otpcore.simulators import SimulatedAnswer, Simulator

KEY, SECRET = "app-key", b"secret"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
URL = "https://example.com/receipts/sinch"
DELIVERED, UNDELIVERED = ReceiptStatus.DELIVERED, ReceiptStatus.UNDELIVERED

# Published by Sinch: the page on signed callbacks, and the tests of its Java SDK.
PUBLISHED = [
    (
        "669E367E-6BBA-48AB-AF15-266871C28135",
        "BeIukql3pTKJ8RGL5zo0DA==",
        "https://example.com/sinch/callback/ace",
        "application/json",
        "2014-09-24T10:59:41Z",
        '{"event":"ace","callid":"822aa4b7-05b4-4d83-87c7-1f835ee0b6f6_257","timestamp":"2014-09-24T10:59:41Z","version":1}',
        "Tg6fMyo8mj9pYfWQ9ssbx3Tc1BNC87IEygAfLbJqZb4=",
    ),
    (
        "789",
        "9876543210",
        "https://example.com/VerificationRequestEvent",
        "application/json; charset=utf-8",
        "2023-12-01T15:01:20.0406449Z",
        (
            '{"id":"018c25e1-7163-5677-b8fb-467d7b1cffa5","event":"VerificationResultEvent","method":"sms",'
            '"identity":{"verified":false,"type":"number","endpoint":"+33628254417"},"status":"FAIL","reason":"Expired"}'
        ),
        "xfKhO0XvlRNJraahUBEJzzi1f3Fn3pYO41/ZzwOHPaQ=",
    ),
]


def fault_of(request, key=KEY, secret=SECRET, now=NOW):
    """What is wrong with it; None: nothing."""
    try:
        check_event(request, key, secret, now)
    except ReceiptRefused as error:
        return error.fault
    return None


def event(name="VerificationSmsDeliveredEvent", *, at=NOW, url=URL, **fields):
    body = json.dumps({"id": "V1", "event": name, "method": "sms", "reference": "delivery-1", **fields}).encode()
    headers = signed_headers(
        KEY, SECRET, method="POST", path="/receipts/sinch", content_type="application/json", body=body, now=at
    )
    return ReceiptRequest(url=url, headers=headers, body=body)


def changed(request, **changes):
    fields = {"method": request.method, "url": request.url, "headers": request.headers, "body": request.body}
    return ReceiptRequest(**{**fields, **changes})


@pytest.mark.parametrize(("key", "secret", "url", "content_type", "timestamp", "body", "signature"), PUBLISHED)
@pytest.mark.parametrize("scheme", ["application", "Application"])
def test_every_published_signature_is_right(key, secret, url, content_type, timestamp, body, signature, scheme):
    headers = {
        "Authorization": f"{scheme} {key}:{signature}",
        "Content-Type": content_type,
        "X-Timestamp": timestamp,
    }
    request = ReceiptRequest(url=f"{url}?a=1#b", headers=headers, body=body.encode())
    now = datetime.fromisoformat(timestamp) + timedelta(seconds=30)
    assert fault_of(request, key, decode_secret(secret), now) is None
    for wrong in (
        changed(request, body=request.body + b" "),
        changed(request, method="PUT"),
        changed(request, url=f"{url}/more"),
        *(changed(request, headers={**request.headers, name: "other"}) for name in request.headers),
        *(
            changed(request, headers={n: v for n, v in request.headers.items() if n != name})
            for name in request.headers
        ),
    ):
        assert fault_of(wrong, key, decode_secret(secret), now) is ReceiptFault.SIGNATURE
    assert fault_of(request, "other", decode_secret(secret), now) is ReceiptFault.SIGNATURE
    assert fault_of(request, key, b"other", now) is ReceiptFault.SIGNATURE


@pytest.mark.parametrize("late", [-1, 1])
def test_an_event_that_is_too_old_or_from_the_future_is_stale(late):
    assert fault_of(event(at=NOW - late * TOLERANCE)) is None
    assert fault_of(event(at=NOW - late * (TOLERANCE + timedelta(seconds=1)))) is ReceiptFault.STALE


@given(
    st.text(),
    st.dictionaries(st.sampled_from(["authorization", "x-timestamp", "content-type"]), st.text()),
    st.binary(),
)
def test_garbage_is_refused_and_nothing_else(url, headers, body):
    assert fault_of(ReceiptRequest(url=url, headers=headers, body=body)) is ReceiptFault.SIGNATURE
    headers = {**headers, "authorization": f"application {KEY}:{headers.get('authorization', '')}"}
    assert fault_of(ReceiptRequest(url=URL + url, headers=headers, body=body)) is ReceiptFault.SIGNATURE


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_a_body_that_is_no_event_is_malformed(body):
    with pytest.raises(ReceiptRefused) as caught:
        read_event(ReceiptRequest(url=URL, body=body))
    assert caught.value.fault is ReceiptFault.MALFORMED
    assert caught.value.__context__ is None


@given(st.dictionaries(st.sampled_from(["status", "reason", "smsResult", "reference", "method"]), json_values))
def test_an_event_with_any_fields_is_read(fields):
    for name in ("VerificationResultEvent", "VerificationSmsDeliveredEvent", "VerificationRequestEvent", "NewEvent"):
        read_event(event(name, **fields))


# What it says.


@pytest.mark.parametrize(
    ("said", "status"), [("Successful", DELIVERED), ("Failed", UNDELIVERED), ("Pending", None), (None, None)]
)
def test_what_became_of_the_sms(said, status):
    receipt = read_event(event(smsResult=said))
    assert (receipt.status, receipt.reference, receipt.delivery_id) == (status, "V1", "delivery-1")
    assert receipt.kind is (ErrorKind.UNAVAILABLE if status is UNDELIVERED else None)


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        ("DENIED", "Fraud", ErrorKind.BLOCKED),
        ("DENIED", "Blocked", ErrorKind.BLOCKED),
        ("DENIED", "Not enough credit", ErrorKind.MISCONFIGURED),
        ("DENIED", "Destination denied", ErrorKind.MISCONFIGURED),
        ("ERROR", "Network error or number unreachable", ErrorKind.UNAVAILABLE),
        ("ERROR", "SMS delivery failure", ErrorKind.UNAVAILABLE),
        ("ERROR", "", ErrorKind.UNAVAILABLE),
    ],
)
def test_a_denial_or_an_error_says_that_nothing_arrived(status, reason, kind):
    receipt = read_event(event("VerificationResultEvent", status=status, reason=reason))
    assert (receipt.status, receipt.kind) == (UNDELIVERED, kind)


@pytest.mark.parametrize("status", ["SUCCESSFUL", "FAIL", "ABORTED", "PENDING", "NEW", None])
def test_what_was_typed_or_replaced_is_no_news(status):
    assert read_event(event("VerificationResultEvent", status=status, reason="Invalid code")).status is None


@pytest.mark.parametrize("method", ["sms", "callout", "flashcall"])
def test_whether_a_verification_may_begin_is_asked_of_otpcore(method):
    receipt = read_event(event("VerificationRequestEvent", method=method))
    assert (receipt.status, receipt.reference, receipt.delivery_id) == (None, "V1", "delivery-1")
    assert [json.loads(answer) for answer in (receipt.answer, receipt.denial)] == [
        {"action": "allow"},
        {"action": "deny"},
    ]


@pytest.mark.parametrize(
    ("price", "read"),
    [
        ({"amount": 0.0127, "currencyId": "USD"}, "0.0127 USD"),
        ({"amount": 1, "currencyId": "eur"}, "1 EUR"),
        ({"amount": 0.1, "currencyId": "SEK", "new": 1}, "0.1 SEK"),
        ({"amount": -0.0127, "currencyId": "USD"}, None),
        ({"amount": 0.0127}, None),
        ({"amount": "much", "currencyId": "USD"}, None),
        ({}, None),
        ("0.0127 USD", None),
        (None, None),
    ],
)
def test_the_question_says_what_the_verification_costs_to_the_last_digit(price, read):
    receipt = read_event(event("VerificationRequestEvent", price=price))
    assert (str(receipt.price) if receipt.price else None) == read
    assert (receipt.answer, receipt.denial) == (ALLOW, DENY), "with whatever price"


@pytest.mark.parametrize(
    "written", ["0.0127000", "1e-3", "1E400", "-0.0", "NaN", "Infinity", "1" * 5000, "9e999999999"]
)
def test_no_number_that_json_can_hold_is_more_than_read_or_left_out(written):
    body = b'{"id": "V1", "event": "VerificationRequestEvent", "price": {"amount": %s, "currencyId": "USD"}}'
    said = ReceiptRequest(url=URL, body=body % written.encode())
    read = {"0.0127000": "0.0127000 USD", "1e-3": "0.001 USD"}
    try:
        receipt = read_event(said)
    except ReceiptRefused:
        assert len(written) == 5000, "a number of so many digits is no JSON of this Python's"
    else:
        assert (str(receipt.price) if receipt.price else None) == read.get(written)


def test_only_a_question_has_a_price():
    price = {"amount": 0.0127, "currencyId": "USD"}
    for name in ("VerificationResultEvent", "VerificationSmsDeliveredEvent"):
        assert read_event(event(name, price=price)).price is None


def test_only_a_question_can_be_denied():
    for name in ("VerificationResultEvent", "VerificationSmsDeliveredEvent", "NewEvent"):
        assert read_event(event(name)).denial == ""


# The plugin and the simulator.


class Customer(Simulator):
    """Somebody with a URL, who hands what arrives there to ``read`` and answers what that says."""

    def handle(self, request):
        url = f"{self.base_url}{request.path}"
        arrived = ReceiptRequest(method=request.method, url=url, headers=request.headers, body=request.body)
        answer = self.read(arrived)
        return SimulatedAnswer(200, answer.encode()) if answer else SimulatedAnswer.empty(204)


def _receipt(provider, request):
    check_event(request, provider.settings.application_key, provider.settings.secret, provider.context.clock())
    return read_event(request)


async def test_a_simulator_that_nobody_answers_drops_the_verification(bench):
    bench.simulator.callback_url = f"{bench.simulator.base_url.rpartition(':')[0]}:9/nobody"
    async with bench.instance() as provider:
        with pytest.raises(ProviderError, match="callback"):
            await provider.send_sms(bench.delivery())
    assert bench.simulator.inbox == []


@pytest.mark.parametrize("channel", [Channel.SMS, Channel.CALL], ids=str)
async def test_a_verification_that_is_denied_reaches_nobody(bench, channel):
    with Customer() as customer:
        bench.simulator.callback_url = f"{customer.base_url}/receipts/sinch"
        customer.read = lambda _: DENY
        async with bench.instance() as provider:
            send = provider.send_sms if channel is Channel.SMS else provider.call
            with pytest.raises(ProviderError) as caught:
                await send(bench.delivery(channel=channel))
    assert (caught.value.kind, caught.value.provider_code) == (ErrorKind.MISCONFIGURED, "DENIED: denied by callback")
    assert bench.simulator.inbox == []


async def test_the_simulators_events_are_sinchs_and_ours(bench):
    with Customer() as customer:
        bench.simulator.callback_url = f"{customer.base_url}/receipts/sinch"
        async with bench.instance() as provider:
            receipts = []
            customer.read = lambda request: receipts.append(_receipt(provider, request)) or receipts[-1].answer
            ok, lost = bench.delivery(), bench.delivery("+46701740622")
            sent = [await provider.send_sms(ok), await provider.send_sms(lost)]
            await provider.call(bench.delivery(channel=Channel.CALL))
            bench.simulator.wait_for_callbacks()
    told = [(one.status, one.reference, one.delivery_id) for one in receipts if not one.answer]
    assert told == [
        (DELIVERED, sent[0].reference, ok.delivery_id),
        (UNDELIVERED, sent[1].reference, lost.delivery_id),
        (UNDELIVERED, sent[1].reference, lost.delivery_id),
        (None, sent[0].reference, ok.delivery_id),  # the call replaced it
    ]
    assert [one.answer for one in receipts if one.answer] == [ALLOW] * 3
