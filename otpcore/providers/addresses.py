"""Addresses for receipts of vendors that sign nothing: one for each delivery, with a proof that only otpcore can make."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from otpcore.errors import ReceiptFault, ReceiptRefused
from otpcore.providers.requests import ProviderInfo, ReceiptRequest

if TYPE_CHECKING:
    from otpcore.codes import ReceiptProofs

__all__ = ["ReceiptAddresses", "proven"]


@attrs.frozen(kw_only=True, repr=False)
class ReceiptAddresses:
    """Makes the addresses of a service, and proves them.

    An address is ``<base>/<instance>/<delivery id>/<proof>``. Whoever knows it may report of this one delivery, and of
    nothing else: the proof is a keyed digest of instance and delivery id.

    Args:
        proofs: Makes and checks them.
        base: ``otp.receipts_url``; None: no addresses are made, while those that were made before are still proven.
    """

    proofs: ReceiptProofs
    base: str | None

    def address(self, instance: str, delivery_id: str) -> str | None:
        """Where this instance's vendor reports of this delivery."""
        if self.base is None:
            return None
        return f"{self.base}/{instance}/{delivery_id}/{self.proofs.make(instance, delivery_id)}"

    def proven(self, instance: str, url: str) -> str:
        """The delivery whose address was called; empty: it is none of this instance's.

        Only the last two parts of the path count, so that scheme, host and prefix may be what a proxy made of them, and a
        vendor may add a query of its own.
        """
        *_, delivery_id, proof = ("", "", *url.partition("#")[0].partition("?")[0].split("/"))
        return delivery_id if delivery_id and self.proofs.hold(instance, delivery_id, proof) else ""


def proven(
    request: ReceiptRequest, instance: str, info: ProviderInfo, addresses: ReceiptAddresses | None
) -> ReceiptRequest:
    """The request for the plugin: with the delivery whose address it was sent to, where that is all the proof there is.

    Raises:
        ReceiptRefused: The vendor signs nothing, and it was sent to no address of this instance's.
    """
    if info.signs_receipts:
        return attrs.evolve(request, delivery_id="")
    delivery_id = "" if addresses is None else addresses.proven(instance, request.url)
    if not delivery_id:
        raise ReceiptRefused(ReceiptFault.SIGNATURE, "it was sent to no address that this instance was given", instance)
    return attrs.evolve(request, delivery_id=delivery_id)
