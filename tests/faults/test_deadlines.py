"""A database that makes callers wait: each call ends by its deadline, and what a send was charged and did not use is given back."""

from __future__ import annotations

import contextlib
import sqlite3
from contextlib import closing

import anyio
import attrs
import pytest
from otp_redis.store import RedisStore
from redis_servers import redis_server
from sqlalchemy import create_engine, make_url, text

from otpcore import (
    ChallengeState,
    CheckResult,
    CodeOwner,
    DeliveryReceipt,
    ErrorKind,
    ProviderInfo,
    RateLimited,
    StoreError,
    hookimpl,
)
from otpcore.runners.worker import WorkerRunner
from otpcore.stores.sql.store import SqlStore
from otpcore.testing import Outbox

from ..servers import empty  # noqa: TID252 - tests are no package that could be imported by name

PHONE = "+359871234567"
OTHER = "+359881234567"
ONE_SEND = {"limits": {"phone": ["1/1h"], "client": ["1/1h"], "global": ["100/1h"]}}
BRIEF = {"otp": {"provider_timeout": 0.3, "send_timeout": 0.6}}
COUNTED = "SELECT sum(count) FROM otp_counter WHERE otp_counter.key NOT LIKE 'given_back/%'"
LATE = r"did not answer within otp\.send_timeout \(0\.6 s\)"
TABLE_LOCKS = {
    "postgresql": "LOCK TABLE otp_challenge IN ACCESS EXCLUSIVE MODE",
    "mariadb": "LOCK TABLES otp_challenge WRITE",
}


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(params=["postgres", "mariadb"])
def server_url(request) -> str:
    url = request.getfixturevalue(f"{request.param}_url")
    empty(url)
    return url


@contextlib.asynccontextmanager
async def hurried(outbox: Outbox, store, **more):
    """A service whose calls may take as long as they like, and one on the same store whose calls end soon."""
    async with outbox.service(more, store=store) as otp, outbox.service({**BRIEF, **more}, store=store) as brief:
        yield otp, brief


@contextlib.contextmanager
def table_locked(url: str):
    """As a migration of the host's, or a careless session, holds it."""
    engine = create_engine(url)
    with engine.connect() as connection:
        connection.execute(text(TABLE_LOCKS[make_url(url).get_backend_name()]))
        try:
            yield
        finally:
            connection.rollback()
            if engine.dialect.name != "postgresql":
                connection.execute(text("UNLOCK TABLES"))
    engine.dispose()


async def test_a_caller_who_gives_up_before_the_store_does_hears_what_keeps_it(otp_outbox, empty_postgres_url):
    store = SqlStore(
        make_url(empty_postgres_url)
        .update_query_dict({"options": "-cdefault_transaction_read_only=on"})
        .render_as_string(hide_password=False)
    )
    async with otp_outbox.service(BRIEF, store=store) as otp:
        with pytest.raises(StoreError, match=rf"{LATE}: nothing was sent.*takes no writes \(25006\).*Fix: let the URL"):
            await otp.send_sms(PHONE)
    assert otp_outbox.messages == []


@contextlib.contextmanager
def file_locked(path):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


async def nothing_counts(url: str) -> None:
    """Soon: it is given back as soon as the store answers."""
    engine = create_engine(url)
    with anyio.fail_after(10):
        while True:
            with engine.connect() as connection:
                if not connection.execute(text(COUNTED)).scalar():
                    break
            await anyio.sleep(0.02)
    engine.dispose()


async def charged(url: str) -> None:
    """Soon: the transaction that charges is committed, and the one after it waits."""
    engine = create_engine(url)
    with anyio.fail_after(10):
        while True:
            with engine.connect() as connection:
                if connection.execute(text(COUNTED)).scalar():
                    break
            await anyio.sleep(0.02)
    engine.dispose()


async def test_a_send_ends_by_its_deadline_while_the_lock_is_held_and_its_charge_comes_back(
    otp_outbox: Outbox, server_url
):
    async with hurried(otp_outbox, SqlStore(server_url), **ONE_SEND) as (otp, brief):
        with table_locked(server_url):
            for _ in range(3):
                with pytest.raises(StoreError, match=LATE):
                    await brief.send_sms(PHONE, client="a")
        await nothing_counts(server_url)
        assert not otp_outbox.messages
        challenge = await otp.send_sms(PHONE, client="a")
        assert challenge.state is ChallengeState.SENT


