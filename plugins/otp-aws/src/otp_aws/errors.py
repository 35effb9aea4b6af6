"""What the exceptions of AWS mean for a send, as tables with the reason for each choice.

Sources: the service model of PinpointSMSVoiceV2 (2022-03-31), with the reasons of each exception; docs.aws.amazon.com,
"Common errors". The choices are ours:

- A send ends for good (``rejected_number``, ``blocked``) only where AWS says that about the *person's number*, or
  where a guard against fraud stands in the way that the customer has set up (a protect configuration). Where the
  sender, the account or a country that is not enabled is at fault, another provider may well deliver:
  ``misconfigured``.
- A validation error is about the person's number only where it names the field of that number.
- ``InternalServerException`` is ``ambiguous``: AWS has no token by which it would recognise a repeat, so the message
  may have left.
- A reason that is not listed goes by its exception, an exception that is not listed by its HTTP status. An unknown 4xx
  is ``misconfigured``: nothing was sent, the next instance may do better, and an operator hears the name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from otpcore.http import HttpAnswer
from otpcore.providers import ErrorKind, ProviderError

__all__ = ["EXCEPTIONS", "REASONS", "error_of", "name_of"]

_UNAVAILABLE = ErrorKind.UNAVAILABLE
_THROTTLED = ErrorKind.THROTTLED
_AMBIGUOUS = ErrorKind.AMBIGUOUS
_MISCONFIGURED = ErrorKind.MISCONFIGURED
_REJECTED = ErrorKind.REJECTED_NUMBER
_BLOCKED = ErrorKind.BLOCKED
_LIMIT = ErrorKind.LIMIT_REACHED

REASONS: Mapping[str, tuple[ErrorKind, str]] = {
    # AccessDeniedException
    "ACCOUNT_DISABLED": (_MISCONFIGURED, "AWS has disabled sending for the account"),
    "INSUFFICIENT_ACCOUNT_REPUTATION": (_MISCONFIGURED, "AWS has paused the account for its reputation"),
    # ServiceQuotaExceededException
    "DAILY_DESTINATION_CALL_LIMIT": (_LIMIT, "the day's calls to this number are used up"),
    "MONTHLY_SPEND_LIMIT_REACHED_FOR_RCS": (_MISCONFIGURED, "the month's spend limit for RCS is reached"),
    "MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT": (_MISCONFIGURED, "the month's spend limit for SMS is reached"),
    "MONTHLY_SPEND_LIMIT_REACHED_FOR_VOICE": (_MISCONFIGURED, "the month's spend limit for calls is reached"),
    # ConflictException
    "DESTINATION_COUNTRY_BLOCKED_BY_PROTECT_CONFIGURATION": (_BLOCKED, "the protect configuration blocks the country"),
    "DESTINATION_PHONE_NUMBER_BLOCKED_BY_PROTECT_NUMBER_OVERRIDE": (
        _BLOCKED,
        "the protect configuration blocks the number",
    ),
    "DESTINATION_PHONE_NUMBER_NOT_VERIFIED": (
        _MISCONFIGURED,
        "the account is in the sandbox, which reaches verified numbers only",
    ),
    "DESTINATION_PHONE_NUMBER_OPTED_OUT": (_BLOCKED, "the person has opted out"),
    "MESSAGE_TYPE_MISMATCH": (_MISCONFIGURED, "the sender is not for transactional messages"),
    "NO_ORIGINATION_IDENTITIES_FOUND": (_MISCONFIGURED, "the account has no sender for this country"),
    "NUMBER_CAPABILITIES_MISMATCH": (_MISCONFIGURED, "the sender cannot send over this channel"),
    "RESOURCE_NOT_ACTIVE": (_MISCONFIGURED, "the sender is not active"),
    # ValidationException; the three that may be about the person's number are in _MAY_BE_ABOUT_THE_NUMBER too
    "CANNOT_PARSE": (_MISCONFIGURED, "a field could not be read"),
    "CHANNEL_NOT_ENABLED": (_MISCONFIGURED, "the account does not have this channel enabled"),
    "COUNTRY_CODE_MISMATCH": (_MISCONFIGURED, "the sender is of another country"),
    "COUNTRY_NOT_ENABLED": (_MISCONFIGURED, "the account does not have the country enabled"),
    "DESTINATION_COUNTRY_BLOCKED": (_BLOCKED, "AWS blocks the country"),
    "FIELD_VALIDATION_FAILED": (_MISCONFIGURED, "a field is invalid"),
    "INTERNATIONAL_SENDING_NOT_SUPPORTED": (_MISCONFIGURED, "the sender cannot send abroad"),
    "INVALID_ARN": (_MISCONFIGURED, "an ARN is invalid"),
    "INVALID_IDENTITY_FOR_DESTINATION_COUNTRY": (_MISCONFIGURED, "the sender cannot send to this country"),
    "INVALID_PARAMETER": (_MISCONFIGURED, "a parameter is invalid"),
    "MAXIMUM_SIZE_EXCEEDED": (_MISCONFIGURED, "the text is too long"),
    "PRICE_OVER_THRESHOLD": (_LIMIT, "the message would cost more than the instance's max_price"),
    "RESOURCE_NOT_ACCESSIBLE": (_MISCONFIGURED, "the account may not use the sender or another resource"),
    "SENDER_ID_NOT_REGISTERED": (_MISCONFIGURED, "the sender ID is not registered"),
    "SENDER_ID_NOT_SUPPORTED": (_MISCONFIGURED, "the country knows no sender IDs"),
    "SENDER_ID_REQUIRES_REGISTRATION": (_MISCONFIGURED, "the country wants the sender ID registered"),
    "VOICE_CAPABILITY_NOT_AVAILABLE": (_MISCONFIGURED, "the sender cannot call"),
}
"""By ``Reason`` of the exception."""

EXCEPTIONS: Mapping[str, tuple[ErrorKind, str]] = {
    # Of the service
    "AccessDeniedException": (_MISCONFIGURED, "the credentials may not do this: check their IAM policy"),
    "ConflictException": (_MISCONFIGURED, "the request contradicts what is set up at AWS"),
    "InternalServerException": (_AMBIGUOUS, "AWS had an internal error"),
    "ResourceNotFoundException": (_MISCONFIGURED, "the sender or another resource does not exist in this region"),
    "ServiceQuotaExceededException": (_MISCONFIGURED, "a quota of the account is used up"),
    "ThrottlingException": (_THROTTLED, "too many requests"),
    "ValidationException": (_MISCONFIGURED, "AWS found the request invalid"),
    # Of every service
    "ExpiredTokenException": (_MISCONFIGURED, "the credentials have expired"),
    "IncompleteSignature": (_MISCONFIGURED, "the signature is incomplete: check the base URL"),
    "InternalFailure": (_AMBIGUOUS, "AWS had an internal error"),
    "InvalidClientTokenId": (_MISCONFIGURED, "AWS does not know the access key"),
    "InvalidSignatureException": (
        _MISCONFIGURED,
        "the signature is wrong: check secret_access_key, region and the clock of this host",
    ),
    "MissingAuthenticationTokenException": (_MISCONFIGURED, "the request was not signed: check the base URL"),
    "OptInRequired": (_MISCONFIGURED, "the account is not subscribed to the service"),
    "RequestExpired": (_MISCONFIGURED, "the request is too old: check the clock of this host"),
    "RequestLimitExceeded": (_THROTTLED, "too many requests"),
    "ServiceUnavailableException": (_UNAVAILABLE, "AWS is temporarily unavailable"),
    "TooManyRequestsException": (_THROTTLED, "too many requests"),
    "UnknownOperationException": (_MISCONFIGURED, "the service does not know the operation: check region and base URL"),
    "UnrecognizedClientException": (_MISCONFIGURED, "AWS does not know the access key or its session token"),
}
"""By the name of the exception."""

_MAY_BE_ABOUT_THE_NUMBER = frozenset({"CANNOT_PARSE", "FIELD_VALIDATION_FAILED", "INVALID_PARAMETER"})
_NUMBER_FIELD = "destinationphonenumber"

_FOR_HTTP_STATUS: Mapping[int, tuple[ErrorKind, str]] = {
    401: (_MISCONFIGURED, "the credentials were refused"),
    403: (_MISCONFIGURED, "the credentials may not do this"),
    404: (_MISCONFIGURED, "not found: check region and base URL"),
    408: (_AMBIGUOUS, "the request took too long"),
    429: (_THROTTLED, "too many requests"),
    503: (_UNAVAILABLE, "AWS is temporarily unavailable"),
}
_FOR_HTTP_CLASS: Mapping[int, tuple[ErrorKind, str]] = {
    3: (_MISCONFIGURED, "a redirect: check the base URL"),
    4: (_MISCONFIGURED, "the request was refused"),
    5: (_AMBIGUOUS, "AWS had an internal error"),
}

_NAME = re.compile(r"[A-Za-z]{3,64}")
_REASON = re.compile(r"[A-Z_]{3,64}")


def error_of(answer: HttpAnswer) -> ProviderError:
    """The error that an answer other than 200 stands for. AWS's own words, which may quote the number, stay here."""
    body = answer.json_object()
    name, reason = name_of(answer), _matching(_REASON, body.get("Reason"))
    kind, summary = (
        REASONS.get(reason) or EXCEPTIONS.get(name)
        or _FOR_HTTP_STATUS.get(answer.status) or _FOR_HTTP_CLASS.get(answer.status // 100)
        or (_AMBIGUOUS, "an answer that makes no sense")
    )  # fmt: skip
    if reason in _MAY_BE_ABOUT_THE_NUMBER and _names_the_number(body.get("Fields")):
        kind, summary = _REJECTED, "not a valid number"
    return ProviderError(kind, summary, answer.retry_after, reason or name or f"http-{answer.status}")


def name_of(answer: HttpAnswer) -> str:
    """The exception that an answer names, without its namespace; empty: it names none.

    AWS writes it into the body as ``__type`` (``com.amazonaws.…#ThrottlingException``) or into a header, with a URL
    behind a colon.
    """
    header = next((value for name, value in answer.headers.items() if name.lower() == "x-amzn-errortype"), "")
    said = str(answer.json_object().get("__type") or header)
    return _matching(_NAME, said.partition(":")[0].rpartition("#")[2])


def _names_the_number(fields: Any) -> bool:
    """Whether a validation error lists the field of the person's number."""
    listed = fields if isinstance(fields, list) else []
    return any(isinstance(one, dict) and str(one.get("Name")).casefold() == _NUMBER_FIELD for one in listed)


def _matching(shape: re.Pattern[str], value: Any) -> str:
    """A name of AWS's; "" where it is none, and might be anything."""
    return value if isinstance(value, str) and shape.fullmatch(value) else ""
