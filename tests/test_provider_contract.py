"""Tests of the provider contract: two correct providers pass all of it, and whoever breaks one promise fails.

The broken ones run in a pytest of their own, on this same file: the variable ``BROKEN_PROVIDER`` names which.
"""

from __future__ import annotations

import json
import logging
import os
import secrets

import attrs
import pytest

from otpcore.errors import ErrorKind, ProviderError, SettingsError
from otpcore.hookspecs import hookimpl
from otpcore.http import check_base_url, open_client
from otpcore.models import Channel, CheckResult, CodeOwner, DeliveryReceipt, ProviderInfo
from otpcore.simulators import SimulatedAnswer, Simulator
from otpcore.testing.provider import ProviderContract, Refusal

pytest_plugins = ["pytester"]

NO_SUCH_NUMBER = "+359871000013"


# The vendor


class Acme(Simulator):
    """Carries text under /messages; makes and checks codes under /verifications."""

    token = "acme-token-of-the-test"  # noqa: S105 - for loopback

    def __init__(self):
        super().__init__()
        self.credit = 1000
        self.verifications = {}

    def provider_settings(self):
        return {"token": self.token, "base_url": self.base_url}

    def handle(self, request):
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return SimulatedAnswer.json(401, {"error": 401})
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


KINDS = {
    13: ErrorKind.REJECTED_NUMBER,
    99: ErrorKind.MISCONFIGURED,
    401: ErrorKind.MISCONFIGURED,
    429: ErrorKind.THROTTLED,
    307: ErrorKind.MISCONFIGURED,
    503: ErrorKind.UNAVAILABLE,
}


class Text:
    """The correct provider; the broken ones below change one thing each."""

    path = "/messages"
    kinds = KINDS

    def __init__(self, context):
        self.context = context
        self.settings = self.read_settings()

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

    @hookimpl
    async def call(self, request):
        return await self.send(request)

    async def open(self, exit_stack):
        headers = {"Authorization": f"Bearer {self.settings.token}"}
        return await open_client(exit_stack, self.context, base_url=self.settings.base_url, headers=headers)

    async def send(self, request):
        answer = await self.client.request("POST", self.path, json=self.body(request))
        return self.receipt(answer, request)

    def body(self, request):
        return {"to": request.recipient.e164, "channel": request.channel.value, "text": request.text}

    def receipt(self, answer, request):
        if answer.status >= 300:
            raise self.error(answer, request)
        return DeliveryReceipt(reference=answer.json()["id"])

    def error(self, answer, request):
        code = answer.json_object().get("error", answer.status)
        kind = self.kinds.get(code, ErrorKind.AMBIGUOUS)
        return ProviderError(kind, "the vendor refused", answer.retry_after, str(code))


class Codes(Text):
    """The correct provider of codes that the vendor makes."""

    path = "/start_verification"

    @hookimpl
    def describe(self):
        return ProviderInfo(
            display_name="Acme Codes", code_owner=CodeOwner.PROVIDER, code_scope="acme:1", start_replaces=True
        )

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


# Whoever breaks one promise: the class, and the test that must notice it


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
    kinds = {**KINDS, 500: ErrorKind.UNAVAILABLE}


class ForgetsHowLongToWait(Text):
    def error(self, answer, request):
        error = super().error(answer, request)
        return ProviderError(error.kind, error.summary, None, error.provider_code)


class FollowsRedirects(Text):
    async def send(self, request):
        answer = await self.client.request("POST", self.path, json=self.body(request))
        if answer.status == 307:
            answer = await self.client.request("POST", answer.headers["Location"], json=self.body(request))
        return self.receipt(answer, request)


class BlamesTheWrongOne(Text):
    kinds = {**KINDS, 13: ErrorKind.BLOCKED}


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
        except ProviderError:
            raise
        except BaseException:
            return DeliveryReceipt()


