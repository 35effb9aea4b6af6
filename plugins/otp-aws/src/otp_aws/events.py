"""Events of End User Messaging: what each means for the delivery, as a table with the reasons.

Sources: docs.aws.amazon.com, "Event types for SMS, MMS, and voice" and "Example event data" of AWS End User Messaging
SMS. The choices are ours:

- ``TEXT_SUCCESSFUL`` says that the carrier took the message, in some countries also that it arrived; which, it does
  not say. It counts as progress: a failure that comes later must still be able to send the person to the next
  instance.
- ``VOICE_COMPLETED`` says that the text was spoken when the call was answered, by a person or a machine.
- Only what AWS says about the *person* ends the send: a number that is not valid, a handset or carrier that blocks
  messages to this person, and a protect configuration. A carrier that takes offence at the text is no reason not to
  try another way.
- An event that AWS adds later counts as progress.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from otpcore.providers import ErrorKind, Receipt, ReceiptFault, ReceiptRefused, ReceiptStatus

__all__ = ["DELIVERY_ID", "EVENTS", "read_event"]

DELIVERY_ID = "delivery_id"
"""The name under which a message carries the delivery's id in its ``Context``, which events hand back."""

_PROGRESS = (None, None)
_DELIVERED = (ReceiptStatus.DELIVERED, None)
_LATER = (ReceiptStatus.UNDELIVERED, ErrorKind.UNAVAILABLE)
_OURS = (ReceiptStatus.UNDELIVERED, ErrorKind.MISCONFIGURED)
_BLOCKED = (ReceiptStatus.UNDELIVERED, ErrorKind.BLOCKED)

EVENTS: Mapping[str, tuple[ReceiptStatus | None, ErrorKind | None]] = {
    "TEXT_QUEUED": _PROGRESS,
    "TEXT_PENDING": _PROGRESS,
    "TEXT_SENT": _PROGRESS,
    "TEXT_SUCCESSFUL": _PROGRESS,
    "TEXT_DELIVERED": _DELIVERED,
    "TEXT_INVALID": (ReceiptStatus.UNDELIVERED, ErrorKind.REJECTED_NUMBER),
    "TEXT_INVALID_MESSAGE": _OURS,
    "TEXT_UNREACHABLE": _LATER,
    "TEXT_CARRIER_UNREACHABLE": _LATER,
    "TEXT_BLOCKED": _BLOCKED,
    "TEXT_CARRIER_BLOCKED": _OURS,
    "TEXT_SPAM": _OURS,
    "TEXT_UNKNOWN": (ReceiptStatus.UNDELIVERED, ErrorKind.AMBIGUOUS),
    "TEXT_TTL_EXPIRED": _LATER,
    "TEXT_PROTECT_BLOCKED": _BLOCKED,
    "VOICE_INITIATED": _PROGRESS,
    "VOICE_RINGING": _PROGRESS,
    "VOICE_ANSWERED": _PROGRESS,
    "VOICE_COMPLETED": _DELIVERED,
    "VOICE_BUSY": _LATER,
    "VOICE_NO_ANSWER": _LATER,
    "VOICE_FAILED": _LATER,
    "VOICE_TTL_EXPIRED": _LATER,
    # A pool may have an RCS agent among its senders.
    "RCS_QUEUED": _PROGRESS,
    "RCS_SENT": _PROGRESS,
    "RCS_DELIVERED": _DELIVERED,
    "RCS_READ": _DELIVERED,
    "RCS_FALLEN_BACK_TO_SMS": _PROGRESS,
    "RCS_FAILED": _LATER,
    "RCS_TTL_EXPIRED": _LATER,
    "RCS_PROTECT_BLOCKED": _BLOCKED,
}
"""By ``eventType``: how it ended, None while it has not, and with a failure why."""

_EVENT = re.compile(r"[A-Z_]{3,60}")
_ID = re.compile(r"[A-Za-z0-9_:/-]{1,64}")


def read_event(text: str) -> Receipt:
    """What an event says whose message is proven.

    Raises:
        ReceiptRefused: It is no event of a message or a call.
    """
    event = _object(text)
    name, reference = event.get("eventType"), _id_in(event, "messageId")
    if not isinstance(name, str) or not _EVENT.fullmatch(name) or not reference:
        raise ReceiptRefused(ReceiptFault.MALFORMED, "it is no event with the id of a message")
    status, kind = EVENTS.get(name, _PROGRESS)
    context = event.get("context")
    return Receipt(
        status=status,
        reference=reference,
        delivery_id=_id_in(context, DELIVERY_ID) if isinstance(context, dict) else "",
        provider_code=name if status is ReceiptStatus.UNDELIVERED else "",
        kind=kind,
    )


def _object(text: str) -> dict[str, Any]:
    try:
        event: Any = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}


def _id_in(fields: Mapping[str, Any], name: str) -> str:
    """An id as AWS and we write them; empty: there is none."""
    value = fields.get(name)
    return value if isinstance(value, str) and _ID.fullmatch(value) else ""
