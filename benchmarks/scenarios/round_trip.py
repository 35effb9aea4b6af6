"""Send, then verify, with a provider that does nothing: otpcore on each store beside frameworks that keep codes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.measuring import phones, steady
from benchmarks.ours import Gateway, opened
from benchmarks.plan import Case, Missing, Results, World
from benchmarks.tables import Table, callers, costs
from otpcore import AsyncOTPService

__all__ = ["MEASURES", "NOTE", "PEERS", "TITLE", "cases", "setting", "tables", "trip_of"]

TITLE = "Send, then verify"
NOTE = (
    "The provider accepts at once and sends nothing. Each caller of the Django apps is a thread with a connection; they keep no "
    "deliveries, no limits across processes and no retries. better-auth is asked through auth.api, without HTTP, as otpcore in its "
    "host's process is; its one JavaScript thread runs all callers. SQLite is in WAL mode for all, synchronous = NORMAL for the peers."
)
PEERS = {
    "better-auth, SQLite NORMAL": ("better_auth", "sqlite"),
    "better-auth, PostgreSQL": ("better_auth", "postgres"),
    "django-otp-twilio, SQLite NORMAL": ("django_sqlite", "twilio_device"),
    "django-otp-twilio, PostgreSQL": ("django_postgres", "twilio_device"),
    "django-phone-verify, SQLite NORMAL": ("django_sqlite", "phone_verify"),
    "django-phone-verify, PostgreSQL": ("django_postgres", "phone_verify"),
}
_MOST_OF_PEERS = 32  # callers: some need a thread and a connection for each


def setting(in_flight: int) -> str:
    return callers(in_flight)


def cases(world: World) -> Iterator[Case | Missing]:
    for in_flight, _latency in world.sizes.grid:
        load = {"in_flight": in_flight, **world.times}
        yield from world.ours("round_trip", setting(in_flight), "round_trip.ours", **load)
        if in_flight <= _MOST_OF_PEERS:
            yield from world.theirs("round_trip", setting(in_flight), PEERS, **load)


def ours(storage: Mapping[str, str], in_flight: int, directory: str, **times: float) -> Mapping[str, Any]:
    return asyncio.run(_ours(storage, in_flight, directory, **times))


MEASURES = {"round_trip.ours": ours}


def tables(results: Results) -> Iterator[Table]:
    yield costs(results, "round_trip")


async def _ours(storage: Mapping[str, str], in_flight: int, directory: str, **times: float) -> Mapping[str, Any]:
    async with opened(storage, directory, gateway=Gateway()) as otp:
        return await steady(trip_of(otp, iter(phones())), in_flight=in_flight, **times)


def trip_of(otp: AsyncOTPService, numbers: Iterator[str]) -> Any:
    """A function that sends to the next number and verifies the code."""

    async def trip() -> None:
        challenge = await otp.send_sms(next(numbers))
        if not await otp.verify(challenge_id=challenge.id, code=challenge.code or ""):
            raise RuntimeError("a right code was refused")

    return trip
