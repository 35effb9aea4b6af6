"""otpcore as a service: an HTTP API, an inbox for trying it out, and the commands that run them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otp_server.app import create_app
    from otp_server.embedding import router
    from otp_server.proofs import Verified, verified
    from otp_server.server import Server

__all__ = ["Server", "Verified", "create_app", "router", "verified"]

_PLACES = {
    "Server": "otp_server.server",
    "Verified": "otp_server.proofs",
    "create_app": "otp_server.app",
    "router": "otp_server.embedding",
    "verified": "otp_server.proofs",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Imported when it is first used: the commands are listed without a web framework."""
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(_PLACES[name]), name)
