"""What an HTTP answer of the gateway means: a receipt, or a ``ProviderError`` of the kind that fits.

Nobody has published how the gateway uses HTTP statuses and SOAP faults, so their own standards decide:

- 503 and 429 say that the request was not served. Any other 5xx may come after the message was taken.
- Other 4xx and redirects refuse the request itself, so it was certainly not sent, and would be refused again.
- A SOAP fault travels with HTTP 500 or 200. ``Client``, ``VersionMismatch`` and ``MustUnderstand`` blame the request before
  any work was done (SOAP 1.1 §4.4.1); ``Server`` may come after it, as may a fault that nobody knows.
- Success is ``commandStatus`` 0 in a 2xx answer, and nothing else is.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from otp_mada.soap import Fault, SubmitAnswer, UnreadableXMLError, read_answer
from otp_mada.statuses import ACCEPTED, COMMAND_STATUSES
from otpcore.http import HttpAnswer
from otpcore.providers import DeliveryReceipt, ErrorKind, ProviderError

__all__ = ["FAULTS", "HTTP_STATUSES", "Refusal", "receipt_of"]


@attrs.frozen
class Refusal:
    """What one answer means for the send, and how we say it."""

    kind: ErrorKind
    summary: str


HTTP_STATUSES: Mapping[int, Refusal] = {
    401: Refusal(ErrorKind.MISCONFIGURED, "the gateway refused the credentials; check username and password"),
    403: Refusal(ErrorKind.MISCONFIGURED, "the gateway refused the account or this host's address"),
    404: Refusal(ErrorKind.MISCONFIGURED, "the gateway has no such page; check url"),
    408: Refusal(ErrorKind.AMBIGUOUS, "the gateway gave up waiting for the request"),
    429: Refusal(ErrorKind.THROTTLED, "too many requests"),
    503: Refusal(ErrorKind.UNAVAILABLE, "the gateway is temporarily down"),
}
"""Statuses whose meaning does not depend on the body."""

FAULTS: Mapping[str, Refusal] = {
    "Client": Refusal(ErrorKind.MISCONFIGURED, "the gateway could not accept the request (SOAP fault)"),
    "MustUnderstand": Refusal(ErrorKind.MISCONFIGURED, "the gateway did not understand a header (SOAP fault)"),
    "Server": Refusal(ErrorKind.AMBIGUOUS, "the gateway failed and did not say whether it sent (SOAP fault)"),
    "VersionMismatch": Refusal(ErrorKind.MISCONFIGURED, "the gateway speaks another version of SOAP (SOAP fault)"),
}
"""By the first part of the fault code."""

_BY_CLASS = {
    3: Refusal(ErrorKind.MISCONFIGURED, "answered with a redirect; check url"),
    4: Refusal(ErrorKind.MISCONFIGURED, "the gateway refused the request"),
}
_LARGEST_SHOWN = 99_999  # a longer number is hardly a status, and might be a passcode
_UNKNOWN_FAULT = Refusal(ErrorKind.AMBIGUOUS, "a SOAP fault that nobody documented")
_UNSURE = Refusal(ErrorKind.AMBIGUOUS, "the gateway failed and did not say whether it sent")


def receipt_of(answer: HttpAnswer) -> DeliveryReceipt:
    """The receipt of an accepted message.

    Raises:
        ProviderError: It was not accepted, or nobody knows. Nothing of the gateway's text gets into it but numbers.
    """
    if answer.status in HTTP_STATUSES:
        raise _http_error(answer, HTTP_STATUSES[answer.status])
    succeeded = 200 <= answer.status < 300  # noqa: PLR2004 - the class of success
    try:
        said = read_answer(answer.body, answer.content_type)
    except UnreadableXMLError:
        if succeeded:
            raise ProviderError(ErrorKind.AMBIGUOUS, "the answer is not a SOAP message") from None
        said = None
    if isinstance(said, Fault):
        raise _fault_error(said)
    if not succeeded or said is None:
        raise _http_error(answer, _BY_CLASS.get(answer.status // 100, _UNSURE))
    return _submitted(said, answer.retry_after)


def _submitted(said: SubmitAnswer, retry_after: float | None) -> DeliveryReceipt:
    status = said.command_status
    if status == ACCEPTED:
        return DeliveryReceipt(reference=said.message_id)
    if status is None:
        raise ProviderError(ErrorKind.AMBIGUOUS, "the answer has no commandStatus")
    known = COMMAND_STATUSES.get(status)
    if known is None or known.kind is None:
        shown = str(status) if status <= _LARGEST_SHOWN else ""
        raise ProviderError(ErrorKind.AMBIGUOUS, "a commandStatus that nobody documented", provider_code=shown)
    raise ProviderError(known.kind, f"{known.name}: {known.meaning}", retry_after, provider_code=str(status))


def _fault_error(fault: Fault) -> ProviderError:
    refusal = FAULTS.get(fault.code, _UNKNOWN_FAULT)
    return ProviderError(refusal.kind, refusal.summary, provider_code=fault.code if fault.code in FAULTS else "")


def _http_error(answer: HttpAnswer, refusal: Refusal) -> ProviderError:
    return ProviderError(refusal.kind, refusal.summary, answer.retry_after, provider_code=f"HTTP {answer.status}")
