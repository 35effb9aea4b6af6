"""What a host's call does once its send is over: the sandbox calls back, and a retry that is due is handed to the runner."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

import anyio

from otpcore.errors import StoreError
from otpcore.models import Challenge, RetryJob
from otpcore.service.receipts import receive
from otpcore.service.sending import SendOrder, Sent, shown
from otpcore.service.service import Deadline, Service

__all__ = ["follow_up"]

_LAST_LOOK = 1.0  # seconds for a look at what the retries came to by then


async def follow_up(
    service: Service,
    order: SendOrder,
    sent: Sent,
    deadline: Deadline,
    submit: Callable[[RetryJob], Awaitable[None]],
) -> Challenge:
    """The challenge as it stands after that."""
    if service.sandbox is not None:  # nobody else calls back
        for instance, report in service.sandbox.reports(sent.challenge.id):
            await receive(service, instance, report, submit)
    if sent.job is None:
        return sent.challenge
    await submit(sent.job)
    with anyio.move_on_after(max(deadline.left(), _LAST_LOOK)), contextlib.suppress(StoreError):
        views = await service.store.view(challenge_id=sent.challenge.id)
        return shown(views[0].challenge, order.phone, order.channel) if views else sent.challenge
    return sent.challenge
