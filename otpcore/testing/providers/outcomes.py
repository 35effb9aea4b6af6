"""Contract tests of a provider that tells its vendor how it ended with a code of ours."""

from __future__ import annotations

import pytest

from otpcore.models import Channel
from otpcore.providers.provider import Provider
from otpcore.providers.requests import DeliveryReceipt, DeliveryRequest
from otpcore.simulators.exchange import Fault
from otpcore.testing.providers.base import ContractBase
from otpcore.testing.providers.bench import PATIENCE, STATUSES, Bench, name_of

__all__ = ["OutcomeTests"]


class OutcomeTests(ContractBase):
    """Telling outcomes; skipped where the provider does not."""

    @pytest.fixture
    def telling(self, accepting: Bench) -> Bench:
        """The bench, where the provider reports outcomes."""
        if not accepting.provider().reports_outcomes:
            pytest.skip("the provider does not implement report_outcome")
        return accepting

    @pytest.mark.anyio
    @pytest.mark.parametrize("approved", [True, False])
    @pytest.mark.parametrize("by", ["reference", "recipient"])
    async def test_an_outcome_is_told_to_the_vendor_and_again_is_fine(
        self, telling: Bench, channel: Channel, by: str, approved: bool
    ) -> None:
        async with telling.open() as provider:
            request, receipt = await _sent(telling, provider, channel)
            before = len(telling.simulator.requests)
            outcome = telling.outcome(request, receipt.reference if by == "reference" else "", approved=approved)
            await provider.report_outcome(outcome, PATIENCE)
            wants = self.told_of_approvals if approved else self.told_of_failures
            is_heard = wants and (by == "reference" or self.told_by_number)
            words = (
                "the vendor heard nothing" if is_heard else "see told_by_number, told_of_approvals, told_of_failures"
            )
            assert (len(telling.simulator.requests) > before) is is_heard, words
            await provider.report_outcome(outcome, PATIENCE)
        assert len(telling.simulator.inbox) == 1, "an outcome is no message"

    @pytest.mark.anyio
    async def test_the_outcome_of_what_the_vendor_has_forgotten_is_fine(self, telling: Bench, channel: Channel) -> None:
        async with telling.open() as provider:
            request, receipt = await _sent(telling, provider, channel)
            self.make_gone(telling.simulator)
            await provider.report_outcome(telling.outcome(request, receipt.reference, approved=False), PATIENCE)

    @pytest.mark.anyio
    @pytest.mark.parametrize("fault", [*STATUSES, Fault.RESET_AFTER_READ, Fault.GARBAGE_STATUS_LINE], ids=name_of)
    async def test_an_outcome_that_was_not_taken_says_so_and_is_not_repeated(
        self, telling: Bench, fault: Fault
    ) -> None:
        async with telling.open() as provider:
            request, receipt = await _sent(telling, provider, self.channels[0])
            telling.simulator.fail(fault, times=None)
            before = len(telling.simulator.requests)
            outcome = telling.outcome(request, receipt.reference, approved=self.told_of_approvals)
            await telling.failure(provider.report_outcome(outcome, PATIENCE))
        assert len(telling.simulator.requests) == before + 1


async def _sent(bench: Bench, provider: Provider, channel: Channel) -> tuple[DeliveryRequest, DeliveryReceipt]:
    """A message that the vendor took."""
    request = bench.delivery(channel)
    return request, await provider.send(request, PATIENCE)
