"""A small table of one's own, and what is sent through it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sendings import NOW

from otpcore.providers import Channel, DeliveryRequest, PhoneNumber


@pytest.fixture
def own_table() -> dict[str, Any]:
    """A table that is right; a test makes one thing of it wrong, or other."""
    return {
        "name": "Acme",
        "base_url": "https://api.acme.example",
        "settings": {"token": {"secret": True, "meaning": "of the account"}},
        "auth": {"bearer": "{token}"},
        "send": {"sms": {"path": "/messages", "json": {"to": "{e164}", "text": "{text}"}}},
        "answer": {"accepted": {"status": [201]}, "reference": "id", "code": "error"},
    }


@pytest.fixture
def request_to():
    """``request_to("+359…", text=…)``: what the core would hand over."""

    def build(number: str = "+359871234567", **changes: Any) -> DeliveryRequest:
        values: dict[str, Any] = {
            "delivery_id": "delivery-1",
            "challenge_id": "challenge-1",
            "recipient": PhoneNumber(number),
            "channel": Channel.SMS,
            "code": "482913",
            "text": "482913 is your code.",
            "deadline": NOW + timedelta(minutes=5),
            "idempotency_key": "send-1.0.acme",
            **changes,
        }
        return DeliveryRequest(**values)

    return build
