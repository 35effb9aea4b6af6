"""A database that fails under a running service: what callers hear, what is left half done, and that it comes back by itself."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest

from otpcore import (
    AsyncOTPService,
    ChallengeState,
    DeliveryReceipt,
    ErrorKind,
    ProviderInfo,
    StoreError,
    VerificationStatus,
    hookimpl,
)
from otpcore.stores.sql.sqlite import database as _sqlite
from otpcore.stores.sql.store import SqlStore
from otpcore.testing import Outbox

PHONE = "+359871234567"
OTHER = "+359881234567"
QUICK = {"otp": {"provider_timeout": 1, "send_timeout": 2}}


@pytest.fixture
def database(tmp_path) -> Path:
    directory = tmp_path / "data"
    directory.mkdir()
    return directory / "otp.sqlite3"


def service(outbox: Outbox, database: Path, **more: Any):
    """One that loses patience with a locked database soon."""
    store = SqlStore(f"sqlite:///{database}", synchronous="NORMAL", patience=1.0)
    return outbox.service({**QUICK, **more.pop("settings", {})}, store=store, **more)


@contextlib.contextmanager
def locked(database: Path):
    """By another process, for as long as the test likes."""
    program = """
        import sqlite3, sys
        connection = sqlite3.connect(sys.argv[1], isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        print("locked", flush=True)
        sys.stdin.read()
        """
    other = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), str(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert other.stdout.readline() == b"locked\n"
    try:
        yield
    finally:
        other.stdin.close()
        other.wait()
        other.stdout.close()


@contextlib.contextmanager
def gone(database: Path):
    """The directory is away (unmounted, renamed), and comes back."""
    away = database.parent.with_name("away")
    database.parent.rename(away)
    try:
        yield
    finally:
        away.rename(database.parent)


@contextlib.contextmanager
def refusing_to_grow(database: Path):
    """No file of this process grows beyond what the database has: a disk that reports errors. Root is no exception."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


FAULTS = {
    "locked": (locked, "locked by another process"),
    "gone": (gone, "is gone. Fix: put it back"),
    "disk error": (refusing_to_grow, "the disk reported an error"),
}
each_fault = pytest.mark.parametrize(("fault", "words"), FAULTS.values(), ids=FAULTS)


def sound(database: Path) -> None:
    """SQLite finds no fault, and every row that needs another has it."""
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        orphans = "SELECT count(*) FROM {0} WHERE challenge_id NOT IN (SELECT id FROM otp_challenge)"
        assert connection.execute(orphans.format("otp_schedule")).fetchone() == (0,)
        assert connection.execute(orphans.format("otp_delivery")).fetchone() == (0,)


@each_fault
async def test_sends_and_verifications_say_what_to_mend_and_work_again_without_a_restart(
    otp_outbox: Outbox, database, fault, words
) -> None:
    async with service(otp_outbox, database) as otp:
        challenge = await otp.send_sms(PHONE)
        code = otp_outbox.code
        with fault(database):
            with pytest.raises(StoreError, match=words):
                await otp.send_sms(OTHER)
            with pytest.raises(StoreError, match=words):
                await otp.verify(PHONE, code)
            with pytest.raises(StoreError, match=words):
                await otp.cancel(challenge.id)
        assert len(otp_outbox.messages) == 1  # nothing is sent that could not be recorded
        assert (await otp.verify(OTHER, code)).status is VerificationStatus.NOT_FOUND
        assert (await otp.verify(PHONE, code)).attempts_left == 4  # the failed one used up none
        await otp.send_sms(OTHER)
        assert await otp.verify(OTHER, otp_outbox.code)
    sound(database)


@attrs.define(eq=False)
class Meanwhile:
    """A provider in whose call the database fails; the message leaves all the same."""

    outbox: Outbox
    fault: contextlib.ExitStack
    begin: Any
    codes: list[str] = attrs.field(factory=list)

    @hookimpl
    def describe(self) -> ProviderInfo:
        return ProviderInfo(display_name="Meanwhile")

    @hookimpl
    async def send_sms(self, request):
        self.codes.append(request.code)
        if len(self.codes) == 1:
            self.fault.enter_context(self.begin())
        return DeliveryReceipt(reference="m")


@each_fault
async def test_a_code_that_left_verifies_though_its_outcome_could_not_be_recorded(
    otp_outbox: Outbox, database, fault, words
) -> None:
    with contextlib.ExitStack() as stack:
        meanwhile = Meanwhile(otp_outbox, stack, lambda: fault(database))
        async with service(otp_outbox, database, providers={"meanwhile": meanwhile}) as otp:
            with pytest.raises(StoreError, match=words):
                await otp.send_sms(PHONE)
            stack.close()
            assert await otp.verify(PHONE, meanwhile.codes[0])
    sound(database)


@each_fault
async def test_an_outcome_is_recorded_when_the_database_is_back_in_time(
    otp_outbox: Outbox, database, fault, words
) -> None:
    with contextlib.ExitStack() as stack:
        meanwhile = Meanwhile(otp_outbox, stack, lambda: fault(database))
        settings = {"otp": {"provider_timeout": 1, "send_timeout": 20}}
        async with (
            service(otp_outbox, database, providers={"meanwhile": meanwhile}, settings=settings) as otp,
            anyio.create_task_group() as tasks,
        ):

            async def mend():
                await anyio.sleep(0.5)
                stack.close()

            tasks.start_soon(mend)
            challenge = await otp.send_sms(PHONE)
            assert (challenge.state, challenge.confirmed) == (ChallengeState.SENT, True)


@each_fault
async def test_a_worker_goes_on_when_the_database_is_back(otp_outbox: Outbox, database, fault, words) -> None:
    retry = {"runner": "background", "first_delay": 0.2, "max_delay": 0.4, "poll": 0.05}
    settings = {"sms": {"retry": True, "max_retries": 100}, "retry": retry}
    store = SqlStore(f"sqlite:///{database}", synchronous="NORMAL", patience=0.3)
    otp_outbox.fail(ErrorKind.UNAVAILABLE, times=1000)  # until the database is away
    # The real clock, so that retries fall due.
    async with AsyncOTPService(
        {**otp_outbox.settings, **QUICK, **settings}, providers=otp_outbox.providers, store=store
    ) as otp:
        challenge = await otp.send_sms(PHONE)
        assert challenge.state is ChallengeState.QUEUED
        with fault(database):
            await anyio.sleep(0.2)  # a call that was under way is over
            otp_outbox._failures.clear()
            await anyio.sleep(1)  # the worker meets the fault
            assert not otp_outbox.messages
        with anyio.fail_after(20):
            while not otp_outbox.messages:
                await anyio.sleep(0.05)
        assert await otp.verify(challenge_id=challenge.id, code=otp_outbox.code)
    sound(database)


@each_fault
async def test_a_service_closes_while_the_database_fails(otp_outbox: Outbox, database, fault, words) -> None:
    with contextlib.ExitStack() as stack, anyio.fail_after(30):
        async with service(otp_outbox, database) as otp:
            await otp.send_sms(PHONE)
            stack.enter_context(fault(database))


async def test_a_full_disk_stops_sends_and_not_what_is_there(otp_outbox: Outbox, database, monkeypatch) -> None:
    class Small(sqlite3.Connection):
        """SQLite's own limit on the size of a file; every connection has its own."""

        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            self.execute("PRAGMA max_page_count=1")  # as many as there are

    async with service(otp_outbox, database) as otp:
        await otp.send_sms(PHONE)
        code = otp_outbox.code
        with monkeypatch.context() as patch:
            connect = sqlite3.connect
            patch.setattr(_sqlite.sqlite3, "connect", lambda *a, **o: connect(*a, **o, factory=Small))
            otp._service.store._opening.let_go()
            failures = 0
            for number in range(400):
                try:
                    await otp.send_sms(f"+3598812{number:05}")
                except StoreError as error:
                    assert "the disk is full" in str(error)  # noqa: PT017 - how many succeed before is SQLite's affair
                    failures += 1
                    if failures > 2:
                        break
            assert failures > 2
            sent = len(otp_outbox.messages)
            with pytest.raises(StoreError, match="the disk is full"):
                await otp.send_sms("+359888888888")
            assert len(otp_outbox.messages) == sent
        otp._service.store._opening.let_go()
        assert await otp.verify(PHONE, code)
        await otp.send_sms(OTHER)
        assert await otp.verify(OTHER, otp_outbox.code)
    sound(database)


async def test_a_damaged_page_is_named_and_a_backup_put_in_its_place_is_used(otp_outbox: Outbox, database) -> None:
    async with service(otp_outbox, database) as otp:
        await otp.send_sms(PHONE)
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        backup = shutil.copy(database, database.with_name("backup"))
        otp._service.store._opening.let_go()
        size = database.stat().st_size
        with database.open("r+b") as file:
            file.seek(4096)
            file.write(os.urandom(size - 4096))
        damage = re.compile("is damaged. Fix: restore it from a backup")
        for act in (otp.send_sms(OTHER), otp.verify(PHONE, otp_outbox.code)):
            with pytest.raises(StoreError, match=damage):
                await act
        replace(database, backup)
        assert await otp.verify(PHONE, otp_outbox.code)
    sound(database)


def replace(database: Path, backup: str) -> None:
    """Put a backup in place of the database and of what SQLite keeps beside it."""
    for side in ("", "-wal", "-shm"):
        Path(f"{database}{side}").unlink(missing_ok=True)
    shutil.move(backup, database)


async def test_a_file_that_became_read_only_says_so_and_is_written_again_afterwards(
    otp_outbox: Outbox, tmp_path
) -> None:
    database = tmp_path / "otp.sqlite3"
    async with service(otp_outbox, database) as otp:
        await otp.send_sms(PHONE)
        code = otp_outbox.code
        with read_only(otp._service.store, database):
            with pytest.raises(StoreError, match="give this user write permission"):
                await otp.send_sms(OTHER)
            with pytest.raises(StoreError, match="give this user write permission"):
                await otp.verify(PHONE, code)
        assert await otp.verify(PHONE, code)
    sound(database)


@contextlib.contextmanager
def read_only(store: SqlStore, database: Path):
    """Connections that are opened now may only read, as after a remount; root is no exception."""
    connect = sqlite3.connect

    def reading(place, **options):
        return connect(place.replace("mode=rw", "mode=ro"), **options)

    store._opening.let_go()
    _sqlite.sqlite3.connect = reading
    try:
        yield
    finally:
        _sqlite.sqlite3.connect = connect
        store._opening.let_go()


async def test_half_a_character_reaches_no_statement(otp_outbox: Outbox, database) -> None:
    async with service(otp_outbox, database) as otp:
        challenge = await otp.send_sms(PHONE, client="\ud800")
        assert (await otp.verify(challenge_id="\ud800", code=otp_outbox.code)).status is VerificationStatus.NOT_FOUND
        assert not await otp.cancel("\ud800")
        for text in ({"purpose": "\ud800"}, {"locale": "\ud800"}, {"message": "{code} \ud800"}):
            with pytest.raises(ValueError, match="half a character") as caught:
                await otp.send_sms(PHONE, **text)
            assert PHONE not in repr(vars(caught.value)) + repr(caught.value)
        with pytest.raises(ValueError, match="half a character"):
            await otp.verify(PHONE, otp_outbox.code, purpose="\ud800")
        assert await otp.verify(challenge_id=challenge.id, code=otp_outbox.code)
