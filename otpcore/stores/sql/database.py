"""What the SQL store asks of a database, be it a file or on a server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from otpcore.stores.rows import Rows

__all__ = ["Database"]

T = TypeVar("T")


class Database(Protocol):
    """One database: opened once, used from any event loop and thread, closed once."""

    @property
    def place(self) -> str:
        """Where it is, for people; without user and password."""

    def prepare(self, *, migrate: bool) -> None:
        """Bring or check the schema. Blocks.

        Raises:
            SettingsError: The place cannot hold a database.
            StoreError: The database cannot be used as it is.
        """

    def start(self) -> None:
        """Begin to take work."""

    def revision(self) -> str | None:
        """Of the tables; None: there are none. Blocks."""

    def facts(self) -> Mapping[str, str]:
        """For ``otp doctor``. Blocks."""

    async def write(
        self,
        unit: Callable[[Rows], T],
        *,
        even_if_cancelled: bool,
        otherwise: Callable[[Rows, T | None], object] | None = None,
        last: bool = False,
    ) -> T:
        """Run a unit in a transaction, again if it lost against another; return when it is committed.

        The arguments are those of ``UnitsOfWork._write``.
        """

    async def read(self, unit: Callable[[Rows], T]) -> T:
        """Run a unit that changes nothing."""

    async def fold_log(self) -> None:
        """See that what was erased is in no log of ours any more; a server's logs are its operator's."""

    async def aclose(self) -> None:
        """Finish what waits, and close."""

    def let_go(self) -> None:
        """Before a fork: close all connections; they are opened again when needed."""
