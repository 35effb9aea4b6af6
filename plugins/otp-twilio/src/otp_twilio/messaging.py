"""Mode ``messaging``: Programmable Messaging and Voice carry text and speech; otpcore owns the code."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from datetime import timedelta
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

import attrs

from otp_twilio.client import TwilioClient, is_success, taken
from otp_twilio.earlier import Asked, lost_message
from otp_twilio.errors import error_of
from otp_twilio.languages import SAY_LANGUAGES, say_language
from otp_twilio.receipts import callback_url, read_receipt
from otp_twilio.settings import NUMBER, TwilioSettings, is_number
from otp_twilio.signing import check_signature
from otpcore.http import parse_date
from otpcore.providers import (
    AccountState,
    Carries,
    Channel,
    CodeOwner,
    DeliveryReceipt,
    DeliveryRequest,
    ErrorKind,
    Feature,
    ProviderContext,
    ProviderError,
    ProviderInfo,
    Receipt,
    ReceiptRequest,
    hookimpl,
)

__all__ = ["MessagingProvider", "twiml"]

_VALIDITY_SECONDS = (1, 36_000)  # Messages: ValidityPeriod
_RING_SECONDS = (5, 60)  # Calls: Timeout, whose default is 60
_LISTED = 50  # messages to one number: more than go out to anybody while a code lives
# Messages and Calls have no place for the id of a registered text; a call has a number as its sender.
_FEATURES = frozenset(Feature) - {Feature.TEMPLATE_ID}
_CARRIES = {
    Channel.SMS: Carries(features=_FEATURES),
    Channel.CALL: Carries(features=_FEATURES, languages=SAY_LANGUAGES, forms={Feature.SENDER: NUMBER.pattern}),
}
_NOT_IN_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@attrs.define(eq=False, kw_only=True)
class MessagingProvider:
    """One sender of one account. It can call only where ``from_number`` is a full number."""

    context: ProviderContext = attrs.field(repr=False)
    settings: TwilioSettings
    client: TwilioClient

    @hookimpl
    def describe(self) -> ProviderInfo:
        """What this instance is."""
        calls = {Channel.CALL} if is_number(self.settings.from_number) else set()
        return ProviderInfo(
            display_name="Twilio Messaging",
            code_owner=CodeOwner.CORE,
            channels=frozenset({Channel.SMS} | calls),
            carries=_CARRIES,
        )

    @hookimpl
    async def start(self, exit_stack: AsyncExitStack) -> None:
        """Open the HTTP client."""
        await self.client.start(exit_stack)

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        """Send the text; Twilio drops it when the code has expired before it could be delivered."""
        said = request.code or request.text or ""  # a text without a code is recognised as a whole
        if request.repeat and said and (sent := await self._already_sent(request, said)):
            return sent
        form = {
            "To": request.recipient.e164,
            "Body": request.text or "",
            "ValidityPeriod": str(self._remaining_seconds(request, *_VALIDITY_SECONDS)),
        }
        if request.sender or not self.settings.messaging_service_sid:
            form["From"] = request.sender or self.settings.from_number
        else:
            form["MessagingServiceSid"] = self.settings.messaging_service_sid
        if self.settings.risk_check is not None:
            form["RiskCheck"] = self.settings.risk_check.value
        if self.settings.feedback:
            form["ProvideFeedback"] = "true"
        form |= self._callback(request)
        return await self.client.create(self.path("Messages"), form)

    @hookimpl
    async def call(self, request: DeliveryRequest) -> DeliveryReceipt:
        """Call and speak the text, which already says the digits apart and twice; it rings no longer than the code lives."""
        form = {
            "To": request.recipient.e164,
            "From": request.sender if request.sender and is_number(request.sender) else self.settings.from_number,
            "Twiml": twiml(request.text or "", request.locale),
            "Timeout": str(self._remaining_seconds(request, *_RING_SECONDS)),
        }
        form |= self._callback(request)
        return await self.client.create(self.path("Calls"), form)

    @hookimpl
    async def check_account(self) -> AccountState:
        """List one message: only who may use the account may. Its own resource is closed to a standard API key."""
        listed = await self.client.read(f"{self.path('Messages')}?PageSize=1")
        if not isinstance(listed.get("messages"), list):
            raise ProviderError(ErrorKind.MISCONFIGURED, "the answer lists no messages: check the base URL")
        return AccountState(summary="the credentials are right, and the account is active")

    @hookimpl
    async def parse_receipt(self, request: ReceiptRequest) -> Receipt:
        """Read a status callback of Messages or Calls."""
        check_signature(request, self.settings.receipt_token)
        return read_receipt(request)

    def _callback(self, request: DeliveryRequest) -> dict[str, str]:
        """Where Twilio reports to; with our id, so that a report is understood even if the answer to this request is lost."""
        url = self.settings.status_callback_url
        return {"StatusCallback": callback_url(url, request.delivery_id)} if url else {}

    def path(self, resource: str) -> str:
        """Of a resource of the account."""
        return f"/2010-04-01/Accounts/{self.settings.account_sid}/{resource}.json"

    def _remaining_seconds(self, request: DeliveryRequest, least: int, most: int) -> int:
        remaining = int((request.deadline - self.context.clock()).total_seconds())
        return min(max(remaining, least), most)

    async def _already_sent(self, request: DeliveryRequest, said: str) -> DeliveryReceipt | None:
        """The message of an earlier try whose answer was lost; None where it was not sent, or nobody can tell.

        Twilio knows no idempotency key, so this is the way to ask whether a lost answer was an acceptance.

        Raises:
            ProviderError: Twilio did not say; never ``ambiguous``, because asking sends nothing.
        """
        path = f"{self.path('Messages')}?To={quote(request.recipient.e164, safe='')}&PageSize={_LISTED}"
        began_at = self.context.clock()
        try:
            answer = await self.client.get(path)
            if not is_success(answer):
                raise error_of(answer)
            messages = answer.json_object().get("messages")
        except ProviderError as error:
            if error.kind is not ErrorKind.AMBIGUOUS:
                raise
            raise ProviderError(
                ErrorKind.UNAVAILABLE, "asking for the earlier message failed", error.retry_after, error.provider_code
            ) from error
        date = {name.lower(): value for name, value in answer.headers.items()}.get("date", "")
        found = lost_message(
            messages,
            said,
            repeat=request.repeat,
            earlier=request.earlier,
            asked=Asked(at=began_at, until=self.context.clock(), date=parse_date(date)),
            patience=timedelta(seconds=self.context.timeout),
        )
        return None if found is None else taken(found)


def twiml(text: str, locale: str) -> str:
    """TwiML that says the text; without ``language`` where Twilio has no voice for it, then the account's own speaks."""
    language = say_language(locale)
    attribute = f" language={quoteattr(language)}" if language else ""
    return f"<Response><Say{attribute}>{escape(_NOT_IN_XML.sub(' ', text))}</Say></Response>"
