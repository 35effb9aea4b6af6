"""The contract of providers for a gateway's table: name the table, inherit the tests.

::

    from pathlib import Path

    from otp_http.testing import GatewayContract


    class TestAcme(GatewayContract):
        gateway = Path("acme.toml")
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest

from otp_http.catalogue import find, from_file
from otp_http.meanings import DELIVERED, PROGRESS, UNDELIVERED
from otp_http.proofs import BODY_DIGEST, URL_DIGEST, proof_of
from otp_http.receipt_sections import Proof, Receipts
from otp_http.sections import PriceAt
from otp_http.simulator import GatewaySimulator
from otp_http.tables import Table
from otpcore.providers import (
    Channel,
    DeliveryReceipt,
    DeliveryRequest,
    ErrorKind,
    ReceiptRequest,
    ReceiptStatus,
)
from otpcore.simulators import SimulatedMessage, Simulator
from otpcore.testing import ProviderContract, Refusal

__all__ = ["GatewayContract"]

_URL = "https://example.com/receipts/contract"
_CHALLENGE = "1158201444"

Report = tuple[DeliveryRequest, DeliveryReceipt, ReceiptStatus]


class GatewayContract(ProviderContract):
    """What every provider must do, shown for one table against the simulator that it makes.

    Attributes:
        gateway: The name of one that is installed, or the file of a table.
        unset: Settings that the instance leaves out, such as the key of a signature: reports are then proven without it.
        recipient: A number (E.164) of a country that the gateway serves.
    """

    gateway: ClassVar[str | Path] = ""
    unset: ClassVar[tuple[str, ...]] = ()
    kind_of_http_503 = ErrorKind.AMBIGUOUS  # the gateway may have done the work

    def __init_subclass__(cls, **more: Any) -> None:
        """Say of the suite what the table says; what the class says itself goes before."""
        super().__init_subclass__(**more)
        if cls.gateway:
            for name, value in _attributes(table_of(cls.gateway), cls.unset).items():
                if name not in vars(cls):
                    setattr(cls, name, value)

    @pytest.fixture
    def simulator(self) -> Iterator[GatewaySimulator]:
        """The gateway."""
        with GatewaySimulator(self.gateway) as simulator:
            simulator.account |= dict.fromkeys(self.unset, "")
            yield simulator

    @pytest.fixture
    def plugin(self) -> str:
        """The plugin of all tables."""
        return "http"

    def assert_delivered(self, message: SimulatedMessage, request: DeliveryRequest) -> None:
        """The person got the text, or where the gateway words it, the code."""
        assert message.recipient == request.recipient.e164
        assert message.channel == request.channel
        content = table_of(self.gateway).send[request.channel].content
        assert message.text == (request.code if content == "code" else request.text)
        assert request.code is None or message.code == request.code

    def callback(
        self, simulator: Simulator, request: DeliveryRequest, receipt: DeliveryReceipt, status: ReceiptStatus
    ) -> ReceiptRequest:
        """A report of the end of a message."""
        return self._report(simulator, request, receipt, _ENDS[status])

    def progress(self, simulator: Simulator, request: DeliveryRequest, receipt: DeliveryReceipt) -> ReceiptRequest:
        """A report that is not of the end."""
        return self._report(simulator, request, receipt, PROGRESS)

    def batch(self, simulator: Simulator, reports: Sequence[Report]) -> ReceiptRequest | None:
        """Several reports in one request, where the gateway does that; at the address of a message there is but one."""
        assert isinstance(simulator, GatewaySimulator)
        how = _receipts(simulator)
        if simulator.proof.kind == "address" or not (how.items.endswith("*") or how.split):
            return None
        said = [
            (receipt.reference or request.delivery_id, simulator.statuses(_ENDS[status])[0], "")
            for request, receipt, status in reports
        ]
        return _as_signed(simulator.report_all(said, url=_URL))

    def challenge(self, simulator: Simulator) -> tuple[ReceiptRequest, str] | None:
        """How the gateway has an address proven, where it does."""
        assert isinstance(simulator, GatewaySimulator)
        receipts = simulator.table.receipts
        if receipts is None or receipts.challenge is None:
            return None
        return simulator.challenge(_URL, _CHALLENGE), _CHALLENGE

    def _report(
        self, simulator: Simulator, request: DeliveryRequest, receipt: DeliveryReceipt, meaning: str
    ) -> ReceiptRequest:
        assert isinstance(simulator, GatewaySimulator)
        statuses = simulator.statuses(meaning)
        status = statuses[0] if statuses else "a status that no table lists"
        url = "" if simulator.proof.kind == "address" else _URL
        return _as_signed(simulator.report(receipt.reference or request.delivery_id, status, url=url))


def _as_signed(request: ReceiptRequest) -> ReceiptRequest:
    """A report with no header but those that prove it."""
    headers = {name: value for name, value in request.headers.items() if name != "content-type"}
    return attrs.evolve(request, headers=headers)


_ENDS = {ReceiptStatus.DELIVERED: DELIVERED, ReceiptStatus.UNDELIVERED: UNDELIVERED}


def table_of(gateway: str | Path) -> Table:
    """The table of a suite."""
    return find(gateway) if isinstance(gateway, str) else from_file(gateway, "gateway")


def _receipts(simulator: GatewaySimulator) -> Receipts:
    assert simulator.table.receipts is not None, "the table has no section receipts"
    return simulator.table.receipts


def _attributes(table: Table, unset: Collection[str]) -> dict[str, Any]:
    """What the table says, in the words of the suite."""
    needed = [name for name, setting in table.settings.items() if setting.must_be_given]
    receipts, given = table.receipts, {name: "given" for name in table.settings if name not in unset}
    proof = proof_of(receipts, given) if receipts is not None else None
    return {
        "channels": tuple(map(Channel, table.send)),
        "required_settings": (*needed, *(() if table.base_url else ("base_url",))),
        "secret_settings": tuple(name for name in given if table.settings[name].secret),
        "refusals": tuple(refusal for channel in table.send for refusal in _refusals(table, channel)),
        "messages_after_repeat": 1 if table.answer.duplicates else 2,
        "signed": _signed(proof),
        "receipt_lifetime": proof.tolerance if proof is not None and _has_time(proof) else None,
        "told_by_number": False,
        "told_of_approvals": "approved" in table.outcomes,
        "told_of_failures": "unused" in table.outcomes,
        "prices": tuple(where for where, price in _prices(table) if price is not None),
        "receipt_text": receipts.answer if receipts is not None else "",
    }


def _prices(table: Table) -> Iterator[tuple[str, PriceAt | None]]:
    """Where the gateway may say what it charges."""
    yield "answer", table.answer_of(next(iter(table.send))).price
    yield "receipt", table.receipts.price if table.receipts is not None else None


_COVERING: Mapping[str, tuple[str, ...]] = {
    "body": ("{body}", "{fields}", BODY_DIGEST),
    "url": ("{url}", "{query}", URL_DIGEST),
}


def _signed(proof: Proof | None) -> frozenset[str]:
    """What the gateway's signature covers."""
    if proof is None or proof.kind == "address":
        return frozenset()
    if proof.kind not in ("hmac", "jwt", "ed25519"):
        return frozenset({"secret"})
    said = " ".join(proof.claims.values()) if proof.kind == "jwt" else proof.signed
    words = {word for word, parts in _COVERING.items() if any(part in said for part in parts)}
    return frozenset(words | ({"headers"} if proof.timestamp or proof.nonce else set()))


def _has_time(proof: Proof) -> bool:
    return proof.kind == "jwt" or bool(proof.timestamp or proof.timestamp_field)


def _refusals(table: Table, channel: str) -> Iterator[Refusal]:
    """One code of each kind."""
    answer = table.answer_of(channel)
    first: dict[ErrorKind, str] = {}
    for code, text in answer.codes.items():
        if code not in answer.duplicates:
            first.setdefault(ErrorKind(text.partition(":")[0].strip()), code)
    for kind, code in first.items():
        shown = code.replace("*", "7").partition("/")[0]
        yield Refusal(_arming(code), kind, shown, Channel(channel))


def _arming(code: str) -> Callable[[Any], None]:
    def arm(simulator: GatewaySimulator) -> None:
        simulator.refuse(code)

    return arm
