"""Verifying a code that was sent: one commit each as a floor, and otpcore on each store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import floors
from benchmarks.measuring import batch, phones
from benchmarks.ours import Gateway, opened
from benchmarks.plan import Case, Missing, Results, World
from benchmarks.tables import Table, timings
from otpcore import AsyncOTPService, Challenge

__all__ = ["MEASURES", "NOTE", "RAW_FULL", "RAW_NORMAL", "TITLE", "cases", "setting", "tables"]

TITLE = "Verify"
NOTE = "Right codes, by challenge id. The floor selects, compares an HMAC and updates, with one commit for each; so does otpcore, with counters of failures, budgets and schedule rows beside."
RAW_FULL, RAW_NORMAL = "raw, one commit, SQLite FULL", "raw, one commit, SQLite NORMAL"
_IN_FLIGHT = (1, 32)
_WARM_UP = 0.2  # of all codes


def setting(in_flight: int) -> str:
    return f"{in_flight} in flight"


def cases(world: World) -> Iterator[Case | Missing]:
    for in_flight in _IN_FLIGHT:
        here = setting(in_flight)
        load = {"in_flight": in_flight, "count": world.sizes.verifications, "directory": world.directory}
        for name, synchronous in ((RAW_FULL, "FULL"), (RAW_NORMAL, "NORMAL")):
            parameters = {"synchronous": synchronous, **load}
            yield Case(scenario="verify", setting=here, name=name, measure="verify.floor", parameters=parameters)
        for store in world.stores:
            name = f"otpcore, {store.name}"
            if store.absent:
                yield Missing(scenario="verify", setting=here, name=name, why=store.absent)
                continue
            parameters = {"storage": dict(store.settings), **load}
            yield Case(scenario="verify", setting=here, name=name, measure="verify.ours", parameters=parameters)


def floor(synchronous: str, in_flight: int, count: int, directory: str) -> Mapping[str, Any]:
    with TemporaryDirectory(dir=directory) as place:
        codes = floors.Codes(Path(place, "codes.sqlite3"), synchronous)
        numbers = iter(phones())
        made = [codes.make(next(numbers)) for _ in range(count)]

        async def verify(one: tuple[str, str]) -> None:
            codes.verify(*one)

        try:
            return asyncio.run(batch(verify, made, in_flight=in_flight, warm_up=int(count * _WARM_UP)))
        finally:
            codes.close()


def ours(storage: Mapping[str, str], in_flight: int, count: int, directory: str) -> Mapping[str, Any]:
    return asyncio.run(_ours(storage, in_flight, count, directory))


MEASURES = {"verify.floor": floor, "verify.ours": ours}


def tables(results: Results) -> Iterator[Table]:
    for one in results.settings("verify"):
        yield timings(results, "verify", one, floor=RAW_NORMAL, ratio_of="raw NORMAL")


async def _ours(storage: Mapping[str, str], in_flight: int, count: int, directory: str) -> Mapping[str, Any]:
    async with opened(storage, directory, gateway=Gateway()) as otp:
        sent = await _sent(otp, count)

        async def verify(challenge: Challenge) -> None:
            if not await otp.verify(challenge_id=challenge.id, code=challenge.code or ""):
                raise RuntimeError("a right code was refused")

        return await batch(verify, sent, in_flight=in_flight, warm_up=int(count * _WARM_UP))


async def _sent(otp: AsyncOTPService, count: int) -> list[Challenge]:
    numbers, sent = iter(phones()), []

    async def sender() -> None:
        while len(sent) < count:
            sent.append(await otp.send_sms(next(numbers)))

    await asyncio.gather(*(sender() for _ in range(32)))
    return sent[:count]
