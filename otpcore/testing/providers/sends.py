"""Contract tests of what a provider is and sends: declaration, start, messages, refusals, cancellation, silence."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack

import anyio
import attrs
import pytest

from otpcore.errors import ErrorKind, ProviderError
from otpcore.models import Channel, CodeOwner
from otpcore.providers.provider import PROVIDERS, load_target
from otpcore.providers.requests import CheckResult, DeliveryRequest
from otpcore.simulators.exchange import Fault
from otpcore.testing.providers.base import ContractBase, Refusal
from otpcore.testing.providers.bench import IN_DOUBT, PATIENCE, STATUSES, Bench, name_of, why_in_doubt

__all__ = ["SendTests"]

# RESET_AFTER_WORK looks like RESET_AFTER_READ from here, and may end the verification that is to be checked.
_QUICK_FAULTS = tuple(fault for fault in (*IN_DOUBT, *STATUSES) if fault is not Fault.RESET_AFTER_WORK)

_MIDWAY = 0.2  # seconds after which a send that hangs is cancelled
_WRONG_KIND = (
    "{which} is {refusal.kind} in `refusals`, and the hook ended with {failure}; raise ProviderError, by a table "
    "of the vendor's codes"
)
_SWALLOWED = (
    "a cancelled send must not answer: a hook must let cancellation pass, so it catches `Exception` and no more, or "
    "raises again what it caught"
)


class SendTests(ContractBase):
    """What a provider is, and what becomes of a message."""

    @pytest.mark.anyio
    async def test_it_starts_and_stops_as_often_as_it_is_made(self, accepting: Bench) -> None:
        for _ in range(2):
            async with accepting.open() as provider:
                await provider.send(accepting.delivery(self.channels[0]), PATIENCE)

    @pytest.mark.anyio
    async def test_an_accepted_message_arrives_once_and_intact(self, accepting: Bench, channel: Channel) -> None:
        async with accepting.open() as provider:
            request = accepting.delivery(channel)
            receipt = await provider.send(request, PATIENCE)
        assert len(accepting.simulator.inbox) == 1, "one send is one message"
        (message,) = accepting.simulator.inbox
        self.assert_delivered(message, request)
        if self.code_owner is CodeOwner.PROVIDER:
            assert len(message.code) in provider.info.code_lengths, "set `code_lengths` in describe()"
        if message.reference:
            assert receipt.reference == message.reference, "`reference` of the DeliveryReceipt is the vendor's id"

    @pytest.mark.anyio
    async def test_a_text_without_a_code_arrives_as_it_is(self, accepting: Bench, channel: Channel) -> None:
        if self.code_owner is not CodeOwner.CORE or accepting.provider().info.words_text(channel):
            pytest.skip("the vendor words the text")
        async with accepting.open() as provider:
            request = attrs.evolve(accepting.delivery(channel), code=None, text="Your parcel is at the door.")
            await provider.send(request, PATIENCE)
        (message,) = accepting.simulator.inbox
        self.assert_delivered(message, request)

    @pytest.mark.anyio
    async def test_two_instances_live_side_by_side(self, accepting: Bench) -> None:
        channel = self.channels[0]
        async with AsyncExitStack() as stack:
            staying = await stack.enter_async_context(accepting.open())
            async with accepting.open() as leaving:
                await leaving.send(accepting.delivery(channel), PATIENCE)
            await staying.send(accepting.delivery(channel), PATIENCE)
        assert len(accepting.simulator.inbox) == 2

    @pytest.mark.anyio
    async def test_a_refusal_of_the_vendor_has_its_kind_and_code(
        self, accepting: Bench, refusal: Refusal, channel: Channel
    ) -> None:
        async with accepting.open() as provider:
            failure = await accepting.failure(provider.send(_armed(accepting, refusal, channel), PATIENCE))
        assert failure.kind is refusal.kind, _WRONG_KIND.format(
            which=refusal.provider_code or "this refusal", refusal=refusal, failure=failure
        )
        if refusal.provider_code is not None:
            assert failure.provider_code == refusal.provider_code, "the vendor's own code goes into `provider_code`"

    @pytest.mark.anyio
    @pytest.mark.parametrize("fault", [Fault.CLOSE_AFTER_READ, Fault.RESET_AFTER_WORK], ids=name_of)
    async def test_a_repeat_sends_no_more_than_the_author_says(
        self, accepting: Bench, channel: Channel, fault: Fault
    ) -> None:
        arrived = fault is Fault.RESET_AFTER_WORK
        async with accepting.open() as provider:
            first = accepting.delivery(channel)
            accepting.simulator.fail(fault)
            failure = await accepting.failure(provider.send(first, PATIENCE))
            assert failure.kind is ErrorKind.AMBIGUOUS, why_in_doubt(failure)
            again = accepting.delivery(channel, repeat_of=first)
            receipt = await provider.send(again, PATIENCE)
            assert len(accepting.simulator.inbox) == (self.messages_after_repeat if arrived else 1)
            if self.code_owner is CodeOwner.PROVIDER:
                code = accepting.simulator.inbox[-1].code
                verdict = await provider.check_code(accepting.check(again, receipt.reference, code), PATIENCE)
                assert verdict is CheckResult.APPROVED, "the code that the person has last must verify"

    @pytest.mark.anyio
    async def test_cancellation_passes_at_once_and_leaves_the_provider_usable(self, accepting: Bench) -> None:
        channel = self.channels[0]
        async with accepting.open(timeout=60.0) as provider:
            accepting.simulator.fail(Fault.HANG)
            began = anyio.current_time()
            with anyio.move_on_after(_MIDWAY) as scope:
                try:
                    await provider.send(accepting.delivery(channel), 60.0)
                except ProviderError:
                    assert scope.cancel_called, "it failed before context.timeout was over"
            assert scope.cancelled_caught, _SWALLOWED
            assert anyio.current_time() - began < PATIENCE
            await provider.send(accepting.delivery(channel), PATIENCE)

    @pytest.mark.anyio
    async def test_nothing_readable_is_shown_or_logged(
        self, accepting: Bench, channel: Channel, caplog: pytest.LogCaptureFixture
    ) -> None:
        for logger in (None, "otpcore"):  # whatever level a host has given them
            caplog.set_level(logging.DEBUG, logger=logger)
        simulator = accepting.simulator
        async with accepting.open() as provider:
            request = accepting.delivery(channel)
            receipt = await provider.send(request, PATIENCE)
            if self.code_owner is CodeOwner.PROVIDER:
                code = simulator.inbox[-1].code
                for tried in (self.wrong_code(code), code):
                    await provider.check_code(accepting.check(request, receipt.reference, tried), PATIENCE)
            for fault in _QUICK_FAULTS:
                simulator.fail(fault)
                await accepting.failure(provider.send(accepting.delivery(channel), PATIENCE))
                if self.code_owner is CodeOwner.PROVIDER:
                    simulator.fail(fault)
                    await accepting.failure(
                        provider.check_code(accepting.check(request, receipt.reference, code), PATIENCE)
                    )
            simulator.down()
            await accepting.failure(provider.send(accepting.delivery(channel), PATIENCE))
            simulator.up()
        made = load_target(PROVIDERS, accepting.plugin)(accepting.context())
        for shown in (repr(made), str(made), repr(provider)):
            accepting.assert_safe(shown, "the provider's repr")
        accepting.assert_records_unreadable(caplog.records)

    @pytest.mark.anyio
    async def test_no_refusal_shows_or_logs_anything_readable(
        self, accepting: Bench, refusal: Refusal, channel: Channel, caplog: pytest.LogCaptureFixture
    ) -> None:
        for logger in (None, "otpcore"):  # whatever level a host has given them
            caplog.set_level(logging.DEBUG, logger=logger)
        async with accepting.open() as provider:
            await accepting.failure(provider.send(_armed(accepting, refusal, channel), PATIENCE))
        accepting.assert_records_unreadable(caplog.records)


def _armed(accepting: Bench, refusal: Refusal, channel: Channel) -> DeliveryRequest:
    """The request that the vendor refuses in this way."""
    if isinstance(refusal.number_or_arm, str):
        return accepting.delivery(channel, number=refusal.number_or_arm)
    refusal.number_or_arm(accepting.simulator)
    return accepting.delivery(channel)
