"""Status callbacks: the signature against Twilio's own validator, both ways, and what each status and code means."""

from __future__ import annotations

import hashlib
import json
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from otp_twilio import Mode
from otp_twilio.overrides import repeated
from otp_twilio.receipts import CALL_STATUSES, MESSAGE_STATUSES, read_receipt
from otp_twilio.signing import check_signature, signature, signed_urls
from twilio.request_validator import RequestValidator

from otpcore.providers import Channel, ErrorKind, ReceiptFault, ReceiptRefused, ReceiptRequest, ReceiptStatus

TOKEN = "12345"
URL = "https://example.com/receipts/twilio"
SID, CALL_SID = "SM" + "0a" * 16, "CA" + "0a" * 16
DELIVERED, UNDELIVERED = ReceiptStatus.DELIVERED, ReceiptStatus.UNDELIVERED


def signed(fields, url=URL, token=TOKEN):
    """A callback as Twilio's SDK would sign it."""
    given = RequestValidator(token).compute_signature(url, dict(fields))
    return ReceiptRequest(url=url, headers={"X-Twilio-Signature": given}, body=urlencode(fields).encode())


def accepted(request, token=TOKEN):
    try:
        check_signature(request, token)
    except ReceiptRefused:
        return False
    return True


# Published by Twilio, in the tests of its SDK and on its page about security.
FORM = {"CallSid": "CA1234567890ABCDE", "Digits": "1234", "From": "+14158675309", "To": "+18005551212"}
CALLED = "https://mycompany.com/myapp.php?foo=1&bar=2"
HASH = "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
VECTORS = [
    (CALLED, urlencode({**FORM, "Caller": "+14158675309"}), "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
    (CALLED, urlencode({**FORM, "Caller": "+14158675309"}), "kvajT1Ptam85bY51eRf/AJRuM3w="),
    (
        "http://mycompany.com:1234/myapp.php?foo=1&bar=2",
        urlencode({**FORM, "Caller": "+14158675309"}),
        "Zmvh+3yNM1Phv2jhDCwEM3q5ebU=",
    ),
    (
        "http://mycompany.com/myapp.php?foo=1&bar=2",
        urlencode({**FORM, "Caller": "+14158675309"}),
        "0ZXoZLH/DfblKGATFgpif+LLRf4=",
    ),
    (CALLED, "Sid=CA123&SidAccount=AC123&Digits=5678&Digits=1234&Digits=1234", "IK+Dwps556ElfBT0I3Rgjkr1wJU="),
    (CALLED, urlencode({**FORM, "From": "+12349013030", "Caller": "+12349013030"}), "0/KCTR6DLpKmkAf8muzZqo1nDgQ="),
    (f"{CALLED}&bodySHA256={HASH}", '{"property": "value", "boolean": true}', "a9nBmqA0ju/hNViExpshrM61xv4="),
]


@pytest.mark.parametrize(("url", "body", "right"), VECTORS, ids=[right for *_, right in VECTORS])
def test_every_published_signature_is_right_and_any_other_is_not(url, body, right):
    def arrived(signature=right, body=body, url=url):
        return ReceiptRequest(url=url, headers={"x-twilio-signature": signature}, body=body.encode())

    assert accepted(arrived())
    assert not accepted(arrived(), token="12346")
    assert not accepted(arrived(signature=right.swapcase()))
    assert not accepted(arrived(signature=""))
    assert not accepted(arrived(url=url.replace("foo=1", "foo=2")))
    assert not accepted(arrived(body=body.replace("1", "2") if "1" in body else body + " "))


names = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=8)
forms = st.dictionaries(names, names, max_size=6)
hosts = st.sampled_from(["example.com", "example.com:443", "example.com:8443", "EXAMPLE.com", "127.0.0.1:80"])
urls = st.builds(
    "{}://{}{}".format,
    st.sampled_from(["https", "http"]),
    hosts,
    st.sampled_from(["/", "/a/b", "/a?x=1", "/a?x=%2B1&y=", "/ä"]),
)


@given(forms, urls, st.sampled_from([None, "HMAC_SHA1", "HMAC_SHA256"]))
def test_it_agrees_with_twilios_validator_both_ways(form, url, algorithm):
    validator = RequestValidator(TOKEN)
    headers = {"X-Twilio-Webhooks-Signature-Settings": f"key=k1,algorithm={algorithm}"} if algorithm else {}
    theirs = validator.compute_signature(url, form, algorithm)
    body = urlencode(form).encode()
    assert accepted(ReceiptRequest(url=url, headers={**headers, "X-Twilio-Signature": theirs}, body=body))
    hash_name = {"HMAC_SHA256": "sha256"}.get(algorithm, "sha1")
    for one in signed_urls(url):
        assert validator.validate(url, form, signature(TOKEN, one, form.items(), hash_name), algorithm)


