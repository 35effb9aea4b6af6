"""A simulated Twilio whose clock a test moves, and instances that talk to it."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from otp_twilio import Mode, create_provider
from otp_twilio.simulator import TwilioSimulator

from otpcore.providers import (
    CancelRequest,
    Channel,
    CheckRequest,
    DeliveryRequest,
    OutcomeRequest,
    PhoneNumber,
    ProviderContext,
    ProviderError,
)
from otpcore.testing import wrong_code

NUMBER = "+359871234567"
_PATIENCE = 15.0
"""Seconds for a call: a machine that does other work too may take a while for a connection. A lost message is looked for among
those of so many seconds, so it stays below the 31 that tests let pass."""


class Bench:
    """A running simulator with everything a test asks of an instance."""

    def __init__(self, simulator):
        self.simulator = simulator
        self.now = datetime(2026, 11, 22, 12, tzinfo=UTC)
        simulator.clock = lambda: self.now
        self.deliveries = 0

    def advance(self, seconds):
        self.now += timedelta(seconds=seconds)

    def provider(self, mode=Mode.VERIFY, **settings):
        """An instance that has not been started."""
        values = {**self.simulator.provider_settings(mode), **settings}
        return create_provider(
            ProviderContext(instance="twilio", settings=values, clock=self.simulator.clock, timeout=_PATIENCE)
        )

    @asynccontextmanager
    async def instance(self, mode=Mode.VERIFY, **settings):
        """A started instance."""
        provider = self.provider(mode, **settings)
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
            deadline=self.now + timedelta(seconds=life),
            idempotency_key="key",
            **other,
        )

    def check(self, code, reference="", number=NUMBER, **other):
        return CheckRequest(
            challenge_id="challenge",
            delivery_id="delivery-1",
            recipient=PhoneNumber(number),
            channel=Channel.SMS,
            code=code,
            reference=reference,
            **other,
        )

    def cancel(self, reference="", number=NUMBER):
        return CancelRequest(
            challenge_id="challenge",
            delivery_id="delivery-1",
            recipient=PhoneNumber(number),
            channel=Channel.SMS,
            reference=reference,
        )

    def outcome(self, reference="", number=NUMBER, *, approved):
        return OutcomeRequest(
            challenge_id="challenge",
            delivery_id="delivery-1",
            recipient=PhoneNumber(number),
            channel=Channel.SMS,
            reference=reference,
            approved=approved,
        )

    @property
    def code(self):
        """The code that the person received last."""
        return self.simulator.inbox[-1].code

    @property
    def wrong_code(self):
        return wrong_code(self.code)

    @property
    def form(self):
        """The form of the last request, each field once."""
        return {name: value for name, (value,) in self.simulator.requests[-1].form().items()}


@pytest.fixture
def bench():
    with TwilioSimulator() as simulator:
        yield Bench(simulator)


@pytest.fixture
def failure_of():
    """``await failure_of(provider.send_sms(…))``: the error that it must raise."""

    async def catch(awaitable):
        with pytest.raises(ProviderError) as caught:
            await awaitable
        return caught.value

    return catch
