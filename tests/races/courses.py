"""Where callers race: tasks of one event loop, threads of one process, or several processes on one database."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar

import anyio
import anyio.from_thread
import attrs

from otpcore import OTPError
from otpcore.codes import KeyRing
from otpcore.stores.commands import ChallengeView
from otpcore.stores.contract import Store
from otpcore.stores.rows import Rows
from otpcore.testing import FakeClock, Outbox

from ..chaos.plant import open_plant  # noqa: TID252 - tests are no package that could be imported by name

T = TypeVar("T")

_numbers = itertools.count(2_000_000)

QUICK = {"otp": {"cooldown": 0}, "limits": {"phone": ["3/10m"], "lock_after": 100}, "sms": {"retry": False}}
"""No cooldown, so that every send counts against the limit."""


def new_phone() -> str:
    return f"+35987{next(_numbers)}"


@attrs.frozen
class Call:
    """One call of the host: a method's name, and its arguments."""

    do: str
    arguments: tuple[Any, ...] = ()
    more: dict[str, Any] = attrs.field(factory=dict)


class Course(Protocol):
    """One installation, whoever calls it."""

    processes: int

    @property
    def charges_apart(self) -> bool:
        """A send is charged before the transaction that begins it, and given its charge back in that one if it has none to begin."""

    def race(self, calls: Sequence[Call]) -> list[str]:
        """All at once; the answer of each in one word, in their order."""

    def code(self, phone: str) -> str:
        """The last code that this person got."""

    def messages(self, phone: str) -> int:
        """How many messages this person got."""

    def charged(self, phone: str) -> int:
        """How many sends count against this person's limit."""

    def look(self, phone: str) -> tuple[ChallengeView, ...]:
        """What is stored about this person, newest challenge first."""

    def jump(self, seconds: float) -> None:
        """Let time pass for everybody."""

    def now(self) -> float:
        """The time that everybody shares."""


def send(course: Course, phone: str) -> str:
    """Send, and the code that arrived."""
    assert course.race([Call("send_sms", (phone,))]) == ["sent"]
    return course.code(phone)


def charged(rows: Rows, phone_key: str) -> int:
    """How many sends count against the limit of `QUICK`."""
    key, whenever = f"{phone_key}/send/600", datetime.fromtimestamp(0, UTC)
    return sum(one.count for one in rows.counters(key, whenever) if one.key == key)


def in_a_word(answer: Any) -> str:
    """What the answer of a method comes to."""
    if isinstance(answer, OTPError):
        return str(getattr(answer, "reason", "") or type(answer).__name__)
    if isinstance(answer, bool):
        return str(answer)
    return str(getattr(answer, "status", "") or getattr(answer, "state", "") or type(answer).__name__)


@attrs.define(eq=False)
class _Outside:
    """What tasks and threads share: a store and an outbox in this process."""

    store: Store
    outbox: Outbox
    processes: int = 1

    @property
    def charges_apart(self) -> bool:
        return self.store._charges_apart

    def code(self, phone: str) -> str:
        return next(message.code for message in reversed(self.outbox.messages) if message.phone.e164 == phone)

    def messages(self, phone: str) -> int:
        return sum(message.phone.e164 == phone for message in self.outbox.messages)

    def jump(self, seconds: float) -> None:
        self.outbox.clock.advance(seconds)

    def now(self) -> float:
        return self.outbox.clock().timestamp()

    async def _view(self, phone: str) -> tuple[ChallengeView, ...]:
        return await self.store.view(phone_key=self._key(phone))

    async def _charged(self, phone: str) -> int:
        return await self.store._read(lambda rows: charged(rows, self._key(phone)))

    def _key(self, phone: str) -> str:
        return KeyRing(**self.outbox.settings["keys"]).phone_key(phone)


class Ticking(FakeClock):
    """A clock that a test moves, and that goes on by itself."""

    def __init__(self) -> None:
        super().__init__()
        self._began = time.monotonic()

    def __call__(self) -> datetime:
        return super().__call__() + timedelta(seconds=time.monotonic() - self._began)


@attrs.define(eq=False)
class Tasks(_Outside):
    """Tasks of one event loop."""

    portal: Any = None
    service: Any = None

    def race(self, calls: Sequence[Call]) -> list[str]:
        answers = [""] * len(calls)

        async def one(number: int, call: Call) -> None:
            try:
                answer = await getattr(self.service, call.do)(*call.arguments, **call.more)
            except OTPError as error:
                answer = error
            answers[number] = in_a_word(answer)

        async def all_at_once() -> None:
            async with anyio.create_task_group() as tasks:
                for number, call in enumerate(calls):
                    tasks.start_soon(one, number, call)

        self.portal.call(all_at_once)
        return answers

    def look(self, phone: str) -> tuple[ChallengeView, ...]:
        views: tuple[ChallengeView, ...] = self.portal.call(self._view, phone)
        return views

    def charged(self, phone: str) -> int:
        count: int = self.portal.call(self._charged, phone)
        return count


