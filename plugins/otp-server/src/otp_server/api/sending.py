"""Sending for an app: what no provider can carry is told of the fields that asked for it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from otp_server.api.auth import Caller
from otp_server.keys import Kind
from otp_server.problems import ProblemError
from otp_server.server import Server
from otpcore import Challenge, NoRouteError, OTPError

__all__ = ["send"]


async def send(server: Server, caller: Caller, to: str, *, asked: Sequence[str], **arguments: Any) -> Challenge:
    """Send a code or a message of this caller's app.

    Args:
        server: Whose sandbox is told of, where a test key asks.
        caller: Who asks.
        to: The number as it was given.
        asked: Pointers to what the request asks for beyond a code that arrives.
        arguments: As for ``AsyncOTPService.send``.

    Raises:
        ProblemError: No provider carries what was asked for.
        OTPError: As ``AsyncOTPService.send`` says.
    """
    try:
        sent = await caller.service.send(to, app=caller.app, **arguments)
    except NoRouteError as error:
        if error.reason != "cannot_carry" or not asked:
            raise
        errors = [{"pointer": one, "reason": "not_carried"} for one in asked]
        raise ProblemError("not_carried", errors=errors) from None
    if caller.key.kind is Kind.TEST:
        with contextlib.suppress(OTPError):  # it is sent, and shown a little later
            await server.inbox.share()
    return sent
