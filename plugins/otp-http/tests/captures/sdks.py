"""How each vendor's own SDK is asked for one message, and what it makes of the answers that vendors give.

Every credential is made up. What a case asks for stands beside what the SDK sent, so that a test can ask otpcore for
the same. ``documented/answers.json`` has what vendors answer, in the form in which they document it, by gateway and case, a
success first; whether each is one, and under which reference, is the SDK's judgement. Which kind of otpcore's a refusal
is, it says too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import asking
import attrs

__all__ = ["SDKS", "Case", "Sdk"]

IRAN = "+989121234567"


@attrs.frozen(kw_only=True)
class Case:
    """One message asked of an SDK.

    Args:
        channel: Of otpcore.
        settings: The credentials and what else the instance would have in its settings, by the names of the table.
        asked: What differs from ``asking.ASKED``.
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


def _in_iran(*, code: bool) -> dict[str, Any]:
    return {"recipient": IRAN, "receipt_url": None} | ({"text": None} if code else {})


SDKS = {
    "vonage_sms": Sdk(
        distribution="vonage-sms",
        cases={
            "sms": Case(
                settings={"api_key": "a1b2c3d4", "api_secret": "Made-Up-Secret-1", "sender": "Acme"},
                send=asking.vonage,
            )
        },
    ),
    "infobip": Sdk(
        distribution="infobip-api-python-client",
        cases={
            "sms": Case(
                settings={"api_key": "made-up-key", "sender": "Acme"},
                send=asking.infobip,
            )
        },
    ),
    "plivo": Sdk(
        distribution="plivo",
        needs=("setuptools",),
        cases={
            "sms": Case(
                settings={"auth_id": "MAMADEUPMADEUPMADEUP", "auth_token": "made-up-token", "sender": "Acme"},
                send=asking.plivo,
            )
        },
    ),
    "messagebird": Sdk(
        distribution="messagebird",
        cases={
            "sms": Case(
                settings={"access_key": "made-up-key", "sender": "Acme"},
                send=asking.messagebird,
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
                send=asking.telnyx,
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
                send=asking.telesign("messaging"),
            ),
            "call": Case(
                channel="call",
                settings={
                    "customer_id": "0ADE0000-0000-0000-0000-000000000000",
                    "api_key": "bWFkZS11cA==",
                },
                send=asking.telesign("voice"),
            ),
        },
    ),
    "africastalking": Sdk(
        distribution="africastalking",
        cases={
            "sms": Case(
                settings={"username": "acme", "api_key": "made-up-key", "sender": "Acme"},
                asked={"receipt_url": None},
                send=asking.africas_talking,
            )
        },
    ),
    "smsapi": Sdk(
        distribution="smsapi-client",
        cases={
            "sms": Case(
                settings={"token": "made-up-token", "sender": "Acme"},
                send=asking.smsapi,
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
                send=asking.kavenegar(
                    "verify_lookup", receptor="09121234567", token="123456", template="login", type="sms"
                ),
            ),
            "call": Case(
                channel="call",
                settings={"api_key": "6D6164652D7570", "template_id": "login"},
                asked=_in_iran(code=True),
                send=asking.kavenegar(
                    "verify_lookup", receptor="09121234567", token="123456", template="login", type="call"
                ),
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
                send=asking.kavenegar("sms_send", receptor="09121234567", message=asking.TEXT, sender="10004346"),
            ),
            "call": Case(
                channel="call",
                settings={"api_key": "6D6164652D7570", "sender": "10004346"},
                asked=_in_iran(code=False),
                send=asking.kavenegar("call_maketts", receptor="09121234567", message=asking.TEXT),
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
                send=asking.telegram,
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
                send=asking.whatsapp,
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
                send=asking.clickatell,
            )
        },
    ),
    "sinch_sms": Sdk(
        distribution="sinch",
        cases={
            "sms": Case(
                settings={"service_plan_id": "0ade0000", "api_token": "made-up-token", "sender": "Acme"},
                send=asking.sinch,
            )
        },
    ),
    "messente": Sdk(
        distribution="messente-api",
        cases={
            "sms": Case(
                settings={"username": "acme", "password": "made-up-password", "sender": "Acme"},
                send=asking.messente,
            )
        },
    ),
}
"""By the name of the gateway's table."""