async def test_a_send_that_fails_after_it_was_charged_is_not_counted(otp_outbox: Outbox, server_url):
    async with otp_outbox.service(ONE_SEND, store=SqlStore(server_url, patience=1)) as otp:
        for _ in range(2):
            with table_locked(server_url), pytest.raises(StoreError):
                await otp.send_sms(PHONE, client="a")
            await nothing_counts(server_url)
        assert (await otp.send_sms(PHONE, client="a")).state is ChallengeState.SENT


async def test_a_cancelled_send_leaves_nothing_in_the_way_of_the_next(otp_outbox: Outbox, server_url):
    async with otp_outbox.service(ONE_SEND, store=SqlStore(server_url)) as otp:
        with table_locked(server_url):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(otp.send_sms, PHONE)
                await charged(server_url)
                tasks.cancel_scope.cancel()
        await nothing_counts(server_url)
        assert (await otp.send_sms(PHONE)).state is ChallengeState.SENT
        assert len(otp_outbox.messages) == 1


async def test_a_burst_larger_than_the_pool_ends_by_its_deadline(otp_outbox: Outbox, server_url):
    said = []

    async def send(number: int) -> None:
        with pytest.raises(StoreError) as caught:
            await brief.send_sms(f"+35987123{number:04}")
        said.append(str(caught.value))

    async with hurried(otp_outbox, SqlStore(server_url), **ONE_SEND) as (otp, brief):
        with table_locked(server_url):
            async with anyio.create_task_group() as tasks:
                for number in range(100):
                    tasks.start_soon(send, number)
        assert len(said) == 100
        assert all("otp.send_timeout (0.6 s)" in one for one in said)
        await nothing_counts(server_url)
        assert (await otp.send_sms(PHONE)).state is ChallengeState.SENT


async def test_a_burst_that_the_pool_serves_in_turn_is_sent_whole(otp_outbox: Outbox, server_url):
    async with otp_outbox.service(store=SqlStore(server_url)) as otp, anyio.create_task_group() as tasks:
        for number in range(100):
            tasks.start_soon(otp.send_sms, f"+35987123{number:04}")
    assert len(otp_outbox.messages) == 100


async def test_verifying_and_cancelling_end_by_the_deadline_too(otp_outbox: Outbox, server_url):
    async with hurried(otp_outbox, SqlStore(server_url)) as (otp, brief):
        challenge = await otp.send_sms(PHONE)
        with table_locked(server_url):
            with pytest.raises(StoreError, match=LATE):
                await brief.verify(PHONE, otp_outbox.code)
            with pytest.raises(StoreError, match=LATE):
                await brief.cancel(challenge.id)
        assert await otp.verify(PHONE, otp_outbox.code)  # nobody heard of the first, so it did not take place


async def test_a_locked_file_keeps_nobody_beyond_the_deadline(otp_outbox: Outbox, migrated, tmp_path):
    path = tmp_path / "otp.sqlite3"
    store = SqlStore(f"sqlite:///{path}", synchronous="NORMAL")
    async with hurried(otp_outbox, store, **ONE_SEND) as (otp, brief):
        challenge = await otp.send_sms(PHONE)
        with file_locked(path):
            for act in (
                brief.send_sms(OTHER),
                brief.verify(PHONE, otp_outbox.code),
                brief.cancel(challenge.id),
            ):
                with pytest.raises(StoreError, match=LATE):
                    await act
        assert (await otp.send_sms(OTHER)).state is ChallengeState.SENT
        assert await otp.verify(PHONE, otp_outbox.messages[0].code)


async def test_a_redis_that_does_not_answer_keeps_nobody_beyond_the_deadline(otp_outbox: Outbox, tmp_path):
    with redis_server(tmp_path / "redis") as server, contextlib.closing(server.client()) as client:
        async with hurried(otp_outbox, RedisStore(server.url), **ONE_SEND) as (otp, brief):
            challenge = await otp.send_sms(PHONE)
            client.execute_command("CLIENT", "PAUSE", "60000", "WRITE")
            for act in (brief.send_sms(OTHER), brief.verify(PHONE, otp_outbox.code), brief.cancel(challenge.id)):
                with pytest.raises(StoreError, match=LATE):
                    await act
            client.execute_command("CLIENT", "UNPAUSE")
            assert (await otp.send_sms(OTHER)).state is ChallengeState.SENT
            assert await otp.verify(PHONE, otp_outbox.messages[0].code)


