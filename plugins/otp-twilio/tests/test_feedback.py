"""``feedback``: Twilio hears which messages brought a code that was typed. And prices: where Twilio says one, and where not."""

from __future__ import annotations

from contextlib import asynccontextmanager
from decimal import Decimal

import anyio
import attrs
import pytest
from otp_twilio import FeedbackProvider, Mode
from otp_twilio.client import taken
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from otpcore import AsyncOTPService, SettingsError
from otpcore.providers import Channel, ErrorKind, Price, ReceiptRequest
from otpcore.simulators import Fault
from otpcore.testing import Outbox

NUMBER = "+359871234567"
CODE = "4081625"
SID = f"SM{'0' * 32}"


@pytest.fixture
def sdk(bench):
    """Messages in Twilio's own SDK."""
    simulator, http = bench.simulator, TwilioHttpClient(timeout=5)
    client = Client(simulator.account_sid, simulator.auth_token, http_client=http)
    client.api.base_url = simulator.base_url
    yield client
    http.session.close()


def asked(bench):
    """The last request, as far as it is ours."""
    last = bench.simulator.requests[-1]
    return last.method, last.path, last.form(), last.headers["content-type"]


@asynccontextmanager
async def opened(bench, **settings):
    """A service that sends through Twilio Messaging."""
    twilio = {**bench.simulator.provider_settings(Mode.MESSAGING), **settings}
    sections = {**Outbox().settings, "otp_sms_provider": "twilio", "providers": {"twilio": twilio}}
    async with AsyncOTPService(sections, clock=lambda: bench.now) as otp:
        yield otp


async def test_a_message_is_announced_as_the_sdk_announces_it(bench, sdk):
    sender, text = bench.simulator.from_number, f"Code {CODE}"
    sdk.messages.create(to=NUMBER, from_=sender, body=text, validity_period=300, provide_feedback=True)
    theirs = asked(bench)
    async with bench.instance(Mode.MESSAGING, feedback=True) as provider:
        await provider.send_sms(bench.delivery(code=CODE, text=text))
    assert isinstance(provider, FeedbackProvider)
    assert asked(bench) == theirs


async def test_what_is_told_is_what_the_sdk_tells(bench, sdk):
    async with bench.instance(Mode.MESSAGING, feedback=True) as provider:
        sid = (await provider.send_sms(bench.delivery(code=CODE, text=f"Code {CODE}"))).reference
        assert sdk.messages(sid).feedback.create(outcome="confirmed").outcome == "confirmed"
        theirs = asked(bench)
        await provider.report_outcome(bench.outcome(sid, approved=True))
    assert asked(bench) == theirs
    assert bench.simulator.feedback == {sid: "confirmed"}


@pytest.mark.parametrize(
    ("reference", "approved", "channel"),
    [("", True, Channel.SMS), (SID, False, Channel.SMS), (SID, True, Channel.CALL)],
    ids=["no SID", "not typed", "a call"],
)
async def test_of_the_rest_nothing_is_told(bench, reference, approved, channel):
    request = bench.outcome(reference, approved=approved)
    async with bench.instance(Mode.MESSAGING, feedback=True) as provider:
        await provider.report_outcome(attrs.evolve(request, channel=channel))
    assert bench.simulator.requests == []


async def test_a_message_that_twilio_has_no_more_is_no_failure_and_any_other_is(bench, failure_of):
    async with bench.instance(Mode.MESSAGING, feedback=True) as provider:
        await provider.report_outcome(bench.outcome(SID, approved=True))
        assert len(bench.simulator.requests) == 1
        bench.simulator.fail(Fault.HTTP_503)
        failure = await failure_of(provider.report_outcome(bench.outcome(SID, approved=True)))
    assert failure.kind is ErrorKind.UNAVAILABLE


@pytest.mark.parametrize("feedback", [True, False])
async def test_a_code_that_was_typed_confirms_its_message_where_the_instance_says_so(bench, feedback):
    async with opened(bench, feedback=feedback) as otp:
        await otp.send_sms(NUMBER)
        announced = bench.form.get("ProvideFeedback")
        assert await otp.verify(NUMBER, bench.code)
        if feedback:
            with anyio.fail_after(10):
                while not bench.simulator.feedback:
                    await anyio.sleep(0.01)
    told = {message.reference: "confirmed" for message in bench.simulator.inbox}
    assert (announced, bench.simulator.feedback) == (("true", told) if feedback else (None, {}))


def test_feedback_belongs_to_messages(bench):
    with pytest.raises(SettingsError, match='feedback: belongs to mode = "messaging" only'):
        bench.provider(Mode.VERIFY, feedback=True)


# Prices.


@pytest.mark.parametrize(
    ("price", "unit", "read"),
    [
        (None, "USD", None),
        ("-0.00750", "USD", "0.00750 USD"),
        ("0.0079", "eur", "0.0079 EUR"),
        ("-0", "USD", "0 USD"),
        ("--1", "USD", None),
        ("free", "USD", None),
        ("-0.00750", None, None),
        (-0.0075, "USD", None),
    ],
)
def test_a_price_is_what_twilio_charges_turned_round_and_never_guessed(price, unit, read):
    receipt = taken({"sid": SID, "price": price, "price_unit": unit})
    assert receipt.reference == SID
    assert (str(receipt.price) if receipt.price else None) == read


async def test_the_price_is_not_known_at_first_nor_in_a_callback_and_is_where_the_message_is_looked_up(bench, sdk):
    url = "https://example.com/receipts"
    async with bench.instance(Mode.MESSAGING, status_callback_url=url) as provider:
        sent = await provider.send_sms(bench.delivery(code=CODE, text=f"Code {CODE}"))
        assert sent.price is None
        assert sdk.messages(sent.reference).fetch().price == "-0.00750"
        for callback in bench.simulator.callbacks:
            request = ReceiptRequest(url=callback.url, headers=callback.headers, body=callback.body)
            assert (await provider.parse_receipt(request)).price is None
    assert bench.simulator.callbacks
    assert bench.simulator.inbox[-1].price == Price(amount=Decimal("0.0075"), currency="USD")
