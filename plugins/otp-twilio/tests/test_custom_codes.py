"""``custom_codes``: Verify sends our code in its own words, and hears how it ended."""

from __future__ import annotations

from contextlib import asynccontextmanager

import anyio
import pytest
from otp_twilio import CustomCodeProvider
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from otpcore import AsyncOTPService, NoRouteError
from otpcore.providers import Channel, CodeOwner, ErrorKind, Feature
from otpcore.simulators import Fault
from otpcore.testing import Outbox

NUMBER = "+359871234567"
CODE, OTHER = "4081625", "7350"


@pytest.fixture
def bench(bench):
    bench.simulator.custom_codes = True
    return bench


@pytest.fixture
def service(bench):
    """Verify in Twilio's own SDK."""
    simulator, http = bench.simulator, TwilioHttpClient(timeout=5)
    client = Client(simulator.account_sid, simulator.auth_token, http_client=http)
    client.verify.base_url = simulator.base_url
    yield client.verify.v2.services(simulator.service_sid)
    http.session.close()


@asynccontextmanager
async def opened(bench, outbox=None, **sections):
    """A service that sends through Twilio; the outbox comes first where it is given."""
    twilio = bench.simulator.provider_settings() | {"custom_codes": True}
    instances = {"twilio": twilio}
    settings = {**Outbox().settings, "otp_sms_provider": "twilio", "providers": instances, **sections}
    providers = None if outbox is None else {"outbox": outbox, "twilio": bench.provider(custom_codes=True)}
    async with AsyncOTPService(settings, providers=providers, clock=lambda: bench.now) as otp:
        yield otp


def told(bench):
    """What Twilio was told of how verifications ended: the last part of each path, and the status."""
    return [
        (request.path.rpartition("/")[2], request.form()["Status"][0])
        for request in bench.simulator.requests
        if request.method == "POST" and request.path.rpartition("/")[0].endswith("/Verifications")
    ]


async def until(condition):
    with anyio.fail_after(10):
        while not condition():
            await anyio.sleep(0.01)


# The plugin.


@pytest.mark.parametrize("channel", ["sms", "call", "whatsapp"])
async def test_what_goes_out_is_what_the_sdk_sends(bench, service, channel):
    started = service.verifications.create(to=NUMBER, channel=channel, custom_code=CODE, locale="de")
    theirs = bench.form
    async with bench.instance(channels=["sms", "call", "whatsapp"], custom_codes=True) as provider:
        request = bench.delivery(channel=Channel(channel), code=CODE, text="unused", locale="de")
        assert (await provider.send_message(request)).reference == started.sid
    assert bench.form == theirs
    assert isinstance(provider, CustomCodeProvider)
    assert {message.code for message in bench.simulator.inbox} == {CODE}


@pytest.mark.parametrize(("approved", "status"), [(True, "approved"), (False, "canceled")])
async def test_what_is_told_is_what_the_sdk_tells(bench, service, approved, status):
    sid = service.verifications.create(to=NUMBER, channel="sms", custom_code=CODE).sid
    assert service.verifications(sid).update(status=status).status == status
    theirs = bench.form
    async with bench.instance(custom_codes=True) as provider:
        sid = (await provider.send_sms(bench.delivery(code=CODE))).reference
        await provider.report_outcome(bench.outcome(sid, approved=approved))
        assert bench.form == theirs
        await provider.report_outcome(bench.outcome(approved=approved))
    assert told(bench)[1:] == [(sid, status), (NUMBER, status)]


def test_it_declares_a_carrier_of_our_codes_in_twilios_words(bench):
    info = bench.provider(custom_codes=True).describe()
    assert (info.code_owner, info.code_scope) == (CodeOwner.CORE, f"twilio:{bench.simulator.service_sid}")
    assert info.words_text(Channel.SMS)
    assert info.carried(Channel.SMS).takes(Feature.CODE_LENGTH, "10")
    assert not info.carried(Channel.SMS).takes(Feature.TEXT)


async def test_without_custom_codes_at_twilio_it_is_misconfigured(bench, failure_of):
    bench.simulator.custom_codes = False
    async with bench.instance(custom_codes=True) as provider:
        failure = await failure_of(provider.send_sms(bench.delivery(code=CODE)))
    assert (failure.kind, failure.provider_code) == (ErrorKind.MISCONFIGURED, "60204")


# In a service.


async def test_one_code_verifies_across_a_failover_and_twilio_hears_of_it(bench):
    outbox = Outbox()
    async with opened(bench, outbox) as otp:
        outbox.fail("ambiguous", delivered=True)
        challenge = await otp.send(NUMBER, code=CODE, locale="de")
        assert (challenge.provider, challenge.code) == ("twilio", CODE)
        assert bench.form["Locale"] == "de"
        assert (outbox.code, bench.code) == (CODE, CODE)
        assert not await otp.verify(NUMBER, OTHER)
        assert await otp.verify(NUMBER, CODE)
        await until(lambda: told(bench))
    assert told(bench) == [(bench.simulator.inbox[-1].reference, "approved")]
    assert not any("VerificationCheck" in request.path for request in bench.simulator.requests)


async def test_otpcores_own_code_goes_there_too(bench):
    async with opened(bench, otp={"length": 8}) as otp:
        await otp.send(NUMBER)
        assert len(bench.code) == 8
        assert await otp.verify(NUMBER, bench.code)


async def test_a_text_of_the_hosts_is_still_not_twilios_to_carry(bench):
    async with opened(bench) as otp:
        with pytest.raises(NoRouteError, match="twilio cannot carry a text of your own"):
            await otp.send(NUMBER, code=CODE, message="{code} it is")


async def test_another_code_cancels_the_verification_of_the_first(bench):
    async with opened(bench) as otp:
        await otp.send(NUMBER, code=CODE)
        first = bench.simulator.inbox[-1].reference
        bench.advance(30)
        await otp.send(NUMBER, code=OTHER)
        assert (bench.code, bench.simulator.inbox[-1].reference == first) == (OTHER, False)
        assert told(bench) == [(first, "canceled")]
        assert await otp.verify(NUMBER, OTHER)
        await until(lambda: len(told(bench)) > 2)
    second = bench.simulator.inbox[-1].reference
    assert told(bench)[1:] == [(second, "approved"), (first, "canceled")]


async def test_what_is_cancelled_is_told(bench):
    async with opened(bench) as otp:
        challenge = await otp.send(NUMBER)
        assert await otp.cancel(challenge.id)
        await until(lambda: told(bench))
    assert told(bench) == [(bench.simulator.inbox[-1].reference, "canceled")]


async def test_what_is_expired_is_told_when_that_is_found_out(bench):
    async with opened(bench) as otp:
        await otp.send(NUMBER)
        first = bench.simulator.inbox[-1].reference
        bench.advance(301)
        await otp.send(NUMBER)
        await until(lambda: told(bench))
    assert (first, "canceled") in told(bench)


async def test_a_vendor_that_fails_or_hangs_is_in_nobodys_way(bench, caplog):
    async with opened(bench, otp={"provider_timeout": 0.5}) as otp:
        await otp.send(NUMBER)
        code = bench.code
        bench.simulator.fail(Fault.HANG)
        began = anyio.current_time()
        assert await otp.verify(NUMBER, code)
        assert anyio.current_time() - began < 0.4
        await until(lambda: "was not told how it ended: ambiguous" in caplog.text)
    assert len(told(bench)) == 1
    assert code not in caplog.text
