"""A connection that is lost at a commit: nobody knows whether it took place, and what was charged is given back once."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import anyio
import pytest

from otpcore.errors import StoreError
from otpcore.models import ChallengeState, Outcome, UnsendableReason
from otpcore.stores.sql.server.database import ServerDatabase
from otpcore.stores.sql.store import SqlStore
from otpcore.stores.transactions import begin, limits

from ..servers import empty  # noqa: TID252 - tests are no package that could be imported by name

KEY = "phone-1/send/600"


@pytest.fixture(params=["postgres", "mariadb"])
async def world(request: pytest.FixtureRequest, new_world) -> AsyncIterator:
    url = request.getfixturevalue(f"{request.param}_url")
    empty(url)
    store = SqlStore(url, patience=5)
    async with AsyncExitStack() as stack:
        await store.start(stack)
        world = new_world()
        world.store = store
        yield world


def _lose(wire, raw) -> None:
    """Its transaction is committed, and nobody hears of it."""
    commit = wire.commit

    def commit_and_be_lost() -> None:
        commit()
        wire.is_ending = True  # the answer was still on its way
        raw.close()
        raw.cursor().execute("SELECT 1")  # the driver's own error

    wire.commit = commit_and_be_lost


@contextlib.contextmanager
def commits_lost(monkeypatch, lost: frozenset[int]) -> Iterator[list[int]]:
    """Of the next transactions those of these numbers are committed, and the connection is lost; how many there were."""
    begin, seen = ServerDatabase._begin, []

    def begin_to_lose(self, connection):
        rows = begin(self, connection)
        seen.append(len(seen) + 1)
        if seen[-1] in lost:
            _lose(rows.wire, connection.connection.dbapi_connection)
        return rows

    with monkeypatch.context() as patched:
        patched.setattr(ServerDatabase, "_begin", begin_to_lose)
        yield seen


async def _settled(seen: list[int], at_least: int) -> None:
    """What follows has taken place."""
    with anyio.fail_after(20):
        while len(seen) < at_least:
            await anyio.sleep(0.01)
    await anyio.sleep(0.1)


@pytest.mark.parametrize("lost", [(2,), (2, 3), (2, 3, 4)], ids=str)
async def test_a_send_that_began_and_nobody_heard_of_is_given_back_once(world, monkeypatch, lost):
    """Charged, begun, taken back: the last is tried again as often as it is lost."""
    await world.begin(subject="login 0", charges=world.charges(KEY))
    with commits_lost(monkeypatch, frozenset(lost)) as seen:
        with pytest.raises(StoreError, match="lost at the commit"):
            await world.begin(subject="login 1", charges=world.charges(KEY))
        await _settled(seen, len(lost) + 2)
    assert await world.used(KEY) == 1
    withdrawn = (await world.store.view(phone_key="phone-1"))[0].challenge
    assert (withdrawn.state, withdrawn.reason) == (ChallengeState.UNSENDABLE, UnsendableReason.FAILED)


@pytest.mark.parametrize("lost", [(2,), (2, 3)], ids=str)
async def test_a_refusal_that_nobody_heard_of_is_given_back_once(world, monkeypatch, lost):
    """A first send of a subject whose challenge lives: somebody else was faster."""
    await world.begin(subject="login", charges=world.charges(KEY))
    with commits_lost(monkeypatch, frozenset(lost)) as seen:
        with pytest.raises(StoreError, match="lost at the commit"):
            await world.begin(subject="login", charges=world.charges(KEY))
        await _settled(seen, len(lost) + 2)
    assert await world.used(KEY) == 1


async def test_who_goes_on_with_a_send_that_nobody_heard_of_keeps_its_charge(new_world):
    """Taking back comes late: a worker has found the send by its lease, and its message was taken."""
    world = new_world().with_retries()
    send = world.new_send(world.challenge("login", "phone-1"), world.vendor(), charges=world.charges(KEY))
    _, admitted = await world.store._write(lambda rows: begin.begin(rows, send, world.now))
    world.later(60)
    claim = (await world.claim()).claims[0]
    failover = await world.begin_retry(claim, world.vendor())
    await failover.answer(Outcome.ACCEPTED)
    await world.store._write(lambda rows: begin.take_back(rows, send, admitted, world.now))
    assert await world.used(KEY) == 1


async def test_what_another_send_took_the_place_of_is_given_back(new_world):
    """The first was recorded and never handed over; the resend knew only that its outcome was open."""
    world = new_world()
    send = world.new_send(world.challenge("login", "phone-1"), world.vendor(), charges=world.charges(KEY))
    _, admitted = await world.store._write(lambda rows: begin.begin(rows, send, world.now))
    world.later(60)
    await world.resend(send.challenge.id, world.vendor(), charges=world.charges(KEY))
    for _ in range(2):
        await world.store._write(lambda rows: begin.take_back(rows, send, admitted, world.now))
        assert await world.used(KEY) == 1


async def test_a_charge_that_came_to_nothing_is_given_back_once_however_long_it_is_tried(new_world):
    """Five tries, each for as long as the store is patient: more than a minute passes between the first and the last."""
    world = new_world()
    await world.charge(KEY)
    send = world.new_send(world.challenge("login", "phone-1"), world.vendor(), charges=world.charges(KEY))
    admitted = await world.store._write(lambda rows: limits.charge(rows, send, world.now))
    assert await world.used(KEY) == 2
    for seconds in (0, 15, 15, 15, 15):
        world.later(seconds)
        await world.store._write(lambda rows: begin.take_back(rows, send, admitted, world.now))
        assert await world.used(KEY) == 1


async def test_of_a_vendors_code_and_words_so_much_is_kept(new_world):
    world = new_world()
    failover = await world.begin()
    await failover.answer(Outcome.UNAVAILABLE, provider_code="7" * 100, words="w" * 300)
    (breaker,) = await world.breakers()
    assert (len(breaker.code), len(breaker.words)) == (80, 200)
