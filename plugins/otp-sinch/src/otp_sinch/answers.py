"""What Sinch's answers mean: error codes, statuses and reasons as tables of data.

Sources: developers.sinch.com, Verification API reference ("Errors", "Verifications"); the error constants of Sinch's Android SDK;
Sinch community, "Verification Result and Reason Codes".

Choices where the vendor's words leave room:

- 40001 (parameter validation) is about the number, unless its message names a parameter that we added: then one wrong
  option must not stop the send for good.
- 40900 (conflict) and 50000 are ``ambiguous``: something may have been started; a repeat asks by our reference first.
- 50300 is Sinch saying that it did not serve the request: ``unavailable``. So is a 503 of something in between.
  A gateway's 502 or 504 may come after Sinch took the request: ``ambiguous``.
- 42901 (too many for this number) is the vendor's own limit for the number: the next instance may still send.
- "Destination denied" is a country that the app is not enabled for, "Denied by callback" one's own backend: an operator
  can mend both, so ``misconfigured``. A DENIED with a reason that is not listed here may be an anti-abuse decision:
  ``blocked``, never routed around.
- ERROR says that Sinch gave up without delivering (it does not charge for it): ``unavailable``.
- An unlisted error code is read by its first three digits, which are the HTTP status; an unlisted 4xx was refused, so
  certainly not sent: ``misconfigured``. Everything else that nobody listed is ``ambiguous``.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import attrs

from otpcore.http import HttpAnswer
from otpcore.providers import CheckResult, ErrorKind, ProviderError

__all__ = [
    "DENIALS",
    "ERROR_CODES",
    "HTTP_STATUSES",
    "REPORT_REASONS",
    "REPORT_STATUSES",
    "Refusal",
    "VerificationStatus",
    "error_of",
    "error_of_start",
    "is_not_found",
    "is_refusal",
    "says_not_found",
    "says_wrong_code",
    "status_of",
    "verdict_of",
]


class VerificationStatus(enum.StrEnum):
    """Where a verification stands at Sinch."""

    PENDING = "PENDING"
    SUCCESSFUL = "SUCCESSFUL"
    FAIL = "FAIL"
    DENIED = "DENIED"
    ABORTED = "ABORTED"
    """A newer start for the number replaced it."""
    ERROR = "ERROR"


@attrs.frozen
class Refusal:
    """What one answer means for the send, and how we say it."""

    kind: ErrorKind
    summary: str


_NUMBER_REFUSED = Refusal(ErrorKind.REJECTED_NUMBER, "Sinch refused the number")
_BAD_REQUEST = Refusal(ErrorKind.MISCONFIGURED, "Sinch refused a parameter of the request")
_UNAUTHORIZED = Refusal(ErrorKind.MISCONFIGURED, "Sinch refused the credentials")
_FORBIDDEN = Refusal(ErrorKind.MISCONFIGURED, "the app may not do this; see its authorization level in the dashboard")
_NO_CREDIT = Refusal(ErrorKind.MISCONFIGURED, "not enough credit")
_APP_SETUP = Refusal(ErrorKind.MISCONFIGURED, "the app's configuration or callback at Sinch is wrong")
_NOT_IMPLEMENTED = Refusal(ErrorKind.MISCONFIGURED, "Sinch does not implement this")
_UNSURE = Refusal(ErrorKind.AMBIGUOUS, "Sinch failed and did not say whether it started the verification")

ERROR_CODES: Mapping[int, Refusal] = {
    40001: _NUMBER_REFUSED,
    40002: _BAD_REQUEST,
    40003: _BAD_REQUEST,
    40004: _UNAUTHORIZED,
    40005: _NUMBER_REFUSED,
    40100: _UNAUTHORIZED,
    40101: Refusal(ErrorKind.MISCONFIGURED, "Sinch refused the timestamp; set this host's clock"),
    40102: Refusal(ErrorKind.MISCONFIGURED, "Sinch refused the signature; check application_secret and the clock"),
    40103: _UNAUTHORIZED,
    40104: _UNAUTHORIZED,
    40105: _UNAUTHORIZED,
    40106: _UNAUTHORIZED,
    40107: _UNAUTHORIZED,
    40108: _UNAUTHORIZED,
    40200: _NO_CREDIT,
    40300: _FORBIDDEN,
    40301: Refusal(ErrorKind.MISCONFIGURED, "the app asks for another authorization scheme; see the setting auth"),
    40302: _FORBIDDEN,
    40303: _FORBIDDEN,
    40400: Refusal(ErrorKind.MISCONFIGURED, "Sinch knows no such resource; check base_url and the app"),
    40900: Refusal(ErrorKind.AMBIGUOUS, "conflict with another request"),
    42200: _APP_SETUP,
    42201: _APP_SETUP,
    42202: _APP_SETUP,
    42900: Refusal(ErrorKind.THROTTLED, "too many requests"),
    42901: Refusal(ErrorKind.LIMIT_REACHED, "too many verifications of this number"),
    50000: _UNSURE,
    50100: _NOT_IMPLEMENTED,
    50101: _NOT_IMPLEMENTED,
    50300: Refusal(ErrorKind.UNAVAILABLE, "Sinch is temporarily down"),
    50301: Refusal(ErrorKind.MISCONFIGURED, "configuration error at Sinch"),
}
"""By ``errorCode``."""

HTTP_STATUSES: Mapping[int, Refusal] = {
    400: _BAD_REQUEST,
    401: _UNAUTHORIZED,
    402: _NO_CREDIT,
    403: _FORBIDDEN,
    404: ERROR_CODES[40400],
    408: _UNSURE,
    409: ERROR_CODES[40900],
    422: _APP_SETUP,
    429: ERROR_CODES[42900],
    501: _NOT_IMPLEMENTED,
    503: ERROR_CODES[50300],
}
"""Where the body has no ``errorCode`` that is listed."""

DENIALS: Mapping[tuple[VerificationStatus, str], Refusal] = {
    (VerificationStatus.DENIED, "fraud"): Refusal(ErrorKind.BLOCKED, "denied as fraud"),
    (VerificationStatus.DENIED, "blocked"): Refusal(ErrorKind.BLOCKED, "the number is blocked"),
    (VerificationStatus.DENIED, "not enough credit"): _NO_CREDIT,
    (VerificationStatus.DENIED, "destination denied"): Refusal(
        ErrorKind.MISCONFIGURED, "the app is not enabled for this destination"
    ),
    (VerificationStatus.DENIED, "denied by callback"): Refusal(ErrorKind.MISCONFIGURED, "your own callback denied it"),
    (VerificationStatus.DENIED, "invalid callback"): Refusal(
        ErrorKind.MISCONFIGURED, "your own callback's answer is invalid"
    ),
    (VerificationStatus.DENIED, ""): Refusal(ErrorKind.BLOCKED, "denied"),
    (VerificationStatus.ERROR, "internal error"): Refusal(ErrorKind.UNAVAILABLE, "internal error at Sinch"),
    (VerificationStatus.ERROR, "network error or number unreachable"): Refusal(
        ErrorKind.UNAVAILABLE, "network error or number unreachable"
    ),
    (VerificationStatus.ERROR, "sms delivery failure"): Refusal(ErrorKind.UNAVAILABLE, "SMS delivery failure"),
    (VerificationStatus.ERROR, ""): Refusal(ErrorKind.UNAVAILABLE, "Sinch could not complete the verification"),
    (VerificationStatus.FAIL, "failed pending"): Refusal(ErrorKind.UNAVAILABLE, "failed while pending"),
    (VerificationStatus.FAIL, ""): Refusal(ErrorKind.AMBIGUOUS, "the verification ended at once"),
    (VerificationStatus.ABORTED, ""): Refusal(ErrorKind.AMBIGUOUS, "replaced by a newer verification"),
    (VerificationStatus.SUCCESSFUL, ""): Refusal(ErrorKind.AMBIGUOUS, "the verification ended at once"),
}
"""A start whose answer is 2xx and yet no start, by status and lower-case reason; the empty reason is the default."""

REPORT_STATUSES: Mapping[VerificationStatus, CheckResult] = {
    VerificationStatus.PENDING: CheckResult.INCORRECT,
    VerificationStatus.SUCCESSFUL: CheckResult.APPROVED,
    VerificationStatus.FAIL: CheckResult.INCORRECT,
    VerificationStatus.DENIED: CheckResult.GONE,
    VerificationStatus.ABORTED: CheckResult.GONE,
    VerificationStatus.ERROR: CheckResult.GONE,
}
"""A report's verdict, where its reason is not in ``REPORT_REASONS``."""