@given(st.text(), st.text(), st.binary(max_size=200), st.text(), st.text())
def test_garbage_is_refused_and_nothing_else(url, given_signature, body, settings, more):
    headers = {"X-Twilio-Signature": given_signature, "X-Twilio-Webhooks-Signature-Settings": settings}
    for address in (url, URL + url, f"{URL}?bodySHA256={more}"):
        assert not accepted(ReceiptRequest(url=address, headers=headers, body=body))


@given(st.binary(max_size=100))
def test_a_signed_body_that_is_no_callback_is_malformed(body):
    url = f"{URL}?bodySHA256={hashlib.sha256(body).hexdigest()}"
    request = ReceiptRequest(url=url, headers={"X-Twilio-Signature": signature(TOKEN, url)}, body=body)
    check_signature(request, TOKEN)
    with pytest.raises(ReceiptRefused) as caught:
        read_receipt(request)
    assert caught.value.fault is ReceiptFault.MALFORMED
    assert caught.value.__context__ is None


def test_an_algorithm_that_nobody_knows_is_refused():
    request = signed({"MessageSid": SID, "MessageStatus": "delivered"})
    assert accepted(request)
    headers = {**request.headers, "X-Twilio-Webhooks-Signature-Settings": "key=k,algorithm=HMAC_MD5"}
    assert not accepted(ReceiptRequest(url=request.url, headers=headers, body=request.body))


def test_a_fragment_is_not_signed():
    request = signed({"MessageSid": SID, "MessageStatus": "sent"})
    assert accepted(ReceiptRequest(url=f"{URL}#rc=3&rp=all", headers=request.headers, body=request.body))


def test_without_a_token_nothing_is_believed():
    assert not accepted(signed({"MessageSid": SID, "MessageStatus": "delivered"}), token="")


# What it says.


@pytest.mark.parametrize(
    ("sid", "name", "statuses"),
    [(SID, "Message", MESSAGE_STATUSES), (SID, "Sms", MESSAGE_STATUSES), (CALL_SID, "Call", CALL_STATUSES)],
)
def test_each_status_is_an_end_or_progress(sid, name, statuses):
    for status, meaning in statuses.items():
        receipt = read_receipt(signed({f"{name}Sid": sid, f"{name}Status": status}))
        assert (receipt.status, receipt.reference) == (meaning, sid)
        assert (receipt.kind is None) == (meaning is not UNDELIVERED)


def test_a_status_that_nobody_knows_is_progress():
    assert read_receipt(signed({"MessageSid": SID, "MessageStatus": "pondering"})).status is None


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("30001", ErrorKind.THROTTLED),
        ("30003", ErrorKind.UNAVAILABLE),
        ("30004", ErrorKind.BLOCKED),
        ("30005", ErrorKind.REJECTED_NUMBER),
        ("30006", ErrorKind.REJECTED_NUMBER),
        ("30007", ErrorKind.MISCONFIGURED),
        ("30008", ErrorKind.AMBIGUOUS),
        ("30034", ErrorKind.MISCONFIGURED),
        ("30036", ErrorKind.UNAVAILABLE),
        ("30410", ErrorKind.AMBIGUOUS),
        ("30450", ErrorKind.BLOCKED),
        ("21610", ErrorKind.BLOCKED),
        ("39999", ErrorKind.UNAVAILABLE),
        ("", ErrorKind.UNAVAILABLE),
        ("+359871234567", ErrorKind.UNAVAILABLE),
    ],
)
def test_only_what_is_said_about_the_persons_number_ends_the_send(code, kind):
    receipt = read_receipt(signed({"MessageSid": SID, "MessageStatus": "undelivered", "ErrorCode": code}))
    assert (receipt.status, receipt.kind) == (UNDELIVERED, kind)
    assert receipt.provider_code == (code if code.isdigit() else "undelivered")


@pytest.mark.parametrize(
    "fields",
    [{}, {"MessageSid": SID}, {"MessageStatus": "sent"}, {"MessageSid": "+359871234567", "MessageStatus": "sent"}],
)
def test_what_is_no_status_callback_is_malformed(fields):
    with pytest.raises(ReceiptRefused) as caught:
        read_receipt(signed(fields))
    assert caught.value.fault is ReceiptFault.MALFORMED


def test_a_json_body_is_read_too():
    body = json.dumps({"MessageSid": SID, "MessageStatus": "undelivered", "ErrorCode": 30003}).encode()
    receipt = read_receipt(ReceiptRequest(url=f"{URL}?bodySHA256={hashlib.sha256(body).hexdigest()}", body=body))
    assert (receipt.status, receipt.provider_code) == (UNDELIVERED, "30003")


