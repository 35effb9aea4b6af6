"""A retry job as the body of a message: a name and a time, nothing that anybody could use."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from otpcore.runners import Channel, RetryJob

__all__ = ["decoded", "encoded"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LONGEST_ID = 255


def encoded(job: RetryJob) -> bytes:
    """``{"challenge": …, "channel": "sms", "due": microseconds since 1970 UTC}``."""
    due = (job.due_at - _EPOCH) // _MICROSECOND
    return json.dumps({"challenge": job.challenge_id, "channel": job.channel, "due": due}).encode()


def decoded(body: bytes) -> RetryJob:
    """The job in a message.

    Raises:
        ValueError: It holds none. The text quotes nothing of it.
    """
    try:
        values = json.loads(body)
        challenge_id, due = values["challenge"], values["due"]
        channel = Channel(values["channel"])
        due_at = _EPOCH + due * _MICROSECOND
        fit = isinstance(challenge_id, str) and challenge_id.isascii() and challenge_id.isprintable()
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"not a retry job: {type(error).__name__}") from None
    if not fit or not 0 < len(challenge_id) <= _LONGEST_ID:
        raise ValueError("not a retry job: its challenge is no id")
    return RetryJob(challenge_id=challenge_id, channel=channel, due_at=due_at)
