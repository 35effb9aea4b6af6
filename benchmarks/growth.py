"""What one operation costs with 1,000,000 rows in the tables, against 1,000: the ratio of medians for each command.

Two databases of a kind are filled by the database itself and then used in turns by this process, one operation at a time.
Goal: at most 1.2. With ``--plans`` it shows instead how the database finds the rows of each statement that read all of a
table or sorted what it read. Run it as ``python benchmarks/growth.py [--rows N] [--plans] [SERVER_URL …]``: SQLite, and each
server whose URL is given (two databases are made there, and removed).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text

from otpcore.models import ChallengeState, Channel, Outcome, Receipt, ReceiptStatus
from otpcore.rate_limits.admission import Admission, Charge
from otpcore.retrying import RetryPolicy
from otpcore.stores.commands import ClaimRule, LockRule, NewSend, ReceiptRule
from otpcore.stores.lists import ChallengeFilter, DeliveryFilter
from otpcore.stores.records import ChallengeRecord
from otpcore.stores.sql import prepared as _prepared
from otpcore.stores.sql.store import SqlStore, upgrade
from otpcore.stores.steps import CallResult, Candidate, FailoverPlan, FailoverRef

FEW = 1_000
TURNS = 300
MADA = (Candidate(instance="mada"),)
MINUTE = timedelta(minutes=1)
RETRY = RetryPolicy(max_retries=20, first_delay=0.5, max_delay=30.0, jitter=0.0)

NUMBERS = {
    "sqlite": "(WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT {rows}) SELECT n FROM n) s",
    "postgresql": "generate_series(1, {rows}) AS s(n)",
    "mariadb": "(SELECT seq AS n FROM seq_1_to_{rows}) s",
}
IDS = {"mariadb": "CONCAT('old-', n)", "postgresql": "'old-' || n", "sqlite": "'old-' || n"}
PHONES = {"mariadb": "CONCAT('phone-', n)", "postgresql": "'phone-' || n", "sqlite": "'phone-' || n"}
FILL = (
    """INSERT INTO otp_challenge (id, live_key, subject, phone_key, phone_sealed, phone_masked, key_id, purpose, state,
    confirmed, attempts, max_attempts, givebacks, first_sent_at, expires_at, code_digest, code_number, locale,
    core_recorded, budget, app, verifiable, cooldowns, world)
    SELECT {id}, CASE WHEN n % 20 = 0 THEN {id} END, {id}, {phone}, {sealed}, '+359•••567', 'key-1', 'login',
    CASE WHEN n % 20 = 0 THEN 'queued' ELSE 'approved' END, true, 1, 5, 0, {now} - n, {now} + 600000000 - n, 'digest', 0, 'en',
    true, '', '', true, '{{}}', 'real' FROM {numbers}""",
    """INSERT INTO otp_delivery (id, challenge_id, phone_key, send_id, instance, channel, owner, scope, code_number, prefix, is_retry,
    outcome, reference, provider_code, recorded_at, lease_until, gone, world)
    SELECT {id}, {id}, {phone}, {id}, 'mada', 'sms', 'core', '', 0, '', false, 'accepted', {id}, '', {now} - n, {now}, false, 'real'
    FROM {numbers}""",
    """INSERT INTO otp_receipt (reference, instance, delivery_id, status, provider_code, received_at, applied, world)
    SELECT {id}, 'mada', {id}, 'delivered', '', {now} - n, true, 'real' FROM {numbers}""",
    """INSERT INTO otp_schedule (challenge_id, channel, send_id, token, due_at, attempts, charges, key_id, waits, waits_for, world)
    SELECT {id}, 'sms', {id}, 'token', {now} + 300000000 + n, 0, '[]', 'key-1', CASE WHEN n % 2 = 0 THEN 'breaker' END,
    CASE WHEN n % 2 = 0 THEN 'backup' ELSE '' END, 'real' FROM {numbers}""",
    "INSERT INTO otp_counter (`key`, count, window_ends_at) SELECT {phone}, 1, {now} + 600000000 FROM {numbers}",
    "INSERT INTO otp_failure (`key`, failures) SELECT {phone}, 1 FROM {numbers}",
    "INSERT INTO otp_verified (phone_key, verified_at, counted_at, world) SELECT {phone}, {now} - n, {now}, 'real' FROM {numbers}",
    "INSERT INTO otp_slot (scope, phone_key, holder, world) SELECT 'mada', {phone}, {id}, 'real' FROM {numbers}",
    """INSERT INTO otp_breaker (instance, failures, probe_at, opened_at, code, words)
    VALUES ('backup', 9, {now} + 900000000, {now}, '', '')""",
)


def fill(connection: Connection, rows: int) -> None:
    name = connection.dialect.name
    quote = connection.dialect.identifier_preparer.quote
    parts = {
        "id": IDS[name],
        "phone": PHONES[name],
        "numbers": NUMBERS[name].format(rows=rows),
        "now": time.time_ns() // 1000,
        "sealed": "'sealed'" if name != "postgresql" else "'sealed'::bytea",
    }
    for statement in FILL:
        connection.execute(text(statement.format(**parts).replace("`key`", quote("key"))))


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
        await self.store.list_deliveries(DeliveryFilter(phone_key="phone-500"), limit=50)

    async def page_of_challenges(self) -> None:
        await self.store.list_challenges(ChallengeFilter(until=self.now - MINUTE / 1000), limit=50)

    async def _record(self, outcome: Outcome) -> None:
        result = CallResult(outcome=outcome, reference=f"reference-{self.ref.challenge_id}")
        await self.store.record(self.ref, self.step.delivery, result, self.plan(untried=()), self.now)


COMMANDS = (
    *("begin", "accept", "receive", "reserve", "approve", "begin_again", "fail", "claim", "retry"),
    *("accept_again", "next_due", "sweep", "wake"),
    *("page", "page_of_instance", "page_of_phone", "page_of_challenges"),
)


async def measure(users: list[User], turns: int) -> dict[str, list[float]]:
    """For each command the medians of both, in seconds."""
    took: dict[str, list[list[float]]] = {command: [[], []] for command in COMMANDS}
    for turn in range(turns):
        for side in (0, 1) if turn % 2 else (1, 0):
            for command in COMMANDS:
                operation: Callable[[], Awaitable[None]] = getattr(users[side], command)
                start = time.perf_counter()
                await operation()
                took[command][side].append(time.perf_counter() - start)
    return {command: [statistics.median(one) for one in both] for command, both in took.items()}


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


async def compare(urls: list[str], rows: int, turns: int, *, show: bool) -> None:
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
            upgrade(url)
            engine = create_engine(url)
            with engine.begin() as connection:
                fill(connection, count)
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                for table in ("otp_challenge", "otp_delivery", "otp_receipt", "otp_schedule", "otp_counter"):
                    word = "ANALYZE TABLE" if connection.dialect.name == "mariadb" else "ANALYZE"
                    connection.execute(text(f"{word} {table}"))
            engine.dispose()
            store = SqlStore(url)
            await store.start(stack)
            users.append(User(store))
        seen.clear()
        await measure(users, 20)
        found = await measure(users, turns)
    print(make_url(urls[0]).get_backend_name(), f"{FEW:,} against {rows:,} rows in each table")
    for command, (few, many) in found.items():
        print(f"  {command:<14}{few * 1000:8.3f} ms {many * 1000:8.3f} ms   ratio {many / few:.2f}")
    both = [sum(one[side] for one in found.values()) for side in (0, 1)]
    print(f"  {'all':<14}{both[0] * 1000:8.3f} ms {both[1] * 1000:8.3f} ms   ratio {both[1] / both[0]:.2f}")
    if show:
        plans(urls[1], seen)


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
            asyncio.run(compare(places, chosen.rows, chosen.turns, show=chosen.plans))
