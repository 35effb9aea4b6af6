"""What the contract tests of receipts share: the author's callbacks, and how one is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from otpcore.errors import ProviderError, ReceiptRefused
from otpcore.models import Channel, Receipt, ReceiptStatus
from otpcore.providers.provider import Provider
from otpcore.providers.requests import DeliveryReceipt, DeliveryRequest, ReceiptAnswer, ReceiptRequest
from otpcore.testing.providers.base import ContractBase
from otpcore.testing.providers.bench import PATIENCE, Bench
from otpcore.testing.providers.forgeries import Forgery, forgeries, forgeries_of_addresses

__all__ = ["Report", "ReportingBase", "assert_about", "assert_refused", "read", "sent"]

Report = tuple[DeliveryRequest, DeliveryReceipt, ReceiptStatus]
"""What was sent, what the vendor answered, and how it ended."""


class ReportingBase(ContractBase):
    """How the vendor reports; ``ProviderContract`` documents each method. An author's own names its simulator."""

    def callback(
        self, simulator: Any, request: DeliveryRequest, receipt: DeliveryReceipt, status: ReceiptStatus
    ) -> ReceiptRequest:
        """The author's: a genuine callback, signed by the vendor just now, that says so of this delivery."""
        del simulator, request, receipt, status
        pytest.fail(
            "override `callback`, as your provider implements parse_receipt: it makes the request in which the vendor "
            "reports that a delivery ended with this status, with the vendor's signature",
            pytrace=False,
        )

    def progress(self, simulator: Any, request: DeliveryRequest, receipt: DeliveryReceipt) -> ReceiptRequest | None:
        """The author's: a genuine callback that tells how far this delivery has come; None: there are none."""
        del simulator, request, receipt
        return None

    def batch(self, simulator: Any, reports: Sequence[Report]) -> ReceiptRequest | None:
        """The author's: one genuine callback that says so of all these deliveries; None: there are none."""
        del simulator, reports
        return None

    def challenge(self, simulator: Any) -> tuple[ReceiptRequest, str] | None:
        """The author's: how the vendor has an address proven, and the text that it waits for; None: it does not."""
        del simulator
        return None

    @pytest.fixture
    def reporting(self, accepting: Bench) -> Bench:
        """The bench, where the provider reads receipts, and has read a genuine one."""
        if not accepting.provider().reads_receipts:
            pytest.skip("the provider reads no receipts")
        return accepting

    @pytest.fixture
    def addressing(self, reporting: Bench) -> Bench:
        """The bench, where the vendor signs nothing."""
        if reporting.provider().info.signs_receipts:
            pytest.skip("the vendor signs what it reports")
        return reporting

    def forged(self, bench: Bench, provider: Provider, callback: ReceiptRequest) -> list[Forgery]:
        """What must not be believed; at least one of it."""
        if not provider.info.signs_receipts:
            return list(forgeries_of_addresses(callback, bench.foreign_proof))
        secrets = [str(bench.settings[key]) for key in self.secret_settings or ()]
        found = list(
            forgeries(callback, signed=self.signed, unsigned_fields=self.unsigned_fields, secrets=secrets),
        )
        assert found, (
            "nothing of this callback could be forged: of what `signed` names it has nothing. Does `callback` make the "
            "whole request, with its headers and its query?"
        )
        return found


async def sent(bench: Bench, provider: Provider, channel: Channel) -> tuple[DeliveryRequest, DeliveryReceipt]:
    """A message that the vendor took."""
    request = bench.delivery(channel)
    return request, await provider.send(request, PATIENCE)


async def read(provider: Provider, callback: ReceiptRequest, made_by: str = "callback") -> ReceiptAnswer:
    """What a genuine request says; it must not be refused."""
    try:
        return await provider.parse_receipt(callback, PATIENCE)
    except ReceiptRefused as refusal:
        words = f"was refused ({refusal.fault}: {refusal.summary})"
    except ProviderError as error:
        words = f"broke parse_receipt ({error.summary}; the log says where)"
    pytest.fail(
        f"the genuine receipt that `{made_by}` makes {words}: does `{made_by}` make and sign it as the vendor does?"
    )


def assert_about(receipt: Receipt, request: DeliveryRequest, taken: DeliveryReceipt) -> None:
    """The receipt names this delivery and no other."""
    assert receipt.reference in ("", taken.reference), "`reference` is the id that the answer to the send carried"
    assert receipt.delivery_id in ("", request.delivery_id), "`delivery_id` is ours, as the vendor hands it back"
    assert receipt.reference or receipt.delivery_id, (
        "a receipt needs `reference` or `delivery_id`, or no delivery is found"
    )


async def assert_refused(bench: Bench, provider: Provider, forgery: Forgery) -> None:
    """It is not believed, and nothing of it is shown."""
    try:
        await provider.parse_receipt(forgery.request, PATIENCE)
    except ReceiptRefused as refusal:
        bench.assert_unreadable(refusal)
        return
    except ProviderError as error:
        words = (
            f"a receipt with {forgery.what} was not refused but broke parse_receipt: {error.summary}. Refuse it: raise "
            "ReceiptRefused(ReceiptFault.MALFORMED, ...) where it cannot be read"
        )
    else:
        words = f"a receipt was taken with {forgery.what}"
    pytest.fail(f"{words}: {forgery.advice}")
