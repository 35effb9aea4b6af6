"""Contract tests of the audit trail: what an operator changes is written with the change, or neither is."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from otpcore import models
from otpcore.models import Outcome
from otpcore.rate_limits.admission import Barrier, LimitReason
from otpcore.stores.records import AuditRecord
from otpcore.testing.stores.base import StoreBase
from otpcore.testing.stores.world import World

__all__ = ["AuditTests"]


class AuditTests(StoreBase):
    """Every command that an operator uses takes a record, and writes it where something changed."""

    async def test_audit_a_setting_is_written_with_who_changed_it_and_what_it_was(self, world: World) -> None:
        record = _record(world, "routes.set", target="sms", reason="mada is down")
        assert await world.store.write_setting("rules", "Mada", audit=record)
        assert await world.store.write_setting("rules", "Twilio", audit=record)
        latest, first = await world.store.audits(10)
        assert (latest.at, latest.by, latest.action) == (world.now, "ann", "routes.set")
        assert (latest.target, latest.reason) == ("sms", "mada is down")
        assert json.loads(latest.detail) == {"setting": "rules", "before": "Mada", "after": "Twilio"}
        assert json.loads(first.detail) == {"setting": "rules", "before": None, "after": "Mada"}
        assert latest.number > first.number > 0

    async def test_audit_what_changed_nothing_is_not_written(self, world: World) -> None:
        record = _record(world)
        await world.store.write_setting("paused", "on")
        assert not await world.store.write_setting("paused", "on", audit=record)
        assert not await world.store.write_setting("never there", None, audit=record)
        assert await world.store.reset_counters("phone-1/", audit=record) == 0
        assert await world.store.requeue("unknown", world.now, audit=record) == 0
        assert await world.store.drop("unknown", world.now, audit=record) is None
        assert await world.store.cancel("unknown", world.now, audit=record) is None
        old = world.at(-1)
        await world.store.purge(
            challenges_before=old, deliveries_before=old, phone_key=None, now=world.now, audit=record
        )
        await world.store.purge(
            challenges_before=old, deliveries_before=old, phone_key="phone-1", now=world.now, audit=record
        )
        assert await world.store.audits(10) == ()

    async def test_audit_a_sealed_record_is_written_with_who_changed_it(self, world: World) -> None:
        store, record = world.store, _record(world, "keys.new", target="key-1")
        assert await store.put_record("server", "one", b"x", expect=0, now=world.now, audit=record) is not None
        assert await store.put_record("server", "one", b"y", expect=0, now=world.now, audit=record) is None
        gone = _record(world, "keys.revoke", target="key-1")
        assert not await store.delete_record("server", "one", expect=1, now=world.now, audit=gone)
        assert await store.delete_record("server", "one", now=world.now, audit=gone)
        assert not await store.delete_record("server", "one", now=world.now, audit=gone)
        assert [(one.action, one.target) for one in await store.audits(10)] == [
            ("keys.revoke", "key-1"),
            ("keys.new", "key-1"),
        ]

    async def test_audit_a_send_of_an_operators_is_written_when_it_begins(self, world: World) -> None:
        record = _record(world, "instances.test", target="mada")
        refused = await world.begin(barrier=Barrier(reason=LimitReason.PAUSED), audit=record)
        assert refused.step is None
        assert await world.store.audits(10) == ()
        failover = await world.begin(audit=record)
        assert [(one.action, one.target) for one in await world.store.audits(10)] == [("instances.test", "mada")]
        await failover.answer(Outcome.ACCEPTED)
        cooling = await world.resend(failover.id, audit=record)
        assert cooling.step is None
        assert len(await world.store.audits(10)) == 1

    async def test_audit_each_command_of_an_operator_leaves_one_record(self, world: World) -> None:
        world.with_retries()
        failover = await world.begin()
        await failover.answer(Outcome.THROTTLED, retry_after=60)
        await world.store.requeue(failover.id, world.now, audit=_record(world, "retries.requeue"))
        await world.store.drop(failover.id, world.now, audit=_record(world, "retries.drop"))
        await world.store.cancel(failover.id, world.now, audit=_record(world, "challenges.cancel"))
        await world.charge("phone-1/send")
        await world.store.reset_counters("phone-1/", audit=_record(world, "limits.reset"))
        times: dict[str, Any] = {"challenges_before": world.now, "deliveries_before": world.now, "now": world.now}
        await world.store.purge(**times, phone_key="phone-1", audit=_record(world, "erase"))
        found = await world.store.audits(10)
        assert [one.action for one in reversed(found)] == [
            "retries.requeue",
            "retries.drop",
            "challenges.cancel",
            "limits.reset",
            "erase",
        ]
        details = {one.action: json.loads(one.detail) for one in found}
        assert details["retries.drop"] == {"state": "unsendable"}
        assert details["limits.reset"] == {"counters": 1}
        assert details["erase"] == {"challenges": 1, "deliveries": 1}

    async def test_audit_a_purge_leaves_one_record_however_much_it_removes(self, world: World) -> None:
        for number in range(3):
            await world.charge(f"phone-{number}/send")
        world.later(10_000)
        times: dict[str, Any] = {"challenges_before": world.now, "deliveries_before": world.now, "now": world.now}
        count = await world.store.purge(**times, phone_key=None, audit=_record(world, "purge"))
        assert count.counters == 3
        assert [one.action for one in await world.store.audits(10)] == ["purge"]

    async def test_audit_is_read_in_pages_from_the_latest_on_whatever_is_written_meanwhile(self, world: World) -> None:
        for number in range(5):
            await world.store.write_setting(f"setting-{number}", "x", audit=_record(world, target=f"target-{number}"))
        seen: list[AuditRecord] = []
        while page := await world.store.audits(2, below=seen[-1].number if seen else None):
            seen.extend(page)
            name = f"between-{len(seen)}"
            await world.store.write_setting(name, "x", audit=_record(world, target=name))
        assert [one.target for one in seen] == [f"target-{number}" for number in (4, 3, 2, 1, 0)]

    async def test_audit_is_read_of_one_action(self, world: World) -> None:
        for number, action in enumerate(["routes.set", "sending.pause", "routes.set", "routes"]):
            await world.store.write_setting("name", f"{number}", audit=_record(world, action, target=f"{number}"))
        latest, first = await world.store.audits(10, action="routes.set")
        assert (latest.target, first.target) == ("2", "0")
        assert await world.store.audits(10, below=latest.number, action="routes.set") == (first,)
        assert await world.store.audits(10, action="nobody did") == ()

    async def test_audit_is_purged_when_it_is_old(self, world: World) -> None:
        for _ in range(3):
            await world.store.write_setting("at", str(world.now), audit=_record(world))
            world.later(60)
        times: dict[str, Any] = {"challenges_before": world.at(-1), "deliveries_before": world.at(-1)}
        assert (await world.store.purge(**times, phone_key=None, now=world.now)).audits == 0
        count = await world.store.purge(**times, audit_before=world.at(61), phone_key=None, now=world.now)
        assert count.audits == 2
        (left,) = await world.store.audits(10)
        assert left.at == world.at(120)
        assert await world.store.audits(10, action="sending.pause") == (left,)

    @pytest.mark.parametrize("world_of", list(models.World))
    async def test_audit_is_one_for_all_worlds(self, world: World, world_of: models.World) -> None:
        (other,) = set(models.World) - {world_of}
        here, there = world.store.within(world_of), world.store.within(other)
        await here.write_setting("paused", "on", audit=_record(world))
        await world.charge("phone-1/send")
        await world.store.reset_counters("phone-1/", audit=_record(world, "limits.reset"))
        assert [one.action for one in await there.audits(10)] == ["limits.reset", "sending.pause"]
        assert await there.audits(10) == await here.audits(10)

    async def test_audit_takes_every_letter(self, world: World) -> None:
        record = _record(world, reason="пауза — 停止 \N{DOUBLE EXCLAMATION MARK} 'quoted' \\ %s", target="Ω")
        await world.store.write_setting("paused", "on", audit=record)
        (found,) = await world.store.audits(1)
        assert (found.reason, found.target) == (record.reason, record.target)
        assert found.at - record.at < timedelta(microseconds=1)


def _record(world: World, action: str = "sending.pause", **more: Any) -> AuditRecord:
    return AuditRecord(at=world.now, by="ann", action=action, **more)
