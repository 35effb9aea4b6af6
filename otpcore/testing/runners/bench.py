"""What the tests of the runner contract share: the author's answers, a service with that runner, and a provider that obeys."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import anyio
import attrs
import pytest

from otpcore.clock import utc_now
from otpcore.errors import ErrorKind, ProviderError, StoreError
from otpcore.models import Channel, RetryJob, World
from otpcore.providers.hooks import hookimpl
from otpcore.providers.requests import DeliveryReceipt, DeliveryRequest, ProviderInfo
from otpcore.runners.contract import RetryRunner
from otpcore.runners.worker import WorkerRunner
from otpcore.stores.commands import ChallengeView, ClaimRule
from otpcore.stores.contract import Store
from otpcore.stores.memory.store import MemoryStore
from otpcore.testing.outbox import Outbox

if TYPE_CHECKING:
    from otpcore.service.asynchronous import AsyncOTPService

__all__ = ["DELAY", "Courier", "RunnerBase", "RunnerBench"]

DELAY = 0.1
"""Seconds before the first retry; without jitter."""
_LOOK_EVERY = 0.01

_numbers = itertools.count(1_000_000)


class RunnerBase:
    """What the author says of the runner; ``RetryRunnerContract`` documents each fixture and attribute."""

    pytestmark: ClassVar = [pytest.mark.anyio]

    background: ClassVar[bool] = True
    sweeps: ClassVar[bool] = True
    event_loops: ClassVar[Sequence[str]] = ("asyncio", "trio")
    latest: ClassVar[float] = 0.5
    patience: ClassVar[float] = 20.0

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each test on the event loops that the author names."""
        if "anyio_backend" in metafunc.fixturenames:
            metafunc.parametrize("anyio_backend", self.event_loops, scope="module")

    @pytest.fixture
    def new_runner(self) -> RetryRunner:
        """The author's: a fresh runner, not started."""
        raise NotImplementedError("give the fixture `new_runner`: a fresh retry runner of yours, not started")

    @pytest.fixture
    def store(self) -> Store:
        """Where the rows are: fresh, empty, not started."""
        return MemoryStore()

    @pytest.fixture
    def broker_trouble(self) -> Callable[[], AbstractContextManager[None]]:
        """The author's, where the runner stands on a broker: while the context is open, the broker is away."""
        pytest.skip("give the fixture `broker_trouble`, a context in which your broker is away, to run this")

    @pytest.fixture
    def bench(self, new_runner: RetryRunner, store: Store) -> RunnerBench:
        """Where each test works."""
        return RunnerBench(runner=new_runner, store=_Moody(store), patience=self.patience)

    def only_in_background(self) -> None:
        """Skip what a runner cannot do whose caller waits."""
        if not self.background:
            pytest.skip("the caller waits for its own retries; nobody works in the background")


@attrs.define(eq=False)
class Courier:
    """A provider that does what a test says, and keeps when it was asked."""

    attempts: dict[str, list[float]] = attrs.field(factory=dict)
    codes: dict[str, str] = attrs.field(factory=dict)
    delivered: Counter[str] = attrs.field(factory=Counter)
    failing: dict[str, list[BaseException]] = attrs.field(factory=dict)
    gates: dict[str, anyio.Event] = attrs.field(factory=dict)

    def fail(self, phone: str, times: int = 1, error: Exception | None = None) -> None:
        """Refuse the next sends to this phone: throttled, which no breaker counts, or with an error of the test's."""
        self.failing[phone] = [error or ProviderError(ErrorKind.THROTTLED, "asked for by the test")] * times

    @hookimpl
    def describe(self) -> ProviderInfo:
        """A provider of plain text."""
        return ProviderInfo(display_name="Courier")

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        """Note it; fail, wait or deliver as told."""
        phone = request.recipient.e164
        self.attempts.setdefault(phone, []).append(time.monotonic())
        if self.failing.get(phone):
            raise self.failing[phone].pop()
        if phone in self.gates:
            await self.gates[phone].wait()
        self.codes[phone] = request.code or ""
        self.delivered[phone] += 1
        return DeliveryReceipt(reference=request.delivery_id)


