"""A process that uses a store until it is killed: ``python -m otpcore.testing.stores.crash_child``, told by JSON what to do."""

from __future__ import annotations

import itertools
import json
import sys
from contextlib import AsyncExitStack
from importlib import import_module
from typing import Any

import anyio

from otpcore.stores.contract import Store
from otpcore.testing.stores.world import World

_SENDERS = 4


async def _begin(world: World) -> None:
    """Begin a send, and never say what became of it."""
    failover = await world.begin(phone="phone-1", charges=world.charges())
    _say(failover.id)
    await anyio.sleep_forever()


async def _claim(world: World) -> None:
    """Claim what is due and record its first delivery, and never say what became of it."""
    due_at = await world.store.next_due()
    world.now = due_at
    (claim,) = (await world.claim()).claims
    failover = await world.begin_retry(claim)
    _say(failover.delivery.id)
    await anyio.sleep_forever()


async def _send(world: World) -> None:
    """Charge and begin for one person after another as fast as it goes; say whose send has begun."""

    async def many(sender: int) -> None:
        for number in itertools.count():
            phone = f"phone-{sender}-{number}"
            await world.begin(phone=phone, charges=world.charges(limit=1_000_000))
            _say(phone)

    async with anyio.create_task_group() as tasks:
        for sender in range(_SENDERS):
            tasks.start_soon(many, sender)


_WORK = {"begin": _begin, "claim": _claim, "send": _send}


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


async def _main(store: Store, work: str, first_number: int) -> None:
    async with AsyncExitStack() as stack:
        await store.start(stack)
        world = World(store=store, numbers=itertools.count(first_number)).with_retries()
        await _WORK[work](world)


def main(order: dict[str, Any]) -> None:
    """Open the store as the author says, and work."""
    if order["path"]:
        sys.path.insert(0, order["path"])
    module, _, function = order["function"].partition(":")
    store = getattr(import_module(module), function)(*order["arguments"])
    anyio.run(_main, store, order["work"], order["first_number"], backend=order["backend"])


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
