"""Forms that only our own pages can send: a token bound to the browser, and the word of the browser where it came from."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.requests import Request

from otp_server.problems import ProblemError
from otp_server.server import Server

__all__ = ["FIELD", "check_form", "cookie_name", "form_token", "is_secure"]

FIELD = "form_token"
"""The name of the hidden field."""


def form_token(server: Server, binding: str) -> str:
    """The token for the forms of one browser.

    Args:
        server: Whose page it is.
        binding: The value of that browser's cookie.
    """
    return server.vault.digest("form", binding)


def check_form(server: Server, request: Request, form: Mapping[str, object], binding: str) -> None:
    """That a form came from a page of ours in this browser.

    Raises:
        ProblemError: It did not.
    """
    given = str(form.get(FIELD, "")).encode(errors="replace")
    fits = hmac.compare_digest(given, form_token(server, binding).encode())
    if not binding or not fits or not _is_from_here(server, request):
        raise ProblemError("forbidden")


def is_secure(server: Server, request: Request) -> bool:
    """The person's browser speaks TLS, to us or to the proxy before us."""
    return (server.settings.public_url or str(request.url)).startswith("https:")


def cookie_name(server: Server, request: Request, name: str) -> str:
    """As a cookie of this host alone is named; a browser takes such a name over TLS only."""
    return f"__Host-{name}" if is_secure(server, request) else name


def _is_from_here(server: Server, request: Request) -> bool:
    site = request.headers.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        return False
    origin = request.headers.get("origin")
    if origin is None or (origin == "null" and site is not None):  # a page that tells no referrer sends null
        return True
    ours = urlsplit(server.settings.public_url or str(request.url))
    return origin == f"{ours.scheme}://{ours.netloc}"