class SharesOneClient(Text):
    shared = []

    async def open(self, exit_stack):
        self.shared.append(await super().open(exit_stack))

    async def send(self, request):
        self.client = self.shared[-1]
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
        import urllib.request

        request = urllib.request.Request(settings.base_url, method="DELETE")
        try:
            urllib.request.urlopen(request, timeout=5).close()
        except OSError as error:
            error.close()
        return settings


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


BROKEN = {
    RepeatsInSecret: "what_breaks and close_after_read",
    RepeatsChecksInSecret: "check_without_an_answer and reset_after_read",
    BelievesEvery200: "what_breaks and garbage_body",
    KnowsBetterThan500: "bare_http_status and http_500",
    ForgetsHowLongToWait: "bare_http_status and http_429",
    FollowsRedirects: "bare_http_status and redirect",
    BlamesTheWrongOne: "has_its_kind_and_code and 13",
    QuotesTheNumber: "no_refusal_shows and 13",
    LogsTheCode: "nothing_readable",
    LogsTheNumberAsAnExtra: "nothing_readable",
    LogsItsHeaders: "nothing_readable",
    ShowsItsToken: "nothing_readable",
    SpoilsTheText: "arrives_once_and_intact",
    SendsTwice: "arrives_once_and_intact",
    InventsReferences: "arrives_once_and_intact",
    WaitsForEver: "what_breaks and hang and not after",
    SwallowsCancellation: "cancellation_passes",
    SharesOneClient: "side_by_side",
    TakesDownForDoubt: "refused_connection",
    TakesAnySettings: "unknown_setting or required_setting or plain_http",
    NamesNoKey: "unknown_setting or required_setting or plain_http",
    CallsWhileLoading: "asks_the_vendor_nothing",
    TakesGoneForWrong: "gone_not_wrong",
    TakesNonsenseForWrong: "check_without_an_answer and garbage_body",
    TakesFailureForWrong: "gives_no_verdict and http_500",
    NeedsAReference: "right_code and recipient",
    CancelsInVain: "after_cancelling",
    HidesThatCancellingFailed: "cancel_that_failed",
}


def create_text(context):
    return chosen(Text)(context)


def create_codes(context):
    return chosen(Codes)(context)


def chosen(correct):
    named = globals().get(os.environ.get("BROKEN_PROVIDER", ""), correct)
    return named if issubclass(named, correct) else correct


class TestText(ProviderContract):
    required_settings = ("token",)
    secret_settings = ("token",)
    refusals = (
        Refusal(NO_SUCH_NUMBER, ErrorKind.REJECTED_NUMBER, "13"),
        Refusal(lambda simulator: setattr(simulator, "credit", 0), ErrorKind.MISCONFIGURED, "99", Channel.CALL),
    )

    @pytest.fixture
    def simulator(self):
        with Acme() as simulator:
            yield simulator

    @pytest.fixture
    def plugin(self):
        return create_text


class TestCodes(TestText):
    code_owner = CodeOwner.PROVIDER

    @pytest.fixture
    def plugin(self):
        return create_codes


@pytest.mark.parametrize(("provider", "selection"), BROKEN.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_a_broken_promise_is_noticed(pytester, monkeypatch, provider, selection):
    suite = "TestCodes" if issubclass(provider, Codes) else "TestText"
    monkeypatch.setenv("BROKEN_PROVIDER", provider.__name__)
    arguments = ["--import-mode=importlib", "-p", "no:cacheprovider", "-k", f"{suite} and ({selection}) and not trio"]
    outcomes = pytester.inline_run(__file__, *arguments).listoutcomes()
    passed, _, failed = outcomes
    assert failed
    assert not passed


def test_a_suite_without_its_fixtures_says_what_is_missing(pytester):
    pytester.makepyfile(
        "from otpcore.testing.provider import ProviderContract\nclass TestNothing(ProviderContract): ..."
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-k", "declaration")
    result.stdout.fnmatch_lines(["*give the fixture `simulator`*"])
