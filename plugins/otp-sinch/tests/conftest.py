"""A simulator with a clock that stands still, and instances that talk to it."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from otp_sinch import create_provider
from otp_sinch.simulator import SinchSimulator

from otpcore.providers import Channel, CheckRequest, DeliveryRequest, PhoneNumber, ProviderContext
from otpcore.testing import wrong_code

NUMBER = "+46701740605"
_PATIENCE = 30.0  # seconds for one call; a busy machine stands still now and then


class Clock:
    """The vendor's and the host's; a test moves it."""

    def __init__(self):
        self.now = datetime(2026, 11, 22, 12, tzinfo=UTC)

    def __call__(self):
        return self.now

    def advance(self, seconds):
        self.now += timedelta(seconds=seconds)


class Bench:
    """A running simulator with everything a test asks of an instance."""

    def __init__(self, simulator):
        self.simulator = simulator
        self.clock = simulator.clock = Clock()
        self.deliveries = 0

    @asynccontextmanager
    async def instance(self, **settings):
        """An open instance; ``clock`` and ``transport`` may be given beside settings."""
        clock, transport = settings.pop("clock", self.clock), settings.pop("transport", None)
        values = {**self.simulator.provider_settings(), **settings}
        provider = create_provider(
            ProviderContext(instance="sinch", settings=values, clock=clock, transport=transport, timeout=_PATIENCE)
        )
        async with AsyncExitStack() as stack:
            await provider.start(stack)
            yield provider

    def delivery(self, number=NUMBER, *, channel=Channel.SMS, life=300.0, **other):
        self.deliveries += 1
        return DeliveryRequest(
            delivery_id=f"delivery-{self.deliveries}",
            challenge_id="challenge",
            recipient=PhoneNumber(number),
            channel=channel,
            deadline=self.clock() + timedelta(seconds=life),
            idempotency_key="key",
            **other,
        )

    def check(self, delivery, reference, code):
        return CheckRequest(
            challenge_id=delivery.challenge_id,
            delivery_id=delivery.delivery_id,
            recipient=delivery.recipient,
            channel=delivery.channel,
            code=code,
            reference=reference,
        )

    @property
    def code(self):
        """The code that the person received last."""
        return self.simulator.inbox[-1].code


@pytest.fixture
def bench():
    with SinchSimulator() as simulator:
        yield Bench(simulator)


@pytest.fixture
def wrong():
    return wrong_code