# The plugin and the simulator.


@pytest.mark.parametrize("channel", [Channel.SMS, Channel.CALL])
async def test_the_simulators_callbacks_are_twilios_and_ours(bench, channel):
    """Nobody listens at the URL; the simulator keeps what it sent there."""
    url = f"{bench.simulator.base_url}/nobody"
    async with bench.instance(Mode.MESSAGING, status_callback_url=url) as provider:
        request = bench.delivery(channel=channel, code="123456", text="Your code is 123456")
        sent = await (provider.send_sms if channel is Channel.SMS else provider.call)(request)
        assert bench.simulator.requests[0].form()["StatusCallback"] == [f"{url}?delivery_id={request.delivery_id}"]
        bench.simulator.wait_for_callbacks()
        statuses = []
        for callback in bench.simulator.callbacks:
            fields = dict(parse_qsl(callback.body.decode()))
            assert RequestValidator(bench.simulator.auth_token).validate(
                callback.url, fields, callback.headers["X-Twilio-Signature"]
            )
            arrived = ReceiptRequest(url=callback.url, headers=callback.headers, body=callback.body)
            receipt = await provider.parse_receipt(arrived)
            assert (receipt.reference, receipt.delivery_id) == (sent.reference, request.delivery_id)
            statuses.append(receipt.status)
    assert statuses == ([None, DELIVERED] if channel is Channel.SMS else [DELIVERED])


@pytest.mark.parametrize("channel", [Channel.SMS, Channel.CALL])
async def test_connection_overrides_are_for_twilio_and_neither_called_nor_signed(bench, channel):
    url = f"{bench.simulator.base_url}/nobody"
    async with bench.instance(Mode.MESSAGING, status_callback_url=f"{url}#rc=3&rp=5xx,ct") as provider:
        request = bench.delivery(channel=channel, code="123456", text="Your code is 123456")
        sent = await (provider.send_sms if channel is Channel.SMS else provider.call)(request)
        called = f"{url}?delivery_id={request.delivery_id}"
        assert bench.simulator.requests[0].form()["StatusCallback"] == [f"{called}#rc=3&rp=5xx,ct"]
        bench.simulator.wait_for_callbacks()
        callback = bench.simulator.callbacks[-1]
        assert callback.url == called
        fields = dict(parse_qsl(callback.body.decode()))
        signature = callback.headers["X-Twilio-Signature"]
        assert RequestValidator(bench.simulator.auth_token).validate(called, fields, signature)
        for seen in (called, f"{called}#rc=3&rp=5xx,ct"):  # whatever the host says was called
            arrived = ReceiptRequest(url=seen, headers=callback.headers, body=callback.body)
            receipt = await provider.parse_receipt(arrived)
            assert (receipt.status, receipt.reference) == (DELIVERED, sent.reference)
            assert receipt.delivery_id == request.delivery_id


@pytest.mark.parametrize(
    ("overrides", "answers", "tries"),
    [
        ("", [503], 1),
        ("", [0, 0, 204], 2),
        ("#rc=5&rp=5xx", [503, 500, 204], 3),
        ("#rc=5&rp=5xx", [503] * 9, 6),
        ("#rc=5&rp=5xx", [403], 1),
        ("#rc=5&rp=all", [403, 0, 503, 204], 4),
        ("#rc=0&rp=all", [503], 1),
    ],
)
def test_how_often_twilio_repeats_a_callback_that_is_not_taken(overrides, answers, tries):
    again = repeated(overrides.removeprefix("#"))
    made = 1
    while again(made, answers[min(made, len(answers)) - 1]):
        made += 1
    assert made == tries


async def test_without_a_url_nothing_is_reported(bench):
    async with bench.instance(Mode.MESSAGING) as provider:
        await provider.send_sms(bench.delivery(code="123456", text="123456"))
    assert "StatusCallback" not in bench.form
    assert bench.simulator.callbacks == []


async def test_an_api_key_needs_the_auth_token_for_receipts(bench):
    key = {"auth_token": "", "api_key": bench.simulator.api_key, "api_key_secret": bench.simulator.api_key_secret}
    request = signed({"MessageSid": SID, "MessageStatus": "delivered"}, token=bench.simulator.auth_token)
    provider = bench.provider(Mode.MESSAGING, **key, callback_auth_token=bench.simulator.auth_token)
    assert (await provider.parse_receipt(request)).status is DELIVERED
    with pytest.raises(ReceiptRefused, match="callback_auth_token"):
        await bench.provider(Mode.MESSAGING, **key).parse_receipt(request)
