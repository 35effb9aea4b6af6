"""otpcore as a service: an HTTP API, an inbox for trying it out, and the commands that run them."""

from __future__ import annotations

from otp_server.app import create_app
from otp_server.server import Server

__all__ = ["Server", "create_app"]
