"""Who asks: what a request says of a send."""

from __future__ import annotations

from flask import Flask, request

from otp_flask.conf import proxies

__all__ = ["client_of"]


def client_of(app: Flask) -> str:
    """The address for which limits count, of the request that is active.

    It is ``request.remote_addr``: the other end of the connection, or what ``ProxyFix`` has made of it. Where
    ``OTPCORE["trusted_proxies"]`` names that address, it is the nearest one in ``X-Forwarded-For``, read from its end,
    that is none of theirs. What a client wrote there itself is never reached. ``"unix"`` among them trusts those who
    connect over a Unix socket, who have no address.

    Returns:
        The address; empty where there is none, of which otpcore's log tells.
    """
    forwarded = ",".join(request.headers.getlist("X-Forwarded-For"))
    return proxies(app).client_of(request.remote_addr or "", forwarded)
