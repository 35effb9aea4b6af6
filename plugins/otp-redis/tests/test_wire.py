"""How often a step asks the server, and what goes over the wire with it; and that what is guessed is never trusted."""

from __future__ import annotations

import contextlib
import time
from datetime import timedelta

import pytest
from redis import Redis

from otpcore import AsyncOTPService
from otpcore.models import CodeOwner
from otpcore.providers.hooks import hookimpl
from otpcore.providers.requests import DeliveryReceipt, ProviderInfo
from otpcore.rate_limits.admission import BudgetRule, BudgetWindow
from otpcore.settings.tree import Settings
from otpcore.stores import Outcome, RecordedGuess
from otpcore.stores.commands import Begun, Refused, ReservationStatus

from .proxies import Asked, proxy_to
from .worlds import world_at

pytestmark = pytest.mark.anyio

BUDGET = "BG/+359"
ENFORCED = BudgetRule(windows=(BudgetWindow(least=2, length=timedelta(minutes=10)),), enforce=True)


@pytest.fixture
def anyio_backend():
    return "asyncio"


@contextlib.contextmanager
def watched(server):
    """The address of a proxy, and a function that says what was asked since it was last called."""
    with proxy_to(server.port, b"EVALSHA") as proxy:

        def asked():
            data, proxy.passed = b"".join(proxy.passed), []
            return Asked.all_in(data)

        yield f"redis://127.0.0.1:{proxy.port}/0", asked


@contextlib.asynccontextmanager
async def watched_world(server, **more):
    with watched(server) as (url, asked):
        async with world_at(url, **more) as world:
            warm = await world.begin(phone="phone-0")  # the server has the scripts from now on
            await warm.answer(Outcome.ACCEPTED)
            await world.claim()
            asked()
            yield world, asked


@contextlib.asynccontextmanager
async def other_world(world, url):
    """Another process at the same data."""
    async with world_at(url) as other:
        other.numbers = world.numbers
        yield other


def scripts(calls):
    return [one.script for one in calls]


async def test_a_step_of_a_send_and_of_a_verification_is_one_call(server):
    async with watched_world(server) as (world, asked):
        charges = [world.limit("phone-1/send/600", 3), world.limit("all/global/60", 100)]
        failover = await world.begin(charges=tuple(charges), budget=BUDGET, budget_rule=ENFORCED)
        (begin,) = asked()
        assert begin.script == "commit"
        assert begin.guarded == ["field", "same", "size", "soon", "tally", "top"]
        assert begin.asks_too == ["latest", "hash", "hash", "hash", "hash", "hash", "hash", "hash"]
        await failover.answer(Outcome.ACCEPTED, reference="R1", budget_rule=ENFORCED)
        (record,) = asked()
        assert (record.script, record.asks_too) == ("commit", ["person", "hash", "hash"])
        world.later(31)
        again = await world.store.begin(
            world.new_send(failover.step.challenge, failover.route, is_resend=True, charges=tuple(charges)), world.now
        )
        assert isinstance(again, Begun)
        assert scripts(asked()) == ["commit"]
        reservation = await world.reserve()
        assert scripts(asked()) == ["commit"]
        assert await world.store.approve(reservation, settled=(), budget=ENFORCED, now=world.now)
        assert scripts(asked()) == ["commit"]


async def test_a_right_code_is_one_call_and_a_wrong_one_too(server):
    async with watched_world(server) as (world, asked):
        await (await world.begin()).answer(Outcome.ACCEPTED)
        asked()
        wrong = await world.reserve(guess=RecordedGuess(fits=lambda _: False))
        assert (wrong.status, scripts(asked())) == (ReservationStatus.RESERVED, ["commit"])
        right = await world.reserve(guess=RecordedGuess(fits=lambda _: True))
        assert (right.status, scripts(asked())) == (ReservationStatus.APPROVED, ["commit"])


