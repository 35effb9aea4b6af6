"""A vendor, and two correct providers for it: one carries text, the other's vendor makes the code."""

from __future__ import annotations

import hmac
import json
import secrets
from types import MappingProxyType

import attrs

from otpcore.errors import ErrorKind, ProviderError, ReceiptFault, ReceiptRefused
from otpcore.http.client import check_base_url, open_client
from otpcore.models import Channel, CodeOwner, Receipt, ReceiptStatus
from otpcore.prices import Price
from otpcore.providers.hooks import hookimpl
from otpcore.providers.requests import AccountState, CheckResult, DeliveryReceipt, ProviderInfo, ReceiptRequest
from otpcore.simulators.exchange import SimulatedAnswer
from otpcore.simulators.simulator import Simulator

WHATSAPP = Channel("whatsapp")
NO_SUCH_NUMBER = "+359871000013"
PRICE = Price.read("0.00750", "USD")
LIFETIME = 300
STATUSES = MappingProxyType({"arrived": ReceiptStatus.DELIVERED, "lost": ReceiptStatus.UNDELIVERED, "on its way": None})


# The vendor


class Acme(Simulator):
    """Carries text under /messages; makes and checks codes under /verifications."""

    token = "acme-token-of-the-test"

    def __init__(self):
        super().__init__()
        self.credit = 1000
        self.verifications = {}

    def provider_settings(self):
        return {"token": self.token, "base_url": self.base_url}

    def handle(self, request):
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return SimulatedAnswer.json(401, {"error": 401})
        if request.path == "/account":
            return SimulatedAnswer.json(200, {"active": True})
        sort, _, identity = request.path.strip("/").partition("/")
        if request.method == "POST":
            if sort not in ("messages", "start_verification"):
                return SimulatedAnswer.json(404, {"error": 404})
            return self.refusal(request.json()) or getattr(self, sort)(request.json())
        verification = self.find(identity)
        if verification is None:
            return SimulatedAnswer.json(404, {"error": 404})
        if request.method == "DELETE":
            self.verifications.pop(verification["id"])
            return SimulatedAnswer.empty(204)
        if request.json()["code"] != verification["code"]:
            return SimulatedAnswer.json(200, {"status": "wrong"})
        self.verifications.pop(verification["id"])
        return SimulatedAnswer.json(200, {"status": "right"})

    def refusal(self, body):
        if body["to"] == NO_SUCH_NUMBER:
            return SimulatedAnswer.json(400, {"error": 13})
        return None if self.credit else SimulatedAnswer.json(402, {"error": 99})

    def messages(self, body):
        identity = secrets.token_hex(8)
        self.deliver(recipient=body["to"], channel=body["channel"], text=body["text"], reference=identity, price=PRICE)
        return SimulatedAnswer.json(201, {"id": identity, "price": str(PRICE.amount), "currency": PRICE.currency})

    def verifications_of(self, number):
        return [each for each in self.verifications.values() if each["to"] == number]

    def find(self, identity):
        found = self.verifications.get(identity) or next(iter(self.verifications_of(identity)), None)
        over = found and (self.clock() - found["started"]).total_seconds() > 600
        return None if over else found

    def start_verification(self, body):
        for older in self.verifications_of(body["to"]):
            self.verifications.pop(older["id"])
        identity, code = secrets.token_hex(8), str(secrets.randbelow(900000) + 100000)
        started = {**body, "id": identity, "code": code, "started": self.clock()}
        self.verifications[identity] = started
        text = f"Code: {code}"
        self.deliver(recipient=body["to"], channel=body["channel"], text=text, code=code, reference=identity)
        return SimulatedAnswer.json(201, {"id": identity})


# A provider that carries text, and one whose vendor makes the code


def not_blank(_, __, value):
    if not value:
        raise ValueError("must not be blank")


@attrs.frozen(kw_only=True)
class Settings:
    token: str = attrs.field(repr=False, validator=not_blank)
    base_url: str = "https://acme.example.com"


KINDS = MappingProxyType(
    {
        13: ErrorKind.REJECTED_NUMBER,
        99: ErrorKind.MISCONFIGURED,
        401: ErrorKind.MISCONFIGURED,
        429: ErrorKind.THROTTLED,
        307: ErrorKind.MISCONFIGURED,
        503: ErrorKind.UNAVAILABLE,
    }
)