async def test_a_cancelled_claim_leaves_the_retry_due(otp_outbox: Outbox, server_url):
    settings = {"sms": {"retry": True, "max_retries": 1}, "retry": {"jitter": 0}}
    otp_outbox.fail(ErrorKind.UNAVAILABLE)
    async with otp_outbox.service(settings, store=SqlStore(server_url), runner=WorkerRunner()) as otp:
        challenge = await otp.send_sms(PHONE)
        otp_outbox.clock.advance(1)
        with table_locked(server_url):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(otp._retries.claim, 10)
                await anyio.wait_all_tasks_blocked()
                tasks.cancel_scope.cancel()
        (claim,) = await otp._retries.claim(10)
        await otp._retries.run(claim)
        assert await otp.verify(challenge_id=challenge.id, code=otp_outbox.code)


class Failing(SqlStore):
    """Refuses the next command of this name."""

    refused = ""

    async def begin_retry(self, failover, plan, now):
        if self.refused:
            self.refused = ""
            raise StoreError("by the test")
        return await super().begin_retry(failover, plan, now)


async def test_a_retry_that_could_not_begin_does_not_count(otp_outbox: Outbox, tmp_path):
    store = Failing(f"sqlite:///{tmp_path / 'otp.sqlite3'}", synchronous="NORMAL")
    settings = {"sms": {"retry": True, "max_retries": 1}, "retry": {"jitter": 0}}
    otp_outbox.fail(ErrorKind.UNAVAILABLE)
    async with otp_outbox.service(settings, store=store, runner=WorkerRunner()) as otp:
        challenge = await otp.send_sms(PHONE)
        otp_outbox.clock.advance(1)
        store.refused = "begin_retry"
        for _ in range(2):
            for claim in await otp._retries.claim(10):
                await otp._retries.run(claim)
        assert await otp.verify(challenge_id=challenge.id, code=otp_outbox.code)


@attrs.define(eq=False)
class Vendor:
    """Owns its codes. The first time that an old verification is to be cancelled, or a code checked, it does not answer."""

    started: list[str] = attrs.field(factory=list)
    asked: anyio.Event | None = None
    checked: anyio.Event | None = None

    @hookimpl
    def describe(self):
        return ProviderInfo(display_name="Vendor", code_owner=CodeOwner.PROVIDER, code_scope="account")

    @hookimpl
    async def send_sms(self, request):
        self.started.append(request.delivery_id)
        return DeliveryReceipt(reference=request.delivery_id)

    @hookimpl
    async def check_code(self, request):
        if self.checked is not None:
            self.checked.set()
            await anyio.sleep_forever()
        return CheckResult.INCORRECT

    @hookimpl
    async def cancel(self, request):
        if self.asked is not None:
            asked, self.asked = self.asked, None
            asked.set()
            await anyio.sleep_forever()


async def test_a_send_cancelled_before_its_provider_heard_of_it_is_not_counted_and_does_not_cool_down(
    otp_outbox: Outbox,
):
    vendor = Vendor()
    limits = {"limits": {"phone": ["2/1h"]}}
    async with otp_outbox.service(limits, providers={"vendor": vendor}) as otp:
        await otp.send_sms(PHONE)
        otp_outbox.clock.advance(301)
        asked = vendor.asked = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(otp.send_sms, PHONE)
            await asked.wait()
            tasks.cancel_scope.cancel()
        assert (await otp.send_sms(PHONE)).state is ChallengeState.SENT
        assert len(vendor.started) == 2
        with pytest.raises(RateLimited):
            await otp.send_sms(PHONE, purpose="third")


async def test_a_verification_cancelled_before_its_vendor_answered_uses_no_attempt_three_times_at_most(
    otp_outbox: Outbox,
):
    vendor = Vendor()
    async with otp_outbox.service(providers={"vendor": vendor}) as otp:
        await otp.send_sms(PHONE)
        for times, left in ((3, 4), (1, 2)):
            for _ in range(times):
                vendor.checked = anyio.Event()
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(otp.verify, PHONE, "000000")
                    await vendor.checked.wait()
                    tasks.cancel_scope.cancel()
            vendor.checked = None
            assert (await otp.verify(PHONE, "000000")).attempts_left == left
