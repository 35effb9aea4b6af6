"""What happens to people in tests of the console: gateways that answer as they are told, and report what arrived."""

from __future__ import annotations

import re
from typing import Any

import attrs
from console_client import Console

from otpcore import DeliveryError, ErrorKind, ProviderError, RateLimited, ReceiptStatus, hookimpl
from otpcore.providers import DeliveryReceipt, Price, ProviderInfo, Receipt, ReceiptRequest


@attrs.define(eq=False)
class Gateway:
    """A provider that takes a message unless it is told otherwise.

    Attributes:
        failures: What it answers to the next ones: a kind, and the vendor's code.
        codes: Of the messages that it took.
        price: What it says that a message costs.
    """

    failures: list[tuple[str, str]] = attrs.field(factory=list)
    codes: list[str] = attrs.field(factory=list)
    price: Price | None = None

    @hookimpl
    def describe(self) -> ProviderInfo:
        """One of plain text."""
        return ProviderInfo(display_name="Gateway")

    @hookimpl
    async def send_sms(self, request: Any) -> DeliveryReceipt:
        """Take it, or not."""
        if self.failures:
            kind, code = self.failures.pop(0)
            raise ProviderError(ErrorKind(kind), "asked for by the test", provider_code=code)
        self.codes.append(request.code)
        return DeliveryReceipt(reference=f"SM{request.delivery_id[:12]}", price=self.price)

    @hookimpl
    async def parse_receipt(self, request: ReceiptRequest) -> Receipt:
        """What the test says of a reference."""
        status, _, reference = request.body.decode().partition(" ")
        code = "30003" if status == "undelivered" else ""
        return Receipt(status=ReceiptStatus(status), reference=reference, provider_code=code)


@attrs.define(eq=False)
class Scene:
    """A console over two gateways, mada and then twilio_eu."""

    console: Console
    mada: Gateway
    twilio: Gateway

    @property
    def service(self) -> Any:
        """Behind the server."""
        return self.console.server.server.service

    def do(self, work: Any) -> Any:
        """Run a coroutine where the server runs."""
        return self.console.server.do(work)

    def send(self, phone: str, *failures: tuple[str, str], **how: Any) -> Any:
        """A send, of which mada, then twilio_eu answer with these errors; None where it failed or was refused."""
        for gateway, failure in zip((self.mada, self.twilio), failures, strict=False):
            gateway.failures.append(failure)
        try:
            return self.do(self.service.send_sms(phone, **how))
        except (DeliveryError, RateLimited):
            return None

    def report(self, challenge_id: str, status: str = "delivered") -> None:
        """The vendor of the latest delivery says how its message ended."""
        (seen,) = self.do(self.service.operator.challenges.show(challenge_id))
        last = seen.deliveries[-1]
        request = ReceiptRequest(
            method="POST", url="https://otp.example/", headers={}, body=f"{status} {last.reference}".encode()
        )
        self.do(self.service.handle_receipt(last.provider, request))

    def verify(self, phone: str, code: str, **how: Any) -> Any:
        """Somebody types a code."""
        return self.do(self.service.verify(phone, code, **how))

    @property
    def code(self) -> str:
        """Of the latest message that twilio_eu took."""
        return self.twilio.codes[-1]

    def audited(self) -> list[tuple[str, str, str, str]]:
        """Who did what to whom and why, the latest first."""
        return [(one.by, one.action, one.target, one.reason) for one in self.do(self.service.operator.audit())]


def gateways() -> tuple[Gateway, Gateway]:
    """Fresh ones, in the order in which they are tried."""
    return Gateway(), Gateway()


def rows(answer: Any, table: int = 0) -> list[str]:
    """Each row of a table of a page, without marks.

    Args:
        answer: The page.
        table: Which of its tables, from 0.
    """
    bodies = re.findall(r"<tbody.*?</tbody>", answer.text, re.DOTALL)
    found = re.findall(r"<tr .*?</tr>", bodies[table], re.DOTALL) if len(bodies) > table else []
    return [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in found]