REPORT_REASONS: Mapping[tuple[VerificationStatus, str], CheckResult] = {
    (VerificationStatus.FAIL, "expired"): CheckResult.GONE,
    (VerificationStatus.FAIL, "failed pending"): CheckResult.GONE,
    (VerificationStatus.FAIL, "hung up without entering valid code"): CheckResult.GONE,
}
"""By status and lower-case reason."""

_WRONG_CODE_MESSAGES = ("invalid identity or code", "sms code is not valid", "sms code invalid format")
"""Parts of error messages, lower-case, that a report answers to a wrong code. Sinch has no error code for it."""

_OWN_PARAMETERS = ("accept-language", "acceptlanguage", "expiry", "locale", "method", "reference")
"""Parts of a 40001 message, lower-case, that show it is about what we added to the request, not about the number."""

_NUMBER_OR_PARAMETER = 40001
_NO_SUCH_RESOURCE = 40400
_NOT_FOUND = {404, _NO_SUCH_RESOURCE}
_LONGEST_CODE = 5  # a longer number is none of Sinch's codes, and might be a passcode
_BY_CLASS = {
    3: Refusal(ErrorKind.MISCONFIGURED, "answered with a redirect; check base_url"),
    4: _BAD_REQUEST,
}


def is_refusal(answer: HttpAnswer) -> bool:
    """It is not 2xx, or it is and carries an error all the same (a report's 200 is documented as "or an Error")."""
    return not 200 <= answer.status < 300 or _error_code(answer) != 0  # noqa: PLR2004 - the class of success