class Text:
    """The correct provider; the broken ones below change one thing each."""

    path = "/messages"
    kinds = KINDS
    question = ("GET", "/account")

    def __init__(self, context):
        self.context = context
        self.settings = self.read_settings()

    def __repr__(self):
        return f"Text({self.context!r}, {self.settings!r})"

    def read_settings(self):
        settings = self.context.structure(Settings)
        check_base_url(settings.base_url, key=f"providers.{self.context.instance}.base_url")
        return settings

    @hookimpl
    def describe(self):
        return ProviderInfo(display_name="Acme")

    @hookimpl
    async def start(self, exit_stack):
        self.client = await self.open(exit_stack)

    @hookimpl
    async def send_sms(self, request):
        return await self.send(request)

    async def open(self, exit_stack):
        headers = {"Authorization": f"Bearer {self.settings.token}"}
        return await open_client(exit_stack, self.context, base_url=self.settings.base_url, headers=headers)

    async def send(self, request):
        answer = await self.client.request("POST", self.path, json=self.body(request))
        return self.receipt(answer, request)

    def body(self, request):
        sender = {"from": request.sender} if request.sender else {}
        return {"to": request.recipient.e164, "channel": str(request.channel), "text": request.text, **sender}

    def receipt(self, answer, request):
        if answer.status >= 300:
            raise self.error(answer, request)
        said = answer.json()
        return DeliveryReceipt(reference=said["id"], price=self.price(said))

    def price(self, said):
        return Price.read(said.get("price"), said.get("currency"))

    def error(self, answer, request):
        code = answer.json_object().get("error", answer.status)
        kind = self.kinds.get(code) or self.kind_of_class(answer.status // 100)
        return ProviderError(kind, "the vendor refused", answer.retry_after, str(code))

    def kind_of_class(self, status_class):
        return ErrorKind.MISCONFIGURED if status_class == 4 else ErrorKind.AMBIGUOUS

    @hookimpl
    async def check_account(self):
        answer = await self.client.request(*self.question)
        if answer.status in (401, 404, 405):
            raise ProviderError(ErrorKind.MISCONFIGURED, "the token is wrong, or the URL")
        return self.state(answer)

    def state(self, answer):
        if answer.status != 200:
            raise ProviderError(ErrorKind.UNAVAILABLE, "the account could not be read")
        return AccountState(summary="the token is right")

    @hookimpl
    def parse_receipt(self, request):
        self.check(request)
        return self.read(request)

    def check(self, request):
        told = request.headers.get("timestamp", "")
        right = signed(self.settings.token, told, request.url, request.body)
        if not self.fits(request.headers.get("signature", ""), right):
            raise ReceiptRefused(ReceiptFault.SIGNATURE, "the signature is wrong")
        self.check_age(self.context.clock().timestamp() - float(told))

    def fits(self, given, right):
        return hmac.compare_digest(given.encode(), right.encode())

    def check_age(self, age):
        if abs(age) > LIFETIME:
            raise ReceiptRefused(ReceiptFault.STALE, "it is too old")

    def read(self, request):
        said = json.loads(request.body)
        return self.made_of(said, STATUSES.get(said["status"]))

    def made_of(self, said, status):
        return Receipt(status=status, reference=said["id"], price=self.price(said))


def signed(token, told, url, body):
    """What Acme signs callbacks with."""
    return hmac.new(token.encode(), told.encode() + url.encode() + body, "sha256").hexdigest()


def told(simulator, fields):
    """A callback of Acme, as it signs it now."""
    url, body, now = "https://example.com/acme", json.dumps(fields).encode(), str(simulator.clock().timestamp())
    headers = {"Timestamp": now, "Signature": signed(simulator.token, now, url, body)}
    return ReceiptRequest(url=url, headers=headers, body=body)


class Messages(Text):
    """The same over another channel too."""

    @hookimpl
    def describe(self):
        return ProviderInfo(display_name="Acme", channels=frozenset({Channel.SMS, WHATSAPP}))

    @hookimpl
    async def send_message(self, request):
        return await self.send(request)


class Codes(Text):
    """The correct provider of codes that the vendor makes."""

    path = "/start_verification"

    @hookimpl
    def describe(self):
        return ProviderInfo(
            display_name="Acme Codes", code_owner=CodeOwner.PROVIDER, code_scope="acme:1", start_replaces=True
        )

    @hookimpl
    async def call(self, request):
        return await self.send(request)

    @hookimpl
    async def check_code(self, request):
        path = f"/verifications/{self.which(request)}"
        return self.verdict(await self.client.request("PUT", path, json={"code": request.code}))

    @hookimpl
    async def cancel(self, request):
        answer = await self.client.request("DELETE", f"/verifications/{self.which(request)}")
        if answer.status not in (204, 404):
            raise self.error(answer, request)

    def which(self, request):
        return request.reference or request.recipient.e164

    def verdict(self, answer):
        if answer.status == 404:
            return CheckResult.GONE
        if answer.status != 200:
            raise self.error(answer, None)
        return CheckResult.APPROVED if answer.json()["status"] == "right" else CheckResult.INCORRECT
