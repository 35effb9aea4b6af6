"""A test of one instance: a real message through it and no other, and what became of that."""

from __future__ import annotations

import time

import attrs

from otpcore.errors import DeliveryError, InvalidArgument, ProviderError, quoted
from otpcore.models import Outcome, RetryJob
from otpcore.operator.desk import Desk
from otpcore.operator.results.upkeep import InstanceTested
from otpcore.service.arguments import LONGEST_NAME, Clients, order_of
from otpcore.service.following_up import follow_up
from otpcore.service.sending import SendOrder, send
from otpcore.service.service import Deadline

__all__ = ["send_test"]


async def send_test(desk: Desk, name: str, phone: str, channel: str, *, by: str, reason: str) -> InstanceTested:
    """Send a code that nobody asked for through an instance, once; its purpose is its own.

    Raises:
        RuntimeError: No provider is open.
        InvalidArgument, InvalidPhoneNumber, RateLimited, DeliveryError, StoreError: As the operator's method says.
    """
    if not desk.is_live:
        raise RuntimeError("no provider is open; use the operator of an open service, AsyncOTPService.operator")
    order = _order(desk, name, phone, channel)
    word, masked = str(order.channel), order.phone.masked
    record = desk.record("instances.test", by, reason, target=name, channel=word, phone=masked)
    errors: tuple[ProviderError, ...] = ()
    begun, is_new = time.perf_counter(), True
    try:
        deadline = Deadline(desk.service.settings.otp.send_timeout)
        sent = await send(desk.service, attrs.evolve(order, audit=record), deadline)
        await follow_up(desk.service, order, sent, deadline, _nobody)
        errors, is_new = sent.errors, not sent.is_skipped
    except DeliveryError as error:
        if not error.attempts:  # nobody was called
            raise
        errors = error.attempts
    seconds = time.perf_counter() - begun
    if is_new:
        desk.tell(record, instance=name, phone=masked, channel=word)
    return await _result(desk, order, errors, seconds, is_new=is_new)


async def _nobody(_: RetryJob) -> None:
    """Runs no retry: a test is tried once."""


def _order(desk: Desk, name: str, phone: str, channel: str) -> SendOrder:
    """The send.

    Raises:
        InvalidArgument, InvalidPhoneNumber: It cannot be made.
    """
    service = desk.service
    provider = service.providers.get(name)
    if provider is None:
        why = f": {service.instances.broken[name]}" if name in service.instances.broken else ""
        raise InvalidArgument(f"name: no instance {quoted(name)} is loaded{why}")
    order = order_of(
        service.settings.otp,
        Clients(),
        phone,
        channel=channel,
        purpose=f"test of {name}"[:LONGEST_NAME],
        client=None,
        locale=None,
        message=None,
        code=None,
        verifiable=True,
        app="",
        metadata=None,
        payment=None,
    )
    if order.channel not in provider.channels:
        able = ", ".join(sorted(provider.channels))
        raise InvalidArgument(
            f"channel: the instance {quoted(name)} does not do {order.channel}. Fix: --channel, one of: {able}"
        )
    if service.live.rules.route(order.phone, order.channel).test_number:
        raise InvalidArgument("phone: is a test number of the settings, and no provider is called for it")
    return attrs.evolve(order, test=name)


async def _result(
    desk: Desk, order: SendOrder, errors: tuple[ProviderError, ...], seconds: float, *, is_new: bool
) -> InstanceTested:
    """What the store knows of the message, and what the provider made of a refusal."""
    service = desk.service
    latest = await service.store.latest(service.keys.subject(order.phone.e164, order.purpose, order.app))
    views = await service.store.view(challenge_id=latest.id) if latest is not None else ()
    delivery = views[0].deliveries[-1] if views and views[0].deliveries else None
    error = errors[-1] if errors else None
    return InstanceTested(
        instance=order.test or "",
        channel=str(order.channel),
        phone=order.phone.masked,
        challenge_id=latest.id if latest is not None else "",
        outcome=str(delivery.outcome if delivery is not None else Outcome.OPEN),
        provider_code=(delivery.provider_code or None) if delivery is not None else None,
        reference=(delivery.reference or None) if delivery is not None else None,
        words=error.summary if error is not None else "",
        seconds=seconds,
        is_new=is_new,
    )
