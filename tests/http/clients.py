"""A client for tests, and the error that it raises."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from otpcore.errors import ProviderError
from otpcore.http.client import open_client
from otpcore.providers.hooks import ProviderContext


@asynccontextmanager
async def client_of(base_url, *, auth=None, headers=None, **context):
    async with AsyncExitStack() as stack:
        yield await open_client(
            stack, ProviderContext(instance="acme", **context), base_url=base_url, auth=auth, headers=headers
        )


async def failure_of(awaitable) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await awaitable
    return caught.value
