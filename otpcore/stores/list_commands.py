"""The commands of a store that list what happened."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from otpcore.models import Channel
from otpcore.stores.costs import Costs, CostSums
from otpcore.stores.lists import ChallengeFilter, DeliveryFilter, Page
from otpcore.stores.records import AuditRecord, ChallengeRecord, DeliveryRecord
from otpcore.stores.transactions import lists
from otpcore.stores.units import UnitsOfWork

__all__ = ["ListCommands"]

_SUMMED = 1_000  # deliveries in one read


class ListCommands(UnitsOfWork):
    """Part of ``Store``. Lists are of one world, the newest first.

    A list that is followed from page to page by its cursors has each row that was there at its beginning once, whatever is
    written, changed or purged meanwhile; what is purged meanwhile may be missing, what is new does not appear.

    A page costs the same however many rows there are: time, phone and (of deliveries) instance are found by indexes. What is
    asked for besides is looked for in at most 5,000 rows a call; where that does not fill the page, it is short, and has a
    cursor.
    """

    async def list_deliveries(
        self, wanted: DeliveryFilter | None = None, *, after: str | None = None, limit: int = 50
    ) -> Page[DeliveryRecord]:
        """Deliveries by when they were recorded.

        Args:
            wanted: Which; None: all.
            after: The cursor of the page before; None: the first page.
            limit: At most so many, from 1 on.

        Raises:
            InvalidArgument: The cursor is none, or the limit is less than 1.
        """
        which = DeliveryFilter() if wanted is None else wanted
        return await self._read(lambda rows: lists.page(rows, which, after, limit))

    async def cost(
        self, wanted: DeliveryFilter | None = None, *, apart_by: Collection[str] = (), limit: int | None = None
    ) -> Costs:
        """What deliveries cost, as their vendors said: exact sums, currencies apart.

        It reads a thousand at a time, each time as a page of the list, so that neither memory nor a lock grows with what is
        kept; time does, where there is no limit.

        Args:
            wanted: Which; None: all.
            apart_by: Of ``day``, ``instance``, ``prefix`` and ``channel``, what sums are told apart by.
            limit: At most so many, the latest first, from 1 on; None: all.

        Raises:
            InvalidArgument: ``apart_by`` names something else, or the limit is less than 1.
        """
        sums, after, left = CostSums(apart_by), None, limit
        while True:
            size = _SUMMED if left is None else min(_SUMMED, left)
            page = await self.list_deliveries(wanted, after=after, limit=size)
            sums.add(page.items)
            after, left = page.cursor, None if left is None else left - size
            if after is None or left == 0:
                return Costs(items=sums.items(), is_whole=after is None)

    async def list_challenges(
        self, wanted: ChallengeFilter | None = None, *, after: str | None = None, limit: int = 50
    ) -> Page[ChallengeRecord]:
        """Challenges by when their first send began; arguments and errors as of ``list_deliveries``."""
        which = ChallengeFilter() if wanted is None else wanted
        return await self._read(lambda rows: lists.page(rows, which, after, limit))

    async def challenges(self, ids: Collection[str]) -> tuple[ChallengeRecord, ...]:
        """Those of these ids that are kept, each once, in any order: whose the deliveries of a page are."""
        return await self._read(lambda rows: tuple(filter(None, map(rows.challenge, sorted(set(ids))))))

    async def recent(self, since: datetime, channel: Channel, limit: int) -> tuple[ChallengeRecord, ...]:
        """Challenges that were sent over a channel since then, the latest delivery first; of one moment in any order."""
        return await self._read(lambda rows: tuple(rows.recent(since, channel, limit)))

    async def audits(self, limit: int, *, below: int | None = None, action: str = "") -> tuple[AuditRecord, ...]:
        """What operators changed, the latest first: with a lower number than ``below``, of one action where it is named."""
        return await self._read(lambda rows: tuple(rows.audits(action, below, limit)))
