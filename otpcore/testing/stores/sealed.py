"""Contract tests of sealed records: compare and set, expiry, listing, and one world only."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import anyio
import attrs
import pytest

from otpcore import models
from otpcore.errors import InvalidArgument
from otpcore.stores.sealed import LARGEST_RECORD, SealedRecord
from otpcore.testing.stores.base import StoreBase
from otpcore.testing.stores.world import World

__all__ = ["SealedTests"]

HOOKS = "webhooks"


class SealedTests(StoreBase):
    """What services keep in a store."""

    async def test_records_are_read_as_they_were_written(self, world: World) -> None:
        sealed, soon = bytes(range(256)), world.at(60)
        version = await _put(world, "one", sealed, expires_at=soon)
        assert await _get(world, "one") == SealedRecord(
            namespace=HOOKS, key="one", version=version, sealed=sealed, expires_at=soon
        )
        assert await _get(world, "other") is None
        assert await world.store.get_record("other", "one", world.now) is None

    async def test_records_are_replaced_only_where_the_expected_version_is(self, world: World) -> None:
        first = await _put(world, "one", b"1", expect=0)
        assert first
        assert await _put(world, "one", b"2", expect=0) is None
        second = await _put(world, "one", b"2", expect=first)
        assert second > first
        assert await _put(world, "one", b"3", expect=first) is None
        assert (await _get(world, "one")).sealed == b"2"
        assert await _put(world, "one", b"4") > second
        assert await _put(world, "other", b"5", expect=second) is None
        assert await _get(world, "other") is None

    async def test_records_are_written_by_one_of_many_who_saw_the_same(self, world: World) -> None:
        for expect in (0, await _put(world, "two", b"before")):
            won: list[Any] = []

            async def write(number: int, expect: int = expect, won: list[Any] = won) -> None:
                if await _put(world, "two" if expect else "one", b"%d" % number, expect=expect):
                    won.append(number)

            async with anyio.create_task_group() as tasks:
                for number in range(8):
                    tasks.start_soon(write, number)
            assert len(won) == 1
            assert (await _get(world, "two" if expect else "one")).sealed == b"%d" % won[0]

    async def test_records_that_are_removed_leave_no_version_that_fits_again(self, world: World) -> None:
        old = await _put(world, "one", b"1")
        assert not await _delete(world, "one", expect=old + 1)
        assert await _delete(world, "one", expect=old)
        assert not await _delete(world, "one")
        assert await _get(world, "one") is None
        world.later(0.000001)  # the least that two times differ by
        assert await _put(world, "one", b"2", expect=0) > old
        assert await _put(world, "one", b"3", expect=old) is None

    async def test_records_that_have_expired_are_not_there(self, world: World) -> None:
        version = await _put(world, "one", b"1", expires_at=world.at(60))
        await _put(world, "two", b"2")
        world.later(59.999999)
        assert (await _get(world, "one")).version == version
        world.later(0.000001)
        assert await _get(world, "one") is None
        assert [one.key for one in (await _list(world)).items] == ["two"]
        assert not await _delete(world, "one")
        assert await _put(world, "one", b"3", expect=version) is None
        assert await _put(world, "one", b"3", expect=0) > version
        assert (await _get(world, "one")).sealed == b"3"

    async def test_records_that_have_expired_are_purged(self, world: World) -> None:
        for number in range(3):
            await _put(world, f"key-{number}", b"1", expires_at=world.at(60 + number))
        await _put(world, "lasting", b"2")
        await _put(world, "key-1", b"3", expires_at=world.at(3600))  # it lives for longer now
        world.later(62)
        assert [(await _purge(world)).records for _ in range(2)] == [2, 0]
        assert [one.key for one in (await _list(world)).items] == ["key-1", "lasting"]

    async def test_records_are_listed_by_key_a_page_at_a_time(self, world: World) -> None:
        keys = ["a", "B", "a/1", "a:2", "b%", "_", "b_", "~", "0"]
        for key in keys:
            await _put(world, key, key.encode())
        await world.store.put_record("webhooks2", "c", b"c", now=world.now)
        found, after = [], None
        while True:
            page = await _list(world, after=after, limit=2)
            found += page.items
            after = page.cursor
            if after is None:
                break
            await _put(world, "!", b"new")  # before all of them
        assert [one.key for one in found] == sorted(keys)
        assert [one.sealed.decode() for one in found] == sorted(keys)

    async def test_records_that_fill_a_page_are_the_last_where_none_follow(self, world: World) -> None:
        for key in ("a", "b"):
            await _put(world, key, b"1")
        first, both = await _list(world, limit=1), await _list(world, limit=2)
        assert ([one.key for one in first.items], first.cursor) == (["a"], "a")
        assert ([one.key for one in both.items], both.cursor) == (["a", "b"], None)

    async def test_records_refuse_a_page_without_room(self, world: World) -> None:
        with pytest.raises(InvalidArgument, match="limit"):
            await _list(world, limit=0)

    async def test_records_are_of_one_world(self, world: World) -> None:
        there = attrs.evolve(world, store=world.store.within(models.World.SANDBOX))
        await _put(world, "one", b"real", expires_at=world.at(60))
        assert await _get(there, "one") is None
        assert await _put(there, "one", b"sandbox", expect=0)
        assert (await _get(world, "one")).sealed == b"real"
        assert await _delete(there, "one")
        assert len((await _list(world)).items) == 1
        world.later(60)
        assert (await _purge(there)).records == 0

    async def test_records_about_a_phone_are_erased_with_it(self, world: World) -> None:
        there = attrs.evolve(world, store=world.store.within(models.World.SANDBOX))
        soon = world.at(60)
        for key, about in (("one", "phone-1"), ("two", "phone-1"), ("other", "phone-2"), ("nobody", "")):
            await _put(world, key, b"1", expires_at=soon, about=about)
        assert (await _get(world, "one")).about == "phone-1"
        await _put(world, "two", b"2", expires_at=soon, about="phone-2")  # it is about somebody else now
        await _put(world, "late", b"1", expires_at=soon)
        await _put(world, "late", b"2", expires_at=soon, about="phone-1")
        assert (await _erase(there, "phone-1")).records == 0
        assert (await _erase(world, "phone-1")).records == 2
        assert [one.key for one in (await _list(world)).items] == ["nobody", "other", "two"]
        assert (await _erase(world, "phone-1")).records == 0
        assert await _put(world, "one", b"3", expires_at=soon, expect=0, about="phone-1")
        assert await _delete(world, "one")
        assert (await _erase(world, "phone-1")).records == 0
        assert (await _erase(world, "phone-2")).records == 2

    async def test_records_about_a_phone_must_expire(self, world: World) -> None:
        with pytest.raises(InvalidArgument, match="expires_at"):
            await _put(world, "one", b"1", about="phone-1")
        with pytest.raises(InvalidArgument, match="about"):
            await _put(world, "one", b"1", about="phone 1", expires_at=world.at(60))

    @pytest.mark.parametrize(
        ("namespace", "key"),
        [("", "one"), ("n" * 65, "one"), ("a b", "one"), ("n", ""), ("n", "k" * 256), ("n", "ключ")],
    )
    async def test_records_refuse_names_that_not_every_store_keeps(
        self, world: World, namespace: str, key: str
    ) -> None:
        with pytest.raises(InvalidArgument):
            await world.store.put_record(namespace, key, b"", now=world.now)

    async def test_records_refuse_what_is_too_large(self, world: World) -> None:
        most = b"x" * LARGEST_RECORD
        assert await _put(world, "k" * 255, most)
        assert (await _get(world, "k" * 255)).sealed == most
        with pytest.raises(InvalidArgument, match="60000 bytes"):
            await _put(world, "two", most + b"x")


async def _put(world: World, key: str, sealed: bytes, **more: Any) -> Any:
    return await world.store.put_record(HOOKS, key, sealed, now=world.now, **more)


async def _get(world: World, key: str) -> Any:
    return await world.store.get_record(HOOKS, key, world.now)


async def _delete(world: World, key: str, **more: Any) -> bool:
    return bool(await world.store.delete_record(HOOKS, key, now=world.now, **more))


async def _list(world: World, **more: Any) -> Any:
    return await world.store.list_records(HOOKS, now=world.now, **more)


async def _erase(world: World, phone_key: str) -> Any:
    return await world.store.purge(
        challenges_before=world.now, deliveries_before=world.now, phone_key=phone_key, now=world.now
    )


async def _purge(world: World) -> Any:
    long_ago = world.now - timedelta(days=365)
    return await world.store.purge(
        challenges_before=long_ago, deliveries_before=long_ago, phone_key=None, now=world.now
    )
