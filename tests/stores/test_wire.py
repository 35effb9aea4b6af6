"""How often a send, a verification and a retry go to a database server and back, and what travels together."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import anyio
import pytest
from sqlalchemy import create_engine, make_url, text

from otpcore import AsyncOTPService
from otpcore.clock import utc_now
from otpcore.errors import StoreError
from otpcore.models import CodeOwner, Outcome
from otpcore.providers.hooks import hookimpl
from otpcore.providers.requests import DeliveryReceipt, ProviderInfo
from otpcore.settings.tree import Settings, generate_keys
from otpcore.stores.sql.store import SqlStore, upgrade
from otpcore.stores.wanted import Wanted

from ..own_servers import own_postgres  # noqa: TID252 - tests are no package that could be imported by name
from ..proxy import proxy_to  # noqa: TID252 - the same
from ..servers import empty  # noqa: TID252 - the same
from .wiretap import Wiretap

BLOCKS = [f"+3598881234{number:02}" for number in range(8)]
"""One after the other, so that they are neighbours."""


class Gateway:
    """Takes everything."""

    @hookimpl
    def describe(self) -> ProviderInfo:
        return ProviderInfo(display_name="Gateway", code_owner=CodeOwner.CORE)

    @hookimpl
    async def send_sms(self, request) -> DeliveryReceipt:
        return DeliveryReceipt(reference=request.delivery_id)


@pytest.fixture
def anyio_backend():
    return "asyncio"  # a thread does the work


@pytest.fixture(scope="module")
def postgres_line():
    """A server of its own, since the proxy names it; what is said to it, and where."""
    tap = Wiretap("postgresql")
    with own_postgres() as server, proxy_to(server.address, tap) as proxy:
        upgrade(server.url)
        yield tap, server.through(proxy.port), server.url


@pytest.fixture
def mariadb_line(mariadb_url):
    tap = Wiretap("mariadb")
    address = urlsplit(mariadb_url)
    with proxy_to((address.hostname or "127.0.0.1", address.port or 3306), tap) as proxy:
        url = make_url(mariadb_url).set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
        yield tap, url, mariadb_url


@pytest.fixture(params=["postgres", "mariadb"])
def line(request):
    return request.getfixturevalue(f"{request.param}_line")


@pytest.fixture
async def service(line) -> AsyncIterator[tuple[Wiretap, AsyncOTPService]]:
    """One that has sent and verified already: connections are open, statements prepared, counters begun."""
    tap, url, direct = line
    empty(direct)
    keys = generate_keys(utc_now())
    settings = Settings.from_mapping(
        {
            "otp": {"number_policy": "possible"},
            "storage": {"store": "sql", "url": url},
            "retry": {"runner": "worker"},
            "keys": {"index": keys.index, "code": dict(keys.code), "current": keys.current},
        }
    )
    async with AsyncOTPService(settings, providers={"gateway": Gateway()}) as otp:
        for number in BLOCKS[:3]:
            sent = await otp.send_sms(number)
            assert await otp.verify(challenge_id=sent.id, code=sent.code or "")
        yield tap, otp


def flights_of(tap: Wiretap) -> list[list[str]]:
    """What was said since the last look; without looks at the schedule and at settings, which other tasks take."""
    told, tap.flights[:] = list(tap.flights), []
    return [flight for flight in told if not re.search("min\\(otp_schedule|FROM otp_setting|otp_worker", flight[0])]


SENDS, VERIFICATIONS = {"postgresql": 7, "mariadb": 7}, {"postgresql": 2, "mariadb": 3}
RETRIES = {"postgresql": 6, "mariadb": 8}


async def test_a_send_and_a_verification_take_few_flights(service):
    tap, otp = service
    flights_of(tap)
    sent = await otp.send_sms("+359889999999")
    assert len(flights_of(tap)) <= SENDS[tap.kind]
    assert await otp.verify(challenge_id=sent.id, code=sent.code or "")
    assert len(flights_of(tap)) <= VERIFICATIONS[tap.kind]


_CHARGED = re.compile("(INTO|UPDATE) otp_counter")


def tables_of(flight: list[str]) -> list[str]:
    """What it writes to, each once, in this order."""
    written = [re.search(r"(INSERT INTO|UPDATE|DELETE FROM) (\w+)", text) for text in flight]
    return list(dict.fromkeys(one[2] for one in written if one))


async def test_what_a_send_writes_leaves_with_its_commit(service):
    """Nothing is held over a flight that another phone's send could wait for: a block, a budget."""
    tap, otp = service
    flights_of(tap)
    await otp.send_sms("+359889999998")
    told = flights_of(tap)
    begins = [flight for flight in told if flight[0].startswith(("BEGIN", "START"))]
    ends = [flight for flight in told if flight[-1] == "COMMIT"]
    assert len(begins) == len(ends) == 3  # charged, begun, recorded
    _, begun, recorded = ends
    assert tables_of(begun) == ["otp_challenge", "otp_delivery", "otp_schedule", "otp_counter"]
    assert tables_of(recorded) == ["otp_challenge", "otp_delivery", "otp_budget", "otp_schedule"]


