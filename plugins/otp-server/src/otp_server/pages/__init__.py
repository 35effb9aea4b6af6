"""The verification page: where a person types the code, without an account and without JavaScript."""

from __future__ import annotations

from otp_server.pages.routes import routes

__all__ = ["routes"]
