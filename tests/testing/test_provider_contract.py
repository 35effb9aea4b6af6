"""Tests of the provider contract: two correct providers pass all of it, and whoever breaks one promise fails."""

from __future__ import annotations

import hmac
import json
import logging
import secrets
import urllib.request
from datetime import UTC, datetime
from types import MappingProxyType

import anyio
import attrs
import pytest

from otpcore.errors import ErrorKind, ProviderError, ReceiptFault, ReceiptRefused, SettingsError
from otpcore.http.client import check_base_url, open_client
from otpcore.models import Channel, CodeOwner, Receipt
from otpcore.providers.hooks import hookimpl
from otpcore.providers.requests import AccountState, CheckResult, DeliveryReceipt, ProviderInfo, ReceiptRequest
from otpcore.simulators.simulator import SimulatedAnswer, Simulator
from otpcore.testing.providers.contract import Bench, ProviderContract, Refusal

pytest_plugins = ["pytester"]

NO_SUCH_NUMBER = "+359871000013"


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
        self.deliver(recipient=body["to"], channel=body["channel"], text=body["text"], reference=identity)
        return SimulatedAnswer.json(201, {"id": identity})

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
        return {"to": request.recipient.e164, "channel": str(request.channel), "text": request.text}

    def receipt(self, answer, request):
        if answer.status >= 300:
            raise self.error(answer, request)
        return DeliveryReceipt(reference=answer.json()["id"])

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
        if answer.status != 200:
            raise ProviderError(ErrorKind.UNAVAILABLE, "the account could not be read")
        return AccountState(summary="the token is right")

    @hookimpl
    def parse_receipt(self, request):
        self.check(request)
        return self.read(request)

    def check(self, request):
        right = signed(self.settings.token, request.url, request.body)
        if not hmac.compare_digest(request.headers.get("signature", "").encode(), right.encode()):
            raise ReceiptRefused(ReceiptFault.SIGNATURE, "the signature is wrong")

    def read(self, request):
        said = json.loads(request.body)
        return Receipt(status=said["status"], reference=said["id"])


def signed(token, url, body):
    """What Acme signs callbacks with."""
    return hmac.new(token.encode(), url.encode() + body, "sha256").hexdigest()


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


# Whoever breaks one promise; BROKEN below says which tests must notice, and with which words


class RepeatsInSecret(Text):
    async def send(self, request):
        try:
            return await super().send(request)
        except ProviderError:
            return await super().send(request)


class RepeatsChecksInSecret(Codes):
    @hookimpl
    async def check_code(self, request):
        try:
            return await super().check_code(request)
        except ProviderError:
            return await super().check_code(request)


class BelievesEvery200(Text):
    def receipt(self, answer, request):
        if answer.status == 200:
            return DeliveryReceipt()
        return super().receipt(answer, request)


class KnowsBetterThan500(Text):
    kinds = MappingProxyType({**KINDS, 500: ErrorKind.UNAVAILABLE})


class TakesAWrongUrlForDoubt(Text):
    def kind_of_class(self, status_class):
        return ErrorKind.AMBIGUOUS


class ForgetsHowLongToWait(Text):
    def error(self, answer, request):
        error = super().error(answer, request)
        return ProviderError(error.kind, error.summary, None, error.provider_code)


class GoesWhereItIsSent(Text):
    async def send(self, request):
        answer = await self.client.request("POST", self.path, json=self.body(request))
        if answer.status == 307:
            answer = await self.client.request("POST", answer.headers["Location"], json=self.body(request))
        return self.receipt(answer, request)


class BlamesTheWrongOne(Text):
    kinds = MappingProxyType({**KINDS, 13: ErrorKind.BLOCKED})


class QuotesTheNumber(Text):
    def error(self, answer, request):
        return ProviderError(super().error(answer, request).kind, f"{request.recipient.e164} refused")


class LogsTheCode(Text):
    async def send(self, request):
        logging.getLogger("acme").debug("sending %s", request.text)
        return await super().send(request)


class LogsTheNumberAsAnExtra(Text):
    async def send(self, request):
        logging.getLogger("acme").debug("sending", extra={"to": request.recipient.e164})
        return await super().send(request)