class _Moody:
    """A store that does not answer while it is ``away``."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self.away = False
        self.refused = 0

    def within(self, world: World) -> Any:
        """The bench works in the real world, which is that of the store as it is."""
        return self if world is World.REAL else self._inner.within(world)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found) or name == "start":
            return found

        async def verb(*arguments: Any, **more: Any) -> Any:
            if self.away:
                self.refused += 1
                raise StoreError("asked for by the test")
            return await found(*arguments, **more)

        return verb


@attrs.define(eq=False, repr=False, kw_only=True)
class RunnerBench:
    """A real service over a real store, with the author's runner and a provider that obeys."""

    runner: RetryRunner
    store: Any
    patience: float
    courier: Courier = attrs.field(factory=Courier)

    @asynccontextmanager
    async def open(
        self, runner: RetryRunner | None = None, **settings: Mapping[str, Any]
    ) -> AsyncIterator[AsyncOTPService]:
        """The service; ``settings`` are sections, merged over those of the suite."""
        from otpcore.service.asynchronous import AsyncOTPService  # noqa: PLC0415 - heavy: at first use

        sections: dict[str, Any] = {
            **Outbox().settings,
            "sms": {"retry": True, "max_retries": 20},
            "otp": {"cooldown": 0},
            "retry": {"first_delay": DELAY, "jitter": 0.0, "lease": 15.0, "runner": "inline"},
        }
        for section, values in settings.items():
            sections[section] = {**sections.get(section, {}), **values}
        async with AsyncOTPService(
            sections, providers={"courier": self.courier}, store=self.store, runner=runner or self.runner
        ) as service:
            yield service

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Any]:
        """The store, opened while no service is."""
        async with AsyncExitStack() as stack:
            await self.store.start(stack)
            yield self.store

    def phone(self) -> str:
        """A number that no other test uses."""
        return f"+35987{next(_numbers)}"

    async def leave(self, phone: str, **settings: Mapping[str, Any]) -> RetryJob:
        """A process whose send failed, and that ended before anybody was told: only the row is there."""
        self.courier.fail(phone)
        async with self.open(WorkerRunner(), **settings) as service:
            challenge = await service.send_sms(phone)
            view = await self.view(challenge.id)
        return RetryJob(challenge_id=challenge.id, channel=Channel.SMS, due_at=view.schedule[0].due_at)

    async def claim(self, lease: float) -> None:
        """A process claims what is due and dies."""
        rule = ClaimRule(
            token="of-a-dead-process",  # noqa: S106 - a fencing token
            key_ids=frozenset({"test"}),
            instances=frozenset({"courier"}),
            lease=timedelta(seconds=lease),
            max_retries={Channel.SMS: 20},
            min_useful_life=timedelta(seconds=30),
        )
        async with self.reading() as store:
            assert (await store.claim(rule, 1, utc_now())).claims

    async def view(self, challenge_id: str) -> ChallengeView:
        """One challenge as it stands in the store."""
        (view,) = await self.store.view(challenge_id=challenge_id)
        found: ChallengeView = view
        return found

    async def until(self, what: Callable[[], Any]) -> None:
        """Wait for something to become true."""
        with anyio.fail_after(self.patience):
            while not what():  # noqa: ASYNC110 - a provider's notes set no event
                await anyio.sleep(_LOOK_EVERY)

    async def until_delivered(self, *phones: str) -> None:
        """Wait for the messages of these people."""
        await self.until(lambda: all(self.courier.delivered[phone] for phone in phones))

    async def until_state(self, challenge_id: str, state: str) -> ChallengeView:
        """Wait for a challenge to stand so."""
        with anyio.fail_after(self.patience):
            while (view := await self.view(challenge_id)).challenge.state != state:  # noqa: ASYNC110 - nor does a store
                await anyio.sleep(_LOOK_EVERY)
        return view
