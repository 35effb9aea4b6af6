"""Contract tests of manners: nothing printed, nothing left behind, and what the host asks for passed on."""

from __future__ import annotations

import threading

import anyio
import attrs
import pytest

from otpcore.errors import ProviderError
from otpcore.messages.carrying import Feature
from otpcore.models import Channel, ReceiptStatus
from otpcore.simulators.exchange import Fault
from otpcore.testing.providers.bench import PATIENCE, Bench
from otpcore.testing.providers.reporting import ReportingBase, read, sent

__all__ = ["MannerTests"]

_ANDROID_HASH = "FA09qCX9VSu"
_AWHILE = 1.0  # seconds in which a closed connection is noticed and a thread that was told to has ended
_OF_OTHERS = ("otpcore-hook", "simulator-", "AnyIO worker thread", "Trio thread", "asyncio_", "Dummy-")
"""How the names of threads begin that the provider does not answer for."""


class MannerTests(ReportingBase):
    """What a guest in the host's process does and does not."""

    @pytest.mark.anyio
    async def test_nothing_is_left_behind_when_it_is_closed(self, accepting: Bench) -> None:
        before = set(threading.enumerate())
        async with accepting.open() as provider:
            await provider.send(accepting.delivery(self.channels[0]), PATIENCE)
        with anyio.move_on_after(_AWHILE):
            while accepting.simulator.connections or _threads_since(before):  # noqa: ASYNC110 - neither sets an event
                await anyio.sleep(0.01)
        assert not accepting.simulator.connections, (
            "a connection to the vendor is still open after the instance was closed: push the closing of each client "
            "on the exit stack of `start`"
        )
        assert not _threads_since(before), (
            f"threads are left behind after the instance was closed: {_threads_since(before)}. End them on the exit "
            "stack of `start`"
        )

    @pytest.mark.anyio
    async def test_nothing_is_printed(
        self, accepting: Bench, channel: Channel, capfd: pytest.CaptureFixture[str]
    ) -> None:
        capfd.readouterr()
        async with accepting.open() as provider:
            request = accepting.delivery(channel)
            await provider.send(request, PATIENCE)
            accepting.simulator.fail(Fault.HTTP_500)
            with pytest.raises(ProviderError):
                await provider.send(accepting.delivery(channel), PATIENCE)
        _assert_nothing_printed(capfd)

    @pytest.mark.anyio
    async def test_nothing_is_printed_of_a_receipt(
        self, reporting: Bench, channel: Channel, capfd: pytest.CaptureFixture[str]
    ) -> None:
        capfd.readouterr()
        async with reporting.open() as provider:
            request, taken = await sent(reporting, provider, channel)
            await read(provider, self.callback(reporting.simulator, request, taken, ReceiptStatus.DELIVERED))
        _assert_nothing_printed(capfd)

    @pytest.mark.anyio
    async def test_the_sender_that_a_host_names_reaches_the_vendor(self, accepting: Bench, channel: Channel) -> None:
        carried = accepting.provider().info.carried(channel)
        if Feature.SENDER not in carried.features:
            pytest.skip("the instance says that it carries no sender")
        sender = self.caller if channel is Channel.CALL else self.sender
        assert carried.takes(Feature.SENDER, sender), (
            f"set `sender` of the suite (calls: `caller`) to one that describe() takes: {carried.forms[Feature.SENDER]}"
        )
        assert sender not in map(str, accepting.settings.values()), (
            "set `sender` or `caller` to another than the instance's own"
        )
        try:
            async with accepting.open() as provider:
                await provider.send(attrs.evolve(accepting.delivery(channel), sender=sender), PATIENCE)
        except ProviderError as error:
            pytest.fail(
                f"the sender {sender} was refused ({error}): set `sender` or `caller` to one that the simulator knows"
            )
        assert accepting.was_told(sender.removeprefix("+")), (
            f"request.sender was ignored, though describe() says that {channel} carries a sender: pass it on to the "
            "vendor, or take Feature.SENDER out of `carries`"
        )

    @pytest.mark.anyio
    async def test_what_it_says_of_the_android_hash_is_true(self, accepting: Bench) -> None:
        if Channel.SMS not in self.channels or not accepting.provider().info.words_text(Channel.SMS):
            pytest.skip("otpcore words the text, or there is none")
        async with accepting.open() as provider:
            await provider.send(attrs.evolve(accepting.delivery(Channel.SMS), android_hash=_ANDROID_HASH), PATIENCE)
        assert accepting.was_told(_ANDROID_HASH) == provider.info.carried(Channel.SMS).takes(Feature.ANDROID_HASH), (
            "pass request.android_hash on exactly where `carries` of describe() names Feature.ANDROID_HASH"
        )


def _assert_nothing_printed(capfd: pytest.CaptureFixture[str]) -> None:
    printed = capfd.readouterr()
    assert not printed.out + printed.err, (
        "the provider prints to stdout or stderr, which belong to the host: log through context.logger instead"
    )


def _threads_since(before: set[threading.Thread]) -> list[str]:
    return sorted(one.name for one in set(threading.enumerate()) - before if not one.name.startswith(_OF_OTHERS))
