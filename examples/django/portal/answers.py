"""What is answered when something cannot be done: JSON with ``error`` and ``reason``, never a piece of the request."""

from __future__ import annotations

import json
from http import HTTPStatus

from django.http import JsonResponse
from django.utils.deprecation import MiddlewareMixin

from otpcore import OTPError, UnknownProviderError, known_as


class WrongRequestError(Exception):
    """The request is not what it should be. ``reason`` is the field, or "json" where there is no JSON."""

    def __init__(self, reason):
        super().__init__(reason)
        self.reason = reason


class JsonErrors(MiddlewareMixin):
    """Middleware; views raise, and this answers."""

    def process_exception(self, _request, error):
        match error:
            case OTPError():
                name, reason = known_as(error)  # a page chooses its text by them; str(error) is for the log
                content = {"error": name, "reason": reason, "try_channel": getattr(error, "try_channel", None)}
                headers = {"Retry-After": f"{error.retry_after + 1:.0f}"} if error.retry_after else {}
                return JsonResponse(content, status=error.http_status, headers=headers)
            case WrongRequestError():
                content = {"error": "WrongRequest", "reason": error.reason}
                return JsonResponse(content, status=HTTPStatus.UNPROCESSABLE_ENTITY)
            case UnknownProviderError():
                content = {"error": "UnknownProviderError", "reason": ""}
                return JsonResponse(content, status=HTTPStatus.NOT_FOUND)
            case _:
                return None  # Django's affair


def texts(request, *names):
    """These fields of the request's JSON object; JSON has numbers, lists and null as well."""
    try:
        values = json.loads(request.body)
    except (ValueError, RecursionError):
        raise WrongRequestError("json") from None
    for name in names:
        if not isinstance(values, dict) or not isinstance(values.get(name), str):
            raise WrongRequestError(name)
    return [values[name] for name in names]
