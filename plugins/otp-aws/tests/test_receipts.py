"""Events over SNS: what is believed, and what each means."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from otp_aws.events import EVENTS, read_event
from otp_aws.simulator.topic import SimulatedTopic, certificate_of

from otpcore.providers import (
    ErrorKind,
    ReceiptAnswer,
    ReceiptFault,
    ReceiptRefused,
    ReceiptRequest,
    ReceiptStatus,
)

URL = "https://example.com/receipts/aws"


async def refusal_of(bench, request, **settings):
    async with bench.instance(**settings) as provider:
        with pytest.raises(ReceiptRefused) as caught:
            await provider.parse_receipt(request)
    return caught.value


@pytest.mark.parametrize("version", ["1", "2"])
async def test_both_versions_of_the_signature_are_believed(bench, version):
    bench.simulator.topic.signature_version = version
    async with bench.instance() as provider:
        receipt = await provider.parse_receipt(bench.report(context={"delivery_id": "delivery-7"}))
    assert receipt.status is ReceiptStatus.DELIVERED
    assert (receipt.reference, receipt.delivery_id) == ("message-1", "delivery-7")


async def test_a_version_that_is_not_known_is_refused(bench):
    request = bench.report()
    message = {**json.loads(request.body), "SignatureVersion": "3"}
    error = await refusal_of(bench, attrs.evolve(request, body=json.dumps(message).encode()))
    assert error.fault is ReceiptFault.SIGNATURE


async def test_a_subject_is_signed_where_there_is_one(bench):
    async with bench.instance() as provider:
        assert (await provider.parse_receipt(bench.report(Subject="Event"))).reference == "message-1"
        request = bench.report(Subject="Event")
        message = json.loads(request.body)
        for changed in ({**message, "Subject": "Another"}, {**message, "Subject": None}):
            with pytest.raises(ReceiptRefused):
                await provider.parse_receipt(attrs.evolve(request, body=json.dumps(changed).encode()))


async def test_a_message_of_another_customer_is_refused_though_sns_has_signed_it(bench):
    """SNS signs for all its customers with one key: only the topic says whose message it is."""
    theirs = attrs.evolve(bench.simulator.topic, arn="arn:aws:sns:eu-west-1:999999999999:otp-events")
    event = bench.simulator.event("TEXT_INVALID", "message-1", recipient="+359871234567", context={})
    headers, body = theirs.notification(event)
    error = await refusal_of(bench, ReceiptRequest(url=URL, headers=headers, body=body))
    assert error.fault is ReceiptFault.SIGNATURE
    renamed = json.loads(body) | {"TopicArn": bench.simulator.topic.arn}
    error = await refusal_of(bench, ReceiptRequest(url=URL, headers=headers, body=json.dumps(renamed).encode()))
    assert error.fault is ReceiptFault.SIGNATURE


async def test_another_key_is_refused_with_the_address_of_its_certificate_and_the_fix(bench):
    bench.simulator.topic.key = "new"
    error = await refusal_of(bench, bench.report(), sns_certificates=[certificate_of("sns")])
    assert error.fault is ReceiptFault.SIGNATURE
    assert error.summary == (
        "of sns_certificates it is signed with none of them; put the one of this address beside them: "
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-00000000000000000000000000000000.pem"
    )


async def test_the_old_and_the_new_certificate_may_stand_together(bench):
    both = [certificate_of("sns"), certificate_of("new")]
    async with bench.instance(sns_certificates=both) as provider:
        for key in ("sns", "new"):
            bench.simulator.topic.key = key
            assert (await provider.parse_receipt(bench.report())).status is ReceiptStatus.DELIVERED


@pytest.mark.parametrize(("since", "until"), [(-2, -1), (1, 2)], ids=["ended", "not begun"])
async def test_a_certificate_is_good_for_its_time(bench, since, until):
    days = [datetime(2026, 11, 22, tzinfo=UTC) + timedelta(days=number) for number in (since, until)]
    error = await refusal_of(bench, bench.report(), sns_certificates=[certificate_of("sns", *days)])
    assert error.fault is ReceiptFault.SIGNATURE
    assert "with one of them that is not valid now" in error.summary


@pytest.mark.parametrize(
    ("lasting", "warned"), [([31], False), ([30], True), ([30, 400], False), ([400, 30], False), ([-5, 2], True)]
)
async def test_doctor_warns_while_no_certificate_lasts_for_thirty_days(bench, lasting, warned):
    ends = [bench.now + timedelta(days=days) for days in lasting]
    pinned = [certificate_of("sns", datetime(2020, 1, 1, tzinfo=UTC), end) for end in ends]
    async with bench.instance(sns_certificates=pinned) as provider:
        state = await provider.check_account()
    assert (f"good after {max(ends):%Y-%m-%d}" in state.warning) is warned
    assert bool(state.warning) is ("providers.aws.sns_certificates" in state.fix) is warned


@pytest.mark.parametrize(
    "address",
    [
        "http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.example/SimpleNotificationService-1.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.example/SimpleNotificationService-1.pem",
        "https://sns-eu-west-1.amazonaws.com/SimpleNotificationService-1.pem",
        "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-1.pem",
        "https://sns.eu-west-1.amazonaws.com/../x?y.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/SimpleNotificationService-1.pem",
        "",
    ],
)
async def test_a_certificate_from_elsewhere_is_refused_and_its_address_not_shown(bench, address):
    error = await refusal_of(bench, bench.report(SigningCertURL=address))
    assert error.fault is ReceiptFault.SIGNATURE
    assert "pem" not in error.summary


@pytest.mark.parametrize("minutes", [66, -6])
async def test_a_message_that_is_too_old_or_from_the_future_is_stale(bench, minutes):
    request = bench.report()
    bench.advance(minutes=minutes)
    assert (await refusal_of(bench, request)).fault is ReceiptFault.STALE


async def test_a_message_that_sns_has_repeated_for_an_hour_is_taken(bench):
    request = bench.report()
    bench.advance(minutes=64)
    async with bench.instance() as provider:
        assert (await provider.parse_receipt(request)).status is ReceiptStatus.DELIVERED


@pytest.mark.parametrize("time", ["", "yesterday", "2026-11-22T12:00:00"])
async def test_a_time_that_is_none_is_stale(bench, time):
    assert (await refusal_of(bench, bench.report(Timestamp=time))).fault is ReceiptFault.STALE


async def test_without_a_topic_nothing_is_believed(bench):
    error = await refusal_of(bench, bench.report(), sns_topic_arn=None, sns_certificates=None)
    assert error.fault is ReceiptFault.SIGNATURE
    assert "sns_topic_arn" in error.summary


async def test_raw_delivery_is_refused_with_the_fix(bench):
    event = bench.simulator.event("TEXT_DELIVERED", "message-1", recipient="+359871234567", context={})
    request = ReceiptRequest(url=URL, headers={"x-amz-sns-rawdelivery": "true"}, body=json.dumps(event).encode())
    error = await refusal_of(bench, request)
    assert error.fault is ReceiptFault.MALFORMED
    assert "raw message delivery" in error.summary


@pytest.mark.parametrize("kind", ["SubscriptionConfirmation", "UnsubscribeConfirmation"])
async def test_a_confirmation_is_asked_of_the_operator_and_holds_no_receipt(bench, kind, caplog):
    headers, body = bench.simulator.topic.confirmation(kind)
    with caplog.at_level(logging.WARNING, logger="otpcore.providers.aws"):
        async with bench.instance() as provider:
            answer = await provider.parse_receipt(ReceiptRequest(url=URL, headers=headers, body=body))
    assert answer == ReceiptAnswer()
    (record,) = caplog.records
    assert json.loads(body)["SubscribeURL"] in record.getMessage()
    assert not bench.simulator.requests


async def test_a_forged_confirmation_is_neither_shown_nor_taken(bench, caplog):
    topic = SimulatedTopic(arn=bench.simulator.topic.arn, clock=bench.simulator.clock, key="forger")
    headers, body = topic.confirmation()
    error = await refusal_of(bench, ReceiptRequest(url=URL, headers=headers, body=body))
    assert error.fault is ReceiptFault.SIGNATURE
    assert not caplog.records


async def test_a_confirmation_that_leads_elsewhere_is_not_shown(bench, caplog):
    fields = {"Type": "SubscriptionConfirmation", "Message": "x", "Token": "x", "SubscribeURL": "https://evil.example/"}
    headers, body = bench.simulator.topic.signed(fields)
    error = await refusal_of(bench, ReceiptRequest(url=URL, headers=headers, body=body))
    assert error.fault is ReceiptFault.MALFORMED
    assert not caplog.records


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_every_event_is_read_as_the_table_says(name):
    receipt = read_event(json.dumps({"eventType": name, "messageId": "message-1"}))
    status, kind = EVENTS[name]
    assert (receipt.status, receipt.kind) == (status, kind)
    assert receipt.provider_code == (name if status is ReceiptStatus.UNDELIVERED else "")
    assert (kind is None) == (status is not ReceiptStatus.UNDELIVERED)


def test_only_what_has_arrived_is_confirmed():
    """``TEXT_SUCCESSFUL`` may be followed by a failure."""
    delivered = {name for name, (status, _) in EVENTS.items() if status is ReceiptStatus.DELIVERED}
    assert delivered == {"RCS_DELIVERED", "RCS_READ", "TEXT_DELIVERED", "VOICE_COMPLETED"}


def test_only_what_is_about_the_person_ends_a_send():
    final = {ErrorKind.REJECTED_NUMBER, ErrorKind.BLOCKED}
    assert {name for name, (_, kind) in EVENTS.items() if kind in final} == {
        "RCS_PROTECT_BLOCKED",
        "TEXT_BLOCKED",
        "TEXT_INVALID",
        "TEXT_PROTECT_BLOCKED",
    }


def test_an_event_that_aws_adds_later_is_progress():
    receipt = read_event('{"eventType": "TEXT_PONDERED", "messageId": "message-1"}')
    assert (receipt.status, receipt.provider_code, receipt.reference) == (None, "", "message-1")


@pytest.mark.parametrize("context", [None, [], "x", {}, {"delivery_id": 7}, {"delivery_id": "+1 2"}])
def test_without_our_id_the_message_goes_by_its_own(context):
    receipt = read_event(json.dumps({"eventType": "TEXT_DELIVERED", "messageId": "message-1", "context": context}))
    assert (receipt.reference, receipt.delivery_id) == ("message-1", "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"eventType": "TEXT_DELIVERED"}',
        '{"eventType": "TEXT_DELIVERED", "messageId": "+359 87"}',
        '{"eventType": 7, "messageId": "message-1"}',
        '{"eventType": "text delivered", "messageId": "message-1"}',
        '{"AlarmName": "x", "messageId": "message-1"}',
        "[" * 100_000,
    ],
)
def test_another_message_of_the_topic_is_malformed(text):
    with pytest.raises(ReceiptRefused) as caught:
        read_event(text)
    assert caught.value.fault is ReceiptFault.MALFORMED
