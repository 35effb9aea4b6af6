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
from benchmarks.tables import Table, timings

__all__ = [
    "F_FULL",
    "F_NORMAL",
    "LEAN",
    "MEASURES",
    "NOTE",
    "RAW",
    "RAW_COMMIT",
    "SHIPPED",
    "TITLE",
    "cases",
    "setting",
    "tables",
]

TITLE = "Send"
NOTE = (
    "One send over HTTP to the stub provider. otpcore sends with otp-twilio, routes, charges limits and commits twice; "
    "F makes a code, an HMAC, one commit and one POST; the SDKs only send: they have no store, no limits and no retry. "
    "httpx as shipped is given as long as it needs, since its default timeout would fail sends."
)

RAW = "raw sockets"
RAW_COMMIT = "raw sockets + commit NORMAL"
LEAN = "lean transport alone"
F_FULL, F_NORMAL = "F: one send, SQLite FULL", "F: one send, SQLite NORMAL"
SHIPPED = "httpx as shipped + commit NORMAL"

_FLOORS: dict[str, dict[str, str]] = {
    RAW: {"client": "raw"},
    RAW_COMMIT: {"client": "raw", "commit": "NORMAL"},
    LEAN: {"client": "lean"},
    F_FULL: {"client": "lean", "commit": "FULL"},
    F_NORMAL: {"client": "lean", "commit": "NORMAL"},
    SHIPPED: {"client": "shipped", "commit": "NORMAL"},
}
_PEERS = {
    "twilio SDK, async": ("sdks", "twilio_async"),
    "twilio SDK, threads": ("sdks", "twilio_threads"),
    "sinch SDK, threads": ("sdks", "sinch_threads"),
    "django-otp-twilio, SQLite NORMAL": ("django", "twilio_device_sends"),
}
_DEVICE = "django-otp-twilio, SQLite NORMAL"


def setting(in_flight: int, latency: float) -> str:
    return f"{in_flight} in flight, {latency * 1e3:g} ms"


def cases(world: World) -> Iterator[Case | Missing]:
    for in_flight, latency in world.sizes.grid:
        here = setting(in_flight, latency)
        load = {"in_flight": in_flight, "base_url": world.urls[f"{latency:g}"], **world.times}
        for name, floor in _FLOORS.items():
            parameters = {**floor, **load, "directory": world.directory}
            yield Case(scenario="send", setting=here, name=name, measure="send.floor", parameters=parameters)
        for store in world.stores:
            name = f"otpcore, {store.name}"
            if store.absent:
                yield Missing(scenario="send", setting=here, name=name, why=store.absent)
                continue
            parameters = {"storage": dict(store.settings), "directory": world.directory, **load}
            yield Case(scenario="send", setting=here, name=name, measure="send.ours", parameters=parameters)
        for name, (lane, measure) in _PEERS.items() if world.peers else ():
            if (name == _DEVICE) != (in_flight == 1) and (name == _DEVICE or latency):
                continue  # Django's device sends one at a time; one caller of an SDK needs no latency to tell
            yield Case(scenario="send", setting=here, name=name, measure=measure, parameters=load, lane=lane)


def floor(
    client: str, base_url: str, in_flight: int, directory: str, commit: str = "", **times: float
) -> Mapping[str, Any]:
    return asyncio.run(_floor(client, base_url, in_flight, directory, commit, **times))


def ours(
    storage: Mapping[str, str], base_url: str, in_flight: int, directory: str, **times: float
) -> Mapping[str, Any]:
    return asyncio.run(_ours(storage, base_url, in_flight, directory, **times))


MEASURES = {"send.floor": floor, "send.ours": ours}


def tables(results: Results) -> Iterator[Table]:
    for one in results.settings("send"):
        yield timings(results, "send", one, floor=F_NORMAL, ratio_of="F (NORMAL)")


async def _floor(
    client: str, base_url: str, in_flight: int, directory: str, commit: str, **times: float
) -> Mapping[str, Any]:
    numbers = iter(phones())
    with TemporaryDirectory(dir=directory) as place:
        codes = floors.Codes(Path(place, "codes.sqlite3"), commit) if commit else None
        if client == "raw":
            connections = await floors.RawConnections.open(base_url, in_flight)
            post, close = connections.post, connections.close
        else:
            http = floors.shipped_client(base_url) if client == "shipped" else floors.lean_client(base_url, in_flight)
            post, close = floors.http_poster(http), http.aclose

        async def send() -> None:
            phone = next(numbers)
            code = codes.make(phone)[1] if codes else "123456"
            await post(phone, code)

        try:
            return await steady(send, in_flight=in_flight, **times)
        finally:
            closing = close()
            if closing is not None:
                await closing
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