class LogsWhatTheHostSaid(Text):
    async def send(self, request):
        logging.getLogger("acme").debug("for %s", request.metadata)
        return await super().send(request)


class QuotesTheClient(Text):
    def receipt(self, answer, request):
        raise ProviderError(ErrorKind.AMBIGUOUS, f"nothing for {request.client}")


class LogsItsHeaders(Text):
    async def open(self, exit_stack):
        logging.getLogger("acme").debug("Authorization: Bearer %s", self.settings.token)
        return await super().open(exit_stack)


class ShowsItsToken(Text):
    def __repr__(self):
        return f"<Acme {self.settings.token}>"


class SpoilsTheText(Text):
    def body(self, request):
        return {**super().body(request), "text": request.text.replace("&", "&amp;")}


class SendsTwice(Text):
    async def send(self, request):
        await super().send(request)
        return await super().send(request)


class InventsReferences(Text):
    def receipt(self, answer, request):
        super().receipt(answer, request)
        return DeliveryReceipt(reference=request.delivery_id)


class WaitsForEver(Text):
    async def open(self, exit_stack):
        self.context = attrs.evolve(self.context, timeout=60.0)
        return await super().open(exit_stack)


class SwallowsCancellation(Text):
    async def send(self, request):
        try:
            return await super().send(request)
        except anyio.get_cancelled_exc_class():
            return DeliveryReceipt()


class SharesOneClient(Text):
    shared = None

    async def open(self, exit_stack):
        SharesOneClient.shared = await super().open(exit_stack)

    async def send(self, request):
        self.client = self.shared
        return await super().send(request)


class TakesDownForDoubt(Text):
    async def send(self, request):
        try:
            return await super().send(request)
        except ProviderError as error:
            kind = ErrorKind.AMBIGUOUS if error.kind is ErrorKind.UNAVAILABLE else error.kind
            raise ProviderError(kind, error.summary) from None


class TakesAnySettings(Text):
    def read_settings(self):
        settings = self.context.settings
        return Settings(token=settings.get("token") or "none", base_url=settings["base_url"])


class NamesNoKey(Text):
    def read_settings(self):
        try:
            return super().read_settings()
        except SettingsError:
            raise SettingsError("the settings are wrong") from None


class CallsWhileLoading(Text):
    def read_settings(self):
        settings = super().read_settings()
        request = urllib.request.Request(settings.base_url, method="DELETE")
        try:
            urllib.request.urlopen(request, timeout=5).close()
        except OSError as error:
            error.close()
        return settings


class WouldNotLoad(Text):
    @hookimpl
    def describe(self):
        return ProviderInfo(display_name="Acme", channels=frozenset({Channel.SMS, Channel.CALL}))


class TakesGoneForWrong(Codes):
    def verdict(self, answer):
        return CheckResult.INCORRECT if answer.status == 404 else super().verdict(answer)


class TakesNonsenseForWrong(Codes):
    def verdict(self, answer):
        return super().verdict(attrs.evolve(answer, body=json.dumps(answer.json_object() or {"status": ""}).encode()))


class TakesFailureForWrong(Codes):
    def verdict(self, answer):
        return super().verdict(answer) if answer.status in (200, 404) else CheckResult.INCORRECT


class NeedsAReference(Codes):
    def which(self, request):
        return request.reference or "none"


class CancelsInVain(Codes):
    @hookimpl
    async def cancel(self, request): ...


class HidesThatCancellingFailed(Codes):
    @hookimpl
    async def cancel(self, request):
        try:
            await super().cancel(request)
        except ProviderError:
            return


class BelievesAnyReceipt(Text):
    def check(self, request):
        if not request.headers.get("signature"):
            super().check(request)


class SignsTheBodyOnly(Text):
    def check(self, request):
        url = "https://example.com/acme"
        super().check(attrs.evolve(request, url=url))


class QuotesTheReceipt(Text):
    def check(self, request):
        try:
            super().check(request)
        except ReceiptRefused as error:
            raise ReceiptRefused(error.fault, f"refused: {request.url} {request.headers}") from None


class StumblesOverGarbage(Text):
    def check(self, request):
        json.loads(request.body)
        super().check(request)


