"""Addresses in settings: what can be one."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from otpcore.runners import SettingsError

__all__ = ["parts_of"]


def parts_of(address: str) -> SplitResult:
    """Of an address, whose port can be one.

    Raises:
        SettingsError: Its port is none, so that the address would lead nowhere.
    """
    parts = urlsplit(address)
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise SettingsError("the port of an address must be 1 to 65535")
    return parts