@attrs.define(eq=False)
class Threads(_Outside):
    """Threads of one process, each blocked in its call."""

    service: Any = None

    def race(self, calls: Sequence[Call]) -> list[str]:
        start = threading.Barrier(min(len(calls), _THREADS))

        def one(number: int, call: Call) -> str:
            if number < start.parties:
                start.wait()
            try:
                return in_a_word(getattr(self.service, call.do)(*call.arguments, **call.more))
            except OTPError as error:
                return in_a_word(error)

        with ThreadPoolExecutor(start.parties) as pool:
            return list(pool.map(one, range(len(calls)), calls))

    def look(self, phone: str) -> tuple[ChallengeView, ...]:
        return self._read(self._view, phone)

    def charged(self, phone: str) -> int:
        return self._read(self._charged, phone)

    def _read(self, look: Callable[[str], Awaitable[T]], phone: str) -> T:
        async def read() -> T:
            async with AsyncExitStack() as stack:
                await self.store.start(stack)
                return await look(phone)

        return anyio.run(read)


_THREADS = 64


@attrs.define(eq=False)
class Processes:
    """Several processes, each with an open service, on one database; calls are dealt out in turn."""

    plant: Any
    hosts: list[Any]

    @property
    def processes(self) -> int:
        return len(self.hosts)

    def race(self, calls: Sequence[Call]) -> list[str]:
        asked = [
            (host, host.wish(call.do, *call.arguments, **call.more))
            for host, call in zip(itertools.cycle(self.hosts), calls, strict=False)
        ]
        heard: dict[tuple[int, int], str] = {}
        for host in self.hosts:
            for _ in range(sum(one is host for one, _ in asked)):
                told = host.wait_for("id")
                answer = told.get("answer")
                said = (
                    [answer[key] for key in ("status", "state", "kind") if key in answer]
                    if isinstance(answer, dict)
                    else []
                )
                word = said[0] if said else str(answer)
                heard[host.pid, told["id"]] = word if "answer" in told else told["reason"] or told["error"]
        return [heard[host.pid, number] for host, number in asked]

    def code(self, phone: str) -> str:
        code: str = self.plant.vendors.of(phone)[-1].code
        return code

    def messages(self, phone: str) -> int:
        return len(self.plant.vendors.of(phone))

    def look(self, phone: str) -> tuple[ChallengeView, ...]:
        views: tuple[ChallengeView, ...] = self.plant.look([phone])[phone]
        return views

    @property
    def charges_apart(self) -> bool:
        apart: bool = self.plant.store._charges_apart
        return apart

    def charged(self, phone: str) -> int:
        key = self.plant.ring.phone_key(phone)
        count: int = self.plant._read(lambda rows: charged(rows, key))
        return count

    def jump(self, seconds: float) -> None:
        self.plant.clock.jump(seconds)

    def now(self) -> float:
        moment: float = self.plant.clock().timestamp()
        return moment


@contextmanager
def tasks(backend: str, store: Store) -> Iterator[Course]:
    outbox = Outbox(clock=Ticking())
    with anyio.from_thread.start_blocking_portal(backend) as portal:
        service = outbox.service(QUICK, store=store)
        with portal.wrap_async_context_manager(service):
            yield Tasks(store=store, outbox=outbox, portal=portal, service=service)


@contextmanager
def threads(store: Store) -> Iterator[Course]:
    outbox = Outbox(clock=Ticking())
    with outbox.blocking_service(QUICK, store=store) as service:
        yield Threads(store=store, outbox=outbox, service=service)


@contextmanager
def processes(directory: Path, store: str, count: int = 3) -> Iterator[Course]:
    with open_plant(directory, speed=1.0, store=store) as plant:
        settings = plant.settings("mada", **QUICK)
        yield Processes(plant=plant, hosts=[plant.service(settings) for _ in range(count)])


def count_comparisons(inner: Callable[..., bool]) -> tuple[Callable[..., bool], Counter[str]]:
    """``KeyRing.matches``, counted by challenge."""
    counted: Counter[str] = Counter()
    guard = threading.Lock()

    def matches(keys: Any, challenge_id: str, code: str, digest: str) -> bool:
        with guard:
            counted[challenge_id] += 1
        return inner(keys, challenge_id, code, digest)

    return matches, counted
