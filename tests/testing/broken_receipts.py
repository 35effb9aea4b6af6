"""Providers that read receipts wrongly, and suites that say too much; which tests must notice, with which words."""

from __future__ import annotations

import contextlib
import urllib.request

import attrs

from otpcore.errors import ErrorKind, ReceiptFault, ReceiptRefused
from otpcore.models import Receipt, ReceiptStatus
from otpcore.providers.hooks import hookimpl

from .acme import Text, signed, told
from .broken import Broken
from .suites import OneKey, OneKeySuite, TextSuite


class GivesAReasonForSuccess(Text):
    def made_of(self, said, status):
        return attrs.evolve(super().made_of(said, status), kind=ErrorKind.UNAVAILABLE)


class TakesProgressForFailure(Text):
    def made_of(self, said, status):
        return super().made_of(said, status or ReceiptStatus.UNDELIVERED)


class GivesAReasonForProgress(Text):
    def made_of(self, said, status):
        return attrs.evolve(super().made_of(said, status), kind=None if status else ErrorKind.UNAVAILABLE)


class MixesUpItsWords(Text):
    def made_of(self, said, status):
        return super().made_of(said, ReceiptStatus.DELIVERED)


class NamesNoMessage(Text):
    def made_of(self, said, status):
        return Receipt(status=status)


class BelievesOldReceipts(Text):
    def check_age(self, age): ...


class CallsOldOnesForged(Text):
    def check_age(self, age):
        try:
            super().check_age(age)
        except ReceiptRefused as refusal:
            raise ReceiptRefused(ReceiptFault.SIGNATURE, refusal.summary) from None


class ComparesTheBeginning(Text):
    def fits(self, given, right):
        return given[:8] == right[:8]


class ComparesNothing(Text):
    def fits(self, given, right):
        return True


class HasAnotherKey(Text):
    def check(self, request):
        self.settings = attrs.evolve(self.settings, token="another")
        super().check(request)


class AsksWhileReading(Text):
    @hookimpl
    async def parse_receipt(self, request):
        self.check(request)
        await self.client.request(*self.question)
        return self.read(request)


class FetchesWhileReading(Text):
    def read(self, request):
        with contextlib.suppress(OSError):
            urllib.request.urlopen("https://keys.example.com/key.pem", timeout=1).close()
        return super().read(request)


class ReadsOneAsTwo(Text):
    def read(self, request):
        return [super().read(request)] * 2


class RemembersWhatItRead(Text):
    seen = 0

    def made_of(self, said, status):
        self.seen += 1
        return attrs.evolve(super().made_of(said, status), provider_code=str(self.seen))


class BelievesAnyKey(OneKey):
    def check(self, request):
        super().check(attrs.evolve(request, url=f"{request.url.partition('?')[0]}?key={self.settings.token}"))


class SignsPart(Text):
    """Its vendor signs the id alone."""

    def check(self, request):
        self.read(request)
        super().check(attrs.evolve(request, body=request.body.partition(b",")[0]))


class PartSuite(TextSuite):
    receipt_lifetime = None

    def callback(self, simulator, request, receipt, status):
        genuine = super().callback(simulator, request, receipt, status)
        now, body = genuine.headers["timestamp"], genuine.body.partition(b",")[0]
        right = signed(simulator.token, now, genuine.url, body)
        return attrs.evolve(genuine, headers={"Timestamp": now, "Signature": right})


def unsigned(suite, simulator, request, receipt, status):
    return attrs.evolve(told(simulator, {"id": receipt.reference, "status": "arrived"}), headers={}, body=b"", url="")


def raising(suite, simulator, request, receipt, status):
    return simulator.requests[-1].form()["callback"]


NO_SIGNATURE = "is told an address of each message"
BROKEN = (
    Broken(HasAnotherKey, "vendor_reports_is_read", "does `callback` make and sign it as the vendor does?"),
    Broken(Text, "vendor_reports_is_read", "`callback` of the suite raised KeyError", TextSuite, {"callback": raising}),
    Broken(GivesAReasonForSuccess, "genuine_receipt and delivered and not undelivered", "none beside DELIVERED"),
    Broken(TakesProgressForFailure, "report_of_progress", "`status` is None for whatever is not final"),
    Broken(GivesAReasonForProgress, "report_of_progress", "none beside progress"),
    Broken(MixesUpItsWords, "genuine_receipt and undelivered", "by the vendor's word for how it ended"),
    Broken(NamesNoMessage, "genuine_receipt", "broke parse_receipt (answered a receipt without reference"),
    Broken(BelievesOldReceipts, "stale_receipt", "compare its signed time with context.clock()"),
    Broken(CallsOldOnesForged, "stale_receipt", "too old is ReceiptFault.STALE"),
    Broken(ComparesTheBeginning, "changed_on_the_way", "taken with another signature: prove it before anything else"),
    Broken(ComparesNothing, "changed_on_the_way", "hmac.compare_digest"),
    Broken(HasAnotherKey, "genuine_receipt", "the genuine receipt that `callback` makes was refused (signature:"),
    Broken(AsksWhileReading, "genuine_receipt", "parse_receipt asks the vendor: it must do no I/O"),
    Broken(FetchesWhileReading, "genuine_receipt", "parse_receipt opens a connection: it must do no I/O"),
    Broken(ReadsOneAsTwo, "genuine_receipt", "is read as one receipt"),
    Broken(RemembersWhatItRead, "genuine_receipt", "the same one again reads the same"),
    Broken(BelievesAnyKey, "changed_on_the_way", "another secret in its URL: compare the whole secret", OneKeySuite),
    Broken(
        SignsPart,
        "changed_on_the_way",
        "another `status` in its body: compute the signature over request.body",
        PartSuite,
    ),
    Broken(Text, "what_the_vendor_signs", NO_SIGNATURE, TextSuite, {"signed": frozenset()}),
    Broken(
        Text,
        "what_the_vendor_signs",
        "`signed` names ['everything']",
        TextSuite,
        {"signed": {"everything"}, "sender": ""},
    ),
    Broken(Text, "stale_receipt", "say `receipt_lifetime`, in seconds", TextSuite, {"receipt_lifetime": None}),
    Broken(
        Text,
        "changed_on_the_way",
        "does `callback` make and sign it as the vendor does?",
        TextSuite,
        {"callback": unsigned, "signed": {"body"}},
    ),
)