async def test_neighbours_wait_for_no_flight_of_one_another(service):
    """Consecutive numbers at once: the counter that they share is locked only in flights that end their transaction."""
    tap, otp = service
    flights_of(tap)
    async with anyio.create_task_group() as tasks:
        for number in BLOCKS[3:]:
            tasks.start_soon(otp.send_sms, number)
    counting = [flight for flight in flights_of(tap) if any(_CHARGED.search(text) for text in flight)]
    alone = [flight for flight in counting if "otp_challenge" in "".join(flight)]
    assert len(alone) >= 5
    assert all(flight[-1] == "COMMIT" for flight in alone)


async def test_a_claimed_retry_and_its_record_take_few_flights(line, new_world):
    tap, url, direct = line
    empty(direct)
    world, store = new_world().with_retries(), SqlStore(url, patience=20)
    async with AsyncExitStack() as stack:
        await store.start(stack)
        world.store = store
        for turn in range(2):  # the first prepares
            failover = await world.begin(subject=f"login {turn}", phone=f"phone-{turn}")
            await failover.answer(Outcome.UNAVAILABLE)
            due_at = await store.next_due()
            world.now = max(world.now, due_at)
            flights_of(tap)
            batch = await world.claim()
            (claim,) = batch.claims
            retried = await world.begin_retry(claim)
            await retried.answer(Outcome.ACCEPTED)
            told = flights_of(tap)
        assert len(told) <= RETRIES[tap.kind], told


@pytest.fixture(params=["postgres", "mariadb"])
def url(request):
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
async def world(url, new_world) -> AsyncIterator:
    empty(url)
    world = new_world()
    async with AsyncExitStack() as stack:
        world.store = SqlStore(url, patience=10)
        await world.store.start(stack)
        yield world


async def test_what_was_read_ahead_and_has_changed_since_makes_a_unit_run_again(world, url):
    """A delivery that is purged between the look at it and the COMMIT: nothing of the first run is kept."""
    failover = await world.begin()
    runs: list[bool] = []
    engine = create_engine(url)

    def unit(rows):
        rows.prefetch(Wanted(challenge_id=failover.id), None)
        if not runs:
            with engine.begin() as other:
                other.execute(text("DELETE FROM otp_delivery"))
        rows.update_challenge(failover.id, provider=f"run {len(runs)}")
        runs.append(rows.answer_delivery(failover.delivery.id, outcome=Outcome.ACCEPTED))
        return runs[-1]

    try:
        assert await world.store._write(unit) is False
    finally:
        engine.dispose()
    assert runs == [True, False]
    assert (await failover.view()).challenge.provider == "run 1"


async def test_what_a_unit_has_written_it_reads(world):
    failover = await world.begin()

    def unit(rows):
        rows.prefetch(Wanted(challenge_id=failover.id), None)
        rows.update_challenge(failover.id, provider="backup")
        rows.delete_schedule(failover.id, failover.ref.channel)
        assert rows.answer_delivery(failover.delivery.id, reference="M1")
        ahead = rows.challenge(failover.id), rows.deliveries(failover.id), rows.schedules(failover.id)
        rows._forget()
        asked = rows.challenge(failover.id), rows.deliveries(failover.id), rows.schedules(failover.id)
        return ahead, asked

    ahead, asked = await world.store._write(unit)
    assert ahead == asked
    assert (ahead[0].provider, ahead[1][0].reference, ahead[2]) == ("backup", "M1", [])


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
async def test_after_a_statement_that_failed_the_connection_serves_on(world):
    """The same statements again: what had been prepared before the failure is known, and what had not is not."""

    def unit(rows):
        rows.now(None)
        rows.update_challenge("nobody", provider="x")
        return rows.latest("NUL \0 is none of PostgreSQL's characters")

    for _ in range(12):  # more than there are connections
        with pytest.raises(StoreError, match="refused"):
            await world.store._write(unit)
        assert await world.store.latest("nobody") is None
    await (await world.begin()).answer(Outcome.ACCEPTED)
