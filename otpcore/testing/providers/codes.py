"""Contract tests of a provider whose vendor makes and checks the code."""

from __future__ import annotations

import pytest

from otpcore.errors import ErrorKind
from otpcore.models import Channel, CodeOwner
from otpcore.providers.provider import Provider
from otpcore.providers.requests import CheckResult, DeliveryReceipt, DeliveryRequest
from otpcore.simulators.exchange import Fault
from otpcore.testing.providers.base import ContractBase
from otpcore.testing.providers.bench import IN_DOUBT, PATIENCE, STATUSES, Bench, name_of

__all__ = ["CodeTests"]

_BY_RECIPIENT = (
    "the right code is APPROVED, by recipient too: the reference is empty where the answer to the start was lost"
)
_GONE = "what the vendor has no verification for is GONE, and not INCORRECT, which uses up an attempt of the person"


class CodeTests(ContractBase):
    """Checking and cancelling; skipped where otpcore owns the code."""

    @pytest.fixture
    def owned(self, accepting: Bench) -> Bench:
        """The bench, where the vendor owns the code, and has started a verification."""
        if self.code_owner is CodeOwner.CORE:
            pytest.skip("otpcore owns the code")
        return accepting

    @pytest.fixture
    def cancelling(self, owned: Bench) -> Bench:
        """The bench, where the provider can cancel too."""
        if not owned.provider().can_cancel:
            pytest.skip("the provider does not cancel")
        return owned

    @pytest.mark.anyio
    @pytest.mark.parametrize("by", ["reference", "recipient"])
    async def test_the_right_code_is_approved_a_wrong_one_is_not(self, owned: Bench, channel: Channel, by: str) -> None:
        async with owned.open() as provider:
            request, receipt, code = await _sent(owned, provider, channel)
            reference = receipt.reference if by == "reference" else ""
            wrong = await provider.check_code(owned.check(request, reference, self.wrong_code(code)), PATIENCE)
            right = await provider.check_code(owned.check(request, reference, code), PATIENCE)
        assert wrong is CheckResult.INCORRECT, "a wrong code is INCORRECT while the verification lives"
        assert right is CheckResult.APPROVED, _BY_RECIPIENT

    @pytest.mark.anyio
    async def test_a_code_is_approved_only_once(self, owned: Bench, channel: Channel) -> None:
        async with owned.open() as provider:
            request, receipt, code = await _sent(owned, provider, channel)
            check = owned.check(request, receipt.reference, code)
            assert await provider.check_code(check, PATIENCE) is CheckResult.APPROVED
            again = await provider.check_code(check, PATIENCE)
        assert again is not CheckResult.APPROVED, "what the vendor has approved before is GONE, whatever code is typed"

    @pytest.mark.anyio
    @pytest.mark.parametrize("by", ["reference", "recipient"])
    async def test_a_verification_that_is_over_is_gone_not_wrong(self, owned: Bench, channel: Channel, by: str) -> None:
        async with owned.open() as provider:
            request, receipt, code = await _sent(owned, provider, channel)
            self.make_gone(owned.simulator)
            reference = receipt.reference if by == "reference" else ""
            verdict = await provider.check_code(owned.check(request, reference, code), PATIENCE)
        assert verdict is CheckResult.GONE, _GONE

    @pytest.mark.anyio
    async def test_a_number_that_was_never_sent_anything_has_nothing_to_check(
        self, owned: Bench, channel: Channel
    ) -> None:
        async with owned.open() as provider:
            verdict = await provider.check_code(owned.check(owned.delivery(channel), "", "1234567"), PATIENCE)
        assert verdict is CheckResult.GONE, _GONE

    @pytest.mark.anyio
    async def test_what_a_start_replaces_is_what_the_declaration_says(self, owned: Bench, channel: Channel) -> None:
        async with owned.open() as provider:
            if not provider.info.start_replaces:
                pytest.skip("a start does not replace the running verification")
            request, receipt, code = await _sent(owned, provider, channel)
            await _sent(owned, provider, channel)
            verdict = await provider.check_code(owned.check(request, receipt.reference, code), PATIENCE)
        assert verdict is CheckResult.GONE, "describe() says start_replaces: the verification before is GONE"

    @pytest.mark.anyio
    @pytest.mark.parametrize("fault", IN_DOUBT, ids=name_of)
    async def test_a_check_without_an_answer_is_no_verdict_and_asked_once(self, owned: Bench, fault: Fault) -> None:
        async with owned.open() as provider:
            request, receipt, code = await _sent(owned, provider, self.channels[0])
            before = len(owned.simulator.requests)
            owned.simulator.fail(fault, times=None)
            check = owned.check(request, receipt.reference, code)
            failure = await owned.failure(provider.check_code(check, PATIENCE))
        assert failure.kind is ErrorKind.AMBIGUOUS, "an answer that never came is no verdict"
        assert len(owned.simulator.requests) == before + 1, "a check uses up a try: it is never repeated in secret"

    @pytest.mark.anyio
    async def test_a_check_that_is_not_answered_in_time_is_no_verdict(self, owned: Bench) -> None:
        async with owned.open() as starter:
            request, receipt, code = await _sent(owned, starter, self.channels[0])
        before = len(owned.simulator.requests)
        async with owned.open(timeout=self.short_timeout) as provider:
            silence = owned.silence(provider, "check_code")
            check = owned.check(request, receipt.reference, self.wrong_code(code))
            failures = await owned.unanswered(silence, lambda: provider.check_code(check, silence.outer))
        assert {failure.kind for failure in failures} == {ErrorKind.AMBIGUOUS}, (
            "an answer that never came is no verdict"
        )
        assert len(owned.simulator.requests) == before + len(failures), "never repeated in secret"

    @pytest.mark.anyio
    @pytest.mark.parametrize("fault", STATUSES, ids=name_of)
    async def test_a_failing_vendor_gives_no_verdict(self, owned: Bench, channel: Channel, fault: Fault) -> None:
        async with owned.open() as provider:
            request, receipt, code = await _sent(owned, provider, channel)
            owned.simulator.fail(fault, times=None)
            await owned.failure(provider.check_code(owned.check(request, receipt.reference, code), PATIENCE))
            owned.simulator.recover()
            verdict = await provider.check_code(owned.check(request, receipt.reference, code), PATIENCE)
        assert verdict is CheckResult.APPROVED, "the same check must work once the vendor does"

    @pytest.mark.anyio
    async def test_a_check_that_could_not_connect_is_unavailable(self, owned: Bench) -> None:
        async with owned.open() as starter:
            request, receipt, code = await _sent(owned, starter, self.channels[0])
        async with owned.open() as provider:
            owned.simulator.down()
            failure = await owned.failure(provider.check_code(owned.check(request, receipt.reference, code), PATIENCE))
        assert failure.kind is ErrorKind.UNAVAILABLE, "without a connection nothing was asked"

    @pytest.mark.anyio
    @pytest.mark.parametrize("by", ["reference", "recipient"])
    async def test_after_cancelling_nothing_verifies_and_cancelling_again_is_fine(
        self, cancelling: Bench, channel: Channel, by: str
    ) -> None:
        async with cancelling.open() as provider:
            request, receipt, code = await _sent(cancelling, provider, channel)
            cancel = cancelling.cancel(request, receipt.reference if by == "reference" else "")
            await provider.cancel(cancel, PATIENCE)
            await provider.cancel(cancel, PATIENCE)
            verdict = await provider.check_code(cancelling.check(request, receipt.reference, code), PATIENCE)
        assert verdict is CheckResult.GONE, "what was cancelled must not verify: `cancel` has to reach the vendor"

    @pytest.mark.anyio
    @pytest.mark.parametrize("fault", [*STATUSES, Fault.RESET_AFTER_READ, Fault.GARBAGE_STATUS_LINE], ids=name_of)
    async def test_a_cancel_that_failed_says_so(self, cancelling: Bench, fault: Fault) -> None:
        async with cancelling.open() as provider:
            request, receipt, _ = await _sent(cancelling, provider, self.channels[0])
            cancelling.simulator.fail(fault, times=None)
            await cancelling.failure(provider.cancel(cancelling.cancel(request, receipt.reference), PATIENCE))


async def _sent(bench: Bench, provider: Provider, channel: Channel) -> tuple[DeliveryRequest, DeliveryReceipt, str]:
    """A started verification: the request, its receipt, and the code that the person received."""
    request = bench.delivery(channel)
    receipt = await provider.send(request, PATIENCE)
    return request, receipt, bench.simulator.inbox[-1].code
