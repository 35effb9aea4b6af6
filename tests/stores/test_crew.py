"""The threads of a store on a server: who leaves is not waited for, who waits too long is told, and what nobody heard of is followed."""

from __future__ import annotations

import threading

import anyio
import anyio.to_thread
import pytest

from otpcore.errors import StoreError
from otpcore.stores import crew as _crew
from otpcore.stores.crew import Crew


def crew(size: int = 1, patience: float = 10) -> Crew:
    return Crew("the test", size=size, patience=patience)


async def until(event: threading.Event) -> None:
    assert await anyio.to_thread.run_sync(event.wait, 10)


class Held:
    """A unit under way until it is let go."""

    def __init__(self) -> None:
        self.begun, self.let_go = threading.Event(), threading.Event()
        self.was_wanted: bool | None = None

    def __call__(self, is_wanted):
        self.begun.set()
        self.let_go.wait(10)
        self.was_wanted = is_wanted()
        return "done"


async def test_who_is_cancelled_leaves_at_once_and_the_unit_hears_that_nobody_wants_it():
    one, unit, heard, followed = crew(), Held(), [], threading.Event()

    def otherwise(result):
        heard.append(result)
        followed.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: one.run(unit, otherwise=otherwise))
        await until(unit.begun)
        tasks.cancel_scope.cancel()
    assert not unit.let_go.is_set()  # the caller has left before
    unit.let_go.set()
    await until(followed)
    assert (unit.was_wanted, heard) == (False, ["done"])
    await one.aclose()


async def test_what_has_to_take_place_does_so_without_its_caller():
    one, unit = crew(), Held()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: one.run(unit, even_if_cancelled=True))
        await until(unit.begun)
        tasks.cancel_scope.cancel()
    unit.let_go.set()
    await one.aclose()
    assert unit.was_wanted


async def test_who_waits_longer_than_the_patience_is_told_and_nothing_takes_place():
    one, unit, done, followed = crew(patience=0.05), Held(), [], []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run, unit)
        await until(unit.begun)
        with pytest.raises(StoreError, match=r"all 1 connections were busy for 0\.05 s"):
            await one.run(lambda _: done.append(1), even_if_cancelled=True, otherwise=followed.append)
        unit.let_go.set()
    await one.aclose()
    assert (done, followed) == ([], [None])


async def test_what_begins_something_waits_behind_what_goes_on():
    one, unit, order = crew(), Held(), []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run, unit)
        await until(unit.begun)
        for name, last in (("new", True), ("newer", True), ("under way", False)):
            tasks.start_soon(lambda name=name, last=last: one.run(lambda _: order.append(name), last=last))
        with anyio.fail_after(10):
            while sum(map(len, one._queues)) < 3:
                await anyio.sleep(0.001)
        unit.let_go.set()
    await one.aclose()
    assert order[0] == "under way"


async def test_what_failed_is_followed_before_its_caller_hears():
    one, order = crew(), []

    def fail(_):
        raise StoreError("by the test")

    with pytest.raises(StoreError, match="by the test"):
        await one.run(fail, otherwise=order.append)
    assert order == [None]
    await one.aclose()


async def test_what_follows_again_does_so_in_another_thread_while_the_first_has_not_left(monkeypatch):
    """A thread may be late to leave a failed unit; meanwhile another one takes what is to follow it once more."""
    one, heard, followed, woken = crew(size=2), [], threading.Event(), _crew.wake

    def otherwise(result):
        heard.append(threading.get_ident())
        if len(heard) == 1:
            raise StoreError("by the test")
        followed.set()

    def wake_late(waiters):
        followed.wait(5)
        woken(waiters)

    def fail(_):
        raise StoreError("by the test")

    async with anyio.create_task_group() as tasks:
        first, second = Held(), Held()
        for held in (first, second):  # two at once start two threads
            tasks.start_soon(one.run, held)
            await until(held.begun)
        first.let_go.set()
        second.let_go.set()
    with anyio.fail_after(10):
        while one._idle < 2:
            await anyio.sleep(0.001)
    monkeypatch.setattr(_crew, "wake", wake_late)
    with pytest.raises(StoreError, match="by the test"):
        await one.run(fail, otherwise=otherwise)
    assert followed.is_set()
    assert len(set(heard)) == 2
    with anyio.fail_after(10):
        await one.aclose()


async def test_it_is_used_again_after_it_was_closed():
    one = crew(size=2)
    assert await one.run(lambda _: 1) == 1
    await one.aclose()
    assert await one.run(lambda _: 2) == 2
    await one.aclose()
