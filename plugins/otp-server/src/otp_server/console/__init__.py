"""The console: what operators see and change, as pages that work without scripts."""

from __future__ import annotations

from otp_server.console.app import create_console

__all__ = ["create_console"]
