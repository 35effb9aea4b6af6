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


def check_form(
    server: Server, request: Request, form: Mapping[str, object], binding: str, *, public_url: str | None = None
) -> None:
    """That a form came from a page of ours in this browser.

    Args:
        server: Whose page it is.
        request: That brought it.
        form: What was sent.
        binding: As for ``form_token``.
        public_url: Under which browsers reach the page; None: the server's own.

    Raises:
        ProblemError: It did not.
    """
    given = str(form.get(FIELD, "")).encode(errors="replace")
    fits = hmac.compare_digest(given, form_token(server, binding).encode())
    if not binding or not fits or not _is_from_here(request, _address(server, request, public_url)):
        raise ProblemError("forbidden")


def is_secure(server: Server, request: Request, *, public_url: str | None = None) -> bool:
    """The person's browser speaks TLS, to us or to the proxy before us."""
    return _address(server, request, public_url).startswith("https:")


def cookie_name(server: Server, request: Request, name: str, *, public_url: str | None = None) -> str:
    """As a cookie of this host alone is named; a browser takes such a name over TLS only."""
    return f"__Host-{name}" if is_secure(server, request, public_url=public_url) else name


def _address(server: Server, request: Request, public_url: str | None) -> str:
    return (server.settings.public_url if public_url is None else public_url) or str(request.url)


def _is_from_here(request: Request, address: str) -> bool:
    site = request.headers.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        return False
    origin = request.headers.get("origin")
    if origin is None or (origin == "null" and site is not None):  # a page that tells no referrer sends null
        return True
    ours = urlsplit(address)
    return origin == f"{ours.scheme}://{ours.netloc}"
