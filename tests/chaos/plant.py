"""One installation: settings, a store, a clock that all share, vendors, and a look at what is stored."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import anyio
import attrs
from anyio.from_thread import BlockingPortal, start_blocking_portal

from otpcore.clock import utc_now
from otpcore.codes import KeyRing
from otpcore.models import ReceiptStatus
from otpcore.settings.tree import generate_keys
from otpcore.stores.commands import ChallengeView
from otpcore.stores.contract import Store
from otpcore.stores.lifecycle import OVER
from otpcore.stores.records import DeliveryRecord
from otpcore.stores.rows import Rows

from .child import Clock
from .engines import Engine, open_engine
from .processes import PATIENCE, Nursery, Process
from .vendors import Received, Vendors, open_vendors

LEASE = 20.0  # seconds of the clock after which every lease of these settings has run out
DAY = 86_400
_ALL = 1_000_000
_READERS = 8  # looks at a time

T = TypeVar("T")


class NotOpenedError(RuntimeError):
    """A process ended before its service was open."""


@attrs.define(eq=False)
class Plant:
    """Everything around one store.

    Args:
        is_real: Time is the machine's, which nobody can move; each process, and a database on a server, asks for it by itself.
    """

    directory: Path
    engine: Engine
    store: Store
    portal: BlockingPortal
    nursery: Nursery
    clock: Clock
    vendors: Vendors
    keys: dict[str, Any]
    is_real: bool = False
    started: int = 0

    def settings(self, rules: str, *, retried: bool = True, **sections: Any) -> str:
        """Write a settings file; its path."""
        usual: dict[str, Any] = {
            "otp_sms_provider": rules,
            "sms": {"retry": retried},
            "call": {"retry": retried},
            "otp": {"number_policy": "possible"},
            "retry": {
                **self.engine.retry,
                "first_delay": 0.05,
                "max_delay": 0.2,
                "poll": 0.02,
                "breaker_threshold": 1000,
            },
            "limits": {"phone": ["50/1d"], "lock_after": 100},
            "storage": {"url": self.engine.url},
            "providers": self.vendors.instances(),
            "keys": self.keys,
        }
        for name, section in sections.items():
            usual[name] = {**usual[name], **section} if isinstance(section, dict) and name in usual else section
        self.started += 1
        file = self.directory / f"settings-{self.started}.json"
        file.write_text(json.dumps(usual), encoding="utf-8")
        return str(file)

    def service(self, settings: str, *, kill_at: str = "", stop_at: Sequence[str] = ()) -> Process:
        """A process with an open service; asyncio and trio take turns."""
        self.started += 1
        process = self.nursery.start(
            be="service",
            settings=settings,
            kill_at=kill_at,
            stop_at=stop_at,
            backend=("asyncio", "trio")[self.started % 2],
            clock="" if self.is_real else str(self.directory / "clock"),
        )
        if process.wait_for("ready") is None:
            raise NotOpenedError(f"a service did not open; see {self.nursery.log}")
        return process

    def worker(self, settings: str, *, kill_at: str = "", stop_at: Sequence[str] = (), concurrency: int = 8) -> Process:
        """A real ``otp worker``, which may die before it is ready."""
        self.started += 1
        backend = ("asyncio", "trio")[self.started % 2]
        return self.nursery.start(
            be="worker",
            settings=settings,
            kill_at=kill_at,
            stop_at=stop_at,
            clock="" if self.is_real else str(self.directory / "clock"),
            arguments=["--concurrency", str(concurrency), "--backend", backend],
        )

    @staticmethod
    def wait_until(is_so: Callable[[], object], *, patience: float = PATIENCE, every: float = 0.01) -> None:
        """Look again and again at what other processes do."""
        deadline = time.monotonic() + patience
        while not is_so():
            if time.monotonic() > deadline:
                raise AssertionError("it did not come about")
            time.sleep(every)

    def let_pass(self, seconds: float) -> None:
        """Time passes for everybody."""
        if self.is_real:
            time.sleep(seconds)
        else:
            self.clock.jump(seconds)

    def rows(self) -> int:
        """Schedule rows: sends that are not over."""
        return len(self._read(lambda rows: rows.upcoming(_ALL)))

    def leased(self) -> int:
        """Sends that somebody works at, or did when it stopped."""
        return sum(row.lease_until is not None for row in self._read(lambda rows: rows.upcoming(_ALL)))

    def wait_until_over(self, phones: Iterable[str], patience: float) -> None:
        """Until these people have no challenge that lives."""
        left = set(phones)

        def nobody_is_left() -> bool:
            for phone, views in self.look(list(left)).items():
                if all(view.challenge.state in OVER for view in views):
                    left.discard(phone)
            return not left

        self.wait_until(nobody_is_left, patience=patience, every=0.2)

    def _read(self, look: Callable[[Rows], T]) -> T:
        read: T = self.portal.call(self.store._read, look)
        return read

    def settle(self, settings: str) -> None:
        """Let leases run out and one worker finish whatever is left."""
        self.let_pass(LEASE)
        worker = self.worker(settings)
        deadline, quiet, rows = time.monotonic() + PATIENCE, time.monotonic(), self.rows()
        while rows:
            if time.monotonic() > deadline:
                raise AssertionError(f"{rows} sends are not over; see {self.nursery.log}")
            time.sleep(0.02)
            before, rows = rows, self.rows()
            if before != rows:
                quiet = time.monotonic()
            elif time.monotonic() - quiet > 1.0:
                self.let_pass(5.0)  # what waits, waits for a time to come
                quiet = time.monotonic()
        worker.stop()

    def look(self, phones: Iterable[str]) -> dict[str, tuple[ChallengeView, ...]]:
        """What is stored about these people, newest challenge first."""
        keys, views = self.ring, dict[str, tuple[ChallengeView, ...]]()

        async def read(phone: str) -> None:
            views[phone] = await self.store.view(phone_key=keys.phone_key(phone))

        self._for_each(phones, read)
        return views

    def _for_each(self, what: Iterable[T], look: Callable[[T], Awaitable[None]]) -> None:
        """Several looks at a time: after a storm there are thousands of people."""

        async def some(mine: Sequence[T]) -> None:
            for one in mine:
                await look(one)

        async def all_of_them() -> None:
            wanted = list(what)
            async with anyio.create_task_group() as readers:
                for first in range(_READERS):
                    readers.start_soon(some, wanted[first::_READERS])

        self.portal.call(all_of_them)

    def belongs(self, message: Received, view: ChallengeView, of_phone: Iterable[ChallengeView]) -> bool:
        """Whether this challenge sent the message: by its code, by the vendor's reference, else by the time."""
        challenge = view.challenge
        if not message.vendor:
            return self.ring.matches(challenge.id, message.code, challenge.code_digest)
        owner = {d.challenge_id for one in of_phone for d in one.deliveries if d.reference == message.reference}
        if owner:
            return challenge.id in owner
        begun = [one.challenge for one in of_phone if one.challenge.first_sent_at <= message.at]
        return bool(begun) and max(begun, key=lambda one: one.first_sent_at).id == challenge.id

    def charged(self, phone: str) -> int:
        """How many sends of this person count."""
        key = f"{self.ring.phone_key(phone)}/send/{DAY}"
        whenever = datetime.fromtimestamp(0, UTC)
        return sum(one.count for one in self._read(lambda rows: rows.counters(key, whenever)) if one.key == key)

    def confirmed(self, views: Iterable[ChallengeView]) -> dict[str, datetime]:
        """When a receipt said of a delivery that it arrived."""
        told = dict[str, datetime]()

        async def hear(delivery: DeliveryRecord) -> None:
            receipts = await self.store._read(lambda rows: rows.receipts_of(delivery.id, delivery.reference))
            told.update({one.delivery_id: one.received_at for one in receipts if one.status is ReceiptStatus.DELIVERED})

        self._for_each((one for view in views for one in view.deliveries if one.reference), hear)
        return told

    @property
    def ring(self) -> KeyRing:
        return KeyRing(**self.keys)


