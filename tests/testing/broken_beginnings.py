"""Providers with the mistakes of a first day, and the words by which their author finds each of them."""

from __future__ import annotations

import attrs

from otpcore.errors import ErrorKind, ProviderError
from otpcore.models import Channel
from otpcore.providers.requests import DeliveryReceipt

from .acme import Codes, Text
from .broken import Broken


class RaisesAnotherError(Text):
    def error(self, answer, request):
        return ValueError(f"{self.settings.token} was refused for {request.recipient.e164}")


class AnswersNothing(Text):
    async def send(self, request):
        try:
            return await super().send(request)
        except ProviderError:
            return None


class ForgetsToAwait(Text):
    async def send(self, request):
        return super().send(request)


class TakesDoubtForDown(Text):
    async def send(self, request):
        try:
            return await super().send(request)
        except Exception:  # noqa: BLE001 - the mistake
            raise ProviderError(ErrorKind.UNAVAILABLE, "the vendor did not answer") from None


class CatchesEverything(Text):
    async def send(self, request):
        try:
            return await super().send(request)
        except BaseException:  # noqa: BLE001 - the mistake
            raise ProviderError(ErrorKind.AMBIGUOUS, "the vendor did not answer") from None


class GivesUpAtOnce(Text):
    async def send(self, request):
        if self.context.timeout > 10:
            raise ProviderError(ErrorKind.AMBIGUOUS, "the vendor did not answer")
        return await super().send(request)


class WordsTheTextItself(Text):
    def body(self, request):
        return {**super().body(request), "text": f"Your code is {request.code}"}


class ReadsTextAsItComes(Text):
    def check(self, request):
        request.body.decode()
        super().check(request)


class AsksAnotherPath(Text):
    path = "/nessages"


class StumblesBeforeItSends(Text):
    def body(self, request):
        return {**super().body(request), "reply": {}["reply"]}


class LeavesAFieldOut(Text):
    def body(self, request):
        return {"recipient" if name == "to" else name: text for name, text in super().body(request).items()}


class HasAnotherToken(Text):
    async def open(self, exit_stack):
        self.settings = attrs.evolve(self.settings, token="another")
        return await super().open(exit_stack)


class TakesAcceptanceForRefusal(Text):
    def receipt(self, answer, request):
        raise self.error(answer, request)


class NeverAsks(Text):
    async def send(self, request):
        return DeliveryReceipt()


class CallsAnotherPath(Codes):
    """A vendor with two paths, of which one is wrong."""

    async def send(self, request):
        self.path = "/verification_calls" if request.channel is Channel.CALL else "/start_verification"
        return await super().send(request)


ACCEPTED = "plain_message_is_accepted"
DOUBT = "the vendor may have done the work: raise `ambiguous`, and not contract: unavailable"
BROKEN = (
    Broken(AsksAnotherPath, ACCEPTED, 'POST /nessages and answered 404: {"error": 404}.\nFix: ask for the path'),
    Broken(StumblesBeforeItSends, ACCEPTED, "Fix: the simulator was asked nothing. See that the hook is reached"),
    Broken(
        LeavesAFieldOut, ACCEPTED, "raised KeyError('to'), so that no answer came; the request has the fields recip"
    ),
    Broken(HasAnotherToken, ACCEPTED, 'answered 401: {"error": 401}.\nFix: send the credentials of the settings'),
    Broken(TakesAcceptanceForRefusal, ACCEPTED, "return DeliveryReceipt"),
    Broken(NeverAsks, ACCEPTED, "the simulator's inbox is empty"),
    Broken(CallsAnotherPath, f"{ACCEPTED} and call", "was not accepted over call"),
    Broken(RaisesAnotherError, "has_its_kind_and_code and 13", "ended with contract: ambiguous: raised ValueError"),
    Broken(AnswersNothing, "has_its_kind_and_code and 13", "ended with contract: ambiguous: answered NoneType"),
    Broken(ForgetsToAwait, "has_its_kind_and_code and 13", "ended with contract: ambiguous: answered coroutine"),
    Broken(TakesDoubtForDown, "what_breaks and close_after_read", DOUBT),
    Broken(TakesDoubtForDown, "a_repeat_sends", DOUBT),
    Broken(TakesDoubtForDown, "used_again", DOUBT),
    Broken(TakesDoubtForDown, "vendor_who_does_not_answer", DOUBT),
    Broken(CatchesEverything, "cancellation_passes", "a hook must let cancellation pass"),
    Broken(GivesUpAtOnce, "cancellation_passes", "it failed before context.timeout was over"),
    Broken(WordsTheTextItself, "arrives_once_and_intact", "send request.text as it is"),
    Broken(ReadsTextAsItComes, "garbage_is_refused and xff", "Refuse it: raise ReceiptRefused(ReceiptFault.MALFORMED"),
)
