"""`Rows` on MariaDB and MySQL: what is about a challenge's phone is read in a flight after the one that reads the challenge."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Executable, bindparam

from otpcore.rate_limits.admission import Charge
from otpcore.stores.records import Charged, CounterRecord
from otpcore.stores.sql.server import stripes
from otpcore.stores.sql.server.ahead_rows import AheadRows
from otpcore.stores.sql.server.mysql_plain_rows import CHARGE, NEW_COUNTER, MySqlPlainRows
from otpcore.stores.sql.server.striped_rows import MOVE_STRIPE
from otpcore.stores.sql.tables import budgets

__all__ = ["MySqlRows"]

_MOVE_RUNNING = MOVE_STRIPE.where(budgets.c.window_ends_at > bindparam("now", type_=budgets.c.window_ends_at.type))


class MySqlRows(AheadRows, MySqlPlainRows):
    """The rows of one unit of work."""

    def charge(self, charges: Sequence[Charge], now: datetime) -> Sequence[Charged]:
        """All are looked at in one flight; PostgreSQL charges them in one statement instead."""
        unknown = [one.key for one in charges if one.key not in self._noted.counters]
        if unknown and not self.is_careful and not any(map(stripes.is_striped, charges)):
            self._look_at_counters(unknown)
            self.wire.fly()
        return super().charge(charges, now)

    def _surely_charge(self, charge: Charge, known: CounterRecord | None, now: datetime) -> None:
        ends = now + charge.window
        if known is None:
            self._surely(NEW_COUNTER, key=charge.key, count=1, window_ends_at=ends)
        else:
            self._surely(CHARGE, row_key=charge.key, ends=ends, most=charge.limit, now=now)

    def _surely_move(self, key: str, now: datetime, more: dict[str, int]) -> None:
        """Any of its stripes: a budget that runs has them all. MySQL cannot take the first that is free by itself."""
        stripe = random.choice([key, *stripes.later_stripes(key)])
        self._surely(_MOVE_RUNNING, row_key=stripe, now=now, **more)

    def _inserted(self, statement: Executable, **values: Any) -> bool:
        """What was queued before it must not be taken for it."""
        self.wire.fly()
        return super()._inserted(statement, **values)
