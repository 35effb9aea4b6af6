"""What one operation costs with 1,000,000 rows in the tables, against 1,000: the ratio for each command.

Two databases of a kind are filled by the database itself and then used in turns by this process, one operation at a time.
With ``--plans`` it shows instead how the database finds the rows of each statement that read all of a table or sorted what it
read. ``python -m benchmarks.growth [--rows N] [--plans] [SERVER_URL …]`` takes SQLite, and each server whose URL is given (two
databases are made there, and removed); the scenario of this name takes what it finds into the report.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Table, create_engine, event, make_url, text

from benchmarks.laying import CHALLENGE, DELIVERY, KEY, RECEIPT, key_of, lay
from otpcore.models import ChallengeState, Channel, Outcome, Receipt, ReceiptStatus
from otpcore.rate_limits.admission import Admission, Charge
from otpcore.retrying import RetryPolicy
from otpcore.stores.commands import ClaimRule, LockRule, NewSend, ReceiptRule
from otpcore.stores.lists import ChallengeFilter, DeliveryFilter
from otpcore.stores.records import ChallengeRecord
from otpcore.stores.sql import prepared as _prepared
from otpcore.stores.sql.store import SqlStore, upgrade
from otpcore.stores.sql.tables import (
    breakers,
    challenges,
    counters,
    deliveries,
    failures,
    receipts,
    schedule,
    slots,
    verified,
)
from otpcore.stores.steps import CallResult, Candidate, FailoverPlan, FailoverRef

FEW = 1_000
TURNS = 150
MADA = (Candidate(instance="mada"),)
MINUTE = timedelta(minutes=1)
RETRY = RetryPolicy(max_retries=20, first_delay=0.5, max_delay=30.0, jitter=0.0)


def tables(now: int) -> Mapping[Table, Mapping[str, str]]:
    """Every twentieth challenge waits for a retry, every second schedule row for a breaker; ``now`` in microseconds."""
    recently, soon = f"{now - 1_000_000_000} + n", f"{now + 600_000_000} + n"
    return {
        challenges: {
            **CHALLENGE,
            "live_key": f"CASE WHEN n % 20 = 0 THEN {KEY} END",
            "state": "CASE WHEN n % 20 = 0 THEN 'queued' ELSE 'approved' END",
            "first_sent_at": recently,
            "expires_at": soon,
        },
        deliveries: {**DELIVERY, "recorded_at": recently, "lease_until": recently},
        receipts: {**RECEIPT, "received_at": recently},
        schedule: {
            "challenge_id": KEY,
            "channel": "'sms'",
            "send_id": KEY,
            "token": "'token'",
            "due_at": soon,
            "charges": "'[]'",
            "key_id": "'key-1'",
            "waits": "CASE WHEN n % 2 = 0 THEN 'breaker' END",
            "waits_for": "CASE WHEN n % 2 = 0 THEN 'backup' ELSE '' END",
            "world": "'real'",
        },
        counters: {"key": KEY, "count": "1", "window_ends_at": soon},
        failures: {"key": KEY, "failures": "1"},
        verified: {"phone_key": KEY, "verified_at": recently, "counted_at": recently, "world": "'real'"},
        slots: {"scope": "'mada'", "phone_key": KEY, "holder": KEY, "world": "'real'"},
    }


def fill(url: str, rows: int) -> None:
    """Every table that a command uses has so many rows."""
    upgrade(url)
    now = time.time_ns() // 1000
    open_ = {"instance": "'backup'", "failures": "9", "probe_at": f"{now + 900_000_000}", "opened_at": f"{now}"}
    lay(url, rows, tables(now))
    lay(url, 1, {breakers: open_})


class User:
    """One store, used by one caller; every command is one operation as the service asks for it."""

    def __init__(self, store: SqlStore) -> None:
        self.store = store
        self.number = itertools.count()
        self.now = datetime.now(UTC)

    def plan(self, **more: Any) -> FailoverPlan:
        fields = {"route": MADA, "untried": MADA, "retry": RETRY, **more}
        return FailoverPlan(delivery_id=f"delivery-{next(self.number)}", **fields)

    async def begin(self) -> None:
        one = next(self.number)
        challenge = ChallengeRecord(
            id=f"challenge-{one}",
            subject=f"subject-{one}",
            phone_key=f"new-{one}",
            phone_sealed=b"sealed",
            phone_masked="+359•••567",
            key_id="key-1",
            purpose="login",
            state=ChallengeState.SENDING,
            max_attempts=5,
            first_sent_at=self.now,
            expires_at=self.now,
            code_digest="digest",
            code_sealed=b"sealed",
            locale="en",
        )
        keys = [f"new-{one}/send/600", "BG/country/3600", "all/global/3600"]
        charges = tuple(
            Charge(key=key, limit=10**8, window=10 * MINUTE, reason="", shared=not key.startswith("new"))
            for key in keys
        )
        self.send = NewSend(
            challenge=challenge,
            is_resend=False,
            send_id=f"send-{one}",
            token=f"token-{one}",
            channel=Channel.SMS,
            plan=self.plan(),
            life=5 * MINUTE,
            cap=10 * MINUTE,
            renewal=MINUTE,
            asked=Admission(charges=charges),
        )
        self.ref = FailoverRef(
            challenge_id=challenge.id, channel=Channel.SMS, send_id=self.send.send_id, token=self.send.token
        )
        self.step = (await self.store.begin(self.send, self.now)).step

    async def accept(self) -> None:
        await self._record(Outcome.ACCEPTED)

    async def receive(self) -> None:
        rule = ReceiptRule(
            token=f"receipt-{next(self.number)}",
            lease=MINUTE / 4,
            min_useful_life=MINUTE / 2,
            retried=frozenset(),
            key_ids=frozenset({"key-1"}),
            instances=frozenset({"mada"}),
        )
        receipt = Receipt(status=ReceiptStatus.DELIVERED, reference=f"reference-{self.ref.challenge_id}")
        await self.store.receive("mada", receipt, rule, self.now)

    async def reserve(self) -> None:
        locks = LockRule(client="client", lock_after=10)
        self.reservation = await self.store.reserve(
            subject=f"subject-{self.ref.challenge_id.partition('-')[2]}",
            challenge_id=None,
            purpose="login",
            locks=locks,
            now=self.now,
        )

    async def approve(self) -> None:
        if not await self.store.approve(self.reservation, settled=(), now=self.now):
            raise RuntimeError("the right code was refused")

    async def begin_again(self) -> None:
        await self.begin()

    async def fail(self) -> None:
        await self._record(Outcome.THROTTLED)

    async def claim(self) -> None:
        self.now += timedelta(seconds=0.6)
        rule = ClaimRule(
            token=f"claim-{next(self.number)}",
            key_ids=frozenset({"key-1"}),
            instances=frozenset({"mada"}),
            lease=MINUTE / 4,
            max_retries={Channel.SMS: 20},
            min_useful_life=MINUTE / 2,
        )
        (claim,) = (await self.store.claim(rule, 8, self.now)).claims
        self.ref = claim.ref

    async def retry(self) -> None:
        self.step = await self.store.begin_retry(self.ref, self.plan(is_retry=True), self.now)

    async def accept_again(self) -> None:
        await self._record(Outcome.ACCEPTED)

    async def next_due(self) -> None:
        await self.store.next_due()

    async def sweep(self) -> None:
        await self.store.sweep(unretried=[Channel.CALL], limit=200, now=self.now)

    async def wake(self) -> None:
        await self.store.wake(None, 5, self.now)

    async def page(self) -> None:
        await self.store.list_deliveries(limit=50)

    async def page_of_instance(self) -> None:
        await self.store.list_deliveries(DeliveryFilter(instance="mada", outcome=Outcome.ACCEPTED), limit=50)

    async def page_of_phone(self) -> None:
        await self.store.list_deliveries(DeliveryFilter(phone_key=key_of(FEW // 2)), limit=50)

    async def page_of_challenges(self) -> None:
        await self.store.list_challenges(ChallengeFilter(until=self.now - MINUTE / 1000), limit=50)

    async def _record(self, outcome: Outcome) -> None:
        result = CallResult(outcome=outcome, reference=f"reference-{self.ref.challenge_id}")
        await self.store.record(self.ref, self.step.delivery, result, self.plan(untried=()), self.now)


PAGES = ("page", "page_of_instance", "page_of_phone", "page_of_challenges")
COMMANDS = (
    *("begin", "accept", "receive", "reserve", "approve", "begin_again", "fail", "claim", "retry"),
    *("accept_again", "next_due", "sweep", "wake"),
    *PAGES,
)


Found = Mapping[str, Sequence[float]]
"""For each command the time of both databases, in seconds: with few rows, with many. It is the lower quartile, as pauses only add."""


async def measure(users: list[User], turns: int) -> Found:
    """Every command so often in both, in turns."""
    took: dict[str, list[list[float]]] = {command: [[], []] for command in COMMANDS}
    for turn in range(turns):
        for side in (0, 1) if turn % 2 else (1, 0):
            for command in COMMANDS:
                operation: Callable[[], Awaitable[None]] = getattr(users[side], command)
                start = time.perf_counter()
                await operation()
                took[command][side].append(time.perf_counter() - start)
    return {command: [statistics.quantiles(one, n=4)[0] for one in both] for command, both in took.items()}


SUSPECT = ("Seq Scan", "Sort", "SCAN", "TEMP B-TREE", "filesort", "temporary")


def plans(url: str, seen: dict[str, list[Any]]) -> None:
    """How the statements are run that read a whole table or sort."""
    engine = create_engine(url)
    explain = "EXPLAIN QUERY PLAN " if engine.dialect.name == "sqlite" else "EXPLAIN "
    with engine.connect() as connection:
        cursor = connection.connection.dbapi_connection.cursor()
        for statement, values in sorted(seen.items()):
            if statement.split()[0] not in ("SELECT", "UPDATE", "DELETE"):
                continue
            cursor.execute(explain + statement, values)
            plan = [" ".join(str(value) for value in row) for row in cursor.fetchall()]
            if any(word in line for line in plan for word in SUSPECT) or any(" ALL " in line for line in plan):
                print("   ", " ".join(statement.split())[:300])
                for line in plan:
                    print("       ", line)
    engine.dispose()


async def compare(urls: list[str], rows: int, turns: int = TURNS, *, show: bool = False) -> Found:
    """Fill both, use both, and tell what each command took; ``show``: print how statements are run that look dear."""
    seen: dict[str, list[Any]] = {}
    if show:
        run = _prepared.Prepared.run

        def watched(self: Any, raw: Any, parameters: Any) -> Any:
            seen[self.text] = self.values(parameters)
            return run(self, raw, parameters)

        def noticed(_: Any, __: Any, statement: str, values: Any, *___: Any) -> None:
            seen[statement] = values

        _prepared.Prepared.run = watched  # type: ignore[method-assign]
        event.listen(Engine, "before_cursor_execute", noticed)
    async with contextlib.AsyncExitStack() as stack:
        users = []
        for url, count in zip(urls, (FEW, rows), strict=True):
            fill(url, count)
            store = SqlStore(url)
            await store.start(stack)
            users.append(User(store))
        seen.clear()
        await measure(users, 20)
        found = await measure(users, turns)
    if show:
        plans(urls[1], seen)
    return found


def print_found(name: str, rows: int, found: Found) -> None:
    print(name, f"{FEW:,} against {rows:,} rows in each table")
    both = [sum(one[side] for one in found.values()) for side in (0, 1)]
    for command, (few, many) in {**found, "all": both}.items():
        print(f"  {command:<20}{few * 1000:8.3f} ms {many * 1000:8.3f} ms   ratio {many / few:.2f}")


@contextlib.contextmanager
def databases(server: str | None) -> Iterator[list[str]]:
    if server is None:
        with tempfile.TemporaryDirectory(prefix="otpcore-growth-") as directory:
            yield [f"sqlite:///{Path(directory) / name}.sqlite3" for name in ("few", "many")]
        return
    names = ["otpcore_growth_few", "otpcore_growth_many"]
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        for name in names:
            connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield [make_url(server).set(database=name).render_as_string(hide_password=False) for name in names]
    finally:
        with admin.connect() as connection:
            for name in names:
                connection.execute(text(f"DROP DATABASE {name}"))
        admin.dispose()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--plans", action="store_true")
    parser.add_argument("servers", nargs="*", metavar="SERVER_URL")
    chosen = parser.parse_args()
    for server in (None, *chosen.servers):
        with databases(server) as places:
            measured = asyncio.run(compare(places, chosen.rows, chosen.turns, show=chosen.plans))
            print_found(make_url(places[0]).get_backend_name(), chosen.rows, measured)
