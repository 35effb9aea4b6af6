"""Every gateway in the box keeps the contract of providers, against the simulator that its table makes."""

from __future__ import annotations

import pytest
from otp_http.catalogue import built_in, find
from otp_http.simulator import GatewaySimulator

from otpcore.providers import Channel, ErrorKind, ReceiptStatus
from otpcore.testing import ProviderContract, Refusal

ON_TRIO_TOO = frozenset({"vonage_sms", "telegram"})  # one with a text, one with a code; trio takes time
PUBLIC_URL = "https://example.com/receipts/contract"
RECIPIENTS = {"kavenegar": "+989121234567", "kavenegar_text": "+989121234567"}


class GatewayContract(ProviderContract):
    gateway = ""
    kind_of_http_503 = ErrorKind.AMBIGUOUS  # the gateway may have done the work

    @pytest.fixture
    def simulator(self):
        with GatewaySimulator(self.gateway) as simulator:
            yield simulator

    @pytest.fixture
    def plugin(self):
        return "http"

    def assert_delivered(self, message, request):
        assert message.recipient == request.recipient.e164
        assert message.channel == request.channel
        is_worded = find(self.gateway).send[request.channel].content == "code"
        assert message.text == (request.code if is_worded else request.text)
        assert message.code == request.code or request.code is None

    def callback(self, simulator, request, receipt, status):
        return simulator.report(
            receipt.reference or request.delivery_id, _status(simulator, status), url=_url(simulator)
        )

    def progress(self, simulator, request, receipt):
        return simulator.report(
            receipt.reference or request.delivery_id, simulator.statuses("progress")[0], url=_url(simulator)
        )

    def batch(self, simulator, reports):
        if not (simulator.table.receipts.items or simulator.table.receipts.split):
            return None
        if simulator.table.receipts.proof.kind == "address":
            return None  # an address is one message's
        said = [(one.reference or sent.delivery_id, _status(simulator, status), "") for sent, one, status in reports]
        return simulator.report_all(said, url=_url(simulator))

    def challenge(self, simulator):
        if simulator.table.receipts is None or simulator.table.receipts.challenge is None:
            return None
        return simulator.challenge(PUBLIC_URL, "1158201444"), "1158201444"


def _url(simulator):
    return "" if simulator.table.receipts.proof.kind == "address" else PUBLIC_URL


def _status(simulator, status):
    return simulator.statuses("delivered" if status is ReceiptStatus.DELIVERED else "undelivered")[0]


def _refusals(table, channel):
    """One code of each kind."""
    codes = table.answer_of(channel).codes
    first = {}
    for code, text in codes.items():
        kind = ErrorKind(text.partition(":")[0])
        if code not in table.answer_of(channel).duplicates:
            first.setdefault(kind, code)
    for kind, code in first.items():
        shown = code.replace("*", "7").partition("/")[0]
        yield Refusal(_arming(code), kind, shown, Channel(channel))


def _arming(code):
    return lambda simulator: simulator.refuse(code)


class OnAsyncioAlone(GatewayContract):
    @pytest.fixture
    def anyio_backend(self):
        return "asyncio"


def _signed(receipts):
    """What the gateway's signature covers."""
    kind = receipts.proof.kind if receipts else "address"
    if kind in ("hmac", "ed25519"):
        return frozenset({"body", "headers"} if receipts.proof.timestamp else {"body"})
    return frozenset() if kind == "address" else frozenset({"secret"})


def _lifetime(receipts):
    return receipts.proof.tolerance if receipts and receipts.proof.timestamp else None


def _suite(gateway):
    table = find(gateway)
    settings = table.settings
    return type(
        f"Test_{gateway}",
        (GatewayContract if gateway in ON_TRIO_TOO else OnAsyncioAlone,),
        {
            "gateway": gateway,
            "channels": tuple(map(Channel, table.send)),
            "recipient": RECIPIENTS.get(gateway, "+359871234567"),
            "required_settings": [
                *(name for name, setting in settings.items() if setting.must_be_given),
                *([] if table.base_url else ["base_url"]),
            ],
            "secret_settings": [name for name, setting in settings.items() if setting.secret],
            "refusals": [refusal for channel in table.send for refusal in _refusals(table, channel)],
            "messages_after_repeat": 1 if table.answer.duplicates else 2,
            "signs_url": False,
            "signed": _signed(table.receipts),
            "receipt_lifetime": _lifetime(table.receipts),
            "receipt_text": table.receipts.answer if table.receipts else "",
        },
    )


globals().update({f"Test_{gateway}": _suite(gateway) for gateway in built_in()})
