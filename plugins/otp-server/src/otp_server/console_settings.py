"""``server.console``: where operators look at the service, and who may."""

from __future__ import annotations

import enum
import ipaddress
import re
from collections.abc import Sequence
from typing import Any

import attrs

from otp_server.addresses import parts_of
from otpcore.runners import SettingsError

__all__ = ["DEFAULT_PORT", "ConsoleSettings", "Role"]

DEFAULT_PORT = 8026
_HIGHEST_PORT = 65_535
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_PATH = re.compile(r"(/[a-z0-9][a-z0-9-]{0,39})+")
_TAKEN = ("/v1", "/v", "/page", "/static", "/inbox", "/healthz", "/readyz", "/metrics", "/problems", "/openapi")


class Role(enum.StrEnum):
    """What a person may do in the console."""

    VIEWER = "viewer"
    """Look."""
    OPERATOR = "operator"
    """Change how the running service works."""
    ADMIN = "admin"
    """Also what lets others in: keys."""

    def may(self, other: Role) -> bool:
        """Whether what asks for the other role is allowed to this one."""
        ranks = [*Role]
        return ranks.index(self) >= ranks.index(other)


def _good_port(_: Any, __: Any, value: int | None) -> None:
    if value is not None and not 0 <= value <= _HIGHEST_PORT:
        raise SettingsError("must be 0 to 65535")


def _good_path(_: Any, __: Any, value: str) -> None:
    if not value:
        return
    if not _PATH.fullmatch(value) or f"/{value.split('/')[1]}" in _TAKEN:
        raise SettingsError("must be a path that nothing else has, such as /console")


def _good_address(_: Any, __: Any, value: str) -> None:
    parts = parts_of(value)
    if value and (parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/") or parts.query):
        raise SettingsError("must be the address under which browsers reach it, such as https://console.example.com")


def _good_header(instance: ConsoleSettings, _: Any, value: str) -> None:
    if value and not _HEADER.fullmatch(value):
        raise SettingsError("must be the name of a header, such as X-Forwarded-User")
    if value and not instance.trusted_from:
        raise SettingsError("anybody could send it. Fix: name the proxy's address in server.console.trusted_from")


def _good_networks(_: Any, __: Any, value: Sequence[str]) -> None:
    for one in value:
        try:
            ipaddress.ip_network(one)
        except ValueError:
            raise SettingsError("must be addresses or networks, such as 10.0.0.0/8") from None


@attrs.frozen(kw_only=True)
class ConsoleSettings:
    """``server.console.*``.

    Args:
        on: ``otp serve`` serves it.
        host: Where it listens; only on this machine, unless it is told otherwise.
        port: On which port; 0: one that is free; None: 8026, or a free one where that is taken.
        path: Where it lies on the API's own address and port; empty: it has those of its own.
        public_url: Under which browsers reach it; empty: the address of the request, or ``server.public_url`` with a path.
        trusted_from: Addresses and networks of the proxy that says who signed in.
        trusted_header: In which it says so; empty: people sign in here.
        trusted_role: Of those whom the proxy names and who have no account; None: they may not look.
    """

    on: bool = True
    host: str = "127.0.0.1"
    port: int | None = attrs.field(default=None, validator=_good_port)
    path: str = attrs.field(default="", validator=_good_path)
    public_url: str = attrs.field(default="", validator=_good_address)
    trusted_from: Sequence[str] = attrs.field(default=(), validator=_good_networks)
    trusted_header: str = attrs.field(default="", validator=_good_header)
    trusted_role: Role | None = None
