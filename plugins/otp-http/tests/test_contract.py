"""Every gateway in the box keeps the contract of providers, against the simulator that its table makes."""

from __future__ import annotations

import pytest
from otp_http.catalogue import built_in
from otp_http.testing import GatewayContract

ON_TRIO_TOO = frozenset({"vonage_sms", "telegram"})  # one with a text, one with a code; the engine is the same
RECIPIENTS = {"kavenegar": "+989121234567", "kavenegar_text": "+989121234567"}

WITHOUT_SIGNATURE = {"vonage_sms": ("signature_secret",), "messagebird": ("signing_key",)}
"""Gateways that sign where the instance has the key, and what it leaves out where they do not."""


class OnAsyncioAlone(GatewayContract):
    @pytest.fixture
    def anyio_backend(self):
        return "asyncio"


def _suite(gateway, unset=()):
    base = GatewayContract if gateway in ON_TRIO_TOO else OnAsyncioAlone
    recipient = RECIPIENTS.get(gateway, "+359871234567")
    return type(f"Test_{gateway}", (base,), {"gateway": gateway, "recipient": recipient, "unset": unset})


globals().update({f"Test_{gateway}": _suite(gateway) for gateway in built_in()})
globals().update({f"Test_{gateway}_unsigned": _suite(gateway, unset) for gateway, unset in WITHOUT_SIGNATURE.items()})