class NamesAnotherMessage(Text):
    def read(self, request):
        return attrs.evolve(super().read(request), reference="another")


class PraisesTheAccountUnasked(Text):
    @hookimpl
    async def check_account(self):
        return AccountState(summary="the token is right")


class BlamesTheAccountForAnOutage(Text):
    @hookimpl
    async def check_account(self):
        try:
            return await super().check_account()
        except ProviderError as error:
            raise ProviderError(ErrorKind.MISCONFIGURED, error.summary) from error


class BlamesTheWayForAWrongUrl(Text):
    @hookimpl
    async def check_account(self):
        answer = await self.client.request(*self.question)
        if answer.status != 200:
            raise ProviderError(ErrorKind.UNAVAILABLE, "the account could not be read")
        return AccountState(summary="the token is right")


class TakesAnyPageForTheVendor(Text):
    @hookimpl
    async def check_account(self):
        answer = await self.client.request(*self.question)
        if answer.status == 404:
            return AccountState(summary="the token is right")
        return await super().check_account()


class AsksByAMessage(Text):
    @hookimpl
    async def check_account(self):
        body = {"to": "+359871234567", "channel": "sms", "text": "a test"}
        await self.client.request("POST", self.path, json=body)
        return AccountState(summary="the token is right")


REPEATED = "repeated in secret"
BROKEN = {
    RepeatsInSecret: ("what_breaks and close_after_read", REPEATED),
    RepeatsChecksInSecret: ("check_without_an_answer and reset_after_read", REPEATED),
    BelievesEvery200: ("what_breaks and garbage_body", "DID NOT RAISE"),
    KnowsBetterThan500: ("bare_http_status and http_500", "kind_of_"),
    TakesAWrongUrlForDoubt: ("wrong_url_is_misconfigured_and_sent and http_404", "an operator corrects it"),
    ForgetsHowLongToWait: ("bare_http_status and http_429", "how long to wait"),
    GoesWhereItIsSent: ("bare_http_status and redirect", REPEATED),
    BlamesTheWrongOne: ("has_its_kind_and_code and 13", "REJECTED_NUMBER"),
    QuotesTheNumber: ("no_refusal_shows and 13", "an error shows the full number"),
    LogsTheCode: ("nothing_readable", "a record of the logger acme shows"),
    LogsTheNumberAsAnExtra: ("nothing_readable", "a record of the logger acme shows the full number"),
    LogsWhatTheHostSaid: ("nothing_readable", "a record of the logger acme shows the metadata order"),
    QuotesTheClient: ("what_breaks and garbage_body", "shows the full number, the code, the client"),
    LogsItsHeaders: ("nothing_readable", "a record of the logger acme shows the setting token"),
    ShowsItsToken: ("nothing_readable", "the provider's repr shows the setting token"),
    SpoilsTheText: ("arrives_once_and_intact", "Söhne &amp;"),
    SendsTwice: ("arrives_once_and_intact", "one send is one message"),
    InventsReferences: ("arrives_once_and_intact", "delivery-1"),
    WaitsForEver: ("does_not_answer", "must fit into context.timeout"),
    SwallowsCancellation: ("cancellation_passes", "must not answer"),
    SharesOneClient: ("side_by_side", "ProviderError"),
    TakesDownForDoubt: ("refused_connection", "ErrorKind.UNAVAILABLE"),
    TakesAnySettings: ("unknown_setting or required_setting or plain_http", "DID NOT RAISE"),
    NamesNoKey: ("unknown_setting or required_setting or plain_http", "providers."),
    CallsWhileLoading: ("asks_the_vendor_nothing", "DELETE"),
    WouldNotLoad: ("declaration or arrives_once_and_intact", "declares call without the hook call"),
    TakesGoneForWrong: ("gone_not_wrong", "CheckResult.GONE"),
    TakesNonsenseForWrong: ("check_without_an_answer and garbage_body", "DID NOT RAISE"),
    TakesFailureForWrong: ("gives_no_verdict and http_500", "DID NOT RAISE"),
    NeedsAReference: ("right_code and recipient", "CheckResult.INCORRECT"),
    CancelsInVain: ("after_cancelling", "CheckResult.GONE"),
    HidesThatCancellingFailed: ("cancel_that_failed", "DID NOT RAISE"),
    BelievesAnyReceipt: ("changed_on_the_way", "a receipt was taken with"),
    SignsTheBodyOnly: ("changed_on_the_way", "a receipt was taken with another URL"),
    QuotesTheReceipt: ("garbage_is_refused and null", "an error shows the full number"),
    StumblesOverGarbage: ("garbage_is_refused and xml", "ProviderError"),
    NamesAnotherMessage: ("genuine_receipt", "another"),
    PraisesTheAccountUnasked: ("account_that_works", "the vendor was asked"),
    BlamesTheAccountForAnOutage: ("no_verdict_on_the_account", "ErrorKind.UNAVAILABLE"),
    BlamesTheWayForAWrongUrl: ("wrong_url_is_misconfigured_and_says and http_405", "knows no such page"),
    TakesAnyPageForTheVendor: ("wrong_url_is_misconfigured_and_says and http_404", "DID NOT RAISE"),
    AsksByAMessage: ("account_that_works", ""),
}


