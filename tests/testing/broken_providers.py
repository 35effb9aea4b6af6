"""Providers that break one promise each, and which tests must notice, with which words."""

from __future__ import annotations

import json
import logging
import urllib.request
from decimal import Decimal
from types import MappingProxyType

import anyio
import attrs

from otpcore.errors import ErrorKind, ProviderError, ReceiptRefused, SettingsError
from otpcore.models import Channel
from otpcore.prices import Price
from otpcore.providers.hooks import hookimpl
from otpcore.providers.requests import AccountState, CheckResult, DeliveryReceipt, ProviderInfo

from .acme import KINDS, Codes, Messages, Settings, Text
from .broken import Broken
from .suites import SignsNoUrl


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


class SendsEverythingAsSms(Messages):
    def body(self, request):
        return {**super().body(request), "channel": "sms"}


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


class RoundsThePrice(Text):
    def price(self, said):
        rounded = round(float(said["price"]), 3)
        return Price(amount=Decimal(str(rounded)), currency=said["currency"])


class OverlooksThePriceInReceipts(Text):
    def read(self, request):
        return attrs.evolve(super().read(request), price=None)


class InventsAPrice(Codes):
    def price(self, said):
        return Price(amount=Decimal("0.05"), currency="EUR")


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
TAKEN = "the vendor did not do it, and the hook answered"
BROKEN = (
    Broken(RepeatsInSecret, "what_breaks and close_after_read", REPEATED),
    Broken(RepeatsChecksInSecret, "check_without_an_answer and reset_after_read", REPEATED),
    Broken(BelievesEvery200, "what_breaks and garbage_body", TAKEN),
    Broken(
        KnowsBetterThan500,
        "bare_http_status and http_500",
        "means `ambiguous`; if this vendor means another, `kind_of_http_500`",
    ),
    Broken(TakesAWrongUrlForDoubt, "wrong_url_is_misconfigured_and_sent and http_404", "an operator corrects it"),
    Broken(ForgetsHowLongToWait, "bare_http_status and http_429", "how long to wait"),
    Broken(GoesWhereItIsSent, "bare_http_status and redirect", REPEATED),
    Broken(
        BlamesTheWrongOne,
        "has_its_kind_and_code and 13",
        "13 is rejected_number in `refusals`, and the hook ended with contract: blocked",
    ),
    Broken(QuotesTheNumber, "no_refusal_shows and 13", "an error shows the full number"),
    Broken(LogsTheCode, "nothing_readable", "a record of the logger acme shows"),
    Broken(LogsTheNumberAsAnExtra, "nothing_readable", "a record of the logger acme shows the full number"),
    Broken(LogsWhatTheHostSaid, "nothing_readable", "a record of the logger acme shows the metadata order"),
    Broken(QuotesTheClient, "what_breaks and garbage_body", "shows the full number, the code, the client"),
    Broken(LogsItsHeaders, "nothing_readable", "a record of the logger acme shows the setting token"),
    Broken(ShowsItsToken, "nothing_readable", "the provider's repr shows the setting token"),
    Broken(SpoilsTheText, "arrives_once_and_intact", "Söhne &amp;"),
    Broken(SendsTwice, "arrives_once_and_intact", "one send is one message"),
    Broken(SendsEverythingAsSms, "arrives_once_and_intact and whatsapp", "'sms' == 'whatsapp'"),
    Broken(InventsReferences, "arrives_once_and_intact", "is the vendor's id"),
    Broken(WaitsForEver, "does_not_answer", "must fit into context.timeout"),
    Broken(SwallowsCancellation, "cancellation_passes", "must not answer"),
    Broken(SharesOneClient, "side_by_side", "ProviderError"),
    Broken(TakesDownForDoubt, "refused_connection", "certainly nothing was sent"),
    Broken(TakesAnySettings, "unknown_setting or a_required_setting or plain_http", "was taken"),
    Broken(
        NamesNoKey,
        "unknown_setting or a_required_setting or plain_http",
        "the refusal has to name the setting, providers.",
    ),
    Broken(CallsWhileLoading, "asks_the_vendor_nothing", "DELETE"),
    Broken(WouldNotLoad, "instance_loads", "declares call without the hook call"),
    Broken(TakesGoneForWrong, "gone_not_wrong", "and not INCORRECT, which uses up an attempt"),
    Broken(TakesNonsenseForWrong, "check_without_an_answer and garbage_body", TAKEN),
    Broken(TakesFailureForWrong, "gives_no_verdict and http_500", TAKEN),
    Broken(NeedsAReference, "right_code and recipient", "a wrong code is INCORRECT while"),
    Broken(CancelsInVain, "after_cancelling", "`cancel` has to reach the vendor"),
    Broken(HidesThatCancellingFailed, "cancel_that_failed", TAKEN),
    Broken(BelievesAnyReceipt, "changed_on_the_way", "a receipt was taken with"),
    Broken(SignsNoUrl, "changed_on_the_way", "another path: compute the signature over request.url"),
    Broken(QuotesTheReceipt, "garbage_is_refused and null", "an error shows the full number"),
    Broken(StumblesOverGarbage, "garbage_is_refused and xml", "Refuse it: raise ReceiptRefused(ReceiptFault.MALFORMED"),
    Broken(NamesAnotherMessage, "genuine_receipt", "is the id that the answer to the send carried"),
    Broken(RoundsThePrice, "price_in_an_answer", "the vendor's answer says 0.00750 USD"),
    Broken(OverlooksThePriceInReceipts, "price_in_a_receipt", "the vendor's receipt says 0.00750 USD"),
    Broken(InventsAPrice, "price_of_a_message_whose_answer_was_lost", "the vendor says no price in its answer"),
    Broken(PraisesTheAccountUnasked, "account_that_works", "the vendor was asked"),
    Broken(BlamesTheAccountForAnOutage, "no_verdict_on_the_account", "says nothing of the account"),
    Broken(BlamesTheWayForAWrongUrl, "wrong_url_is_misconfigured_and_says and http_405", "knows no such page"),
    Broken(TakesAnyPageForTheVendor, "wrong_url_is_misconfigured_and_says and http_404", TAKEN),
    Broken(AsksByAMessage, "account_that_works", "check_account sends nothing"),
)
