"""A simulated AWS whose clock a test moves, and instances that talk to it."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from otp_aws import create_provider
from otp_aws.simulator import AwsSimulator

from otpcore.providers import (
    Channel,
    DeliveryRequest,
    OutcomeRequest,
    PhoneNumber,
    ProviderContext,
    ProviderError,
    ReceiptRequest,
)

NUMBER = "+359871234567"
CODE = "480291"
URL = "https://example.com/receipts/aws"
_PATIENCE = 15.0


class Bench:
    """A running simulator with everything a test asks of an instance."""

    def __init__(self, simulator):
        self.simulator = simulator
        self.now = datetime(2026, 11, 22, 12, tzinfo=UTC)
        simulator.clock = lambda: self.now
        self.deliveries = 0

    def advance(self, **time):
        self.now += timedelta(**time)

    def provider(self, **settings):
        """An instance that has not been started; a setting that is None is left out."""
        values = {**self.simulator.provider_settings(), **self.simulator.topic_settings(), **settings}
        values = {key: value for key, value in values.items() if value is not None}
        return create_provider(
            ProviderContext(instance="aws", settings=values, clock=self.simulator.clock, timeout=_PATIENCE)
        )

    @asynccontextmanager
    async def instance(self, **settings):
        """A started instance."""
        provider = self.provider(**settings)
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
            code=CODE,
            text=f"Your code is {CODE}.",
            deadline=self.now + timedelta(seconds=life),
            idempotency_key="key",
            **other,
        )

    def outcome(self, reference, *, approved):
        return OutcomeRequest(
            challenge_id="challenge",
            delivery_id="delivery-1",
            recipient=PhoneNumber(NUMBER),
            channel=Channel.SMS,
            reference=reference,
            approved=approved,
        )

    def report(self, event="TEXT_DELIVERED", *, message_id="message-1", context=None, **fields):
        """The request in which SNS hands on an event; ``fields`` are of its message, signed with the rest."""
        told = self.simulator.event(event, message_id, recipient=NUMBER, context=context or {})
        headers, body = self.simulator.topic.signed({"Type": "Notification", "Message": json.dumps(told), **fields})
        return ReceiptRequest(url=URL, headers=headers, body=body)

    @property
    def fields(self):
        """The fields of the last request."""
        return self.simulator.requests[-1].json()


@pytest.fixture(autouse=True)
def _no_credentials_of_this_machine(monkeypatch):
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    for name in ("CREDENTIALS_RELATIVE_URI", "CREDENTIALS_FULL_URI", "AUTHORIZATION_TOKEN", "AUTHORIZATION_TOKEN_FILE"):
        monkeypatch.delenv(f"AWS_CONTAINER_{name}", raising=False)


@pytest.fixture
def bench():
    with AwsSimulator() as simulator:
        yield Bench(simulator)


@pytest.fixture
def failure_of():
    """``await failure_of(provider.send_sms(…))``: the error that it must raise."""

    async def catch(awaitable):
        with pytest.raises(ProviderError) as caught:
            await awaitable
        return caught.value

    return catch
