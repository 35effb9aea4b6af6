"""Contract tests of ``check_account``: it says whether the account works, in time, and sends nothing."""

from __future__ import annotations

import attrs
import pytest

from otpcore.errors import ErrorKind
from otpcore.simulators.exchange import Fault
from otpcore.testing.providers.base import ContractBase
from otpcore.testing.providers.bench import PATIENCE, SILENT_FAULTS, WRONG_URL, Bench, name_of

__all__ = ["AccountTests"]


class AccountTests(ContractBase):
    """Asking the vendor about the account; skipped where the provider cannot."""

    @pytest.fixture
    def asking(self, bench: Bench) -> Bench:
        """The bench, where the provider checks its account."""
        if not bench.provider().checks_account:
            pytest.skip("the provider does not check its account")
        return bench

    @pytest.mark.anyio
    @pytest.mark.usefixtures("accepting")  # credentials that are wrong are told of once
    async def test_an_account_that_works_is_said_to_and_nothing_is_sent(self, asking: Bench) -> None:
        async with asking.open() as provider:
            states = [await provider.check_account(PATIENCE) for _ in range(2)]
        assert states[0] == states[1], "fixed words"
        assert states[0].summary, "what was asked and answered"
        assert not asking.simulator.inbox, "check_account sends nothing"
        assert asking.simulator.requests, "the vendor was asked"

    @pytest.mark.anyio
    async def test_refused_credentials_are_misconfigured_and_say_so(self, asking: Bench) -> None:
        asking.simulator.fail(Fault.HTTP_401, times=None)
        async with asking.open() as provider:
            failure = await asking.failure(provider.check_account(PATIENCE))
        assert failure.kind is ErrorKind.MISCONFIGURED
        assert failure.summary, "what an operator has to look at"

    @pytest.mark.anyio
    @pytest.mark.parametrize("fault", WRONG_URL, ids=name_of)
    async def test_a_wrong_url_is_misconfigured_and_says_so(self, asking: Bench, fault: Fault) -> None:
        asking.simulator.fail(fault, times=None)
        async with asking.open() as provider:
            failure = await asking.failure(provider.check_account(PATIENCE))
        assert failure.kind is ErrorKind.MISCONFIGURED, "the vendor was reached, and knows no such page"
        assert failure.summary, "what an operator has to look at"

    @pytest.mark.anyio
    async def test_a_vendor_who_cannot_be_reached_is_no_verdict_on_the_account(self, asking: Bench) -> None:
        async with asking.open() as provider:
            asking.simulator.down()
            failure = await asking.failure(provider.check_account(PATIENCE))
        assert failure.kind is ErrorKind.UNAVAILABLE, "what goes wrong on the way says nothing of the account"

    @pytest.mark.anyio
    @pytest.mark.parametrize("fault", [Fault.HTTP_500, Fault.HTTP_503, Fault.CLOSE_AFTER_READ], ids=name_of)
    async def test_nor_is_one_who_fails(self, asking: Bench, fault: Fault) -> None:
        asking.simulator.fail(fault, times=None)
        async with asking.open() as provider:
            failure = await asking.failure(provider.check_account(PATIENCE))
        assert failure.kind is ErrorKind.UNAVAILABLE, "nobody was sent anything, so nothing is in doubt"

    @pytest.mark.anyio
    async def test_one_who_does_not_answer_is_waited_for_within_the_timeout(self, asking: Bench) -> None:
        async with asking.open(timeout=self.short_timeout) as provider:
            silence = attrs.evolve(asking.silence(provider, "check_account"), faults=SILENT_FAULTS[:1])
            (failure,) = await asking.unanswered(silence, lambda: provider.check_account(silence.outer))
        assert failure.kind is ErrorKind.UNAVAILABLE, "nobody was sent anything, so nothing is in doubt"
