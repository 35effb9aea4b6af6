"""Send, then verify, with a provider that does nothing: otpcore on each store beside frameworks that keep codes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.measuring import phones, steady
from benchmarks.ours import Gateway, opened
from benchmarks.plan import Case, Missing, Results, World
from benchmarks.tables import Table, timings
from otpcore import AsyncOTPService

__all__ = ["CROWD", "MEASURES", "NOTE", "PEERS_MEMORY", "PEERS_SQLITE", "TITLE", "cases", "setting", "tables"]

TITLE = "Send, then verify"
NOTE = (
    "The provider accepts at once and sends nothing. The peers run one at a time, as their APIs block or, with better-auth, one "
    "JavaScript thread runs them; auth.api skips HTTP, as otpcore in its host's process does. The Django peers keep no deliveries and no "
    "retries. SQLite is in WAL mode for all, synchronous = NORMAL for the peers."
)
CROWD = "memory, many pending"
PEERS_SQLITE = (
    "better-auth, SQLite NORMAL",
    "django-otp-twilio, no delivery, SQLite NORMAL",
    "django-otp email, SQLite NORMAL",
    "django-phone-verify, SQLite NORMAL",
)
PEERS_MEMORY = ("better-auth, memory",)
_PEERS = dict(
    zip(
        (*PEERS_MEMORY, *PEERS_SQLITE),
        (
            ("better_auth", "memory"),
            ("better_auth", "sqlite"),
            ("django", "twilio_device"),
            ("django", "email_device"),
            ("django", "phone_verify"),
        ),
        strict=True,
    )
)
_IN_FLIGHT = (1, 32)


def setting(in_flight: int) -> str:
    return f"{in_flight} in flight"


def cases(world: World) -> Iterator[Case | Missing]:
    for in_flight in _IN_FLIGHT:
        here = setting(in_flight)
        for store in world.stores:
            name = f"otpcore, {store.name}"
            if store.absent:
                yield Missing(scenario="round_trip", setting=here, name=name, why=store.absent)
                continue
            parameters = {
                "storage": dict(store.settings),
                "in_flight": in_flight,
                "directory": world.directory,
                **world.times,
            }
            yield Case(scenario="round_trip", setting=here, name=name, measure="round_trip.ours", parameters=parameters)
    for name, (lane, measure) in _PEERS.items() if world.peers else ():
        parameters = {"directory": world.directory, **world.times}
        yield Case(
            scenario="round_trip", setting=setting(1), name=name, measure=measure, parameters=parameters, lane=lane
        )
    parameters = {"pending": world.sizes.crowd, "directory": world.directory, **world.times}
    yield Case(
        scenario="round_trip", setting=CROWD, name="otpcore, memory", measure="round_trip.crowd", parameters=parameters,
        once=True, fresh=True,
    )  # fmt: skip


def ours(storage: Mapping[str, str], in_flight: int, directory: str, **times: float) -> Mapping[str, Any]:
    return asyncio.run(_ours(storage, in_flight, directory, **times))


def crowd(pending: int, directory: str, **times: float) -> Mapping[str, Any]:
    """One caller's round trip in memory before and after so many other codes wait there."""
    return asyncio.run(_crowd(pending, directory, **times))


MEASURES = {"round_trip.ours": ours, "round_trip.crowd": crowd}


def tables(results: Results) -> Iterator[Table]:
    for one in results.settings("round_trip"):
        if one != CROWD:
            yield timings(results, "round_trip", one, floor="otpcore, SQLite NORMAL", ratio_of="otpcore NORMAL")
    row = results.row("round_trip", CROWD, "otpcore, memory")
    if row is not None:
        rows = [
            ["none", f"{row['empty']:.0f}", "1"],
            [f"{row['pending']:,.0f}", f"{row['cpu']:.0f}", f"{row['growth']:.2f}"],
        ]
        yield Table(
            title="round_trip: otpcore in memory while others wait",
            head=["codes pending", "CPU us", "ratio"],
            rows=rows,
        )


async def _ours(storage: Mapping[str, str], in_flight: int, directory: str, **times: float) -> Mapping[str, Any]:
    async with opened(storage, directory, gateway=Gateway()) as otp:
        return await steady(_trip(otp, iter(phones())), in_flight=in_flight, **times)


async def _crowd(pending: int, directory: str, **times: float) -> Mapping[str, Any]:
    # The crowd's codes must live until the end, however long it takes to gather.
    async with opened(
        {"store": "memory"}, directory, gateway=Gateway(), otp={"number_policy": "possible", "life": 600}
    ) as otp:
        numbers = iter(phones())
        trip = _trip(otp, numbers)
        before = await steady(trip, in_flight=1, **times)
        began = time.monotonic()
        for _ in range(pending):
            await otp.send_sms(next(numbers))
        after = await steady(trip, in_flight=1, **times)
        growth = after["cpu"] / before["cpu"]
        return {
            **after,
            "empty": before["cpu"],
            "growth": growth,
            "pending": pending,
            "filled": time.monotonic() - began,
        }


def _trip(otp: AsyncOTPService, numbers: Iterator[str]) -> Any:
    async def trip() -> None:
        challenge = await otp.send_sms(next(numbers))
        if not await otp.verify(challenge_id=challenge.id, code=challenge.code or ""):
            raise RuntimeError("a right code was refused")

    return trip
