"""Credentials that are lent, by whomever: kept, renewed in time and by one, and used for as long as they last."""

from __future__ import annotations

import logging
from datetime import timedelta

import anyio
import attrs
import pytest

from otpcore.providers import ErrorKind
from otpcore.simulators import Fault

NAMES = {
    "Container": "the container's role",
    "Metadata": "the EC2 instance's role",
    "Sts": "the web identity of AWS_ROLE_ARN",
}


def name_of(lender):
    return NAMES[type(lender).__name__]


async def test_what_is_lent_signs_until_shortly_before_it_ends(bench, lender):
    lender.life = timedelta(hours=6)
    async with bench.lent() as provider:
        for wait, times in ((0, 1), (60, 1), (5 * 3600 + 53 * 60, 1), (60, 2), (60, 2)):
            bench.advance(seconds=wait)
            await provider.send_sms(bench.delivery())
            assert lender.lent == times
    assert len(bench.simulator.inbox) == 5
    assert bench.simulator.requests[-1].headers["x-amz-security-token"] == "token-2"


async def test_many_sends_at_once_ask_once(bench, lender):
    async with bench.lent() as provider, anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(provider.send_sms, bench.delivery())
    assert (len(bench.simulator.inbox), lender.lent) == (5, 1)


async def test_while_one_renews_the_others_go_on_with_what_is_good(bench, container):
    async with bench.lent() as provider:
        await provider.send_sms(bench.delivery())
        bench.advance(hours=5, minutes=58)
        container.fail(Fault.HANG)
        async with anyio.create_task_group() as group:
            group.start_soon(provider.send_sms, bench.delivery())
            with anyio.fail_after(10):
                while len(container.requests) < 2:
                    await anyio.sleep(0.01)
                await provider.send_sms(bench.delivery())
            assert len(bench.simulator.inbox) == 2, "the second did not wait for the first"
            group.cancel_scope.cancel()


async def test_many_sends_at_once_share_one_failure(bench, lender, failure_of):
    lender.fail(Fault.HTTP_500, times=None)
    failures = []

    async def send(provider):
        failures.append(await failure_of(provider.send_sms(bench.delivery())))

    async with bench.lent() as provider:
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(send, provider)
        assert len(failures) == 5
        assert len(lender.requests) == 1
        await send(provider)
        assert len(lender.requests) == 2, "one that comes later asks again"


@pytest.mark.parametrize("fault", [Fault.HTTP_500, Fault.RESET_AFTER_READ, Fault.GARBAGE_BODY, Fault.REDIRECT])
async def test_without_credentials_nothing_is_sent_and_nothing_in_doubt(bench, lender, failure_of, fault):
    lender.fail(fault)
    async with bench.lent() as provider:
        failure = await failure_of(provider.send_sms(bench.delivery()))
        assert failure.kind in (ErrorKind.UNAVAILABLE, ErrorKind.MISCONFIGURED)
        assert failure.summary.startswith(f"no credentials of {name_of(lender)}: ")
        assert failure.fix
        assert not bench.simulator.requests
        await provider.send_sms(bench.delivery())


async def test_who_does_not_answer_leaves_the_send_half_of_its_time(bench, lender, failure_of):
    lender.fail(Fault.HANG, times=None)
    async with bench.lent() as provider:
        source = provider.client.source
        source.context = attrs.evolve(source.context, timeout=0.4)
        with anyio.fail_after(5):
            failure = await failure_of(provider.send_sms(bench.delivery()))
    assert failure.kind is ErrorKind.UNAVAILABLE
    assert "no answer within 0.2 s" in failure.summary


async def test_what_cannot_be_renewed_is_used_as_long_as_it_lasts_and_said(bench, lender, failure_of, caplog):
    lender.life = timedelta(hours=6)
    async with bench.lent() as provider:
        await provider.send_sms(bench.delivery())
        lender.down()
        bench.advance(seconds=lender.life.total_seconds() - 1)
        with caplog.at_level(logging.WARNING, logger="otpcore.providers.aws"):
            await provider.send_sms(bench.delivery())
        (record,) = caplog.records
        assert f"the credentials of {name_of(lender)} could not be renewed" in record.getMessage()
        assert "secret-" not in record.getMessage()
        bench.advance(seconds=1)
        failure = await failure_of(provider.send_sms(bench.delivery()))
        assert failure.kind is ErrorKind.UNAVAILABLE
        lender.up()
        await provider.send_sms(bench.delivery())
    assert len(bench.simulator.inbox) == 3


async def test_a_renewal_that_failed_is_tried_again_half_a_minute_later(bench, lender):
    lender.life = timedelta(hours=6)
    async with bench.lent() as provider:
        await provider.send_sms(bench.delivery())
        bench.advance(hours=5, minutes=58)
        lender.fail(Fault.HTTP_500)
        for wait, times in ((0, 1), (29, 1), (1, 2)):
            bench.advance(seconds=wait)
            await provider.send_sms(bench.delivery())
            assert lender.lent == times


@pytest.mark.parametrize(
    "changed", [{"AccessKeyId": None}, {"SecretAccessKey": ""}, {"Expiration": None}, {"Expiration": "soon"}]
)
async def test_an_answer_that_lacks_something_is_none(bench, lender, failure_of, changed):
    lender.changed = changed
    async with bench.lent() as provider:
        failure = await failure_of(provider.send_sms(bench.delivery()))
    assert (failure.kind, bench.simulator.requests) == (ErrorKind.UNAVAILABLE, [])


@pytest.mark.parametrize("which", ["container", "sts"])
async def test_what_has_ended_when_it_is_lent_is_said_to_be_the_clocks_affair(bench, request, failure_of, which):
    request.getfixturevalue(which).life = timedelta(seconds=-1)
    async with bench.lent() as provider:
        failure = await failure_of(provider.send_sms(bench.delivery()))
    assert failure.kind is ErrorKind.UNAVAILABLE
    assert "clock" in failure.fix


async def test_doctor_is_told_whose_the_credentials_are(bench, lender, failure_of):
    async with bench.lent() as provider:
        state = await provider.check_account()
        assert state.summary.startswith(f"the credentials of {name_of(lender)} are right")
        bench.simulator.secret_access_key = "another"
        failure = await failure_of(provider.check_account())
    assert failure.kind is ErrorKind.MISCONFIGURED
    assert name_of(lender) in failure.fix
    async with bench.instance(secret_access_key="another", session_token="token-1") as provider:
        assert (await provider.check_account()).summary.startswith("the credentials of the settings are right")


async def test_nothing_lent_is_shown(bench, lender):
    async with bench.lent() as provider:
        await provider.send_sms(bench.delivery())
        shown = repr(provider) + repr(provider.client.source) + repr(vars_of(provider.client.source))
    for secret in ("secret-1", "token-1", getattr(lender, "token", None) or "secret-1"):
        assert secret not in shown


def vars_of(source):
    return [source.lender, source._lent]
