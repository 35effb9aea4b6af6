"""Contract tests against the oracle: whatever happens in whatever order, a store answers and keeps what ``MemoryStore`` does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import attrs
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from otpcore.stores.contract import Store
from otpcore.stores.series import DIMENSIONS
from otpcore.testing.stores.base import EXAMPLES, StoreBase
from otpcore.testing.stores.histories import PHONES, SUBJECTS, Histories
from otpcore.testing.stores.world import CHANNELS

__all__ = ["EquivalenceTests"]


class EquivalenceTests(StoreBase):
    """Hypothesis gives a store and the oracle the same commands."""

    async def kept(self, store: Store, now: datetime) -> Mapping[str, Any]:
        """All that a store keeps, as far as its commands tell it; a store may add what only it can see."""
        rows = await store.retries(100)
        return {
            "challenges": [view for phone in PHONES for view in await store.view(phone_key=phone)],
            "latest": [await store.latest(f"{phone}/{subject}") for phone in PHONES for subject in SUBJECTS],
            "schedule": (rows, await store.next_due()),
            "later": [await store.retries(100, after=row) for row, _ in rows],
            "keys": (sorted(await store.keys_in_use(), key=str), await store.due_keys(now)),
            "counters": await store.counters("", now),
            "budgets": await store.budgets(),
            "verified": [await store.verified(phone) for phone in PHONES],
            "refusals": [await store.refusals(100, phone_key=phone) for phone in (None, *PHONES)],
            "status": await store.status(now - timedelta(days=1), now),
            "recent": [
                {one.id for one in await store.recent(now - timedelta(minutes=5), channel, 1000)}
                for channel in CHANNELS
            ],
            "settings": await store.settings(),
            "audits": [attrs.evolve(one, number=0) for one in await store.audits(100)],
            "series": await store.series(now - timedelta(days=1), now, timedelta(minutes=1), by=DIMENSIONS),
            "lists": (await store.list_deliveries(limit=100)).items + (await store.list_challenges(limit=100)).items,
        }

    def test_it_answers_and_keeps_what_the_memory_store_does(self, new_stores: Callable[[], Store]) -> None:
        with start_blocking_portal(self.event_loops[0]) as portal:
            run_state_machine_as_test(
                lambda: Histories(portal, new_stores(), self.kept),  # type: ignore[arg-type] # it takes any function too
                settings=settings(
                    max_examples=self.examples,
                    stateful_step_count=30,
                    derandomize=self.examples <= EXAMPLES,  # who wants more wants others
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
