"""Contract tests of lists: what is found, page by page, while others write, and in one world only."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from otpcore import models
from otpcore.errors import InvalidArgument
from otpcore.models import ChallengeState, Channel, Outcome
from otpcore.stores.lists import EXAMINED, ChallengeFilter, DeliveryFilter, Filter
from otpcore.stores.steps import Candidate
from otpcore.testing.stores.base import StoreBase
from otpcore.testing.stores.scenes import accepted
from otpcore.testing.stores.world import MADA, World

__all__ = ["ListTests"]


_BOTH: tuple[Filter[Any], ...] = (ChallengeFilter(), DeliveryFilter())


class ListTests(StoreBase):
    """Deliveries and challenges, the newest first."""

    async def test_lists_are_in_the_order_of_time_the_newest_first(self, world: World) -> None:
        failovers = [await world.begin(phone=f"phone-{number}") for number in (1, 2)]  # at the same moment
        world.later(1)
        failovers.append(await world.begin(phone="phone-3"))
        world.later(-2)  # another process, whose clock is behind
        failovers.insert(0, await world.begin(phone="phone-4"))
        ids = [one.id for one in reversed(failovers)]
        assert [one.id for one in await _all(world, ChallengeFilter())] == ids
        assert [one.challenge_id for one in await _all(world, DeliveryFilter())] == ids

    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
    async def test_lists_have_each_row_once_however_they_are_cut(self, world: World, limit: int) -> None:
        for number in range(7):
            await world.begin(phone=f"phone-{number % 3}", subject=f"subject-{number}")
            world.later(number % 2)
        for which in _BOTH:
            found = await _all(world, which, limit)
            assert len({one.id for one in found}) == len(found) == 7

    async def test_lists_have_no_next_page_after_one_that_has_all_the_rest(self, world: World) -> None:
        for number in range(3):
            await world.begin(phone=f"phone-{number}")
        for which in _BOTH:
            first = await _page(world, which, limit=1)
            page = await _page(world, which, after=first.cursor, limit=2)
            assert (len(page.items), page.cursor) == (2, None)

    async def test_lists_of_nothing_are_an_empty_page(self, world: World) -> None:
        for which in _BOTH:
            page = await _page(world, which)
            assert (page.items, page.cursor) == ((), None)

    async def test_lists_neither_skip_nor_repeat_while_others_write(self, world: World) -> None:
        failovers = [await accepted(world, phone=f"phone-{number}", reference=f"M{number}") for number in range(6)]
        for turn, which in enumerate((*_BOTH, DeliveryFilter(instance="mada"))):
            first = await _page(world, which, limit=2)
            world.later(1)
            await accepted(world, phone="phone-9", subject=f"after {turn}", reference=f"N{turn}")
            world.later(-2)
            late = await world.begin(phone="phone-8", subject=f"late {turn}")  # written later, by a clock behind
            await world.undelivered(reference="M1")
            found = [*first.items, *await _all(world, which, 2, first.cursor)]
            ids = [_challenge_of(one) for one in found]
            assert [one for one in ids if one in {f.id for f in failovers}] == [f.id for f in reversed(failovers)]
            assert ids.count(late.id) == 1
            world.later(1)

    async def test_lists_go_on_where_rows_were_purged(self, world: World) -> None:
        failovers = []
        for number in range(5):
            failovers.append(await accepted(world, phone=f"phone-{number}", reference=f"M{number}"))
            world.later(1)
        page = await _page(world, DeliveryFilter(), limit=2)
        await world.store.purge(
            challenges_before=world.now, deliveries_before=world.now, phone_key="phone-3", now=world.now
        )
        await world.store.purge(
            challenges_before=world.at(0), deliveries_before=world.at(1), phone_key=None, now=world.now
        )
        rest = await _all(world, DeliveryFilter(), 2, page.cursor)
        assert [one.challenge_id for one in rest] == [failovers[2].id, failovers[1].id]

    @pytest.mark.parametrize(
        ("which", "expected"),
        [
            (DeliveryFilter(phone_key="phone-1"), "cba"),
            (DeliveryFilter(phone_key="phone-1", outcome=Outcome.THROTTLED), "b"),
            (DeliveryFilter(phone_key="phone-1", instance="backup"), "c"),
            (DeliveryFilter(instance="mada"), "dba"),
            (DeliveryFilter(instance="mada", outcome=Outcome.ACCEPTED), "a"),
            (DeliveryFilter(outcome=Outcome.ACCEPTED), "ca"),
            (DeliveryFilter(outcome=Outcome.OPEN), "d"),
            (DeliveryFilter(prefix="+35987"), "c"),
            (DeliveryFilter(prefix=""), "dba"),
            (DeliveryFilter(channel=Channel.CALL), "d"),
            (DeliveryFilter(channel=Channel.SMS, prefix=""), "ba"),
            (DeliveryFilter(instance="unknown"), ""),
            (DeliveryFilter(provider_code="20429"), "b"),
            (DeliveryFilter(instance="backup", provider_code="20429"), ""),
            (ChallengeFilter(phone_key="phone-1"), "ba"),
            (ChallengeFilter(phone_key="phone-1", state=ChallengeState.APPROVED), "a"),
            (ChallengeFilter(instance="backup"), "b"),
            (ChallengeFilter(purpose="payment"), "d"),
            (ChallengeFilter(app="shop"), "d"),
            (ChallengeFilter(app=""), "ba"),
            (ChallengeFilter(state=ChallengeState.SENT), "b"),
            (ChallengeFilter(state=ChallengeState.EXPIRED), ""),
        ],
    )
    async def test_lists_have_what_is_asked_for(self, world: World, which: Filter[Any], expected: str) -> None:
        """a: mada took it, and the code was right. b: mada was throttled. c: then backup took it. d: a call under way."""
        names: dict[str, str] = {}
        one = await accepted(world, reference="M1")
        names[one.answered.id] = names[one.id] = "a"
        assert await world.store.approve(await world.reserve(), settled=(), now=world.now)
        world.later(1)
        route = (Candidate(instance="mada"), Candidate(instance="backup", prefix="+35987"))
        two = await world.begin(route)
        names[two.id], names[two.delivery.id] = "b", "b"
        await two.answer(Outcome.THROTTLED, provider_code="20429")
        names[two.delivery.id] = "c"
        await two.answer(Outcome.ACCEPTED, reference="M2")
        world.later(1)
        payment = attrs.evolve(world.challenge("payment", "phone-2"), app="shop")
        three = await world.send(world.new_send(payment, MADA, channel=Channel.CALL))
        names[three.id] = names[three.delivery.id] = "d"
        assert "".join(names[found.id] for found in await _all(world, which, 1)) == expected

    async def test_challenges_are_read_by_their_ids(self, world: World) -> None:
        ids = [(await world.begin(phone=f"phone-{number}", subject=f"subject-{number}")).id for number in range(3)]
        found = await world.store.challenges([*ids[:2], ids[0], "unknown"])
        assert sorted(one.id for one in found) == sorted(ids[:2])
        assert await world.store.challenges([]) == ()

    async def test_lists_begin_with_one_time_and_end_before_another(self, world: World) -> None:
        ids = []
        for number in range(4):
            ids.append((await world.begin(phone=f"phone-{number}")).id)
            world.later(1)
        span: dict[str, Any] = {"since": world.at(1), "until": world.at(3)}
        for which in (
            ChallengeFilter(**span),
            DeliveryFilter(**span),
            DeliveryFilter(**span, instance="mada"),
            DeliveryFilter(**span, outcome=Outcome.OPEN),
        ):
            assert [_challenge_of(one) for one in await _all(world, which, 1)] == [ids[2], ids[1]]
        assert await _all(world, ChallengeFilter(since=world.at(1), until=world.at(2), phone_key="phone-0")) == []

    async def test_lists_look_at_so_many_rows_only_for_what_no_index_finds(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert EXAMINED == 5_000
        monkeypatch.setattr("otpcore.stores.transactions.lists.EXAMINED", 50)
        rare = await accepted(world, world.core("backup"))
        world.later(1)
        (delivery,) = (await rare.view()).deliveries

        def fill(rows: Any) -> None:
            for number in range(50):
                fresh = {"id": f"one-{number}", "challenge_id": f"gone-{number}", "recorded_at": world.now}
                one = attrs.evolve(delivery, **fresh, reference="", outcome=Outcome.THROTTLED)
                rows.insert_delivery(one, "phone-1")

        await world.store._write(fill)  # noqa: SLF001 - of challenges that are gone
        wanted = DeliveryFilter(outcome=Outcome.ACCEPTED)
        page = await _page(world, wanted, limit=1)
        assert page.items == ()
        assert page.cursor is not None
        assert [one.id for one in await _all(world, wanted, 1, page.cursor)] == [delivery.id]
        world.later(1)
        await (await world.begin(phone="phone-2")).answer(Outcome.MISCONFIGURED)
        monkeypatch.setattr("otpcore.stores.transactions.lists.EXAMINED", 100)
        for outcome in (Outcome.ACCEPTED, Outcome.MISCONFIGURED):  # the oldest of all, and the newest
            page = await _page(world, DeliveryFilter(outcome=outcome), limit=1)
            assert ([one.outcome for one in page.items], page.cursor) == ([outcome], None)

    async def test_lists_are_of_one_world(self, world: World) -> None:
        there = attrs.evolve(world, store=world.store.within(models.World.SANDBOX))
        here, other = await world.begin(), await there.begin(phone="phone-2")
        for which in (ChallengeFilter(), DeliveryFilter(), DeliveryFilter(instance="mada"), DeliveryFilter(prefix="")):
            assert [_challenge_of(one) for one in await _all(world, which)] == [here.id]
            assert [_challenge_of(one) for one in await _all(there, which)] == [other.id]
        for which in (ChallengeFilter(phone_key="phone-1"), DeliveryFilter(phone_key="phone-1")):
            assert await _all(there, which) == []

    @pytest.mark.parametrize("cursor", ["", "x", "1", "1-", "1-2-3", "f" * 40, "-1-1", "1-0 OR 1"])
    async def test_lists_refuse_what_is_no_cursor(self, world: World, cursor: str) -> None:
        for which in (ChallengeFilter(), DeliveryFilter()):
            with pytest.raises(InvalidArgument, match="cursor"):
                await _page(world, which, after=cursor)

    async def test_lists_refuse_a_page_without_room(self, world: World) -> None:
        with pytest.raises(InvalidArgument, match="limit"):
            await _page(world, DeliveryFilter(), limit=0)


async def _page(world: World, wanted: Filter[Any], after: str | None = None, limit: int = 50) -> Any:
    listing = world.store.list_deliveries if isinstance(wanted, DeliveryFilter) else world.store.list_challenges
    return await listing(wanted, after=after, limit=limit)


async def _all(world: World, wanted: Filter[Any], limit: int = 50, after: str | None = None) -> list[Any]:
    """Page by page, to the end."""
    found: list[Any] = []
    while True:
        page = await _page(world, wanted, after, limit)
        assert len(page.items) <= limit
        found += page.items
        after = page.cursor
        if after is None:
            return found


def _challenge_of(record: Any) -> str:
    return str(getattr(record, "challenge_id", record.id))
