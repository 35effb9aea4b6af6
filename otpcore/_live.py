"""What the store's settings say while the service runs: rules and switches, read together again and again."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta

from otpcore._logs import fields
from otpcore._rules import Rules
from otpcore._switches import Switches
from otpcore.errors import StoreError
from otpcore.lifecycle import is_due

_logger = logging.getLogger("otpcore.live")


class LiveSettings:
    """Rules and switches in force, as of a moment ago.

    Args:
        read: Reads the store's settings.
        every: Seconds between two looks.
    """

    def __init__(
        self,
        *,
        rules: Rules,
        switches: Switches,
        read: Callable[[], Awaitable[Mapping[str, str]]],
        every: float,
        clock: Callable[[], datetime],
    ) -> None:
        self.rules = rules
        self.switches = switches
        self._read = read
        self._every = timedelta(seconds=every)
        self._clock = clock
        self._read_at: datetime | None = None

    async def refresh(self, *, force: bool = False) -> None:
        """Ask the store again, if the last time is long enough ago. A store that does not answer changes nothing.

        Raises:
            StoreError: It does not answer the first time.
        """
        now = self._clock()
        if not force and not is_due(self._read_at, self._every, now):
            return
        first = self._read_at is None
        self._read_at = now
        try:
            stored = await self._read()
        except StoreError:
            if first:
                raise
            _logger.warning(
                "the store did not give its rules and switches; the last ones stay in force",
                extra=fields("settings_not_read"),
            )
            return
        self.switches.take_up(stored, first=first)
        await self.rules.take_up(stored, first=first)
