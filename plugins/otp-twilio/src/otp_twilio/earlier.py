"""Which of the messages that Twilio lists is the one whose answer was lost, if any. Pure; no I/O.

Twilio keeps nothing of ours with a message but its text: no idempotency key, no reference, no callback URL. So a message is
taken for the lost one only where it can be no other:

- It carries the code, and it is not under the SID of another send of the challenge, which have the same code.
- It was created since the try began, by Twilio's own clock. The header ``Date`` of the list tells how that stands against ours, and
  how long ago the try began is known without any clock of Twilio's.
- Where other tries of about the same time have no SID either, there are as many such messages as tries: then the newest is ours.

Where it cannot be told, the message counts as not sent: a person who gets it twice has lost nothing, one who gets none cannot go on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import attrs

from otp_twilio.client import is_sid
from otp_twilio.errors import refusal_in
from otpcore.http import parse_date
from otpcore.providers import EarlierTry

__all__ = ["Asked", "lost_message"]

_SECOND = timedelta(seconds=1)
_SLACK = timedelta(seconds=2)
"""How much longer ago than it was told a try may have begun: it was told a moment before Twilio was asked."""
_UNKNOWN_CLOCK = timedelta(minutes=1)
"""How far Twilio's clock and ours may be apart where it does not say what time it is."""


@attrs.frozen(kw_only=True)
class Asked:
    """How Twilio was asked.

    Args:
        at: When the request went out, by our clock.
        until: When the answer was there.
        date: Its header ``Date``, in whole seconds; None without one.
    """

    at: datetime
    until: datetime
    date: datetime | None

    @property
    def slack(self) -> timedelta:
        """How far off a time by Twilio's clock may be that was worked out from ours."""
        return _UNKNOWN_CLOCK if self.date is None else self.until - self.at + _SLACK

    def began_at(self, age: timedelta) -> datetime:
        """When, at the earliest and by Twilio's clock, a try began that was so old when it was asked."""
        return (self.date or self.at) - age - self.slack


def lost_message(
    messages: Any, said: str, *, repeat: str, earlier: Sequence[EarlierTry], asked: Asked, patience: timedelta
) -> Mapping[str, Any] | None:
    """The message of a try; None where it was not sent, or where that cannot be told.

    Args:
        messages: As Twilio lists them, newest first.
        said: What they carry: the code, or a whole text without one.
        repeat: Delivery id of the try.
        earlier: As in ``DeliveryRequest``; it is among them.
        asked: How they were asked for.
        patience: How long a try takes at most.
    """
    own = next((one for one in earlier if one.delivery_id == repeat), None)
    if own is None:
        return None
    known = {one.reference for one in earlier if one.reference}
    rivals = [one for one in earlier if not one.reference and one is not own]
    together = patience + 2 * asked.slack + _SECOND  # tries that began further apart are told apart by time
    if all(abs(one.age - own.age) > together for one in rivals):
        rivals = []
    oldest = asked.began_at(max(one.age for one in (own, *rivals)))
    found = [
        message
        for message in (messages if isinstance(messages, list) else [])
        if isinstance(message, dict)
        and is_sid(message.get("sid"))
        and message["sid"] not in known
        and _is_since(message, oldest)
        and _carries(message, said)
        and not refusal_in(message)
    ]
    return found[0] if len(found) > len(rivals) else None


def _is_since(message: dict[str, Any], moment: datetime) -> bool:
    created = parse_date(str(message.get("date_created")))  # in whole seconds
    return created is not None and created + _SECOND > moment


def _carries(message: dict[str, Any], said: str) -> bool:
    return re.search(rf"(?<![0-9]){re.escape(said)}(?![0-9])", str(message.get("body"))) is not None
