"""Where vendors report what became of a message."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, abort, current_app, request

from otp_flask.running import service
from otpcore import OTPError, ReceiptRequest, UnknownProviderError

__all__ = ["LONGEST", "blueprint"]

LONGEST = 1024 * 1024
"""Bytes of a receipt, where the app's ``MAX_CONTENT_LENGTH`` says nothing."""


def blueprint(name: str) -> Blueprint:
    """``/<instance>``, and ``/<instance>/<delivery>/<proof>`` for vendors that sign nothing."""
    made = Blueprint(name, __name__)
    made.url_value_preprocessor(_prepare)
    made.add_url_rule("/<instance>", "receipt", _receipt, methods=["GET", "POST"])
    made.add_url_rule("/<instance>/<delivery>/<proof>", "receipt_of_message", _receipt, methods=["GET", "POST"])
    return made


def _prepare(_endpoint: str | None, _values: dict[str, Any] | None) -> None:
    """Before all that the app does before a request.

    A vendor has no session and no token: it signs the public URL and the raw body, or calls an address that is proof
    itself. The body is read here, as what reads a form first would leave nothing of it.
    """
    csrf = current_app.extensions.get("csrf")  # Flask-WTF's, whether it was set up before this blueprint or after it
    if csrf is not None and request.blueprint is not None:
        csrf.exempt(current_app.blueprints[request.blueprint])
    if request.max_content_length is None:
        request.max_content_length = LONGEST
    request.get_data()


def _receipt(instance: str, **_: str) -> Response:
    """Hand a vendor's callback to otpcore, and its answer to the vendor."""
    told = ReceiptRequest(
        method=request.method, url=_public_url(), headers=dict(request.headers), body=request.get_data()
    )
    try:
        result = service().handle_receipt(instance, told)
    except UnknownProviderError:
        abort(404)
    except OTPError as error:
        return Response(status=error.http_status)
    return Response(result.text, status=result.status, headers=dict(result.headers))


def _public_url() -> str:
    """As the vendor called it, letter for letter: at the host of ``otp.receipts_url``, else at that of the request.

    WSGI hands a path over with its escapes undone; most servers also hand over what stood in the request. A proxy may
    have taken away a prefix, which ``ProxyFix`` has put into the root path.
    """
    public = service().settings.otp.receipts_url
    parts = urlsplit(public) if public else None
    host = f"{parts.scheme}://{parts.netloc}" if parts else request.host_url.rstrip("/")
    raw = request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI") or ""
    if not raw.startswith("/"):
        rebuilt = urlsplit(request.url)
        return f"{host}{rebuilt.path}" + (f"?{rebuilt.query}" if rebuilt.query else "")
    root = request.root_path
    return f"{host}{raw}" if raw.startswith(f"{root}/") else f"{host}{root}{raw}"
