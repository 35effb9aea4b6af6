"""Auth systems that own their codes and know one SMS vendor: each hands its messages over at an address of its own."""

from __future__ import annotations

from otp_server.relay.routes import routes

__all__ = ["routes"]
