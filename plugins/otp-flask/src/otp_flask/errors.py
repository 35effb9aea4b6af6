"""What is answered when a view lets an error through: status and waiting time of otpcore's table, in JSON or a page."""

from __future__ import annotations

from flask import Blueprint, Flask, Response, current_app, jsonify, request
from werkzeug.exceptions import HTTPException, default_exceptions

from otpcore import OTPError
from otpcore.embedding import answer_to, said_of

__all__ = ["answer", "register", "wants_page"]


def register(at: Flask | Blueprint) -> None:
    """Answer the errors of a send or verification there; an app's own handler for a narrower class goes before."""
    at.register_error_handler(OTPError, answer)


def answer(error: OTPError) -> Response:
    """As ``ANSWERS`` of otpcore says, with ``Retry-After`` where it is known when it may be tried again.

    A browser gets a page: that which the app has for the status (``@app.errorhandler(429)``), or werkzeug's, with a
    sentence for the person as its ``description``. Anything else gets JSON: ``error`` and ``reason``, by which a
    program chooses what to say, and ``try_channel``, another channel that may reach the number. The text of the error
    is for the log alone.
    """
    told = answer_to(error)
    if wants_page():
        response = _page(told.status, said_of(error))
    else:
        response = jsonify(told.content)
        response.status_code = told.status
    response.headers.update(told.headers)
    return response


def wants_page() -> bool:
    """Whether HTML is asked for before JSON, as browsers do; not where JSON was sent."""
    accepted = request.accept_mimetypes
    return not request.is_json and accepted["text/html"] > accepted["application/json"]


def _page(status: int, description: str) -> Response:
    kind: type[HTTPException] = default_exceptions[status]
    handled = current_app.handle_http_exception(kind(description))
    return current_app.make_response(handled.get_response() if isinstance(handled, HTTPException) else handled)
