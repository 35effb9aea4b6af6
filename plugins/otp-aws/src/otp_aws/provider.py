"""The provider: hands text and speech to AWS End User Messaging, and reads what it reports. otpcore owns the code."""

from __future__ import annotations

import os
import re
from contextlib import AsyncExitStack
from typing import Any

import attrs

from otp_aws.client import AwsClient, checked_base_url
from otp_aws.credentials import source_of
from otp_aws.events import DELIVERY_ID, read_event
from otp_aws.settings import CALLER, INDIA_ID, SENDER, AwsSettings
from otp_aws.sns import NOTIFICATION, Topic, certificates_in
from otp_aws.voices import LANGUAGES, voice_of
from otpcore.providers import (
    AccountState,
    Carries,
    Channel,
    CodeOwner,
    DeliveryReceipt,
    DeliveryRequest,
    ErrorKind,
    Feature,
    OutcomeRequest,
    ProviderContext,
    ProviderError,
    ProviderInfo,
    Receipt,
    ReceiptAnswer,
    ReceiptFault,
    ReceiptRefused,
    ReceiptRequest,
    SettingsError,
    hookimpl,
)

__all__ = ["AwsProvider", "FeedbackProvider", "create_provider"]

_LIFE_SECONDS = (5, 259_200)  # TimeToLive
_MESSAGE_TYPE = "TRANSACTIONAL"
_INDIA = "+91"
_MESSAGE_ID = re.compile(r"[A-Za-z0-9_:/-]{1,64}")
_FEATURES = frozenset(Feature) - {Feature.TEMPLATE_ID}
_TIERS = {
    "PRODUCTION": ", and the account may send to everybody",
    "SANDBOX": "; the account is in the sandbox, which reaches verified numbers only",
}


def create_provider(context: ProviderContext) -> AwsProvider:
    """The factory behind the entry point ``aws``; no I/O.

    Raises:
        SettingsError: A setting is missing or wrong, or there are no credentials.
    """
    settings = context.structure(AwsSettings)
    prefix = f"providers.{context.instance}"
    base_url = checked_base_url(
        settings.service_url, key=f"{prefix}.base_url", allow_plain_http=settings.allow_plain_http
    )
    source = source_of(context, settings, os.environ)
    client = AwsClient(context=context, base_url=base_url, region=settings.region, source=source)
    made = FeedbackProvider if settings.message_feedback else AwsProvider
    return made(context=context, settings=settings, client=client, topic=_topic(settings, prefix))


def _topic(settings: AwsSettings, prefix: str) -> Topic | None:
    if not settings.sns_topic_arn:
        return None
    try:
        certificates = [one for pem in settings.sns_certificates for one in certificates_in(pem)]
    except ValueError as error:
        problem = str(error)
    else:
        return Topic(arn=settings.sns_topic_arn, certificates=certificates)
    raise SettingsError(f"{prefix}.sns_certificates: {problem}")


def _fitting(form: re.Pattern[str], sender: str | None) -> str:
    """The host's sender; "" where AWS would not take it over this channel, as ``Carries.forms`` says."""
    return sender if sender is not None and form.fullmatch(sender) else ""


