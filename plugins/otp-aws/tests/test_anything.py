"""Whatever AWS, SNS or a client says, it is read or refused, and nothing falls over."""

from __future__ import annotations

import json
import string
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from otp_aws.errors import EXCEPTIONS, REASONS, error_of
from otp_aws.events import EVENTS, read_event
from otp_aws.signing import Credentials, signed_headers
from otp_aws.simulator import AwsSimulator
from otp_aws.simulator.shapes import OPERATIONS
from otp_aws.sns import Topic, certificates_in

from otpcore.http import HttpAnswer
from otpcore.providers import ErrorKind, ReceiptRefused, ReceiptRequest, ReceiptStatus
from otpcore.simulators import SimulatedRequest

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def said(**known):
    """An object with some of these fields, each as it should be or anything."""
    return st.fixed_dictionaries({}, optional={name: st.sampled_from(good) | anything for name, good in known.items()})


@settings(deadline=None)
@given(
    body=said(__type=[*EXCEPTIONS, "a.b#ConflictException"], Reason=[*REASONS], Fields=[[{"Name": "MessageBody"}]]),
    status=st.sampled_from([200, 204, 302, 400, 403, 429, 500, 503, 599]),
)
def test_every_answer_that_is_no_success_is_an_error_that_says_something(body, status):
    error = error_of(HttpAnswer(status=status, body=json.dumps(body).encode()))
    assert isinstance(error.kind, ErrorKind)
    assert error.summary
    assert set(error.provider_code) <= set(string.ascii_letters + string.digits + "_-")


@settings(deadline=None)
@given(said(eventType=[*EVENTS], messageId=["message-1"], context=[{"delivery_id": "delivery-1"}, {}]))
def test_every_event_is_a_receipt_or_refused(event):
    with suppress(ReceiptRefused):
        receipt = read_event(json.dumps(event))
        assert receipt.reference
        assert (receipt.kind is not None) == (receipt.status is ReceiptStatus.UNDELIVERED)


@settings(deadline=None)
@given(
    message=said(
        Type=["Notification", "SubscriptionConfirmation"],
        TopicArn=["arn:aws:sns:eu-west-1:123456789012:otp-events"],
        SigningCertURL=["https://sns.eu-west-1.amazonaws.com/x.pem"],
        Timestamp=["2026-11-22T12:00:00.000Z"],
        SignatureVersion=["1", "2"],
        Signature=["AAAA"],
        **{name: ["x"] for name in ("Message", "MessageId", "SubscribeURL", "Token")},
    ),
    header=st.sampled_from(["Notification", "SubscriptionConfirmation", ""]),
)
def test_what_is_not_signed_is_refused_whatever_it_is(message, header):
    topic = AwsSimulator().topic
    believed = Topic(arn=topic.arn, certificates=certificates_in(topic.certificate))
    headers = {"x-amz-sns-message-type": header} if header else {}
    with pytest.raises(ReceiptRefused):
        believed.proven(ReceiptRequest(url="", headers=headers, body=json.dumps(message).encode()), NOW)


@settings(deadline=None)
@given(
    operation=st.sampled_from([*OPERATIONS, "Another"]),
    body=said(
        DestinationPhoneNumber=["+359871234567", "+12065550110", "+12065550151"],
        OriginationIdentity=["+12065550100", "Acme"],
        MessageBody=["Hello"],
        MaxPrice=["0.01", "1.00"],
        MessageId=["x"],
        MessageFeedbackStatus=["FAILED"],
    ),
)
def test_the_simulator_answers_whatever_a_client_sends(operation, body):
    simulator = AwsSimulator()
    simulator.clock = lambda: NOW
    content = json.dumps(body).encode()
    headers = signed_headers(
        {"X-Amz-Target": f"PinpointSMSVoiceV2.{operation}"},
        content,
        host="127.0.0.1",
        region=simulator.region,
        service="sms-voice",
        credentials=Credentials(access_key_id=simulator.access_key_id, secret_access_key=simulator.secret_access_key),
        now=NOW,
    )
    sent = {name.lower(): value for name, value in {**headers, "Host": "127.0.0.1"}.items()}
    answer = simulator.handle(SimulatedRequest("POST", "/", "", sent, content))
    assert answer.status in (200, 400, 500, 503)
    assert isinstance(json.loads(answer.body), dict)
