"""``manage.py migrate`` makes and upgrades otpcore's tables too, in the database that ``OTPCORE`` names."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from asgiref.sync import async_to_sync
from django.core.management.base import CommandError

from otp_django.conf import database_alias
from otp_django.databases import is_in_memory, storage_url
from otpcore import OTPConfigurationError, OTPError
from otpcore.stores import SqlStore

__all__ = ["upgrade_tables"]


def upgrade_tables(*, using: str, verbosity: int = 1, **_: Any) -> None:
    """Run otpcore's missing migrations after Django's; they are its own, and each of them can be run again.

    Raises:
        CommandError: The tables cannot be made.
    """
    try:
        if using != database_alias() or is_in_memory(using):  # that of a test, which has its outbox in memory too
            return
        async_to_sync(_upgrade)(storage_url(using))
    except (OTPError, OTPConfigurationError) as error:
        raise CommandError(f"the tables of otpcore: {error}") from None
    if verbosity > 0:
        print("  The tables of otpcore are up to date.")  # noqa: T201 - as migrate itself tells what it does


async def _upgrade(url: str) -> None:
    async with AsyncExitStack() as stack:
        await SqlStore(url, migrate=True).start(stack)
