"""Where a host keeps its data, before anything is opened."""

from __future__ import annotations

from pathlib import Path

from otpcore.service.setup import Setup

__all__ = ["database_file", "database_url"]


def database_url(host: Setup) -> str | None:
    """Where the SQL store keeps its tables; None: another store is used, or one that the host made itself.

    Raises:
        SettingsError: The settings do not say.
    """
    name = host.store if host.store is not None else host.settings.store_name
    return host.settings.database_url if name == "sql" else None


def database_file(host: Setup) -> Path | None:
    """The file in which the SQL store keeps its tables; None: another store, or a server's."""
    from otpcore.stores.sql.store import database_path  # noqa: PLC0415 - heavy: a host's own store may do without

    url = database_url(host)
    return database_path(url) if url is not None else None
