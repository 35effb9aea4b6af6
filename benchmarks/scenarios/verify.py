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
from benchmarks.tables import Table, callers, costs
from otpcore import AsyncOTPService, Challenge

__all__ = ["MEASURES", "NOTE", "TITLE", "cases", "floor_of", "setting", "tables"]

TITLE = "Verify"
NOTE = (
    "Right codes, by challenge id. A floor selects, compares an HMAC and updates, with one commit in the same database; otpcore "
    "does so with attempts, failures of the phone, budgets and retries beside."
)
_DEVICES = {
    "django-otp-twilio, SQLite NORMAL": ("django_sqlite", "twilio_device_verifies"),
    "django-otp-twilio, PostgreSQL": ("django_postgres", "twilio_device_verifies"),
}
_MOST_THREADS = 32  # as for sends
_WARM_UP = 0.2  # of all codes


def setting(in_flight: int) -> str:
    return callers(in_flight)


def floor_of(store: str) -> str:
    return f"floor, {store}"


def cases(world: World) -> Iterator[Case | Missing]:
    for in_flight, _latency in world.sizes.grid:
        here = setting(in_flight)
        load = {"in_flight": in_flight, "count": world.sizes.verifications}
        for store in world.stores:
            if store.name == "memory" or store.absent:
                continue
            parameters = {"storage": dict(store.settings), "directory": world.directory, **load}
            name = floor_of(store.name)
            yield Case(scenario="verify", setting=here, name=name, measure="verify.floor", parameters=parameters)
        yield from world.ours("verify", here, "verify.ours", **load)
        if in_flight <= _MOST_THREADS:
            yield from world.theirs("verify", here, _DEVICES, **load)


def floor(storage: Mapping[str, str], in_flight: int, count: int, directory: str) -> Mapping[str, Any]:
    with TemporaryDirectory(dir=directory) as place:
        codes = floors.Codes(storage, Path(place))
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
    yield costs(results, "verify")


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
