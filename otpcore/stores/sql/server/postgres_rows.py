"""`Rows` on PostgreSQL, which finds what is about a challenge's phone in the flight that reads the challenge."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from otpcore.rate_limits.admission import BudgetRecord, Charge
from otpcore.stores.lifecycle import failure_keys
from otpcore.stores.records import CounterRecord, made
from otpcore.stores.sql import limit_statements as limits_sql
from otpcore.stores.sql.server import look_ups, stripes
from otpcore.stores.sql.server.ahead_rows import AheadRows
from otpcore.stores.sql.server.noted import Verified
from otpcore.stores.sql.server.striped_rows import TAKE_BUDGET

__all__ = ["PostgresRows"]


class PostgresRows(AheadRows):
    """The rows of one unit of work."""

    def _look_at_phone_of(self, challenge_id: str, client: str) -> None:
        """The failures, locked, and the verifications of the phone of a challenge, and its budgets."""
        mark = self.world.mark("")

        def failures(rows: list[Any]) -> None:
            known = self._noted.challenges[challenge_id]
            if known is not None:
                self._note_failures([f"{mark}{key}" for key in failure_keys(known.phone_key, client)], rows)

        def verified(rows: list[Any]) -> None:
            known = self._noted.challenges[challenge_id]
            if known is not None:
                self._noted.verified[known.phone_key] = Verified(*rows[0]) if rows else None

        def budgets(rows: list[Any]) -> None:
            known = self._noted.challenges[challenge_id]
            if known is not None:
                self._noted.budgets[f"{mark}{known.budget}/"] = [made(BudgetRecord, row) for row in rows]

        self._ask(look_ups.BUDGETS_OF, budgets, mark=mark, row_id=challenge_id)
        self._ask(look_ups.FAILURES_OF, failures, mark=mark, of_client=f"/{client}", row_id=challenge_id)
        self._ask(look_ups.VERIFIED_OF, verified, row_id=challenge_id)

    def _surely_charge(self, charge: Charge, known: CounterRecord | None, now: datetime) -> None:  # noqa: ARG002 - an upsert need not know
        given = {"now": now, "key_0": charge.key, "ends_0": now + charge.window, "most_0": charge.limit}
        self._surely(limits_sql.charge_only(), **given)

    def _surely_move(self, key: str, now: datetime, more: dict[str, int]) -> None:
        self._surely(TAKE_BUDGET, **stripes.span(key), now=now, **more)
