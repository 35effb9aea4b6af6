"""Who asks, and in which language: what a request says of a send."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils.translation import get_language, to_locale

from otp_django.conf import own

__all__ = ["about", "client_of", "language"]


def about(request: HttpRequest) -> dict[str, str | None]:
    """For ``otp.send_sms(phone, **about(request))``: ``client`` and ``locale``, the language that is active."""
    return {"client": client_of(request), "locale": language()}


def client_of(request: HttpRequest) -> str:
    """The address for which limits count.

    It is ``REMOTE_ADDR``, the other end of the connection, unless ``OTPCORE["trusted_proxies"]`` names that: then it is
    the nearest address in ``X-Forwarded-For``, read from its end, that is none of theirs. What a client wrote there
    itself is never reached. ``"unix"`` among them trusts those who connect over a Unix socket, who have no address.

    Returns:
        The address; empty where there is none, of which otpcore's log tells.
    """
    forwarded: str = request.META.get("HTTP_X_FORWARDED_FOR", "")
    return own().proxies.client_of(request.META.get("REMOTE_ADDR") or "", forwarded)


def language() -> str | None:
    """The active language as a BCP 47 tag; None: translation is switched off."""
    active = get_language()
    return None if active is None else to_locale(active).replace("_", "-")
