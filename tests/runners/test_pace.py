"""How the retry loop keeps time, by a clock that jumps as soon as everybody waits: no test waits for real seconds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import attrs
import pytest
import trio
import trio.testing

from otpcore import DeliveryReceipt, DeliveryRequest, ErrorKind, ProviderError, ProviderInfo, hookimpl
from otpcore.runners.background import BackgroundRunner
from otpcore.stores.memory.store import MemoryStore
from otpcore.testing import Outbox

RETRIED = {"sms": {"retry": True}, "retry": {"first_delay": 0.5, "jitter": 0.0}}


def now() -> datetime:
    return datetime(2030, 1, 1, tzinfo=UTC) + timedelta(seconds=trio.current_time())


def played(main: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        with trio.fail_after(60):
            await main()

    trio.run(limited, clock=trio.testing.MockClock(autojump_threshold=0.01))


@attrs.define(eq=False)
class Vendor:
    """Takes nothing at first, and a while for each retry."""

    seconds: float
    heard: set[str] = attrs.field(factory=set)
    begun: list[float] = attrs.field(factory=list)
    running: int = 0
    most: int = 0

    @hookimpl
    def describe(self) -> ProviderInfo:
        return ProviderInfo(display_name="Vendor")

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        if request.recipient.e164 not in self.heard:
            self.heard.add(request.recipient.e164)
            raise ProviderError(ErrorKind.THROTTLED)
        self.begun.append(trio.current_time())
        self.running += 1
        self.most = max(self.most, self.running)
        await trio.sleep(self.seconds)
        self.running -= 1
        return DeliveryReceipt()


class Counting(MemoryStore):
    """Knows how often somebody claimed, and for how many at most."""

    claims = 0
    least = 1_000_000

    async def claim(self, rule: object, limit: int, now: object) -> object:
        self.claims += 1
        self.least = min(self.least, limit)
        return await super().claim(rule, limit, now)


class SlowlyPurged(MemoryStore):
    """A purge takes ten seconds."""

    purges = 0

    async def purge(self, **asked: object) -> object:
        self.purges += 1
        await trio.sleep(10)
        return await super().purge(**asked)


class Silent(MemoryStore):
    """Does not answer who leaves."""

    async def leave(self, name: str) -> None:
        del name
        await trio.sleep_forever()


@pytest.mark.parametrize("concurrency", [1, 3])
def test_as_many_retries_run_at_once_as_were_asked_for_and_a_full_runner_claims_nothing(concurrency: int) -> None:
    async def main() -> None:
        runner = BackgroundRunner(concurrency=concurrency, poll=0.25)
        async with outbox.service(RETRIED, providers={"vendor": vendor}, store=store, runner=runner, clock=now) as otp:
            for number in range(6):
                assert (await otp.send_sms(f"+35987123450{number}")).state == "queued"
            while len(vendor.begun) < 6 or vendor.running:
                await trio.sleep(0.25)
            await trio.sleep(5)

    outbox, vendor, store = Outbox(), Vendor(seconds=3), Counting()
    played(main)
    assert vendor.most == concurrency
    assert store.least > 0
    assert store.claims <= 6
    assert vendor.begun[-1] == pytest.approx(0.5 + 3 * (6 // concurrency - 1), abs=0.3)


def test_a_retry_starts_when_it_is_due_whatever_runs_and_is_not_claimed_before() -> None:
    async def main() -> None:
        runner = BackgroundRunner(poll=60)
        async with outbox.service(RETRIED, providers={"vendor": vendor}, store=store, runner=runner, clock=now) as otp:
            await otp.send_sms("+359871234500")
            await trio.sleep(0.2)
            await otp.send_sms("+359871234501")
            await trio.sleep(10)

    outbox, vendor, store = Outbox(), Vendor(seconds=3), Counting()
    played(main)
    assert vendor.begun == pytest.approx([0.5, 0.7], abs=0.05)
    assert store.claims == 2


def test_what_is_old_is_removed_once_however_long_it_takes() -> None:
    async def main() -> None:
        async with outbox.service(RETRIED, store=store, runner=BackgroundRunner(poll=0.25), clock=now):
            await trio.sleep(8)
            purges.append(store.purges)

    outbox, store, purges = Outbox(), SlowlyPurged(), list[int]()
    played(main)
    assert purges == [1]


def test_a_store_that_does_not_answer_holds_a_service_that_closes_for_two_seconds() -> None:
    async def main() -> None:
        async with outbox.service(RETRIED, store=Silent(), runner=BackgroundRunner(poll=0.25), clock=now):
            await trio.sleep(1)
            closing.append(trio.current_time())
        closing.append(trio.current_time())

    outbox, closing = Outbox(), list[float]()
    played(main)
    assert closing[1] - closing[0] == pytest.approx(2, abs=0.3)
