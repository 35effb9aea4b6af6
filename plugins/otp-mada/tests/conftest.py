"""A running gateway, and providers that talk to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from otp_mada import MadaProvider, create_provider
from otp_mada.simulator import MadaSimulator

from otpcore.providers import Channel, DeliveryRequest, PhoneNumber, ProviderContext

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
_PATIENCE = 30.0  # seconds for one call; a busy machine stands still now and then


@pytest.fixture
def simulator() -> Iterator[MadaSimulator]:
    with MadaSimulator() as running:
        running.clock = lambda: NOW
        yield running


@pytest.fixture
async def open_provider(simulator: MadaSimulator) -> AsyncIterator[Callable[..., Any]]:
    """``await open_provider(source_name=…)``: a started provider of the simulated account, with other settings."""
    async with AsyncExitStack() as stack:

        async def open_with(**settings: Any) -> MadaProvider:
            context = ProviderContext(
                instance="mada",
                settings={**simulator.provider_settings(), **settings},
                clock=lambda: NOW,
                max_connections=2,
                timeout=_PATIENCE,
            )
            provider = create_provider(context)
            await provider.start(stack)
            return provider

        yield open_with


@pytest.fixture
async def provider(open_provider: Callable[..., Any]) -> MadaProvider:
    return await open_provider()


@pytest.fixture
def request_to() -> Callable[..., DeliveryRequest]:
    """``request_to("+359…", text=…)``: what the core would hand over."""

    def build(number: str = "+359871234567", **changes: Any) -> DeliveryRequest:
        values: dict[str, Any] = {
            "delivery_id": "delivery-1",
            "challenge_id": "challenge-1",
            "recipient": PhoneNumber(number),
            "channel": Channel.SMS,
            "code": "482913",
            "text": "482913 is your code. It is valid for 5 minutes.",
            "deadline": NOW + timedelta(minutes=5),
            "idempotency_key": "challenge-1:mada",
            **changes,
        }
        return DeliveryRequest(**values)

    return build
