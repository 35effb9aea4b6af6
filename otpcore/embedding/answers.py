"""What a web application answers to an error of a send or a verification, for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping

import attrs

from otpcore.errors import OTPError, known_as

__all__ = ["ErrorAnswer", "answer_to"]


@attrs.frozen(kw_only=True)
class ErrorAnswer:
    """An answer over HTTP; no part of it quotes the request or the text of the error, which is for the log.

    Args:
        status: As ``otpcore.ANSWERS`` says.
        content: ``error`` and ``reason``, by which a program chooses what to say, and ``try_channel``, another channel
            that may reach the number. For JSON.
        headers: ``Retry-After`` in whole seconds, where it is known when it may be tried again.
    """

    status: int
    content: Mapping[str, str | None]
    headers: Mapping[str, str] = attrs.field(repr=False)


def answer_to(error: OTPError) -> ErrorAnswer:
    """What is answered."""
    name, reason = known_as(error)
    return ErrorAnswer(
        status=error.http_status,
        content={"error": name, "reason": reason, "try_channel": getattr(error, "try_channel", None)},
        headers={"Retry-After": str(math.ceil(error.retry_after))} if error.retry_after else {},
    )
