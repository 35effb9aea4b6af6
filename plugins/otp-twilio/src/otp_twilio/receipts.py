"""Status callbacks of Messages and Calls: what each status and error code means for the delivery, as tables of data.

Sources: twilio.com/docs, "Track the message status in outbound messages", "Call resource, status callbacks"; the API
specification's enums. The choices are ours:

- ``sent`` says that the carrier took the message; only ``delivered`` and ``read`` say that it arrived.
- A completed call was answered. By whom is not known.
- The kind of a failure is that of its error code (``otp_twilio.errors.CODES``): only what Twilio says about the *person's
  number* ends the send. Without a known code the next instance may try.
- ``partially_delivered`` and whatever status Twilio adds later count as progress.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, quote

from otp_twilio.errors import CODES
from otp_twilio.signing import BODY_HASH, form_of
from otpcore.http import readings
from otpcore.providers import ErrorKind, Receipt, ReceiptFault, ReceiptRefused, ReceiptRequest, ReceiptStatus

__all__ = ["CALL_STATUSES", "MESSAGE_STATUSES", "callback_url", "read_receipt"]

_DELIVERED = ReceiptStatus.DELIVERED
_UNDELIVERED = ReceiptStatus.UNDELIVERED

MESSAGE_STATUSES: Mapping[str, ReceiptStatus | None] = {
    "accepted": None,
    "scheduled": None,
    "queued": None,
    "sending": None,
    "sent": None,
    "receiving": None,
    "received": None,
    "partially_delivered": None,
    "delivered": _DELIVERED,
    "read": _DELIVERED,
    "undelivered": _UNDELIVERED,
    "failed": _UNDELIVERED,
    "canceled": _UNDELIVERED,
}

CALL_STATUSES: Mapping[str, ReceiptStatus | None] = {
    "queued": None,
    "initiated": None,
    "ringing": None,
    "in-progress": None,
    "completed": _DELIVERED,
    "busy": _UNDELIVERED,
    "no-answer": _UNDELIVERED,
    "failed": _UNDELIVERED,
    "canceled": _UNDELIVERED,
}

_UNKNOWN = (ErrorKind.UNAVAILABLE, "")

_DELIVERY_ID = "delivery_id"
_SID = re.compile(r"[A-Z]{2}[0-9a-fA-F]{32}")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CODE = re.compile(r"[1-9][0-9]{0,6}")
# Name of the id, name of the status, what the statuses mean. ``Sms…`` are the older names of ``Message…``.
_RESOURCES = (
    ("MessageSid", "MessageStatus", MESSAGE_STATUSES),
    ("SmsSid", "SmsStatus", MESSAGE_STATUSES),
    ("CallSid", "CallStatus", CALL_STATUSES),
)


def callback_url(url: str, delivery_id: str) -> str:
    """The URL of a delivery's callbacks: the given one with the delivery's id in its query, before connection overrides."""
    called, hash_sign, overrides = url.partition("#")
    return f"{called}?{_DELIVERY_ID}={quote(delivery_id, safe='')}{hash_sign}{overrides}"


def read_receipt(request: ReceiptRequest) -> Receipt:
    """What a callback says whose signature is proven.

    Raises:
        ReceiptRefused: It is not a status callback of Messages or Calls.
    """
    query = parse_qs(request.url.partition("#")[0].partition("?")[2])
    fields = _json_fields(request) if BODY_HASH in query else dict(form_of(request))
    told = ((fields.get(sid, ""), fields.get(status, ""), statuses) for sid, status, statuses in _RESOURCES)
    sid, status, statuses = next((one for one in told if _SID.fullmatch(one[0]) and one[1]), ("", "", {}))
    if not sid:
        raise ReceiptRefused(ReceiptFault.MALFORMED, "it has no SID with a status")
    meaning = statuses.get(status)
    code = fields.get("ErrorCode", "")
    failed = meaning is _UNDELIVERED
    delivery_id = query.get(_DELIVERY_ID, [""])[0]
    return Receipt(
        status=meaning,
        reference=sid,
        delivery_id=delivery_id if _ID.fullmatch(delivery_id) else "",
        provider_code=(code if _CODE.fullmatch(code) else status) if failed else "",
        kind=CODES.get(code, _UNKNOWN)[0] if failed else None,
    )


def _json_fields(request: ReceiptRequest) -> dict[str, str]:
    fields: Any = None
    for text in readings(request.body, request.headers.get("content-type", "")):
        with contextlib.suppress(ValueError, RecursionError):
            fields = json.loads(text)
            break
    if not isinstance(fields, dict):
        raise ReceiptRefused(ReceiptFault.MALFORMED, "the body is not a JSON object")
    return {str(name): str(value) for name, value in fields.items() if isinstance(value, str | int)}
