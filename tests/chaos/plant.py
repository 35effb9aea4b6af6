"""One installation: settings, an SQLite file, a clock that all share, vendors, and a look at what is stored."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import attrs

from otpcore.codes import KeyRing
from otpcore.config import generate_keys
from otpcore.hookspecs import utc_now
from otpcore.records import ChallengeView
from otpcore.stores.sql import SqlStore, upgrade

from .child import Clock
from .processes import PATIENCE, Nursery, Process
from .vendors import Received, Vendors, open_vendors

LEASE = 20.0  # seconds of the clock after which every lease of these settings has run out
DAY = 86_400


@attrs.define(eq=False)
class Plant:
    """Everything around one database file."""

    directory: Path
    nursery: Nursery
    clock: Clock
    vendors: Vendors
    keys: dict[str, Any]
    started: int = 0

    @property
    def database(self) -> Path:
        return self.directory / "otp.sqlite3"

    def settings(self, rules: str, *, retried: bool = True, **sections: Any) -> str:
        """Write a settings file; its path."""
        usual: dict[str, Any] = {
            "otp_sms_provider": rules,
            "sms": {"retry": retried},
            "call": {"retry": retried},
            "otp": {"number_policy": "possible"},
            "retry": {
                "runner": "worker",
                "first_delay": 0.05,
                "max_delay": 0.2,
                "poll": 0.02,
                "breaker_threshold": 1000,
            },
            "limits": {"phone": ["50/1d"], "lock_after": 100},
            "storage": {"url": f"sqlite:///{self.database}"},
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
            clock=str(self.directory / "clock"),
        )
        if process.wait_for("ready") is None:
            raise RuntimeError(f"a service did not open; see {self.nursery.log}")
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
            clock=str(self.directory / "clock"),
            arguments=["--concurrency", str(concurrency), "--backend", backend],
        )

    @staticmethod
    def wait_until(is_so: Callable[[], object]) -> None:
        """Look again and again at what other processes do."""
        deadline = time.monotonic() + PATIENCE
        while not is_so():
            if time.monotonic() > deadline:
                raise AssertionError("it did not come about")
            time.sleep(0.01)

    def rows(self) -> int:
        """Schedule rows: sends that are not over."""
        return self._count("SELECT count(*) FROM otp_schedule")

    def leased(self) -> int:
        """Sends that somebody works at, or did when it stopped."""
        return self._count("SELECT count(*) FROM otp_schedule WHERE leased")

    def living(self) -> int:
        """Challenges that are not over."""
        return self._count("SELECT count(*) FROM otp_challenge WHERE live_key IS NOT NULL")

    def _count(self, statement: str) -> int:
        with closing(sqlite3.connect(self.database, timeout=PATIENCE)) as database:
            (count,) = database.execute(statement).fetchone()
        return int(count)

    def settle(self, settings: str) -> None:
        """Let leases run out and one worker finish whatever is left."""
        self.clock.jump(LEASE)
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
                self.clock.jump(5.0)  # what waits, waits for a time to come
                quiet = time.monotonic()
        worker.stop()

    def look(self, phones: Iterable[str]) -> dict[str, tuple[ChallengeView, ...]]:
        """What is stored about these people, newest challenge first."""
        keys = self.ring

        async def read() -> dict[str, tuple[ChallengeView, ...]]:
            store = SqlStore(f"sqlite:///{self.database}", migrate=False)
            async with AsyncExitStack() as stack:
                await store.start(stack)
                return {phone: await store.view(phone_key=keys.phone_key(phone)) for phone in phones}

        return anyio.run(read)

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
        with closing(sqlite3.connect(self.database, timeout=PATIENCE)) as database:
            found = database.execute("SELECT count FROM otp_counter WHERE key = ?", (key,)).fetchone()
        return int(found[0]) if found else 0

    def confirmed(self) -> dict[str, datetime]:
        """When a receipt said of a delivery that it arrived."""
        statement = "SELECT delivery_id, received_at FROM otp_receipt WHERE status = 'delivered'"
        with closing(sqlite3.connect(self.database, timeout=PATIENCE)) as database:
            told = database.execute(statement).fetchall()
        return {one: datetime.fromtimestamp(at / 1_000_000, UTC) for one, at in told}

    @property
    def ring(self) -> KeyRing:
        return KeyRing(**self.keys)


@contextmanager
def open_plant(directory: Path, *, speed: float = 0.0) -> Iterator[Plant]:
    """A new installation with running vendors and no processes yet; its clock stands still unless it is given a speed."""
    keys = generate_keys(utc_now())
    file = directory / "clock"
    file.write_bytes(bytes(24))
    clock = Clock(str(file))
    clock.set(began=time.time(), moved=0.0, speed=speed)
    upgrade(f"sqlite:///{directory / 'otp.sqlite3'}")
    with open_vendors(clock) as vendors, Nursery(directory) as nursery:
        yield Plant(
            directory=directory,
            nursery=nursery,
            clock=clock,
            vendors=vendors,
            keys={"index": keys.index, "code": dict(keys.code), "current": keys.current},
        )
