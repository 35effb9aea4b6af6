"""How each vendor's own SDK is asked for one message, and what it makes of the answers that vendors give.

Every credential is made up. What a case asks for stands beside what the SDK sent, so that a test can ask otpcore for
the same. ``documented/answers.json`` has what vendors answer, in the form in which they document it, by gateway and case, a
success first; whether each is one, and under which reference, is the SDK's judgement. Which kind of otpcore's a refusal
is, it says too.
"""
# ruff: noqa: PLC0415 - one SDK is installed at a time

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

__all__ = ["SDKS", "Case", "Sdk"]

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
IRAN = "+989121234567"


@attrs.frozen(kw_only=True)
class Case:
    """One message asked of an SDK.

    Args:
        channel: Of otpcore.
        settings: The credentials and what else the instance would have in its settings, by the names of the table.
        asked: What differs from ``ASKED``.
        differs: A field of the SDK's request that otpcore sends otherwise or not at all, such as ``json.log``, and why.
        send: Asks the SDK, with the address of the loopback server where it cannot be bent. Gives the reference;
            raises, or gives None, where the SDK sees a refusal.
    """

    channel: str = "sms"
    settings: dict[str, Any]
    asked: dict[str, Any] = attrs.field(factory=dict)
    differs: dict[str, str] = attrs.field(factory=dict)
    send: Callable[[str], Any]


@attrs.frozen(kw_only=True)
class Sdk:
    """A distribution and what is asked of it.

    Args:
        official: Of the vendor itself.
        needs: Further distributions that it forgets to require.
    """

    distribution: str
    official: bool = True
    needs: tuple[str, ...] = ()
    cases: dict[str, Case]


def _vonage(_: str) -> Any:
    from vonage_http_client.auth import Auth
    from vonage_http_client.http_client import HttpClient
    from vonage_sms import Sms, SmsMessage

    client = HttpClient(Auth(api_key="a1b2c3d4", api_secret="Made-Up-Secret-1"))
    message = SmsMessage(to=DIGITS, from_="Acme", text=TEXT, client_ref=ID, ttl=LIFE * 1000, callback=URL)
    return Sms(client).send(message).messages[0].message_id


def _infobip(address: str) -> Any:
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


def _plivo(_: str) -> Any:
    import plivo

    client = plivo.RestClient("MAMADEUPMADEUPMADEUP", "made-up-token")
    sent = client.messages.create(src="Acme", dst=NUMBER, text=TEXT, url=URL, log="false", message_expiry=LIFE)
    return sent.message_uuid[0]


def _messagebird(_: str) -> Any:
    import messagebird

    options = {"reference": ID, "validity": LIFE, "datacoding": "auto", "reportUrl": URL}
    return messagebird.Client("made-up-key").message_create("Acme", DIGITS, TEXT, options).id


def _telnyx(_: str) -> Any:
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


def _telesign(resource: str) -> Callable[[str], Any]:
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


def _africas_talking(_: str) -> Any:
    import africastalking

    africastalking.initialize("acme", "made-up-key")
    answer = africastalking.SMS.send(TEXT, [NUMBER], "Acme", enqueue=False)
    return answer["SMSMessageData"]["Recipients"][0]["messageId"]


def _smsapi(_: str) -> Any:
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


def _kavenegar(method: str, **fields: str) -> Callable[[str], Any]:
    def send(_: str) -> Any:
        from kavenegar import KavenegarAPI

        return str(getattr(KavenegarAPI("6D6164652D7570"), method)(fields)[0]["messageid"])

    return send


def _telegram(_: str) -> Any:
    from telegram_gateway_verification import TelegramGatewayClient

    client = TelegramGatewayClient("made-up-token")
    return client.send_verification_message(
        phone_number=NUMBER, code="123456", ttl=LIFE, callback_url=URL, payload=ID, sender_username="acme"
    ).request_id


def _whatsapp(_: str) -> Any:
    from pywa import WhatsApp
    from pywa.types.templates import AuthenticationBody, CopyCodeOTPButton, TemplateLanguage

    client = WhatsApp(phone_id="106540352242922", token="made-up-token")
    params = [AuthenticationBody.params(otp="123456"), CopyCodeOTPButton.params(otp="123456")]
    return client.send_template(NUMBER, "login_code", TemplateLanguage.ENGLISH_US, params, tracker=ID).id


def _clickatell(_: str) -> Any:
    from clickatell.rest import Rest

    answer = Rest("made-up-key").sendMessage([DIGITS], TEXT, {"from": "Acme", "clientMessageId": ID})
    message = answer["messages"][0]
    return message["apiMessageId"] if message["accepted"] else None


def _in_iran(*, code: bool) -> dict[str, Any]:
    return {"recipient": IRAN, "receipt_url": None} | ({"text": None} if code else {})


