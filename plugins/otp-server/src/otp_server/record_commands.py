"""What commands need to work with the server's own records, without any provider."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from otp_server.vault import Records, Vault
from otpcore import SettingsError
from otpcore.cli import Options, operator_for, run, settings_for
from otpcore.stores import World

__all__ = ["with_records"]

T = TypeVar("T")


def with_records(options: Options, work: Callable[[Records], Awaitable[T]]) -> T:
    """Do some work with the records of the store that the settings name.

    Raises:
        SettingsError: The settings have no keys.
    """
    settings = settings_for(options)
    if settings.needs_throw_away_keys:
        raise SettingsError(
            "the sandbox has no keys of its own, so whatever is sealed is lost when its process ends. "
            f"Fix: {settings.makes_keys}; `otp serve` without settings prints a key for its own run"
        )

    async def within() -> T:
        async with operator_for(options) as operator:
            return await work(Records(store=operator.store.within(World.REAL), vault=Vault(settings)))

    return run(within)
