"""Two small gateways, each with its provider and its vendor on loopback: one signs nothing, the other reports many at once.

``Bell`` is told an address with each message and reports by GET to it, in the manner of SMSAPI; it waits for ``OK``. ``Hive`` has
one address for an account, proves it by a challenge and signs what it reports, in the manner of WhatsApp Cloud.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlencode

import attrs

from otpcore.http import HttpClient, check_base_url, open_client
from otpcore.providers import (
    AccountState,
    Channel,
    DeliveryReceipt,
    DeliveryRequest,
    ErrorKind,
    ProviderContext,
    ProviderError,
    ProviderInfo,
    Receipt,
    ReceiptAnswer,
    ReceiptFault,
    ReceiptRefused,
    ReceiptRequest,
    ReceiptStatus,
    hookimpl,
)
from otpcore.simulators import SimulatedAnswer, SimulatedRequest, Simulator

NO_SUCH_NUMBER, UNREACHABLE = "+359871000013", "+359871000014"
TOKEN = "token-of-a-gateway"

DELIVERED, UNDELIVERED = ReceiptStatus.DELIVERED, ReceiptStatus.UNDELIVERED
KINDS = {13: ErrorKind.REJECTED_NUMBER, 429: ErrorKind.THROTTLED, 503: ErrorKind.UNAVAILABLE}


def not_blank(_: object, __: object, value: str) -> None:
    if not value:
        raise ValueError("must not be blank")


@attrs.frozen(kw_only=True)
class Settings:
    token: str = attrs.field(repr=False, validator=not_blank)
    base_url: str = "https://gateway.example.com"


@attrs.define(eq=False)
class Gateway:
    """What both have in common."""

    context: ProviderContext
    settings: Settings = attrs.field(init=False)
    client: HttpClient = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self.settings = self.context.structure(Settings)
        check_base_url(self.settings.base_url, key=f"providers.{self.context.instance}.base_url")

    @hookimpl
    def describe(self) -> ProviderInfo:
        return ProviderInfo(display_name=type(self).__name__)

    @hookimpl
    async def start(self, exit_stack: AsyncExitStack) -> None:
        headers = {"Authorization": f"Bearer {self.settings.token}"}
        self.client = await open_client(exit_stack, self.context, base_url=self.settings.base_url, headers=headers)

    @hookimpl
    async def check_account(self) -> AccountState:
        answer = await self.client.request("GET", "/account")
        if answer.status in (401, 404, 405):
            raise ProviderError(ErrorKind.MISCONFIGURED, "the token is wrong, or the URL")
        if answer.status != 200:
            raise ProviderError(ErrorKind.UNAVAILABLE, "the account could not be read")
        return AccountState(summary="the token is right")

    def message(self, request: DeliveryRequest) -> dict[str, str]:
        fields = {"to": request.recipient.e164, "text": request.text or "", "from": request.sender or ""}
        return {name: text for name, text in fields.items() if text}

    async def hand_over(self, fields: dict[str, str]) -> DeliveryReceipt:
        answer = await self.client.request("POST", "/messages", form=fields)
        if answer.status == 201:
            return DeliveryReceipt(reference=answer.json_object()["id"])
        code = answer.json_object().get("error", answer.status)
        otherwise = ErrorKind.MISCONFIGURED if 300 <= answer.status < 500 else ErrorKind.AMBIGUOUS
        raise ProviderError(KINDS.get(code, otherwise), "the gateway refused", answer.retry_after, str(code))


class Bell(Gateway):
    """Signs nothing."""

    statuses: ClassVar = {"404": DELIVERED, "405": UNDELIVERED, "403": None}

    @hookimpl
    def describe(self) -> ProviderInfo:
        return ProviderInfo(display_name="Bell", signs_receipts=False)

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        return await self.hand_over(self.message(request) | self.where_to_report(request))

    def where_to_report(self, request: DeliveryRequest) -> dict[str, str]:
        url = self.context.receipt_url(request.delivery_id)
        return {} if url is None else {"notify_url": url}

    @hookimpl
    def parse_receipt(self, request: ReceiptRequest) -> ReceiptAnswer:
        fields = parse_qs(request.url.partition("?")[2])
        reference, status = (fields.get(name, [""])[0] for name in ("MsgId", "status"))
        if not reference or status not in self.statuses:
            raise ReceiptRefused(ReceiptFault.MALFORMED, "it has no message with a status")
        return ReceiptAnswer(receipts=[Receipt(status=self.statuses[status], reference=reference)], text="OK")


class Hive(Gateway):
    """Signs its batches, and has its one address proven."""

    statuses: ClassVar = {"delivered": DELIVERED, "failed": UNDELIVERED}

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        return await self.hand_over(self.message(request))

    @hookimpl
    def parse_receipt(self, request: ReceiptRequest) -> list[Receipt] | ReceiptAnswer:
        if request.method == "GET":
            return self.prove(parse_qs(request.url.partition("?")[2]))
        right = f"sha256={signature(self.settings.token, request.body)}"
        if not hmac.compare_digest(request.headers.get("x-signature", "").encode(), right.encode()):
            raise ReceiptRefused(ReceiptFault.SIGNATURE, "the signature is wrong")
        return [self.read(one) for one in json.loads(request.body)["statuses"]]

    def prove(self, fields: dict[str, list[str]]) -> ReceiptAnswer:
        token, text = (fields.get(f"hub.{name}", [""])[0] for name in ("verify_token", "challenge"))
        if not hmac.compare_digest(token.encode(), self.settings.token.encode()):
            raise ReceiptRefused(ReceiptFault.SIGNATURE, "the token is wrong")
        return ReceiptAnswer(text=text)

    def read(self, one: dict[str, str]) -> Receipt:
        return Receipt(status=self.statuses.get(one["status"]), reference=one["id"])


def signature(token: str, body: bytes) -> str:
    """What Hive signs with."""
    return hmac.new(token.encode(), body, "sha256").hexdigest()


class GatewaySimulator(Simulator):
    """Takes messages; ``UNREACHABLE`` is not delivered."""

    def provider_settings(self) -> dict[str, Any]:
        return {"token": TOKEN, "base_url": self.base_url}

    def handle(self, request: SimulatedRequest) -> SimulatedAnswer:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return SimulatedAnswer.json(401, {"error": 401})
        if request.path == "/account":
            return SimulatedAnswer.json(200, {"active": True})
        fields = {name: values[0] for name, values in request.form().items()}
        if fields["to"] == NO_SUCH_NUMBER:
            return SimulatedAnswer.json(400, {"error": 13})
        reference = f"M{id(self):x}-{len(self.requests)}"
        if fields["to"] != UNREACHABLE:
            self.deliver(recipient=fields["to"], channel=Channel.SMS, text=fields["text"], reference=reference)
        self.report(reference, fields)
        return SimulatedAnswer.json(201, {"id": reference})

    def report(self, reference: str, fields: dict[str, str]) -> None:
        """What it says of a message of its own accord."""


class BellSimulator(GatewaySimulator):
    """Reports each message to the address that came with it."""

    def report(self, reference: str, fields: dict[str, str]) -> None:
        for status in ("403", "405" if fields["to"] == UNREACHABLE else "404"):
            if url := fields.get("notify_url"):
                self.call_back(url, method="GET", query={"MsgId": reference, "status": status})


class HiveSimulator(GatewaySimulator):
    """Reports when it is told to, everything since the last time in one request.

    Attributes:
        webhook: Its customer's address.
    """

    webhook = ""

    def __init__(self) -> None:
        super().__init__()
        self.unreported: list[dict[str, str]] = []

    def handle(self, request: SimulatedRequest) -> SimulatedAnswer:
        if request.path == "/report":  # the wire has none such: here is the thread that may call back
            self.call_back(self.webhook, *batch(self.unreported))
            self.unreported = []
            return SimulatedAnswer.empty(204)
        if request.path == "/prove":
            self.call_back(self.webhook, method="GET", query=challenge("4711"))
            return SimulatedAnswer.empty(204)
        return super().handle(request)

    def report(self, reference: str, fields: dict[str, str]) -> None:
        self.unreported.append({"id": reference, "status": "failed" if fields["to"] == UNREACHABLE else "delivered"})


def batch(statuses: Iterable[dict[str, str]]) -> tuple[dict[str, str], bytes]:
    """Headers and body of a request of Hive."""
    body = json.dumps({"statuses": list(statuses)}).encode()
    return {"X-Signature": f"sha256={signature(TOKEN, body)}", "Content-Type": "application/json"}, body


def challenge(text: str) -> dict[str, str]:
    """The query by which Hive has its address proven."""
    return {"hub.mode": "subscribe", "hub.verify_token": TOKEN, "hub.challenge": text}


def query_of(url: str, fields: dict[str, str]) -> str:
    """The URL with these fields."""
    return f"{url}?{urlencode(fields)}"
