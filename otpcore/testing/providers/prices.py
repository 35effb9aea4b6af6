"""Contract tests of prices: as exact as the vendor said, and made up nowhere."""

from __future__ import annotations

import pytest

from otpcore.models import Channel, ReceiptStatus
from otpcore.prices import Price
from otpcore.providers.provider import Provider
from otpcore.providers.requests import DeliveryReceipt, DeliveryRequest
from otpcore.simulators.exchange import Fault
from otpcore.simulators.simulator import Simulator
from otpcore.testing.providers.bench import PATIENCE, Bench
from otpcore.testing.providers.reporting import ReportingBase

__all__ = ["PriceTests"]

_ANSWER, _REPEAT, _RECEIPT = "answer", "repeat", "receipt"


class PriceTests(ReportingBase):
    """What a message costs, wherever the vendor may say it."""

    @pytest.mark.anyio
    async def test_the_price_in_an_answer_is_the_vendors(self, accepting: Bench, channel: Channel) -> None:
        async with accepting.open() as provider:
            _, taken = await _sent(accepting, provider, channel)
        self._assert_price(accepting.simulator, channel, _ANSWER, taken.price)

    @pytest.mark.anyio
    async def test_the_price_of_a_message_whose_answer_was_lost_is_the_vendors(
        self, accepting: Bench, channel: Channel
    ) -> None:
        async with accepting.open() as provider:
            first = accepting.delivery(channel)
            accepting.simulator.fail(Fault.RESET_AFTER_WORK)
            await accepting.failure(provider.send(first, PATIENCE))
            taken = await provider.send(accepting.delivery(channel, repeat_of=first), PATIENCE)
        said = _ANSWER if len(accepting.simulator.inbox) > 1 else _REPEAT
        self._assert_price(accepting.simulator, channel, said, taken.price)

    @pytest.mark.anyio
    @pytest.mark.parametrize("status", list(ReceiptStatus), ids=str)
    async def test_the_price_in_a_receipt_is_the_vendors(
        self, reporting: Bench, channel: Channel, status: ReceiptStatus
    ) -> None:
        async with reporting.open() as provider:
            request, taken = await _sent(reporting, provider, channel)
            callback = self.callback(reporting.simulator, request, taken, status)
            (receipt,) = (await provider.parse_receipt(callback, PATIENCE)).receipts
        self._assert_price(reporting.simulator, channel, _RECEIPT, receipt.price)

    def _assert_price(self, simulator: Simulator, channel: Channel, said: str, price: Price | None) -> None:
        charged = simulator.inbox[-1].price
        if said not in self.prices:
            assert price is None, f"the vendor says no price in its {said}; name it in `prices`, if it does"
            return
        if channel == self.channels[0]:
            assert charged is not None, f"`prices` names the {said}, and the simulator's message has no price"
        assert str(price) == str(charged), f"the vendor's {said} says {charged}"


async def _sent(bench: Bench, provider: Provider, channel: Channel) -> tuple[DeliveryRequest, DeliveryReceipt]:
    """A message that the vendor took."""
    request = bench.delivery(channel)
    return request, await provider.send(request, PATIENCE)
