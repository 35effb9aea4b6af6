"""The contract suites of Acme's correct providers, to run as they are and with one thing broken."""

from __future__ import annotations

import hmac
import json
from urllib.parse import parse_qs

import attrs
import pytest

from otpcore.errors import ErrorKind, ReceiptFault, ReceiptRefused
from otpcore.models import Channel, CodeOwner, ReceiptStatus
from otpcore.providers.requests import ReceiptRequest
from otpcore.testing.providers.contract import ProviderContract, Refusal

from .acme import LIFETIME, NO_SUCH_NUMBER, STATUSES, WHATSAPP, Acme, Codes, Messages, Text, told
from .acme_in_threads import Threads

WORDS = {status: word for word, status in STATUSES.items()}


def _charged(simulator):
    price = simulator.inbox[-1].price
    return {"price": str(price.amount), "currency": price.currency} if price else {}


class TextSuite(ProviderContract):
    provider = Text
    channels = (Channel.SMS,)
    required_settings = ("token",)
    secret_settings = ("token",)
    receipt_lifetime = LIFETIME
    prices = ("answer", "receipt")
    refusals = (
        Refusal(NO_SUCH_NUMBER, ErrorKind.REJECTED_NUMBER, "13"),
        Refusal(lambda simulator: setattr(simulator, "credit", 0), ErrorKind.MISCONFIGURED, "99", Channel.SMS),
    )

    @pytest.fixture
    def simulator(self):
        with Acme() as simulator:
            yield simulator

    @pytest.fixture
    def plugin(self):
        return self.provider

    def callback(self, simulator, request, receipt, status):
        return told(simulator, {"id": receipt.reference, "status": WORDS[status], **_charged(simulator)})

    def progress(self, simulator, request, receipt):
        return self.callback(simulator, request, receipt, None)


class MessageSuite(TextSuite):
    provider = Messages
    channels = (Channel.SMS, WHATSAPP)


class CodeSuite(TextSuite):
    provider = Codes
    prices = ()
    channels = (Channel.SMS, Channel.CALL)
    code_owner = CodeOwner.PROVIDER


class ThreadSuite(TextSuite):
    provider = Threads


class SignsNoUrl(Text):
    def check(self, request):
        super().check(attrs.evolve(request, url="https://example.com/acme"))


class OneKey(Text):
    """Reads callbacks that come with the key of the account in their query, and with nothing that is signed."""

    def check(self, request):
        given = parse_qs(request.url.partition("?")[2]).get("key", [""])[0]
        if not hmac.compare_digest(given.encode(), self.settings.token.encode()):
            raise ReceiptRefused(ReceiptFault.SIGNATURE, "the key is wrong")
        try:
            json.loads(request.body)["status"]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise ReceiptRefused(ReceiptFault.MALFORMED, "it is no report") from None


class OneKeySuite(TextSuite):
    provider = OneKey
    signed = frozenset({"secret"})
    receipt_lifetime = None

    def callback(self, simulator, request, receipt, status: ReceiptStatus | None):
        body = json.dumps({"id": receipt.reference, "status": WORDS[status], **_charged(simulator)}).encode()
        headers = {"Content-Type": "application/json"}
        return ReceiptRequest(url=f"https://example.com/acme?key={simulator.token}", headers=headers, body=body)