async def test_a_claimed_retry_and_its_record_are_four_calls(server):
    async with watched_world(server) as (world, asked):
        waiting = await world.with_retries().begin(phone="phone-2")
        await waiting.answer(Outcome.UNAVAILABLE)
        world.later(60)
        asked()
        (claim,) = (await world.claim()).claims
        assert scripts(asked()) == ["look", "commit"]  # what is due nobody can guess
        retry = await world.begin_retry(claim)
        assert scripts(asked()) == ["commit"]
        await retry.answer(Outcome.ACCEPTED)
        assert scripts(asked()) == ["commit"]


async def test_a_verification_elsewhere_looks_first(server):
    # The code's digest is compared with a key that the server never has: whoever did not see it has to read it.
    async with watched_world(server) as (world, asked), other_world(world, server.url) as other:
        await (await other.begin()).answer(Outcome.ACCEPTED)
        assert (await world.reserve()).status is ReservationStatus.RESERVED
        assert scripts(asked()) == ["look", "commit"]
        assert (await world.reserve()).challenge.attempts == 2
        assert scripts(asked()) == ["commit"]


async def test_what_another_process_did_is_answered_to_a_wrong_guess(server):
    async with watched_world(server) as (world, asked), other_world(world, server.url) as other:
        await (await world.begin()).answer(Outcome.ACCEPTED)
        asked()
        for attempts in (1, 3):
            assert (await other.reserve()).challenge.attempts == attempts
            assert (await world.reserve()).challenge.attempts == attempts + 1
            calls = asked()
            assert scripts(calls) == ["commit", "commit"]
            assert calls[1].asks_too == []


async def test_a_cluster_is_asked_as_often(cluster):
    def calls():
        total = 0
        for node in cluster:
            with contextlib.closing(node.client()) as client:
                total += client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]
        return total

    for node in cluster:
        node.empty()
    async with world_at(f"redis+cluster://127.0.0.1:{cluster[0].port}") as world:
        await (await world.begin(phone="phone-0")).answer(Outcome.ACCEPTED)
        await world.claim()
        before = calls()
        failover = await world.begin()
        await failover.answer(Outcome.ACCEPTED)
        await world.reserve()
        assert calls() == before + 3


class Gateway:
    @hookimpl
    def describe(self):
        return ProviderInfo(display_name="Gateway", code_owner=CodeOwner.CORE)

    @hookimpl
    async def send_sms(self, request):
        return DeliveryReceipt(reference=request.delivery_id)


@contextlib.asynccontextmanager
async def service_at(url):
    settings = Settings.from_mapping(
        {
            "otp": {"number_policy": "possible"},
            "storage": {"store": "redis", "url": url},
            "keys": {"index": "a" * 43 + "=", "code": {"k1": "b" * 42 + "c="}, "current": "k1"},
            "retry": {"runner": "worker"},  # nothing else is asked meanwhile
        }
    )
    async with AsyncOTPService(settings, providers={"gateway": Gateway()}) as otp:
        yield otp


async def test_a_send_is_two_calls_and_a_verification_one_by_the_servers_clock(server):
    with watched(server) as (url, asked):
        async with service_at(url) as otp:
            await otp.send_sms("+359871000001")
            asked()
            for number in range(3):
                challenge = await otp.send_sms(f"+35988{number}000007")
                calls = asked()
                assert scripts(calls) == ["commit", "commit"]
                assert all("clock" in one.guarded for one in calls)
                assert await otp.verify(challenge_id=challenge.id, code=challenge.code)
                assert scripts(asked()) == ["commit"]


@pytest.mark.parametrize("seconds", [-3600.0, -1.5, 0.5, 3600.0])
async def test_a_time_that_was_guessed_wrong_is_the_servers_after_all(server, seconds):
    async with world_at(server.url) as world:

        async def begin():
            send = world.new_send(world.challenge(phone=f"phone-{next(world.numbers)}"), world.core("mada"))
            began = time.time()
            begun = await world.store.begin(send, None)
            return began - 0.1 <= begun.step.challenge.first_sent_at.timestamp() <= time.time() + 0.1

        assert await begin()
        clock = world.store._server._clock
        clock.heard(int((time.time() + seconds) * 1e6), was_wrong=True)
        assert await begin()
        assert abs(clock.now() / 1e6 - time.time()) < 0.5  # and it has learned


