"""Contract tests of the audit trail: what an operator changes is written with the change, or neither is."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from otpcore import models
from otpcore.errors import InvalidArgument
from otpcore.models import Outcome
from otpcore.rate_limits.admission import Barrier, LimitReason
from otpcore.stores.records import AuditRecord
from otpcore.testing.stores.base import StoreBase
from otpcore.testing.stores.world import World

__all__ = ["AuditTests"]

ERASED = '{"erased": true}'
_OF_A_PERSON = (
    *("instances.test", "retries.requeue", "retries.drop", "challenges.cancel"),
    *("limits.reset", "reveal", "forget"),
)


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
        assert latest.detail.index("after") < latest.detail.index("before") < latest.detail.index("setting")
        assert latest.number > first.number > 0

    async def test_audit_what_changed_nothing_is_not_written(self, world: World) -> None:
        record = _record(world)
        assert await world.store.write_setting("paused", "on")
        assert not await world.store.write_setting("paused", "on", audit=record)
        assert not await world.store.write_setting("never there", None, audit=record)
        assert await world.store.reset_counters("phone-1/", audit=record) == 0
        assert await world.store.requeue("unknown", world.now, audit=record) is None
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

    async def test_audit_a_setting_is_written_only_where_the_expected_one_is_there(self, world: World) -> None:
        store, record = world.store, _record(world, "routes.set")
        assert not await store.write_setting("rules", "Mada", expect="Twilio", audit=record)
        assert await store.write_setting("rules", "Mada", expect=None, audit=record)
        assert not await store.write_setting("rules", "Twilio", expect=None, audit=record)
        assert not await store.write_setting("rules", None, expect="Twilio")
        assert not await store.write_setting("rules", "Mada", expect="Mada", audit=record)
        assert await store.settings() == {"rules": "Mada"}
        assert await store.write_setting("rules", None, expect="Mada", audit=record)
        assert await store.write_setting("rules", "Sinch", expect=None)
        assert len(await store.audits(10)) == 2
        assert await store.settings() == {"rules": "Sinch"}

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
        found = await world.store.audits(10)
        await _erase(world, "phone-1", models.World.REAL, _record(world, "erase"))
        found = (*await world.store.audits(1), *found)
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
        assert details["erase"] == {"audits": 3, "challenges": 1, "deliveries": 1}

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

    @pytest.mark.parametrize("world_of", list(models.World))
    async def test_audit_of_a_person_who_is_erased_keeps_who_did_what_and_when(
        self, world: World, world_of: models.World
    ) -> None:
        await _changes_of(world, "phone-1")
        await _changes_of(world, "phone-10")
        await world.store.write_setting("paused", "on", audit=_record(world, target="+3598", reason="pumped"))
        before = await world.store.audits(100)
        ours = {one.number for one in before if one.about == "phone-1"}
        assert len(ours) == len({one.number for one in before if one.about == "phone-10"}) == len(_OF_A_PERSON)
        assert [one.about for one in before].count("") == 1
        count = await _erase(world, "phone-1", world_of, _record(world, "erase"))
        assert count.audits == len(_OF_A_PERSON)
        last, *after = await world.store.audits(100)
        assert (last.action, last.target, last.about) == ("erase", "", "")
        assert [one for one in after if one.number not in ours] == [one for one in before if one.number not in ours]
        blanked = [one for one in after if one.number in ours]
        assert {(one.target, one.reason, one.detail, one.about) for one in blanked} == {("", "", ERASED, "")}
        kept = [(one.number, one.at, one.by, one.action) for one in before if one.number in ours]
        assert [(one.number, one.at, one.by, one.action) for one in blanked] == kept
        assert [one.action for one in reversed(blanked)] == list(_OF_A_PERSON)
        assert await world.store.audits(100, action="limits.reset") == tuple(
            one for one in after if one.action == "limits.reset"
        )
        assert (await _erase(world, "phone-1", world_of)).audits == 0

    async def test_audit_that_is_all_that_is_kept_of_a_person_is_blanked_too(self, world: World) -> None:
        await world.charge("phone-1/send")
        await world.store.reset_counters("phone-1/", audit=_record(world, "limits.reset", about="phone-1"))
        await _erase(world, "phone-1", models.World.REAL, _record(world, "erase"))
        latest, first = await world.store.audits(10)
        assert (json.loads(latest.detail), json.loads(first.detail)) == ({"audits": 1}, {"erased": True})
        times: dict[str, Any] = {"challenges_before": world.at(-1), "deliveries_before": world.at(-1)}
        count = await world.store.purge(**times, audit_before=world.at(1), phone_key=None, now=world.now)
        assert count.audits == 2
        assert await world.store.audits(10) == ()

    async def test_audit_is_about_what_can_be_kept(self, world: World) -> None:
        with pytest.raises(InvalidArgument, match="about"):
            await world.store.write_setting("paused", "on", audit=_record(world, about="+359 87 123"))
        assert await world.store.settings() == {}

    async def test_audit_takes_every_letter(self, world: World) -> None:
        record = _record(world, reason="пауза — 停止 \N{DOUBLE EXCLAMATION MARK} 'quoted' \\ %s", target="Ω")
        await world.store.write_setting("paused", "on", audit=record)
        (found,) = await world.store.audits(1)
        assert (found.reason, found.target) == (record.reason, record.target)
        assert found.at - record.at < timedelta(microseconds=1)


async def _changes_of(world: World, phone: str) -> None:
    """All that an operator may do to one person, with a reason that quotes the person."""

    def record(action: str, **more: Any) -> AuditRecord:
        return _record(world, action, target="+3598******67", reason=f"{phone} asked for it", **more)

    world.with_retries()
    store = world.store
    failover = await world.begin(phone=phone, audit=record("instances.test"))
    await failover.answer(Outcome.THROTTLED, retry_after=60)
    await store.requeue(failover.id, world.now, audit=record("retries.requeue"))
    await store.drop(failover.id, world.now, audit=record("retries.drop"))
    await store.cancel(failover.id, world.now, audit=record("challenges.cancel"))
    await world.charge(f"{phone}/send")
    await store.reset_counters(f"{phone}/", audit=record("limits.reset", about=phone))
    so: dict[str, Any] = {"now": world.now, "audit": record("reveal")}
    await store.put_record("server", phone, b"x", expires_at=world.at(60), about=phone, **so)
    await store.delete_record("server", phone, now=world.now, audit=record("forget"))


async def _erase(world: World, phone: str, world_of: models.World, audit: AuditRecord | None = None) -> Any:
    times: dict[str, Any] = {"challenges_before": world.now, "deliveries_before": world.now, "now": world.now}
    return await world.store.within(world_of).purge(**times, phone_key=phone, audit=audit)


def _record(world: World, action: str = "sending.pause", **more: Any) -> AuditRecord:
    return AuditRecord(at=world.now, by="ann", action=action, **more)
