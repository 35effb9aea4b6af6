"""What is erased leaves the medium: not only the tables, but free pages and the write-ahead log of the SQLite file."""

from __future__ import annotations

import secrets
import sqlite3
from contextlib import AsyncExitStack
from datetime import timedelta

import anyio

from otpcore.models import Outcome
from otpcore.stores.records import AuditRecord
from otpcore.stores.sql.store import SqlStore
from otpcore.stores.sql.tables import metadata
from otpcore.testing.stores.world import CHANNELS

CROWD = 40
KINDS = {
    *("otp_challenge", "otp_delivery", "otp_receipt", "otp_schedule", "otp_slot"),
    *("otp_counter", "otp_failure", "otp_refusal", "otp_verified", "otp_change", "otp_sealed", "otp_audit"),
}
"""Tables with rows of one person; a new one is added here, and to ``live`` below."""
OF_NOBODY = {
    *("otp_breaker", "otp_budget", "otp_fold"),
    *("otp_series", "otp_setting", "otp_worker"),
}


def person():
    """As the keys make them: nothing of one person occurs in another's rows by chance."""
    return secrets.token_hex(32)


async def live(world, phone):
    """Everything that is kept of one person, several versions of it."""
    world.with_retries()
    world.store.keeps_outbox = True
    old = await world.begin(
        world.vendor(),
        "login",
        phone,
        charges=world.charges(f"{phone}/send/600"),
    )
    reference = f"VE{secrets.token_hex(12)}"
    await old.answer(Outcome.ACCEPTED, reference=reference)
    await world.delivered(instance="twilio", reference=reference)
    reservation = await world.reserve("login", phone)
    assert await world.store.approve(reservation, settled=(), now=world.now)
    begun = await world.ask(world.limit(f"{phone}/send/60", 1), phone=phone)
    await world.ask(world.limit(f"{phone}/send/60", 1), phone=phone)
    cancelled = begun.step.challenge.id
    record = AuditRecord(at=world.now, by="ann", action="cancel", target=cancelled, reason=f"asked for by {person()}")
    await world.store.cancel(cancelled, world.now, audit=record)
    for value in (secrets.token_bytes(100), secrets.token_bytes(200)):
        await world.store.put_record(
            "server.answers", phone[:32], value, expires_at=world.at(600), about=phone, now=world.now
        )
    failover = await world.send(
        world.new_send(
            world.challenge(
                "login",
                phone,
                id=secrets.token_hex(16),
                phone_sealed=secrets.token_bytes(40),
                phone_masked=f"+359••{phone[:7]}",
                code_sealed=secrets.token_bytes(40),
                message_sealed=secrets.token_bytes(300),
                extras_sealed=secrets.token_bytes(300),
                code_digest=f"key-1:6:{secrets.token_hex(32)}",
            ),
            world.vendor() + world.core("mada"),
        )
    )
    await failover.answer(Outcome.UNAVAILABLE)
    await failover.answer(Outcome.THROTTLED)
    await world.reserve("login", phone, client=person())
    return failover


def rows_of(database, phone):
    """Every value of this person's rows that is long enough to be looked for, by table."""
    with sqlite3.connect(database) as raw:
        ids = [row[0] for row in raw.execute("select id from otp_challenge where phone_key = ?", [phone])]
        deliveries = {row[0] for row in raw.execute("select id from otp_delivery where phone_key = ?", [phone])}
        found = {}
        for name, table in metadata.tables.items():
            for row in raw.execute(f"select * from {name}"):
                texts = [str(value) for value in row]
                if any(phone in text or one in text for text in texts for one in ids) or deliveries.intersection(texts):
                    columns = [column.name for column in table.columns]
                    found.setdefault(name, []).append(dict(zip(columns, row, strict=True)))
    raw.close()
    return found


def traces(found):
    items = [item for rows in found.values() for row in rows for item in row.items()]
    values = [value for column, value in items if column != "cooldowns"]  # times, which are everybody's here
    return {
        value if isinstance(value, bytes) else value.encode()
        for value in values
        if isinstance(value, bytes | str) and len(value) >= 24
    }


def files(database):
    return b"".join(path.read_bytes() for path in sorted(database.parent.glob(f"{database.name}*")))


async def test_nothing_of_an_erased_person_is_left_in_the_files(sql_world, database):
    phone = person()
    for number in range(CROWD):
        await live(sql_world, phone if number == CROWD // 2 else person())
    found = rows_of(database, phone)
    assert set(found) == KINDS
    assert set(found) | OF_NOBODY == set(metadata.tables)
    wanted = traces(found)
    assert len(wanted) > 10
    assert all(one in files(database) for one in wanted)
    count = await sql_world.store.purge(
        challenges_before=sql_world.now, deliveries_before=sql_world.now, phone_key=phone, now=sql_world.now
    )
    assert (count.challenges, count.deliveries) == (3, 4)
    assert rows_of(database, phone) == {}
    left = [one for one in wanted if one in files(database)]
    assert left == []
    with sqlite3.connect(database) as raw:
        assert raw.execute("select count(*) from otp_challenge").fetchone() == (3 * (CROWD - 1),)
    raw.close()


async def test_a_purge_of_what_is_old_leaves_nothing_of_it_in_free_pages(sql_world, database):
    people = [person() for _ in range(CROWD)]
    for one in people:
        await live(sql_world, one)
    sealed = [row["phone_sealed"] for one in people for row in rows_of(database, one)["otp_challenge"]]
    sql_world.later(700)
    await sql_world.store.sweep(unretried=CHANNELS, limit=1000, now=sql_world.now)
    later = sql_world.now + timedelta(seconds=1)
    await sql_world.store.purge(challenges_before=later, deliveries_before=later, phone_key=None, now=sql_world.now)
    await sql_world.store._opened().fold_log()  # as every thousand pages, and when the last process closes the file
    left = [one for one in sealed if len(one) >= 24 and one in files(database)]
    assert left == []


async def test_a_code_that_was_used_leaves_no_sealed_form(sql_world, database):
    phone = person()
    await live(sql_world, phone)
    sealed = [row["code_sealed"] for row in rows_of(database, phone)["otp_challenge"] if row["code_sealed"]]
    reservation = await sql_world.reserve("login", phone)
    assert await sql_world.store.approve(reservation, settled=(), now=sql_world.now)
    await sql_world.store._opened().fold_log()
    assert [one for one in sealed if one in files(database)] == []


async def test_a_person_is_erased_while_others_read_and_write(database, new_world):
    """The log is emptied between the work of others, in this process and in another connection."""
    async with AsyncExitStack() as stack:
        one, other = (SqlStore(f"sqlite:///{database}", synchronous="NORMAL") for _ in range(2))
        world = new_world()
        world.store = one
        await one.start(stack)
        await other.start(stack)
        phone = person()
        await live(world, phone)
        wanted = traces(rows_of(database, phone))
        done = anyio.Event()

        async def busy():
            for number in range(10_000):
                if done.is_set():
                    return
                await other.write_setting("rules", str(number))
                await other.view(phone_key=phone)

        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(busy)
            await one.purge(challenges_before=world.now, deliveries_before=world.now, phone_key=phone, now=world.now)
            done.set()
        assert [one for one in wanted if one in files(database)] == []


async def test_it_does_not_depend_on_how_sqlite_was_built(sql_world):
    """Some builds overwrite what is deleted unasked, most do not: the writer's connection says so itself."""

    def asked(rows):
        raw = rows._connection.connection.dbapi_connection
        return raw.execute("PRAGMA secure_delete").fetchone()[0]

    assert await sql_world.store._opened().write(asked, even_if_cancelled=False) == 1
