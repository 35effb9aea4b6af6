"""What is answered when something cannot be done: JSON with ``error`` and ``reason``, never a piece of the request."""

from __future__ import annotations

import json
from http import HTTPStatus

from django.http import JsonResponse
from django.utils.deprecation import MiddlewareMixin

from otpcore import OTPError, UnknownProviderError
from otpcore.embedding import answer_to


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
                told = answer_to(error)
                return JsonResponse(told.content, status=told.status, headers=told.headers)
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
