"""Providers with the mistakes of a first day, and the words by which their author finds each of them."""

from __future__ import annotations

from otpcore.errors import ErrorKind, ProviderError

from .acme import Text
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


DOUBT = "the vendor may have done the work: raise `ambiguous`, and not contract: unavailable"
BROKEN = (
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