def is_not_found(answer: HttpAnswer) -> bool:
    """Sinch has no such verification."""
    return not _NOT_FOUND.isdisjoint({answer.status, _error_code(answer)}) and not says_wrong_code(answer)


def says_not_found(answer: HttpAnswer) -> bool:
    """Sinch itself says so: a bare 404 may come from any server to which a wrong URL leads."""
    return _error_code(answer) == _NO_SUCH_RESOURCE


def says_wrong_code(answer: HttpAnswer) -> bool:
    """A report's refusal that means a wrong code, or a verification that is over: Sinch uses one message for both."""
    return is_refusal(answer) and any(part in _message(answer) for part in _WRONG_CODE_MESSAGES)


def error_of(answer: HttpAnswer) -> ProviderError:
    """The meaning of a refusal. Nothing of the vendor's text gets into the error."""
    code = _error_code(answer)
    refusal = ERROR_CODES.get(code) or _by_http_status(answer.status)
    if code == _NUMBER_OR_PARAMETER and any(name in _message(answer) for name in _OWN_PARAMETERS):
        refusal = _BAD_REQUEST
    return ProviderError(
        refusal.kind, refusal.summary, retry_after=answer.retry_after, provider_code=str(code or answer.status)
    )


def error_of_start(body: Mapping[str, Any]) -> ProviderError | None:
    """The meaning of a 2xx body that is no start; None where it is one (pending, or no word about a status)."""
    status, reason = status_of(body), _reason(body)
    if status is VerificationStatus.PENDING or (status is None and not body.get("status")):
        return None
    if status is None:
        return ProviderError(ErrorKind.AMBIGUOUS, "a status that nobody documented")
    known = (status, reason) in DENIALS
    refusal = DENIALS[status, reason if known else ""]
    return ProviderError(
        refusal.kind, refusal.summary, provider_code=f"{status}: {reason}" if known and reason else str(status)
    )


def verdict_of(body: Mapping[str, Any]) -> CheckResult:
    """The verdict of a report's 2xx body.

    Raises:
        ProviderError: There is no status in it that we know, so nobody knows what became of the report.
    """
    status = status_of(body)
    if status is None:
        raise ProviderError(ErrorKind.AMBIGUOUS, "the report's answer has no known status")
    return REPORT_REASONS.get((status, _reason(body)), REPORT_STATUSES[status])


def status_of(body: Mapping[str, Any]) -> VerificationStatus | None:
    """The status in a body, or None where there is none that we know."""
    try:
        return VerificationStatus(str(body.get("status", "")).upper())
    except ValueError:
        return None


def _by_http_status(status: int) -> Refusal:
    return HTTP_STATUSES.get(status) or _BY_CLASS.get(status // 100, _UNSURE)


def _error_code(answer: HttpAnswer) -> int:
    """``errorCode``, which older answers write as text; 0 where there is none."""
    code = str(answer.json_object().get("errorCode", ""))
    return int(code) if code.isascii() and code.isdigit() and len(code) <= _LONGEST_CODE else 0


def _message(answer: HttpAnswer) -> str:
    return str(answer.json_object().get("message", "")).lower()


def _reason(body: Mapping[str, Any]) -> str:
    return str(body.get("reason") or "").strip().lower()
