"""A service that sends through AWS, and a web application to which SNS reports."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from otp_aws.simulator import AwsSimulator

from otpcore import OTPError, OTPService, ReceiptOutcome, ReceiptRequest
from otpcore.simulators import find_code
from otpcore.testing import Outbox

PERSON, UNREACHABLE, OPTED_OUT = "+359871234567", "+12065550151", "+12065550154"


class Application:
    """The host's web application: hands what arrives to the service, and answers what it says."""

    def __init__(self):
        self.otp = None
        self.outcomes, self.statuses = [], []
        application = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(application.take(self.path, dict(self.headers), body))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/receipts/aws"

    def take(self, path, headers, body):
        request = ReceiptRequest(url=f"https://example.com{path}", headers=headers, body=body)
        try:
            result = self.otp.handle_receipt("aws", request)
        except OTPError as error:
            self.statuses.append(error.http_status)
            return error.http_status
        self.outcomes.extend(result.outcomes)
        return result.status

    def __enter__(self):
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def scene():
    """Messages go by one account of AWS, and by another where that fails."""
    with ExitStack() as stack:
        first, second = stack.enter_context(AwsSimulator()), stack.enter_context(AwsSimulator())
        application = stack.enter_context(Application())
        first.receipts_url = application.url
        providers = {
            "aws": first.provider_settings(),
            "spare": {"plugin": "aws", **second.provider_settings()},
        }
        routes = {"otp_sms_provider": "aws;spare", "otp_call_provider": "aws"}
        settings = {**Outbox().settings, **routes, "providers": providers}
        application.otp = stack.enter_context(OTPService(settings))
        yield first, second, application


def test_a_message_is_confirmed_and_its_code_verifies(scene):
    first, second, application = scene
    application.otp.send_sms(PERSON)
    first.wait_for_callbacks()
    assert application.outcomes == [ReceiptOutcome.IGNORED, ReceiptOutcome.IGNORED, ReceiptOutcome.APPLIED]
    assert application.otp.verify(PERSON, first.inbox[0].code)
    assert not second.requests


def test_what_did_not_arrive_goes_to_the_next_instance(scene):
    first, second, application = scene
    application.otp.send_sms(UNREACHABLE)
    first.wait_for_callbacks()
    assert application.outcomes == [ReceiptOutcome.IGNORED, ReceiptOutcome.APPLIED]
    assert not first.inbox
    (sent,) = second.requests  # to whom the number is as far away
    assert application.otp.verify(UNREACHABLE, find_code(sent.json()["MessageBody"]))


def test_whoever_blocks_messages_is_sent_no_other(scene):
    first, second, application = scene
    application.otp.send_sms(OPTED_OUT)
    first.wait_for_callbacks()
    assert application.outcomes[-1] is ReceiptOutcome.APPLIED
    assert not second.requests


def test_a_call_is_answered_and_its_code_verifies(scene):
    first, _, application = scene
    application.otp.call(PERSON)
    first.wait_for_callbacks()
    assert application.outcomes[-1] is ReceiptOutcome.APPLIED
    assert application.otp.verify(PERSON, first.inbox[0].code)


def test_what_a_forger_reports_is_refused_and_changes_nothing(scene):
    first, second, application = scene
    first.topic.key = "forger"
    application.otp.send_sms(UNREACHABLE)
    first.wait_for_callbacks()
    assert application.statuses == [403, 403]
    assert not application.outcomes
    assert not second.requests


def test_the_settings_of_a_simulator_name_its_topic_only_where_it_reports():
    with AwsSimulator() as aws:
        assert not {"sns_topic_arn", "sns_certificates"} & aws.provider_settings().keys()
        aws.receipts_url = "http://127.0.0.1:9/receipts/aws"
        assert aws.topic_settings().items() <= aws.provider_settings().items()
