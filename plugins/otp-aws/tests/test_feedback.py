"""Telling AWS whether a code was typed."""

from __future__ import annotations

import pytest

from otpcore.providers import Channel, ErrorKind


@pytest.mark.parametrize(("approved", "status"), [(True, "RECEIVED"), (False, "FAILED")])
@pytest.mark.parametrize("channel", [Channel.SMS, Channel.CALL])
async def test_aws_hears_how_it_ended(bench, channel, approved, status):
    async with bench.instance(message_feedback=True) as provider:
        send = provider.call if channel is Channel.CALL else provider.send_sms
        receipt = await send(bench.delivery(channel=channel))
        assert bench.fields["MessageFeedbackEnabled"] is True
        await provider.report_outcome(bench.outcome(receipt.reference, approved=approved))
    assert bench.simulator.feedback == {receipt.reference: status}


async def test_a_message_that_aws_has_forgotten_is_over(bench):
    async with bench.instance(message_feedback=True) as provider:
        await provider.report_outcome(bench.outcome("another", approved=True))
    assert not bench.simulator.feedback
    assert len(bench.simulator.requests) == 1


async def test_of_a_send_that_was_never_answered_nothing_can_be_told(bench):
    async with bench.instance(message_feedback=True) as provider:
        await provider.report_outcome(bench.outcome("", approved=True))
    assert not bench.simulator.requests


async def test_what_aws_does_not_take_is_an_error(bench, failure_of):
    async with bench.instance(message_feedback=True) as provider:
        bench.simulator.secret_access_key = "another"
        failure = await failure_of(provider.report_outcome(bench.outcome("another", approved=True)))
    assert failure.kind is ErrorKind.MISCONFIGURED


def test_without_the_setting_nothing_is_told(bench):
    assert not hasattr(bench.provider(), "report_outcome")
