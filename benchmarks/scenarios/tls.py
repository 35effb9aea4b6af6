"""The lean transport over TLS, beside the same in clear text."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks import floors
from benchmarks.measuring import phones, steady
from benchmarks.plan import Case, Results, World
from benchmarks.tables import Table, timings

__all__ = ["CLEAR", "MEASURES", "NOTE", "SETTING", "TITLE", "TLS", "cases", "tables"]

TITLE = "TLS"
NOTE = "httpx over httpx-aiohttp alone, 32 in flight, the stub at 0 ms; connections are open."
SETTING = "32 in flight"
CLEAR, TLS = "lean transport, clear text", "lean transport, TLS"
_IN_FLIGHT = 32


def cases(world: World) -> Iterator[Case]:
    for name, url, certificate in ((CLEAR, world.urls["0"], ""), (TLS, world.urls["tls"], world.certificate)):
        parameters = {"base_url": url, "certificate": certificate, **world.times}
        yield Case(scenario="tls", setting=SETTING, name=name, measure="tls.lean", parameters=parameters)


def lean(base_url: str, certificate: str, **times: float) -> Mapping[str, Any]:
    return asyncio.run(_lean(base_url, certificate, **times))


MEASURES = {"tls.lean": lean}


def tables(results: Results) -> Iterator[Table]:
    yield timings(results, "tls", SETTING, floor=CLEAR, ratio_of="clear text")


async def _lean(base_url: str, certificate: str, **times: float) -> Mapping[str, Any]:
    trusted = ssl.create_default_context(cafile=certificate) if certificate else True
    numbers = iter(phones())
    async with floors.lean_client(base_url, _IN_FLIGHT, verify=trusted) as client:
        post = floors.http_poster(client)
        return await steady(lambda: post(next(numbers), "123456"), in_flight=_IN_FLIGHT, **times)
