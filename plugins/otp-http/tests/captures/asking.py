"""One message, asked of each vendor's own SDK with credentials that are made up.

Each function gives the reference of the message. It raises, or gives None, where the SDK sees a refusal. The address of the
loopback server is for the SDKs that cannot be bent to it (``loopback.redirected``).
"""
# ruff: noqa: PLC0415 - one SDK is installed at a time

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

__all__ = [
    "ASKED",
    "africas_talking",
    "clickatell",
    "infobip",
    "kavenegar",
    "messagebird",
    "messente",
    "plivo",
    "sinch",
    "smsapi",
    "telegram",
    "telesign",
    "telnyx",
    "vonage",
    "whatsapp",
]

NUMBER = "+359871234567"
DIGITS = NUMBER[1:]
TEXT = "123456 is your code"
ASKED = {
    "recipient": NUMBER,
    "text": TEXT,
    "code": "123456",
    "delivery_id": "d0c1b2a3",
    "life": 300,
    "receipt_url": "https://otp.example/receipts/http/d0c1b2a3/x1y2z3x1y2z3x1y2z3x1y2",
    "sender": None,
    "template_id": None,
    "now": "2026-12-01T00:00:00+00:00",
}
"""What every case asks for unless it says otherwise. ``life`` is in seconds; the sender is the instance's."""
ID, URL, LIFE = str(ASKED["delivery_id"]), str(ASKED["receipt_url"]), 300
EXPIRES_AT = 1_796_083_500  # `now` and the life


def vonage(_: str) -> Any:
    from vonage_http_client.auth import Auth
    from vonage_http_client.http_client import HttpClient
    from vonage_sms import Sms, SmsMessage

    client = HttpClient(Auth(api_key="a1b2c3d4", api_secret="Made-Up-Secret-1"))
    message = SmsMessage(to=DIGITS, from_="Acme", text=TEXT, client_ref=ID, ttl=LIFE * 1000, callback=URL)
    return Sms(client).send(message).messages[0].message_id


def infobip(address: str) -> Any:
    from infobip_api_client import ApiClient, Configuration, SmsApi
    from infobip_api_client.models import SmsRequest

    message = {
        "sender": "Acme",
        "destinations": [{"to": DIGITS, "messageId": ID}],
        "content": {"text": TEXT},
        "options": {"validityPeriod": {"amount": LIFE // 60, "timeUnit": "MINUTES"}},
        "webhooks": {"delivery": {"url": URL}, "callbackData": ID},
    }
    client = ApiClient(Configuration(host=f"http://{address}", api_key="made-up-key"))
    answer = SmsApi(client).send_sms_messages(SmsRequest.from_dict({"messages": [message]}))
    return answer.messages[0].message_id


def plivo(_: str) -> Any:
    import plivo

    client = plivo.RestClient("MAMADEUPMADEUPMADEUP", "made-up-token")
    sent = client.messages.create(src="Acme", dst=NUMBER, text=TEXT, url=URL, log="false", message_expiry=LIFE)
    return sent.message_uuid[0]


def messagebird(_: str) -> Any:
    import messagebird

    options = {"reference": ID, "validity": LIFE, "datacoding": "auto", "reportUrl": URL}
    return messagebird.Client("made-up-key").message_create("Acme", DIGITS, TEXT, options).id


def telnyx(_: str) -> Any:
    import telnyx

    client = telnyx.Telnyx(api_key="KEY-made-up", max_retries=0)
    sent = client.messages.send(
        to=NUMBER,
        from_="Acme",
        text=TEXT,
        messaging_profile_id="40000000-made-4up0-0000-000000000000",
        webhook_url=URL,
        idempotency_key=ID,
    )
    return sent.data.id if sent.data else None


def telesign(resource: str) -> Callable[[str], Any]:
    def send(_: str) -> Any:
        from telesign.messaging import MessagingClient
        from telesign.voice import VoiceClient

        credentials = ("0ADE0000-0000-0000-0000-000000000000", "bWFkZS11cA==")
        if resource == "messaging":
            client = MessagingClient(*credentials, auth_method="Basic")
            answer = client.message(DIGITS, TEXT, "OTP", external_id=ID, sender_id="Acme", callback_url=URL)
        else:
            client = VoiceClient(*credentials, auth_method="Basic")
            answer = client.call(DIGITS, TEXT, "OTP", external_id=ID, voice="f-en-US", callback_url=URL)
        return answer.json.get("reference_id") if answer.ok else None

    return send


def africas_talking(_: str) -> Any:
    import africastalking

    africastalking.initialize("acme", "made-up-key")
    answer = africastalking.SMS.send(TEXT, [NUMBER], "Acme", enqueue=False)
    return answer["SMSMessageData"]["Recipients"][0]["messageId"]


def smsapi(_: str) -> Any:
    from smsapi.client import SmsApiBgClient

    client = SmsApiBgClient(access_token="made-up-token")
    sent = client.sms.send(
        to=DIGITS,
        message=TEXT,
        from_="Acme",
        idx=ID,
        check_idx="1",
        expiration_date=EXPIRES_AT,
        notify_url=URL,
    )
    return next(iter(sent)).id


def kavenegar(method: str, **fields: str) -> Callable[[str], Any]:
    def send(_: str) -> Any:
        from kavenegar import KavenegarAPI

        return str(getattr(KavenegarAPI("6D6164652D7570"), method)(fields)[0]["messageid"])

    return send


def telegram(_: str) -> Any:
    from telegram_gateway_verification import TelegramGatewayClient

    client = TelegramGatewayClient("made-up-token")
    return client.send_verification_message(
        phone_number=NUMBER, code="123456", ttl=LIFE, callback_url=URL, payload=ID, sender_username="acme"
    ).request_id


def whatsapp(_: str) -> Any:
    from pywa import WhatsApp
    from pywa.types.templates import AuthenticationBody, CopyCodeOTPButton, TemplateLanguage

    client = WhatsApp(phone_id="106540352242922", token="made-up-token")
    params = [AuthenticationBody.params(otp="123456"), CopyCodeOTPButton.params(otp="123456")]
    return client.send_template(NUMBER, "login_code", TemplateLanguage.ENGLISH_US, params, tracker=ID).id


def clickatell(_: str) -> Any:
    from clickatell.rest import Rest

    answer = Rest("made-up-key").sendMessage([DIGITS], TEXT, {"from": "Acme", "clientMessageId": ID})
    message = answer["messages"][0]
    return message["apiMessageId"] if message["accepted"] else None


def sinch(_: str) -> Any:
    from sinch import SinchClient

    client = SinchClient(service_plan_id="0ade0000", sms_api_token="made-up-token", sms_region="eu")
    return client.sms.batches.send_sms(
        to=[NUMBER],
        from_="Acme",
        body=TEXT,
        delivery_report="per_recipient",
        expire_at=datetime.fromtimestamp(EXPIRES_AT, UTC),
        event_destination_target=URL,
        client_reference=ID,
    ).id


def messente(address: str) -> Any:
    import messente_api as sdk

    client = sdk.ApiClient(sdk.Configuration(host=f"http://{address}/v1", username="acme", password="made-up-password"))
    sms = sdk.OmnimessageMessagesInner(sdk.SMS(sender="Acme", text=TEXT, ttl=LIFE))
    message = sdk.Omnimessage(to=NUMBER, messages=[sms], dlr_url=URL)
    return sdk.OmnimessageApi(client).send_omnimessage(message).messages[0].message_id
