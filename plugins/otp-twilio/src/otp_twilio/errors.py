"""What Twilio's error codes, statuses and HTTP statuses mean for a send, as tables with the reason for each choice.

Sources: the error pages (``https://www.twilio.com/docs/api/errors/<code>``), the Verify error list, and the API
specification. The choices are ours:

- A code stops the send for good (``rejected_number``, ``blocked``) only where Twilio says that about the *person's number*.
  Where the sender, the account or a country permission is at fault, another provider may well deliver: ``misconfigured``.
- ``21612`` (this sender cannot reach that number) is therefore ``misconfigured``, not ``rejected_number``.
- 429 is no class of its own: ``20429`` may be tried again, ``60203`` may not before ten minutes have passed.
- ``20500`` is ``ambiguous``: Twilio says that its POSTs are not idempotent and a repeat after a 5xx may send twice.
  ``20503`` and a bare 503 are ``unavailable``: the request was turned away.
- Codes that Twilio reports later (30001 and up) are here too, because a 201 can already carry one beside the status ``failed``.
- An unknown code goes by its HTTP status. An unknown 4xx is ``misconfigured``: nothing was sent, the next instance may
  do better, and an operator hears the code. Nobody is turned away for good because of a code that we do not know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from otpcore.http import HttpAnswer
from otpcore.providers import ErrorKind, ProviderError

__all__ = ["CHECKS_USED_UP", "CODES", "GONE_CODES", "INVALID_PARAMETER", "error_of", "names_parameter", "refusal_in"]

INVALID_PARAMETER = "60200"

CHECKS_USED_UP = "60202"

GONE_CODES = frozenset({"20404", CHECKS_USED_UP, "60431"})
"""On a check or a cancellation: there is no verification (any more), or its five checks are used up."""

_UNAVAILABLE = ErrorKind.UNAVAILABLE
_THROTTLED = ErrorKind.THROTTLED
_AMBIGUOUS = ErrorKind.AMBIGUOUS
_MISCONFIGURED = ErrorKind.MISCONFIGURED
_REJECTED = ErrorKind.REJECTED_NUMBER
_BLOCKED = ErrorKind.BLOCKED
_LIMIT = ErrorKind.LIMIT_REACHED

CODES: Mapping[str, tuple[ErrorKind, str]] = {
    # Platform
    "20003": (_MISCONFIGURED, "authentication failed: credentials, region or a suspended account"),
    "20005": (_MISCONFIGURED, "the account is not active, perhaps out of credit"),
    "20008": (_MISCONFIGURED, "test credentials do not work here"),
    "20404": (_MISCONFIGURED, "not found: check the SIDs of account and service"),
    "20429": (_THROTTLED, "too many requests"),
    "20500": (_AMBIGUOUS, "Twilio had an internal error"),
    "20503": (_UNAVAILABLE, "Twilio is temporarily unavailable"),
    # Verify
    "60200": (_MISCONFIGURED, "a parameter is invalid"),  # see error_of: To is the person's number
    "60201": (_MISCONFIGURED, "the translation of the template is not approved"),
    "60202": (_LIMIT, "the checks of this verification are used up"),
    "60203": (_LIMIT, "five sends to this number without a completed check"),
    "60204": (_MISCONFIGURED, "the Verify service lacks this feature"),
    "60205": (_REJECTED, "a landline cannot receive SMS"),
    "60206": (_MISCONFIGURED, "the Verify service is for payments (PSD2)"),
    "60207": (_MISCONFIGURED, "too many rate limits are defined on the Verify service"),
    "60208": (_MISCONFIGURED, "a rate limit of the Verify service is wrong"),
    "60209": (_MISCONFIGURED, "a rate limit of the Verify service is wrong"),
    "60210": (_MISCONFIGURED, "a rate limit of the Verify service is wrong"),
    "60211": (_MISCONFIGURED, "a rate limit of the Verify service is wrong"),
    "60212": (_THROTTLED, "too many verifications of this number are being started at once"),
    "60214": (_MISCONFIGURED, "a Verify service for payments (PSD2) cannot call"),
    "60217": (_MISCONFIGURED, "the Verify service is not set up completely"),
    "60220": (_MISCONFIGURED, "China needs a vetted account"),
    "60223": (_MISCONFIGURED, "the Verify service has this channel switched off"),
    "60224": (_MISCONFIGURED, "the template cannot be used"),
    "60226": (_MISCONFIGURED, "China needs a vetted friendly name"),
    "60227": (_MISCONFIGURED, "the template cannot be used"),
    "60228": (_MISCONFIGURED, "the template cannot be used"),
    "60229": (_MISCONFIGURED, "the template cannot be used"),
    "60230": (_MISCONFIGURED, "the template cannot be used"),
    "60238": (_MISCONFIGURED, "Twilio blocks this: account under review, or an embargoed country"),
    "60240": (_MISCONFIGURED, "template or message are restricted"),
    "60241": (_MISCONFIGURED, "template or message are restricted"),
    "60242": (_MISCONFIGURED, "template or message are restricted"),
    "60243": (_MISCONFIGURED, "custom messages are not supported"),
    "60245": (_MISCONFIGURED, "the messaging limit of the account is exceeded"),
    "60247": (_MISCONFIGURED, "the friendly name is restricted"),
    "60248": (_MISCONFIGURED, "the friendly name is restricted"),
    "60250": (_MISCONFIGURED, "Australia needs a registration"),
    "60408": (_MISCONFIGURED, "templates are for SMS only"),
    "60409": (_MISCONFIGURED, "the message matches no approved template"),
    "60410": (_BLOCKED, "Fraud Guard blocks SMS to this range of numbers"),
    "60411": (_MISCONFIGURED, "the number is in the safe list already"),
    "60412": (_BLOCKED, "blocked by sign-up fraud prevention"),
    "60413": (_BLOCKED, "blocked by device intelligence"),
    "60428": (_MISCONFIGURED, "the channel is not supported"),
    "60431": (_MISCONFIGURED, "the verification was not found"),
    "60605": (_MISCONFIGURED, "the country is not enabled in Verify's geo permissions"),
    # Messages, when they are created
    "21211": (_REJECTED, "not a valid number"),
    "21212": (_MISCONFIGURED, "the sender is not valid"),
    "21219": (_MISCONFIGURED, "a trial account reaches verified numbers only"),
    "21408": (_MISCONFIGURED, "the country is not enabled in the geo permissions"),
    "21601": (_MISCONFIGURED, "the sender cannot send SMS"),
    "21602": (_MISCONFIGURED, "the message has no body"),
    "21603": (_MISCONFIGURED, "the message has no sender"),
    "21604": (_MISCONFIGURED, "the message has no recipient"),
    "21605": (_MISCONFIGURED, "the body is too long for this sender"),
    "21606": (_MISCONFIGURED, "the sender cannot be used for this message"),
    "21607": (_MISCONFIGURED, "the sender cannot be used by this account"),
    "21608": (_MISCONFIGURED, "a trial account reaches verified numbers only"),
    "21609": (_MISCONFIGURED, "Twilio cannot call the status callback URL"),
    "21610": (_BLOCKED, "the person has opted out (STOP)"),
    "21611": (_THROTTLED, "the queue of the sender is full"),
    "21612": (_MISCONFIGURED, "this sender cannot reach that number"),
    "21614": (_REJECTED, "not a mobile number"),
    "21617": (_MISCONFIGURED, "the text is longer than 1600 characters"),
    "21618": (_MISCONFIGURED, "all carriers would filter the content"),
    "21624": (_MISCONFIGURED, "the validity period is out of range"),
    "21635": (_REJECTED, "a landline cannot receive SMS"),
    "21655": (_MISCONFIGURED, "the content template is not valid"),
    "21656": (_MISCONFIGURED, "the variables of the content template are not valid"),
    "21659": (_MISCONFIGURED, "the sender is not one of the account"),
    "21660": (_MISCONFIGURED, "the sender does not belong to the account"),
    "21661": (_MISCONFIGURED, "the sender cannot send SMS"),
    "21701": (_MISCONFIGURED, "the messaging service does not exist"),
    "21703": (_MISCONFIGURED, "the messaging service has no sender"),
    "21704": (_MISCONFIGURED, "the messaging service has no usable sender"),
    "21705": (_MISCONFIGURED, "the messaging service cannot be used"),
    "21910": (_MISCONFIGURED, "sender and recipient are on different channels"),
    "90007": (_MISCONFIGURED, "the validity period is out of range"),
    # Messages, later
    "30001": (_THROTTLED, "the queue overflowed"),
    "30002": (_MISCONFIGURED, "the account is suspended"),
    "30003": (_UNAVAILABLE, "the handset is unreachable at the moment"),
    "30004": (_BLOCKED, "blocked by the person or the carrier"),
    "30005": (_REJECTED, "the handset is unknown"),
    "30006": (_REJECTED, "a landline or an unreachable carrier"),
    "30007": (_MISCONFIGURED, "filtered as a violation of policy"),
    "30008": (_AMBIGUOUS, "an unknown error on the way"),
    "30017": (_UNAVAILABLE, "the carrier is congested"),
    "30018": (_MISCONFIGURED, "the sender is not registered for that country"),
    "30022": (_THROTTLED, "the rate limit of the carrier (A2P)"),
    "30023": (_MISCONFIGURED, "the daily cap of the carrier (A2P)"),
    "30024": (_MISCONFIGURED, "the sender is not provisioned at the carrier"),
    "30032": (_MISCONFIGURED, "the toll-free sender is not verified"),
    "30034": (_MISCONFIGURED, "the sender is not registered (A2P)"),
    "30035": (_MISCONFIGURED, "the registration of the sender is not complete"),
    "30036": (_UNAVAILABLE, "the validity period ran out in the queue"),
    "30410": (_AMBIGUOUS, "the carrier did not answer in time"),
    "30450": (_BLOCKED, "blocked by SMS pumping protection"),
    # WhatsApp senders of a messaging service
    "63003": (_REJECTED, "not a number on this channel"),
    "63005": (_MISCONFIGURED, "the channel refuses the content"),
    "63012": (_UNAVAILABLE, "the channel had an internal error"),
    "63013": (_MISCONFIGURED, "a violation of the channel's policy"),
    "63016": (_MISCONFIGURED, "free text is not allowed outside the session window"),
    "63018": (_THROTTLED, "the rate limit of the channel"),
    "63024": (_REJECTED, "not a number on this channel"),
    "63032": (_REJECTED, "the channel does not deliver to this person at the moment"),
    "63033": (_BLOCKED, "the person has blocked the sender"),
    # Calls
    "21201": (_MISCONFIGURED, "the call has no recipient"),
    "21202": (_REJECTED, "a premium-rate number is not called"),
    "21210": (_MISCONFIGURED, "the caller's number is not verified"),
    "21214": (_REJECTED, "the number cannot be called"),
    "21215": (_MISCONFIGURED, "the country is not enabled in the voice geo permissions"),
    "21216": (_BLOCKED, "Twilio does not call this number"),
    "21217": (_REJECTED, "not a valid number"),
}

_FOR_HTTP_STATUS: Mapping[int, tuple[ErrorKind, str]] = {
    401: (_MISCONFIGURED, "the credentials were refused"),
    403: (_MISCONFIGURED, "the account may not do this"),
    404: (_MISCONFIGURED, "not found: check SIDs and base URL"),
    408: (_AMBIGUOUS, "the request took too long"),
    429: (_THROTTLED, "too many requests"),
    503: (_UNAVAILABLE, "Twilio is temporarily unavailable"),
}
_FOR_HTTP_CLASS: Mapping[int, tuple[ErrorKind, str]] = {
    3: (_MISCONFIGURED, "a redirect: check the base URL"),
    4: (_MISCONFIGURED, "the request was refused"),
    5: (_AMBIGUOUS, "Twilio had an internal error"),
}

# Statuses in the answer to a create that mean: it will not be delivered. Any other, known or not, was taken.
_REFUSING_STATUSES: Mapping[str, tuple[ErrorKind, str]] = {
    "failed": (_UNAVAILABLE, "the status is failed"),
    "undelivered": (_UNAVAILABLE, "the status is undelivered"),
    "canceled": (_UNAVAILABLE, "the status is canceled"),
    "busy": (_UNAVAILABLE, "the line is busy"),
    "no-answer": (_UNAVAILABLE, "nobody answered"),
    "deleted": (_UNAVAILABLE, "the verification is deleted"),
    "expired": (_UNAVAILABLE, "the verification has expired"),
    "max_attempts_reached": (_LIMIT, "the checks of this verification are used up"),
}


def error_of(answer: HttpAnswer) -> ProviderError:
    """The error that an answer other than 2xx stands for. Twilio's own words, which quote the number, stay here."""
    code = _code(answer.json_object().get("code"))
    kind, summary = (
        CODES.get(code) or _FOR_HTTP_STATUS.get(answer.status) or _FOR_HTTP_CLASS.get(answer.status // 100)
        or (_AMBIGUOUS, "an answer that makes no sense")
    )  # fmt: skip
    if code == INVALID_PARAMETER and names_parameter(answer, "To"):
        kind, summary = _REJECTED, "not a valid number"
    return ProviderError(kind, summary, answer.retry_after, code or f"http-{answer.status}")


def refusal_in(body: Mapping[str, Any]) -> ProviderError | None:
    """The error that a 2xx answer to a create carries beside a status such as ``failed``; None where it was taken."""
    refused = _REFUSING_STATUSES.get(str(body.get("status")))
    if refused is None:
        return None
    code = _code(body.get("error_code"))
    return ProviderError(*CODES.get(code, refused), provider_code=code)


def names_parameter(answer: HttpAnswer, name: str) -> bool:
    """Whether the message of a 60200 blames this parameter, as in "Invalid parameter `To`: …"."""
    return re.search(rf"\b{name}\b", str(answer.json_object().get("message"))) is not None


def _code(value: Any) -> str:
    """Twilio's codes have five digits; a longer number is none, and might be the person's number or a passcode."""
    return str(value) if type(value) is int and 10_000 <= value <= 99_999 else ""  # noqa: PLR2004 - five digits