class TestText(ProviderContract):
    provider = Text
    channels = (Channel.SMS,)
    required_settings = ("token",)
    secret_settings = ("token",)
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
        url, body = "https://example.com/acme", json.dumps({"id": receipt.reference, "status": status}).encode()
        return ReceiptRequest(url=url, headers={"Signature": signed(simulator.token, url, body)}, body=body)


class TestUnsignedUrl(TestText):
    """A vendor whose signature does not cover the URL says so, and passes."""

    provider = SignsTheBodyOnly
    signs_url = False


class TestCodes(TestText):
    provider = Codes
    channels = (Channel.SMS, Channel.CALL)
    code_owner = CodeOwner.PROVIDER


# Collected by the inner pytest only, which looks for classes of this name.
for broken in BROKEN:
    suite = TestCodes if issubclass(broken, Codes) else TestText
    only_asyncio = pytest.fixture(lambda self: "asyncio")
    changed = {"provider": broken, "anyio_backend": only_asyncio, "short_timeout": 0.3}
    globals()[f"Broken{broken.__name__}"] = type(f"Broken{broken.__name__}", (suite,), changed)


def test_whoever_breaks_a_promise_fails_where_it_is_tested(pytester):
    chosen = " or ".join(f"(Broken{broken.__name__} and ({tests}))" for broken, (tests, _) in BROKEN.items())
    plugins = ["no:cacheprovider", "no:hypothesispytest", "no:xdist", "no:timeout"]
    run = pytester.inline_run(
        *(__file__, "--import-mode=importlib", "-o", "python_classes=Broken", "-k", chosen),
        *(part for plugin in plugins for part in ("-p", plugin)),
    )
    reports = [report for report in run.getreports("pytest_runtest_logreport") if report.when == "call"]
    for broken, (_, words) in BROKEN.items():
        own = [report for report in reports if f"::Broken{broken.__name__}::" in report.nodeid]
        assert {report.outcome for report in own} == {"failed"}, f"{broken.__name__} was not noticed"
        for report in own:
            said = report.longrepr.reprcrash.message
            assert words in said, f"{broken.__name__} failed for another reason: {said}"


def test_a_vendor_s_code_that_is_the_year_is_not_taken_for_the_date_in_a_log_record():
    year = f"{datetime.now(UTC):%Y}"
    with Acme() as acme:
        bench = Bench(suite=TestCodes(), simulator=acme, plugin="", settings={"token": acme.token})
        acme.deliver(recipient="+359871234567", channel=Channel.SMS, text="Yours", code=year)
        bench.assert_safe(f"Date: Sun, 29 Nov {year} 20:45:49 GMT", "a record")
        acme.deliver(recipient="+359871234567", channel=Channel.SMS, text="Yours", code="4071")
        with pytest.raises(AssertionError, match="shows a code"):
            bench.assert_safe("code=4071", "a record")


def test_a_suite_without_its_fixtures_says_what_is_missing(pytester):
    pytester.makepyfile("from otpcore.testing import ProviderContract\nclass TestNothing(ProviderContract): ...")
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-k", "declaration")
    result.stdout.fnmatch_lines(["*give the fixture `simulator`*"])