SDKS = {
    "vonage_sms": Sdk(
        distribution="vonage-sms",
        cases={
            "sms": Case(
                settings={"api_key": "a1b2c3d4", "api_secret": "Made-Up-Secret-1", "sender": "Acme"},
                send=_vonage,
            )
        },
    ),
    "infobip": Sdk(
        distribution="infobip-api-python-client",
        cases={
            "sms": Case(
                settings={"api_key": "made-up-key", "sender": "Acme"},
                send=_infobip,
            )
        },
    ),
    "plivo": Sdk(
        distribution="plivo",
        needs=("setuptools",),
        cases={
            "sms": Case(
                settings={"auth_id": "MAMADEUPMADEUPMADEUP", "auth_token": "made-up-token", "sender": "Acme"},
                send=_plivo,
            )
        },
    ),
    "messagebird": Sdk(
        distribution="messagebird",
        cases={
            "sms": Case(
                settings={"access_key": "made-up-key", "sender": "Acme"},
                send=_messagebird,
            )
        },
    ),
    "telnyx": Sdk(
        distribution="telnyx",
        needs=("pynacl",),
        cases={
            "sms": Case(
                settings={
                    "api_key": "KEY-made-up",
                    "messaging_profile_id": "40000000-made-4up0-0000-000000000000",
                    "sender": "Acme",
                },
                send=_telnyx,
            )
        },
    ),
    "telesign": Sdk(
        distribution="telesign",
        cases={
            "sms": Case(
                settings={
                    "customer_id": "0ADE0000-0000-0000-0000-000000000000",
                    "api_key": "bWFkZS11cA==",
                    "sender": "Acme",
                },
                send=_telesign("messaging"),
            ),
            "call": Case(
                channel="call",
                settings={
                    "customer_id": "0ADE0000-0000-0000-0000-000000000000",
                    "api_key": "bWFkZS11cA==",
                },
                send=_telesign("voice"),
            ),
        },
    ),
    "africastalking": Sdk(
        distribution="africastalking",
        cases={
            "sms": Case(
                settings={"username": "acme", "api_key": "made-up-key", "sender": "Acme"},
                asked={"receipt_url": None},
                send=_africas_talking,
            )
        },
    ),
    "smsapi": Sdk(
        distribution="smsapi-client",
        cases={
            "sms": Case(
                settings={"token": "made-up-token", "sender": "Acme"},
                send=_smsapi,
            )
        },
    ),
    "kavenegar": Sdk(
        distribution="kavenegar",
        needs=("requests",),
        cases={
            "sms": Case(
                settings={"api_key": "6D6164652D7570", "template_id": "login"},
                asked=_in_iran(code=True),
                send=_kavenegar("verify_lookup", receptor="09121234567", token="123456", template="login", type="sms"),
            ),
            "call": Case(
                channel="call",
                settings={"api_key": "6D6164652D7570", "template_id": "login"},
                asked=_in_iran(code=True),
                send=_kavenegar("verify_lookup", receptor="09121234567", token="123456", template="login", type="call"),
            ),
        },
    ),
    "kavenegar_text": Sdk(
        distribution="kavenegar",
        needs=("requests",),
        cases={
            "sms": Case(
                settings={"api_key": "6D6164652D7570", "sender": "10004346"},
                asked=_in_iran(code=False),
                send=_kavenegar("sms_send", receptor="09121234567", message=TEXT, sender="10004346"),
            ),
            "call": Case(
                channel="call",
                settings={"api_key": "6D6164652D7570", "sender": "10004346"},
                asked=_in_iran(code=False),
                send=_kavenegar("call_maketts", receptor="09121234567", message=TEXT),
            ),
        },
    ),
    "telegram": Sdk(
        distribution="telegram-gateway-verification",
        official=False,
        cases={
            "telegram": Case(
                channel="telegram",
                settings={"token": "made-up-token", "sender": "acme"},
                asked={"text": None},
                send=_telegram,
            )
        },
    ),
    "whatsapp": Sdk(
        distribution="pywa",
        official=False,
        cases={
            "whatsapp": Case(
                channel="whatsapp",
                settings={
                    "phone_number_id": "106540352242922",
                    "access_token": "made-up-token",
                    "template_id": "login_code",
                },
                asked={"text": None, "receipt_url": None},
                send=_whatsapp,
            )
        },
    ),
    "clickatell": Sdk(
        distribution="clickatell-platform",
        needs=("httplib2",),
        cases={
            "sms": Case(
                settings={"api_key": "made-up-key", "sender": "Acme"},
                asked={"receipt_url": None},
                send=_clickatell,
            )
        },
    ),
}
"""By the name of the gateway's table."""
