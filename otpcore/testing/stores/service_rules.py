"""Rules of random histories that are about no send: counting, the outbox, workers, and what operators look at and set."""

from __future__ import annotations

import functools
from datetime import timedelta
from types import EllipsisType
from typing import Any

from anyio.from_thread import BlockingPortal
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from otpcore.stores.contract import Store
from otpcore.stores.records import AuditRecord, WorkerRecord, changed
from otpcore.testing.stores.world import World

__all__ = ["ServiceRules"]

_LEASE = timedelta(seconds=30)


class ServiceRules(RuleBasedStateMachine):
    """A part of `Histories`."""

    portal: BlockingPortal
    memory: Store
    store: Store
    world: World

    def both(self, command: str, *args: Any, **more: Any) -> Any:
        """Run a command on both stores; the answer, which must be the same."""
        expected, found = (self._ask(store, command, *args, **more) for store in (self.memory, self.store))
        assert found == expected
        return found

    def record(self, action: str) -> AuditRecord:
        """Of an operator who does this now."""
        return AuditRecord(at=self.world.now, by="ann", action=action)

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

    @rule(name=st.sampled_from(["worker-1", "background-2"]), running=st.integers(0, 3), ends=st.booleans())
    def beat(self, name: str, running: int, ends: bool) -> None:
        worker = WorkerRecord(
            name=name, kind="worker", started_at=self.world.now, seen_at=self.world.now, running=running
        )
        self.both("beat", worker, timedelta(seconds=60), self.world.now)
        if ends:
            self.both("leave", name)

    @rule(seconds=st.sampled_from((0, 60, 900)))
    def status(self, seconds: float) -> None:
        self.both("status", self.world.now - timedelta(seconds=seconds), self.world.now)

    @rule(prefix=st.sampled_from(["phone-1/", "phone", "all", ""]))
    def reset_counters(self, prefix: str) -> None:
        self.both("reset_counters", prefix, audit=self.record("limits.reset"))

    @rule(
        name=st.sampled_from(["paused", "rules"]),
        value=st.sampled_from([None, "a", "b"]),
        expect=st.sampled_from([..., ..., None, "a"]),
    )
    def write_setting(self, name: str, value: str | None, expect: str | EllipsisType | None) -> None:
        self.both("write_setting", name, value, expect=expect, audit=self.record("set"))

    def _ask(self, store: Store, command: str, *args: Any, **more: Any) -> Any:
        return self.portal.call(functools.partial(getattr(store, command), *args, **more))
