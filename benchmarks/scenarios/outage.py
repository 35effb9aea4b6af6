"""A provider is away while sends go on: how long what waits takes to drain, and how much of it comes too late."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.measuring import phones
from benchmarks.ours import Gateway, opened
from benchmarks.plan import Case, Missing, Results, World
from benchmarks.tables import Table, figure, missing_rows
from otpcore.clock import utc_now
from otpcore.events import Event, EventType
from otpcore.providers.hooks import hookimpl
from otpcore.providers.requests import DeliveryRequest

__all__ = ["LATENCY", "MEASURES", "NOTE", "RATE", "SETTING", "SLOTS", "TITLE", "cases", "tables"]

TITLE = "Outage"
NOTE = (
    "A hundred sends a second while the provider is away, each to be tried again; then it is back, and one worker of 128 places drains "
    "what waits. Celery has Redis, threads and its own backoff from 1 to 30 s; procrastinate has PostgreSQL and the same backoff. Both "
    "lose sight of a code's life; too late means after its five minutes."
)
SETTING = ""
RATE, LATENCY, SLOTS = 100.0, 0.3, 128  # sends a second, seconds, retries at once
_GIVE_UP = 120.0  # seconds after the recovery
_STORES = ("SQLite FULL", "PostgreSQL", "Redis")


def cases(world: World) -> Iterator[Case | Missing]:
    for store in world.stores:
        name = f"otpcore, {store.name}"
        if store.name not in _STORES:
            continue
        if store.absent:
            yield Missing(scenario="outage", setting=SETTING, name=name, why=store.absent)
            continue
        parameters = {"storage": dict(store.settings), "directory": world.directory, "outage": world.sizes.outage}
        yield Case(
            scenario="outage",
            setting=SETTING,
            name=name,
            measure="outage.ours",
            parameters=parameters,
            once=True,
            fresh=True,
        )
    load = {"outage": world.sizes.outage, "rate": RATE, "latency": LATENCY, "slots": SLOTS}
    yield from world.workers("outage", SETTING, "outage", **load)


def ours(storage: Mapping[str, str], directory: str, outage: float) -> Mapping[str, Any]:
    return asyncio.run(_ours(storage, directory, outage))


MEASURES = {"outage.ours": ours}


def tables(results: Results) -> Iterator[Table]:
    rows = []
    for name in results.names("outage", SETTING):
        row = results.row("outage", SETTING, name)
        if row is not None:
            shown = ("drain", "sent", "delivered", "late", "oldest", "probes", "cpu_seconds")
            rows.append([name, *(figure(row.get(one)) for one in shown)])
    rows += missing_rows(results, "outage", SETTING, columns=8)
    head = ["", "drained after s", "codes", "delivered", "too late", "oldest s", "calls per s meanwhile", "drain CPU s"]
    yield Table(title=f"outage: {RATE:g} sends a second, provider {LATENCY:g} s, {SLOTS} slots", head=head, rows=rows)


class _Away(Gateway):
    """Remembers when it was called while down, and what it accepted when."""

    def __init__(self) -> None:
        super().__init__(LATENCY)
        self.down = True
        self.calls: list[float] = []
        self.took: dict[str, float] = {}

    def note(self, request: DeliveryRequest) -> bool:  # noqa: ARG002 - all are treated alike
        if self.down:
            self.calls.append(time.monotonic())
        return self.down

    def accepted(self, request: DeliveryRequest) -> None:
        self.took.setdefault(request.challenge_id, time.monotonic())


class _Breaker:
    """Remembers when the breaker opened first."""

    opened: float | None = None

    @hookimpl
    def otp_event(self, event: Event) -> None:
        if event.type is EventType.BREAKER_OPENED and self.opened is None:
            self.opened = time.monotonic()


async def _ours(storage: Mapping[str, str], directory: str, outage: float) -> Mapping[str, Any]:
    gateway, breaker = _Away(), _Breaker()
    retries = {"sms": {"retry": True}, "retry": {"concurrency": SLOTS}}
    async with opened(storage, directory, gateway=gateway, observers=(breaker,), **retries) as otp:
        numbers = iter(phones())
        begun: dict[str, tuple[float, float]] = {}  # when, and how long it lives

        async def send() -> None:
            at = time.monotonic()
            challenge = await otp.send_sms(next(numbers))
            begun[challenge.id] = (at, (challenge.expires_at - utc_now()).total_seconds() + time.monotonic())

        began = time.monotonic()
        tasks = []
        for number in range(int(outage * RATE)):
            await asyncio.sleep(max(began + number / RATE - time.monotonic(), 0))
            tasks.append(asyncio.create_task(send()))
        failed = await asyncio.gather(*tasks, return_exceptions=True)
        errors = [one for one in failed if isinstance(one, BaseException)]
        gateway.down = False
        recovered, cpu = time.monotonic(), time.process_time()
        while len(gateway.took) < len(begun) and time.monotonic() < recovered + _GIVE_UP:  # noqa: ASYNC110 - read from another loop turn, no event is worth it
            await asyncio.sleep(0.05)
        cpu = time.process_time() - cpu
        took = gateway.took
        probing = [at for at in gateway.calls if breaker.opened is not None and at > breaker.opened + 2 * LATENCY]
        span = recovered - breaker.opened - 2 * LATENCY if breaker.opened is not None else None
        return {
            "drain": max(took.values(), default=recovered + _GIVE_UP) - recovered
            if len(took) == len(begun)
            else _GIVE_UP,
            "sent": len(tasks),
            "delivered": len(took),
            "late": sum(at > begun[one][1] for one, at in took.items()),
            "oldest": max((at - begun[one][0] for one, at in took.items()), default=0.0),
            "probes": len(probing) / span if span and span > 0 else None,
            "cpu_seconds": cpu,
            "errors": len(errors),
            "error": repr(errors[0])[:200] if errors else "",
        }