async def test_a_lock_that_another_process_set_holds_the_next_send(server):
    async with world_at(server.url) as world, other_world(world, server.url) as other:
        await (await world.begin(phone="phone-0")).answer(Outcome.ACCEPTED)
        await (await other.begin(subject="other")).answer(Outcome.ACCEPTED)
        for _ in range(2):
            await other.reserve("other", hard_limit=2)
        refused = await world.begin()
        assert isinstance(refused.begun, Refused)
        assert refused.reason == "locked"


async def test_a_breaker_that_another_process_opened_holds_the_next_send(server):
    async with world_at(server.url) as world, other_world(world, server.url) as other:
        await (await world.begin(phone="phone-0")).answer(Outcome.ACCEPTED)
        for number in range(world.breaker_threshold):
            await (await other.begin(phone=f"other-{number}")).answer(Outcome.UNAVAILABLE)
        refused = await world.begin(world.core("mada"))
        assert refused.reason == "breaker_open" or refused.step.is_probe
        again = await world.begin(world.core("mada"), phone="phone-2")
        assert again.reason == "breaker_open"


async def test_a_budget_that_another_process_used_up_refuses_the_next_send(server):
    async with world_at(server.url) as world, other_world(world, server.url) as other:
        first = await world.begin(budget=BUDGET, budget_rule=ENFORCED)
        await first.answer(Outcome.ACCEPTED, budget_rule=ENFORCED)
        second = await other.begin(phone="phone-2", budget=BUDGET, budget_rule=ENFORCED)
        await second.answer(Outcome.ACCEPTED, budget_rule=ENFORCED)
        refused = await world.begin(phone="phone-3", budget=BUDGET, budget_rule=ENFORCED)
        assert refused.reason == "unverified"
        assert await world.store.approve(await other.reserve(), settled=(), budget=ENFORCED, now=world.now)
        assert isinstance((await world.begin(phone="phone-3", budget=BUDGET, budget_rule=ENFORCED)).begun, Begun)


async def test_a_budget_far_from_its_end_makes_nobody_look(server):
    rule = BudgetRule(windows=(BudgetWindow(least=1_000_000, length=timedelta(minutes=10)),), enforce=True)
    async with watched_world(server) as (world, asked), other_world(world, server.url) as other:
        for number, one in enumerate((world, other, other, other)):
            failover = await one.begin(phone=f"budget-{number}", budget=BUDGET, budget_rule=rule)
            await failover.answer(Outcome.ACCEPTED, budget_rule=rule)
        asked()
        await world.begin(phone="phone-2", budget=BUDGET, budget_rule=rule)
        assert scripts(asked()) == ["commit"]


async def test_what_a_failover_lost_is_not_remembered(server):
    # A replica takes over that never had the last change: what is made there next must not be taken for it.
    async with world_at(server.url) as world, other_world(world, server.url) as other:
        failover = await world.begin()
        with contextlib.closing(Redis(port=server.port)) as client:
            key = f"otp:{{otp}}:ch:{failover.id}".encode()
            lost = client.dump(key)
            await failover.answer(Outcome.ACCEPTED)
            client.restore(key, 0, lost, replace=True)
        assert await other.store.cancel(failover.id, world.now)
        assert (await world.reserve()).status is ReservationStatus.NOT_FOUND


async def test_what_the_server_forgot_is_not_remembered(server):
    async with world_at(server.url) as world:
        failover = await world.begin()
        await failover.answer(Outcome.ACCEPTED)
        server.empty()
        assert (await world.reserve(challenge_id=failover.id)).status is ReservationStatus.NOT_FOUND
        assert isinstance((await world.begin()).begun, Begun)
