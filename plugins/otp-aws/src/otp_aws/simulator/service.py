"""The simulated service: who may ask, what is asked, and what becomes of a message."""

from __future__ import annotations

import hmac
import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from otp_aws.client import SERVICE, TARGET
from otp_aws.signing import Credentials, signed_headers
from otp_aws.simulator.magic import CALLED, DELIVERED, ENDS, REFUSALS, Refused, field_refused, refused, told
from otp_aws.simulator.shapes import OPERATIONS, wrong_field
from otp_aws.simulator.topic import SimulatedTopic
from otpcore.providers import Channel
from otpcore.simulators import SimulatedAnswer, SimulatedRequest, Simulator

__all__ = ["AwsSimulator"]

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<day>[0-9]{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request, "
    r"SignedHeaders=(?P<names>[a-z0-9;-]+), Signature=[0-9a-f]{64}"
)
_MUST_BE_SIGNED = frozenset({"host", "x-amz-date", "x-amz-target"})
_OWN = frozenset({"host", "x-amz-date", "x-amz-security-token"})  # what signed_headers adds by itself
_TOLERANCE = timedelta(minutes=5)
_SENDER_ID = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9_-]{1,11}")


class AwsSimulator(Simulator):
    """One account in one region.

    Attributes:
        region: Where it is.
        access_key_id: Of its one key.
        secret_access_key: Of its one key.
        session_token: Where it is not empty, requests must show it too.
        from_number: A number of it, which sends and calls; sender IDs send too.
        other_number: Another one.
        tier: ``PRODUCTION`` or ``SANDBOX``.
        price: US dollars for each SMS, and for a minute of a call.
        receipts_url: Where its topic reports; empty: nowhere.
        topic: The topic.
        feedback: What it was told of messages, by their ids.
    """

    region = "eu-west-1"
    access_key_id = "AKIASIMULATOR0000000"
    secret_access_key = "simulated+secret/of+loopback"  # noqa: S105 - the simulator's own, for loopback
    session_token = ""
    from_number = "+12065550100"
    other_number = "+12065550109"
    tier = "PRODUCTION"
    price = Decimal("0.05")
    receipts_url = ""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = told()
        arn = f"arn:aws:sns:{self.region}:123456789012:otp-events"
        self.topic = SimulatedTopic(arn=arn, clock=lambda: self.clock())  # noqa: PLW0108 - a test may replace the clock
        self.feedback: dict[str, str] = {}
        self._messages: set[str] = set()

    def provider_settings(self) -> dict[str, Any]:
        """Settings of an instance that sends and calls, and believes the topic where it reports anywhere."""
        return {
            "region": self.region,
            "access_key_id": self.access_key_id,
            "secret_access_key": self.secret_access_key,
            **({"session_token": self.session_token} if self.session_token else {}),
            "origination_identity": self.from_number,
            "voice_identity": self.from_number,
            **(self.topic_settings() if self.receipts_url else {}),
            "base_url": self.base_url,
        }

    def topic_settings(self) -> dict[str, Any]:
        """Settings of an instance that believes the topic."""
        return {"sns_topic_arn": self.topic.arn, "sns_certificates": [self.topic.certificate]}

    def handle(self, request: SimulatedRequest) -> SimulatedAnswer:
        """Answer one request."""
        refusal = self._unsigned(request)
        if refusal is not None:
            return refusal.answer()
        operation = request.headers.get("x-amz-target", "").removeprefix(f"{TARGET}.")
        actions: dict[str, Callable[[dict[str, Any]], SimulatedAnswer | Refused]] = {
            "SendTextMessage": self._send_text,
            "SendVoiceMessage": self._send_voice,
            "PutMessageFeedback": self._put_feedback,
            "DescribeAccountAttributes": self._describe,
        }
        if request.method != "POST" or request.path != "/" or operation not in OPERATIONS:
            return refused("UnknownOperationException").answer()
        fields = _object(request)
        if fields is None:
            return refused("SerializationException").answer()
        if wrong := wrong_field(operation, fields):
            return field_refused(wrong).answer()
        answer = actions[operation](fields)
        return answer.answer() if isinstance(answer, Refused) else answer

    def _unsigned(self, request: SimulatedRequest) -> Refused | None:
        """What is wrong with the signature of a request; None: nothing."""
        given = request.headers.get("authorization", "")
        found = _AUTHORIZATION.fullmatch(given)
        if found is None:
            return refused("MissingAuthenticationTokenException" if not given else "IncompleteSignature")
        token = request.headers.get("x-amz-security-token", "")
        if found["key"] != self.access_key_id or token != self.session_token:
            return refused("UnrecognizedClientException")
        names = set(found["names"].split(";"))
        sent_at = _moment(request.headers.get("x-amz-date", ""))
        if not names >= _MUST_BE_SIGNED or sent_at is None or abs(self.clock() - sent_at) > _TOLERANCE:
            return refused("InvalidSignatureException")
        right = signed_headers(
            {name: request.headers.get(name, "") for name in names - _OWN},
            request.body,
            host=request.headers.get("host", ""),
            region=self.region,
            service=SERVICE,
            credentials=Credentials(
                access_key_id=self.access_key_id, secret_access_key=self.secret_access_key, session_token=token
            ),
            now=sent_at,
        )["Authorization"]
        return None if hmac.compare_digest(given.encode(), right.encode()) else refused("InvalidSignatureException")

    def _send_text(self, fields: dict[str, Any]) -> SimulatedAnswer | Refused:
        if self._costs_more_than(fields.get("MaxPrice")):
            return refused("ValidationException", "PRICE_OVER_THRESHOLD")
        return self._take(fields, Channel.SMS)

    def _send_voice(self, fields: dict[str, Any]) -> SimulatedAnswer | Refused:
        if self._costs_more_than(fields.get("MaxPricePerMinute")):
            return refused("ValidationException", "PRICE_OVER_THRESHOLD")
        return self._take(fields, Channel.CALL)

    def _costs_more_than(self, price: str | None) -> bool:
        return price is not None and self.price > Decimal(price)

    def _take(self, fields: dict[str, Any], channel: Channel) -> SimulatedAnswer | Refused:
        recipient, sender = fields["DestinationPhoneNumber"], fields.get("OriginationIdentity", self.from_number)
        if sender not in (self.from_number, self.other_number) and not (
            channel is Channel.SMS and _SENDER_ID.fullmatch(sender)
        ):
            return refused("ResourceNotFoundException", resource="phone-number")
        if recipient in REFUSALS:
            return REFUSALS[recipient]
        if "MessageBody" not in fields:
            return refused("ValidationException", "MISSING_PARAMETER", field="MessageBody")
        message_id = str(uuid.uuid4())
        self._messages.add(message_id)
        usual = DELIVERED if channel is Channel.SMS else CALLED
        events = ENDS.get(recipient, usual)
        if events[0].partition("_")[0] != usual[0].partition("_")[0]:  # it fails over the other channel
            events = usual
        if events is usual:
            self.deliver(recipient=recipient, channel=channel, text=fields["MessageBody"], reference=message_id)
        if self.receipts_url:
            for event in events:
                told = self.event(event, message_id, recipient=recipient, context=fields.get("Context", {}))
                self.call_back(self.receipts_url, *self.topic.notification(told))
        return SimulatedAnswer.json(200, {"MessageId": message_id}, {"Content-Type": "application/x-amz-json-1.0"})

    def event(self, name: str, message_id: str, *, recipient: str, context: dict[str, str]) -> dict[str, Any]:
        """One event as End User Messaging writes it."""
        now = int(self.clock().timestamp() * 1000)
        return {
            "eventType": name,
            "eventVersion": "1.0",
            "eventTimestamp": now,
            "isFinal": name not in {"TEXT_QUEUED", "VOICE_INITIATED", "VOICE_RINGING", "VOICE_ANSWERED"},
            "originationPhoneNumber": self.from_number,
            "destinationPhoneNumber": recipient,
            "messageId": message_id,
            "messageRequestTimestamp": now,
            "messageType": "TRANSACTIONAL",
            "messageStatus": name.partition("_")[2],
            "context": context,
        }

    def _put_feedback(self, fields: dict[str, Any]) -> SimulatedAnswer | Refused:
        if fields["MessageId"] not in self._messages:
            return refused("ResourceNotFoundException", resource="message")
        self.feedback[fields["MessageId"]] = fields["MessageFeedbackStatus"]
        return SimulatedAnswer.json(200, fields)

    def _describe(self, _: dict[str, Any]) -> SimulatedAnswer:
        return SimulatedAnswer.json(200, {"AccountAttributes": [{"Name": "ACCOUNT_TIER", "Value": self.tier}]})


def _object(request: SimulatedRequest) -> dict[str, Any] | None:
    try:
        body = request.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _moment(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
