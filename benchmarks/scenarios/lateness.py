"""How late a retry begins when nothing is saturated, and whether a number that can never be reached delays the others."""

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
from otpcore.providers.requests import DeliveryRequest

__all__ = ["MEASURES", "NOTE", "SETTING", "TITLE", "cases", "tables"]

TITLE = "Lateness of retries"
NOTE = (
    "Ten sends a second, each refused once and retried after half a second; between them is one number that is never reached. "
    "Lateness is the time from a retry's due time, as it stands in the store, to the call of the provider. The first 30 warm up."
)
SETTING = ""
_RATE = 10.0  # sends a second
_WARM_UP = 30  # sends that are not counted: a process compiles its statements when it first needs them
_RETRY_WITHIN = 20.0  # seconds
_DEAD = "+359888888888"


def cases(world: World) -> Iterator[Case | Missing]:
    for store in world.stores:
        name = f"otpcore, {store.name}"
        if store.absent:
            yield Missing(scenario="lateness", setting=SETTING, name=name, why=store.absent)
            continue
        parameters = {
            "storage": dict(store.settings),
            "directory": world.directory,
            "sends": max(int(_RATE * world.sizes.outage / 2), 5),
        }
        yield Case(
            scenario="lateness", setting=SETTING, name=name, measure="lateness.ours", parameters=parameters, once=True
        )


def ours(storage: Mapping[str, str], directory: str, sends: int) -> Mapping[str, Any]:
    return asyncio.run(_ours(storage, directory, sends))


MEASURES = {"lateness.ours": ours}


def tables(results: Results) -> Iterator[Table]:
    rows = []
    for name in results.names("lateness", SETTING):
        row = results.row("lateness", SETTING, name)
        if row is not None:
            rows.append([name, *(figure(row[one]) for one in ("retries", "late_p50", "late_p99", "late_max"))])
    rows += missing_rows(results, "lateness", SETTING, columns=5)
    yield Table(title="lateness of retries", head=["", "retries", "p50 ms", "p99 ms", "latest ms"], rows=rows)


class _FailsOnce(Gateway):
    """Refuses each message once, and one number always."""

    def __init__(self) -> None:
        super().__init__()
        self.retried: dict[str, float] = {}
        self._seen: set[str] = set()

    def note(self, request: DeliveryRequest) -> bool:
        if request.recipient.e164 == _DEAD:
            return True
        if request.challenge_id in self._seen:
            self.retried.setdefault(request.challenge_id, utc_now().timestamp())
            return False
        self._seen.add(request.challenge_id)
        return True


async def _ours(storage: Mapping[str, str], directory: str, sends: int) -> Mapping[str, Any]:
    gateway = _FailsOnce()
    # The failures are the test's own and must not open the breaker.
    retries = {"sms": {"retry": True}, "retry": {"breaker_threshold": 1000}}
    async with opened(storage, directory, gateway=gateway, **retries) as otp:
        numbers, due = iter(phones()), {}
        await otp.send_sms(_DEAD)

        async def send() -> None:
            challenge = await otp.send_sms(next(numbers))
            (view,) = await otp._service.store.view(challenge_id=challenge.id)  # noqa: SLF001 - only the store knows when
            due[challenge.id] = view.schedule[0].due_at.timestamp()

        tasks = []
        sends += (warm_up := min(_WARM_UP, sends))
        for _ in range(sends):
            tasks.append(asyncio.create_task(send()))
            await asyncio.sleep(1 / _RATE)
        await asyncio.gather(*tasks)
        deadline = time.monotonic() + _RETRY_WITHIN
        while len(gateway.retried) < sends and time.monotonic() < deadline:  # noqa: ASYNC110 - read from another loop turn, no event is worth it
            await asyncio.sleep(0.05)
        missing = sends - len(gateway.retried)
        in_order = sorted(gateway.retried, key=due.__getitem__)[warm_up:]
        late = sorted((gateway.retried[one] - due[one]) * 1e3 for one in in_order)
        return {
            "retries": len(late),
            "late_p50": late[len(late) // 2],
            "late_p99": late[min(int(len(late) * 0.99), len(late) - 1)],
            "late_max": late[-1],
            "errors": missing,
        }
