"""Contract tests that come first, each of which what others need: an instance, an accepted message, a receipt that is read.

Once one has failed, the tests that need it are skipped: one cause, one failure. Which these are is said by the fixture
that they ask for.
"""

from __future__ import annotations

import pytest

from otpcore.errors import PluginLoadError, ProviderError, SettingsError
from otpcore.models import Channel, ReceiptStatus
from otpcore.providers.requests import DeliveryReceipt, DeliveryRequest, ReceiptRequest
from otpcore.testing.providers.bench import PATIENCE, Bench
from otpcore.testing.providers.reporting import ReportingBase, read, sent
from otpcore.testing.providers.wire import what_went_wrong

__all__ = ["GateTests"]

_LOADS_NOT = (
    "the instance does not load, so nothing else was tried.\n{error}\n"
    "It was loaded with the settings of the fixture `provider_settings`: {settings}"
)
_OTHER_CHANNELS = "set `channels` of the suite: the provider declares {declared}, and the suite tries {said}, so nothing else was tried"
_TAKES_NOT = "a message was not accepted over {channel}, so nothing was tried that needs one.\n{why}"
_READS_NOT = "the receipt of a message over {channel} is not read, so nothing else of receipts was tried.\n{why}"
_ARRIVES_NOT = (
    "Cause: the hook answered that it is accepted, and the simulator's inbox is empty.\nFix: where the simulator takes "
    "a message it has to call `self.deliver(...)`; where it takes none, raise ProviderError"
)
_TOLD_NO_ADDRESS = (
    "Cause: the vendor signs nothing, and was told no address for this message.\n"
    "Fix: pass on context.receipt_url(request.delivery_id)"
)
_CALLBACK_RAISED = (
    "Cause: `callback` of the suite raised {error!r}.\n"
    "Fix: let it make the request in which the vendor reports this delivery; look at what the simulator was sent"
)


class GateTests(ReportingBase):
    """What the rest stands on."""

    @pytest.mark.anyio
    async def test_the_instance_loads_and_starts_as_a_service_does_it(self, bench: Bench) -> None:
        try:
            async with bench.open() as provider:
                declared = frozenset(provider.channels)
        except (PluginLoadError, SettingsError) as error:
            words = _LOADS_NOT.format(error=error, settings=sorted(bench.settings))
        else:
            if declared == frozenset(self.channels):
                return
            words = _OTHER_CHANNELS.format(declared=sorted(declared), said=sorted(self.channels))
        pytest.fail(words, pytrace=False)

    @pytest.mark.anyio
    async def test_a_plain_message_is_accepted(self, bench: Bench, channel: Channel) -> None:
        async with bench.open() as provider:
            try:
                await provider.send(bench.delivery(channel), PATIENCE)
                why = "" if bench.simulator.inbox else _ARRIVES_NOT
            except ProviderError as error:
                bench.assert_unreadable(error)
                why = what_went_wrong(bench, error)
        if why:
            pytest.fail(_TAKES_NOT.format(channel=channel, why=why), pytrace=False)

    @pytest.mark.anyio
    async def test_what_the_vendor_reports_is_read(self, accepting: Bench, channel: Channel) -> None:
        if not accepting.provider().reads_receipts:
            pytest.skip("the provider reads no receipts")
        async with accepting.open() as provider:
            request, taken = await sent(accepting, provider, channel)
            if not provider.info.signs_receipts and not accepting.was_told(accepting.proof_of(request)):
                pytest.fail(_READS_NOT.format(channel=channel, why=_TOLD_NO_ADDRESS), pytrace=False)
            await read(provider, self._made(accepting, request, taken))

    def _made(self, bench: Bench, request: DeliveryRequest, taken: DeliveryReceipt) -> ReceiptRequest:
        try:
            return self.callback(bench.simulator, request, taken, ReceiptStatus.DELIVERED)
        except Exception as error:  # noqa: BLE001 - an author's may raise anything
            why = bench.masked(_CALLBACK_RAISED.format(error=error))
        pytest.fail(_READS_NOT.format(channel=request.channel, why=why), pytrace=False)
