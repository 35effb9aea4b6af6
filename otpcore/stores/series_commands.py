"""The commands of a store that count over time."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from otpcore.stores.series import SeriesPoint
from otpcore.stores.transactions import series as transactions
from otpcore.stores.units import UnitsOfWork

__all__ = ["SeriesCommands"]


class SeriesCommands(UnitsOfWork):
    """Part of ``Store``. Series are of one world.

    They are added up from what is recorded, once it is 40 seconds old, so that sending and verifying do nothing for them.
    What a clock that is set back by more than that records a second time is not counted.
    """

    async def fold(self, now: datetime | None) -> bool:
        """Add what has happened to the series, a portion of it; True: more is left.

        Each happening is counted once, whatever dies and however many processes do this at the same time. All of it is
        read before anything is written, and only what changes is written.
        """
        portion = await self._read(lambda rows: transactions.gather(rows, now))
        if portion is None:
            return False
        return await self._write(lambda rows: transactions.add(rows, portion)) and portion.is_cut

    async def series(
        self, since: datetime, until: datetime, step: timedelta | None, *, by: Collection[str] = ()
    ) -> tuple[SeriesPoint, ...]:
        """Counts and waits for each step of time in which something happened; by time, then by what they are told apart by.

        Args:
            since: The first step is the one in which this lies. Steps are whole ones since 1970 UTC.
            until: The last step is the one that reaches it.
            step: Whole minutes; None: all of it is one step, from the minute of ``since`` on. Five minutes, and whole hours, are
                read from far fewer rows; so is one step from there on.
            by: Of ``instance``, ``prefix`` and ``channel``, what they are told apart by.

        Raises:
            InvalidArgument: The step is not of whole minutes, or ``by`` names something else.
        """
        return await self._read(lambda rows: transactions.points(rows, since, until, step, by))
