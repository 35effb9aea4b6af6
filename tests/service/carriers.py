"""Two carriers that report on their messages, for tests of receipts."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import attrs

from otpcore import (
    AsyncOTPService,
    DeliveryReceipt,
    DeliveryRequest,
    ErrorKind,
    ProviderError,
    ProviderInfo,
    Receipt,
    ReceiptFault,
    ReceiptRefused,
    ReceiptRequest,
    ReceiptStatus,
    RetryHost,
    RetryJob,
    hookimpl,
)
from otpcore.testing import EventRecorder, Outbox

PHONE = "+359871234567"


@attrs.define(eq=False)
class Carrier:
    """A provider of texts that reports as a test says; its receipts are signed with the word ``signed``."""

    name: str = "M"
    messages: list[DeliveryRequest] = attrs.field(factory=list)
    refuses: ErrorKind | None = None

    @hookimpl
    def describe(self) -> ProviderInfo:
        return ProviderInfo(display_name="Carrier")

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        if self.refuses is not None:
            raise ProviderError(self.refuses)
        self.messages.append(request)
        return DeliveryReceipt(reference=f"{self.name}{len(self.messages)}")

    @hookimpl
    def parse_receipt(self, request: ReceiptRequest) -> Receipt | list[Receipt]:
        if request.headers.get("signature") != "signed":
            raise ReceiptRefused(ReceiptFault.SIGNATURE, "the signature is wrong")
        read = [self.read(one) for one in request.body.decode().split("; ")]
        return read[0] if len(read) == 1 else read

    def read(self, text: str) -> Receipt:
        """One receipt: its status, the reference, and after ``of`` the id of the delivery."""
        status, _, named = text.partition(" ")
        reference, _, delivery_id = named.partition(" of ")
        kind = {"refused": ErrorKind.REJECTED_NUMBER}.get(status)
        ends = {"delivered": ReceiptStatus.DELIVERED, "lost": ReceiptStatus.UNDELIVERED}
        if status == "ask":
            return Receipt(answer='{"action": "allow"}')
        if status == "may":
            return Receipt(reference=reference, delivery_id=delivery_id, answer="yes", denial="no")
        return Receipt(
            status=ReceiptStatus.UNDELIVERED if kind else ends.get(status),
            reference=reference,
            delivery_id=delivery_id,
            provider_code="7",
            kind=kind,
        )


@attrs.define(eq=False)
class Queue:
    """A retry runner that only remembers what is due."""

    jobs: list[RetryJob] = attrs.field(factory=list)

    async def start(self, exit_stack: AsyncExitStack, host: RetryHost) -> None:
        pass

    async def submit(self, job: RetryJob) -> None:
        self.jobs.append(job)


@attrs.define(eq=False)
class Scene:
    """Two carriers, the first of which is asked first."""

    first: Carrier = attrs.field(factory=lambda: Carrier("M"))
    second: Carrier = attrs.field(factory=lambda: Carrier("S"))
    seen: EventRecorder = attrs.field(factory=EventRecorder)

    def service(self, settings: dict[str, Any] | None = None, **more: Any) -> AsyncOTPService:
        providers = {"first": self.first, "second": self.second}
        return Outbox().service(settings, providers=providers, observers=[self.seen], **more)


def said(text: str, signature: str = "signed") -> ReceiptRequest:
    """A request with receipts, as `Carrier` reads them: ``lost M1; delivered M2 of <delivery id>``."""
    return ReceiptRequest(
        url="https://example.com/receipts/first", headers={"Signature": signature}, body=text.encode()
    )
