"""`Desk`: what every page of the console works with."""

from __future__ import annotations

import attrs

from otp_server.console.people import People
from otp_server.console_settings import ConsoleSettings
from otp_server.server import Server
from otp_server.vault import Records
from otpcore import AsyncOperator

__all__ = ["Desk"]


@attrs.frozen(kw_only=True, eq=False)
class Desk:
    """What every page of the console works with.

    Args:
        server: Open while requests are answered.
    """

    server: Server

    @property
    def operator(self) -> AsyncOperator:
        """What operators see and change, of the service as it is set up."""
        return self.server.service.operator

    @property
    def settings(self) -> ConsoleSettings:
        """``server.console``."""
        return self.server.settings.console

    @property
    def records(self) -> Records:
        """The server's own records, among them accounts and keys."""
        return self.server.records

    @property
    def people(self) -> People:
        """The accounts."""
        return People(self.records)

    @property
    def public_url(self) -> str:
        """Under which browsers reach it; empty: the address of the request."""
        return self.settings.public_url or (self.server.settings.public_url if self.settings.path else "")

    @property
    def is_open_at_home(self) -> bool:
        """Who sits at this machine needs no account: no one is reached, and nothing is kept."""
        return self.server.is_sandbox and self.server.otp_settings.needs_throw_away_keys
