"""Rules of random histories: what has happened is counted, and somebody works through the outbox."""

from __future__ import annotations

import functools
from datetime import timedelta
from typing import Any

from anyio.from_thread import BlockingPortal
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from otpcore.stores.contract import Store
from otpcore.stores.records import changed
from otpcore.testing.stores.world import World

__all__ = ["ServiceRules"]

_LEASE = timedelta(seconds=30)


class ServiceRules(RuleBasedStateMachine):
    """A part of `Histories`."""

    portal: BlockingPortal
    memory: Store
    store: Store
    world: World

    @rule()
    def fold(self) -> None:
        more = {self._ask(store, "fold", self.world.now) for store in (self.memory, self.store)}
        assert len(more) == 1

    @rule(limit=st.integers(1, 4), is_told=st.booleans())
    def outbox(self, limit: int, *, is_told: bool) -> None:
        """Numbers differ, as a store may leave some out."""
        token = f"outbox-{next(self.world.numbers)}"
        told = []
        for store in (self.memory, self.store):
            claimed = self._ask(store, "claim_changes", token, limit=limit, lease=_LEASE, now=self.world.now)
            numbers = [one.number for one in claimed]
            ends = (
                ("finish_changes", numbers, token) if is_told else ("put_off_changes", numbers, token, self.world.now)
            )
            told.append(([changed(one, number=0) for one in claimed], self._ask(store, *ends)))
        assert told[0] == told[1]

    def _ask(self, store: Store, command: str, *args: Any, **more: Any) -> Any:
        return self.portal.call(functools.partial(getattr(store, command), *args, **more))
