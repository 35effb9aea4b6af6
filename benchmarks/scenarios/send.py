"""One send to a provider over HTTP: floors, otpcore on each store, and the SDKs that people use instead."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import floors
from benchmarks.measuring import phones, steady
from benchmarks.ours import opened
from benchmarks.plan import Case, Missing, Results, World
from benchmarks.tables import Table, callers, costs

__all__ = ["LEAN", "MEASURES", "NOTE", "SDK", "TITLE", "cases", "floor_of", "setting", "tables"]

TITLE = "Send"
NOTE = (
    "One send over HTTP to the stub provider, which answers at once, with 256 callers after 50 ms. otpcore sends with otp-twilio, "
    "routes, charges limits and commits twice. A floor makes a code and an HMAC, one commit in the same database and one POST. The "
    "SDKs only send: they have no store, no limits and no retry."
)
LEAN, SDK = "httpx over aiohttp alone", "twilio SDK, threads"
_SDKS = {
    "twilio SDK, async": ("sdks", "twilio_async"),
    SDK: ("sdks", "twilio_threads"),
    "sinch SDK, threads": ("sdks", "sinch_threads"),
}
_DEVICES = {
    "django-otp-twilio, SQLite NORMAL": ("django_sqlite", "twilio_device_sends"),
    "django-otp-twilio, PostgreSQL": ("django_postgres", "twilio_device_sends"),
}
_MOST_THREADS = 32  # of a peer that needs one for each caller, and a connection


def setting(in_flight: int) -> str:
    return callers(in_flight)


def floor_of(store: str) -> str:
    return f"floor, {store}"


def cases(world: World) -> Iterator[Case | Missing]:
    for in_flight, latency in world.sizes.grid:
        here = setting(in_flight)
        load = {"in_flight": in_flight, "base_url": world.urls[f"{latency:g}"], **world.times}
        stores = {floor_of(one.name): dict(one.settings) for one in world.stores if not one.absent}
        stores[LEAN] = stores.pop(floor_of("memory"))
        for name, storage in stores.items():
            parameters = {"storage": storage, **load, "directory": world.directory}
            yield Case(scenario="send", setting=here, name=name, measure="send.floor", parameters=parameters)
        yield from world.ours("send", here, "send.ours", **load)
        for name, (lane, measure) in _SDKS.items() if world.peers else ():
            yield Case(scenario="send", setting=here, name=name, measure=measure, parameters=load, lane=lane)
        if in_flight <= _MOST_THREADS:
            yield from world.theirs("send", here, _DEVICES, **load)


def floor(
    storage: Mapping[str, str], base_url: str, in_flight: int, directory: str, **times: float
) -> Mapping[str, Any]:
    return asyncio.run(_floor(storage, base_url, in_flight, directory, **times))


def ours(
    storage: Mapping[str, str], base_url: str, in_flight: int, directory: str, **times: float
) -> Mapping[str, Any]:
    return asyncio.run(_ours(storage, base_url, in_flight, directory, **times))


MEASURES = {"send.floor": floor, "send.ours": ours}


def tables(results: Results) -> Iterator[Table]:
    yield costs(results, "send")


async def _floor(
    storage: Mapping[str, str], base_url: str, in_flight: int, directory: str, **times: float
) -> Mapping[str, Any]:
    numbers = iter(phones())
    with TemporaryDirectory(dir=directory) as place:
        codes = None if storage["store"] == "memory" else floors.Codes(storage, Path(place))
        async with floors.lean_client(base_url, in_flight) as http:
            post = floors.http_poster(http)

            async def send() -> None:
                phone = next(numbers)
                await post(phone, codes.make(phone)[1] if codes else "123456")

            try:
                return await steady(send, in_flight=in_flight, **times)
            finally:
                if codes:
                    codes.close()


async def _ours(
    storage: Mapping[str, str], base_url: str, in_flight: int, directory: str, **times: float
) -> Mapping[str, Any]:
    numbers = iter(phones())
    async with opened(storage, directory, base_url=base_url) as otp:

        async def send() -> None:
            challenge = await otp.send_sms(next(numbers))
            if challenge.state != "sent":
                raise RuntimeError(f"not sent: {challenge.state}")

        return await steady(send, in_flight=in_flight, **times)
