"""A started store at an address, and a world of the contract's tests around it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from otp_redis import RedisStore

from otpcore.testing.stores.contract import World


@asynccontextmanager
async def world_at(url: str, **more: Any) -> AsyncIterator[World]:
    """``more``: further arguments of the store, such as its patience in seconds."""
    async with AsyncExitStack() as stack:
        store = RedisStore(url, **more)
        await store.start(stack)
        yield World(store=store)