@attrs.define(eq=False, kw_only=True)
class AwsProvider:
    """One sender, and where ``voice_identity`` is set one caller, of one account in one region.

    AWS has no token by which it would know a repeat, and cannot be asked for a message by anything of ours: a send
    whose answer was lost may be a second message when it is repeated.
    """

    context: ProviderContext = attrs.field(repr=False)
    settings: AwsSettings
    client: AwsClient
    topic: Topic | None

    @hookimpl
    def describe(self) -> ProviderInfo:
        """What this instance is."""
        calls = {Channel.CALL} if self.settings.voice_identity else set()
        registered = {Feature.TEMPLATE_ID} if self.settings.india_entity_id else set()
        return ProviderInfo(
            display_name="AWS End User Messaging",
            code_owner=CodeOwner.CORE,
            channels=frozenset({Channel.SMS} | calls),
            carries={
                Channel.SMS: Carries(
                    features=_FEATURES | registered,
                    forms={Feature.SENDER: SENDER.pattern, Feature.TEMPLATE_ID: INDIA_ID.pattern},
                ),
                Channel.CALL: Carries(
                    features=_FEATURES,
                    languages=LANGUAGES | self.settings.voices.keys(),
                    forms={Feature.SENDER: CALLER.pattern},
                ),
            },
        )

    @hookimpl
    async def start(self, exit_stack: AsyncExitStack) -> None:
        """Open the HTTP client."""
        await self.client.start(exit_stack)

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        """Send the text; AWS drops what it could not hand on while the code lives."""
        fields = self._common(request) | {
            "OriginationIdentity": _fitting(SENDER, request.sender) or self.settings.origination_identity,
            "MessageType": _MESSAGE_TYPE,
            "MaxPrice": self.settings.max_price,
            "DestinationCountryParameters": self._country_parameters(request),
        }
        return await self._send("SendTextMessage", fields)

    @hookimpl
    async def call(self, request: DeliveryRequest) -> DeliveryReceipt:
        """Call and speak the text, which already says the digits apart and twice."""
        fields = self._common(request) | {
            "OriginationIdentity": _fitting(CALLER, request.sender) or self.settings.voice_identity,
            "MessageBodyTextType": "TEXT",
            "VoiceId": voice_of(request.locale, self.settings.voices),
            "MaxPricePerMinute": self.settings.max_price_per_minute,
        }
        return await self._send("SendVoiceMessage", fields)

    @hookimpl
    async def check_account(self) -> AccountState:
        """Read the account's attributes, which costs nothing: whether it is still in the sandbox is one of them."""
        source = self.client.source.name
        try:
            answer = await self.client.call("DescribeAccountAttributes", {})
        except ProviderError as error:
            if error.kind is not ErrorKind.MISCONFIGURED or error.fix:
                raise
            fix = f"see region, base_url and policy, and whether the keys of {source} are those of the account"
            failure = ProviderError(error.kind, error.summary, error.retry_after, error.provider_code, fix=fix)
        else:
            return self._account(answer.get("AccountAttributes"), source)
        raise failure

    @hookimpl
    async def parse_receipt(self, request: ReceiptRequest) -> Receipt | ReceiptAnswer:
        """Read an event that SNS hands on, or say where SNS wants the subscription confirmed."""
        if self.topic is None:
            raise ReceiptRefused(
                ReceiptFault.SIGNATURE, "no topic is configured that would be believed; see sns_topic_arn"
            )
        message = self.topic.proven(request, self.context.clock())
        if message["Type"] == NOTIFICATION:
            return read_event(message["Message"])
        # A person opens it, not we: reading a receipt asks no server. Its token confirms this subscription alone.
        self.context.logger.warning(
            "SNS sent a %s for %s; to let AWS report here, open %s",
            message["Type"],
            self.topic.arn,
            self.topic.confirmation_url(message),
        )
        return ReceiptAnswer()

    def _account(self, listed: object, source: str) -> AccountState:
        if not isinstance(listed, list):
            raise ProviderError(ErrorKind.MISCONFIGURED, "the answer lists no account attributes: check base_url")
        known = (one for one in listed if isinstance(one, dict) and one.get("Name") == "ACCOUNT_TIER")
        tier = next((str(one.get("Value")) for one in known), "")
        summary = f"the credentials of {source} are right{_TIERS.get(tier, '')}"
        ends = self.topic.ends_soon(self.context.clock()) if self.topic is not None else None
        if ends is None:
            return AccountState(summary=summary)
        return AccountState(
            summary=summary,
            warning=f"no certificate of sns_certificates is good after {ends:%Y-%m-%d}: receipts are refused from then on",
            fix=f"put the next certificate of SNS beside it in providers.{self.context.instance}.sns_certificates",
        )

    def _common(self, request: DeliveryRequest) -> dict[str, Any]:
        """What a message and a call have in common; our id comes back with each event."""
        least, most = _LIFE_SECONDS
        seconds = int((request.deadline - self.context.clock()).total_seconds())
        return {
            "DestinationPhoneNumber": request.recipient.e164,
            "MessageBody": request.text or "",
            "TimeToLive": min(max(seconds, least), most),
            "ConfigurationSetName": self.settings.configuration_set,
            "ProtectConfigurationId": self.settings.protect_configuration,
            "Context": {DELIVERY_ID: request.delivery_id},
            "MessageFeedbackEnabled": self.settings.message_feedback,
        }

    def _country_parameters(self, request: DeliveryRequest) -> dict[str, str]:
        """What India wants to know of a message: which company sends it, and which registered text it is."""
        if not (self.settings.india_entity_id and request.recipient.e164.startswith(_INDIA)):
            return {}
        template = request.template_id or self.settings.india_template_id
        ids = {"IN_ENTITY_ID": self.settings.india_entity_id, "IN_TEMPLATE_ID": template}
        return {name: value for name, value in ids.items() if value}

    async def _send(self, operation: str, fields: dict[str, Any]) -> DeliveryReceipt:
        """Send what is given; what is empty is left to AWS."""
        sent = await self.client.call(operation, {name: value for name, value in fields.items() if value})
        reference = sent.get("MessageId")
        if not isinstance(reference, str) or not _MESSAGE_ID.fullmatch(reference):
            raise ProviderError(ErrorKind.AMBIGUOUS, "the answer has no MessageId")
        return DeliveryReceipt(reference=reference)


@attrs.define(eq=False, kw_only=True)
class FeedbackProvider(AwsProvider):
    """An instance that tells AWS of each message whether its code was typed; AWS keeps the rates as metrics."""

    @hookimpl
    async def report_outcome(self, request: OutcomeRequest) -> None:
        """Tell AWS how it ended, by the message's id. Without one it has no name; AWS gives up after an hour."""
        if not request.reference:
            return
        fields = {
            "MessageId": request.reference,
            "MessageFeedbackStatus": "RECEIVED" if request.approved else "FAILED",
        }
        try:
            await self.client.call("PutMessageFeedback", fields)
        except ProviderError as error:
            if error.provider_code != "ResourceNotFoundException":  # it has forgotten the message: over already
                raise