@contextmanager
def open_plant(
    directory: Path, *, speed: float | None = 0.0, store: str = "sqlite", runner: str = "worker", **servers: bool
) -> Iterator[Plant]:
    """A new installation with running vendors and no processes yet.

    Args:
        speed: Of the clock that all share; None: the machine's own time, and the server's.
        servers: Of the database, as ``open_engine`` takes them.
    """
    keys = generate_keys(utc_now())
    file = directory / "clock"
    file.write_bytes(bytes(24))
    clock = Clock(str(file))
    clock.set(began=time.time(), moved=0.0, speed=1.0 if speed is None else speed)
    with ExitStack() as stack:
        engine = stack.enter_context(open_engine(directory, store, runner, **servers))
        vendors = stack.enter_context(open_vendors(clock))
        nursery = stack.enter_context(Nursery(directory))
        portal = stack.enter_context(start_blocking_portal("asyncio"))
        looks = engine.open_store()
        stack.enter_context(portal.wrap_async_context_manager(_started(looks)))
        yield Plant(
            directory=directory,
            engine=engine,
            store=looks,
            portal=portal,
            nursery=nursery,
            clock=clock,
            vendors=vendors,
            keys={"index": keys.index, "code": dict(keys.code), "current": keys.current},
            is_real=speed is None,
        )


@asynccontextmanager
async def _started(store: Store) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        await store.start(stack)
        yield
