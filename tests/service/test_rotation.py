"""A rotation of the code key under traffic: nothing is lost, and every code verifies."""

from __future__ import annotations

import itertools
import json
import secrets
import subprocess
import textwrap
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import attrs
from hypothesis import example, given, settings
from hypothesis import strategies as st
from otp_mada.simulator import MadaSimulator

from otpcore import AsyncOTPService, Channel, RateLimited, RetryJob
from otpcore.operator.findings.key_states import KeyStanding, key_states
from otpcore.runners.worker import WorkerRunner
from otpcore.settings.tree import Settings
from otpcore.simulators.exchange import Fault
from otpcore.stores.memory.store import MemoryStore
from otpcore.testing import Outbox

from ..preloaded import Preloaded  # noqa: TID252 - tests are no package that could be imported by name

PHONES = ("+359871234567", "+359871234568", "+359881234567")


def secret() -> str:
    return secrets.token_urlsafe(32)


@attrs.define
class Keys:
    """What one process lists, and the steps of ``otp keys rotate`` on it."""

    index: str
    code: dict[str, str]
    current: str

    def plain(self) -> dict[str, Any]:
        return {"index": self.index, "code": dict(self.code), "current": self.current}


# Any order of sends, retries, verifications and rotation steps.


@attrs.define
class Fleet:
    """Two processes over one store, each with keys of its own; restarted by each step of a rotation."""

    outbox: Outbox = attrs.field(factory=Outbox)
    store: MemoryStore = attrs.field(factory=MemoryStore)
    keys: list[Keys] = attrs.field(init=False)
    rotations: int = 0
    step: int = 0
    last: int = 0
    fresh: str = ""
    codes: dict[str, set[str]] = attrs.field(factory=dict)
    queued: dict[str, str] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        index, code = secret(), secret()
        self.keys = [Keys(index, {"k0": code}, "k0") for _ in range(2)]

    def settings(self, who: int) -> dict[str, Any]:
        return {"keys": self.keys[who].plain(), "sms": {"retry": True}, "limits": {"phone": []}}

    def service(self, who: int) -> AsyncOTPService:
        """The process as it is now."""
        return self.outbox.service(self.settings(who), store=self.store, runner=WorkerRunner())

    async def send(self, who: int, phone: str, fails: bool, message: bool) -> None:
        self.outbox.clock.advance(31)  # beyond the cooldown
        if fails:
            self.outbox.fail("throttled")
        try:
            async with self.service(who) as otp:
                challenge = await otp.send_sms(phone, message="Yours: {code}" if message else None)
        except RateLimited as refused:
            if refused.reason != "renewal":  # the living code is nearly over
                raise
            self.outbox.clock.advance(60)
            self.codes.pop(phone, None)
            return
        finally:
            self.outbox._failures.clear()
        if challenge.state == "queued":
            self.queued[phone] = challenge.id
        self.collect()

    async def retry(self, who: int, phone: str) -> None:
        """Any process may run it."""
        if (challenge_id := self.queued.pop(phone, None)) is None:
            return
        job = RetryJob(challenge_id=challenge_id, channel=Channel.SMS, due_at=self.outbox.clock())
        self.outbox.clock.advance(2)
        before = len(self.outbox.messages)
        views = await self.store.view(challenge_id=challenge_id)
        ready = [row for view in views for row in view.schedule if row.lease_until is None]
        useful = [v for v in views if (v.challenge.expires_at - self.outbox.clock()).total_seconds() > 30]
        async with self.service(who) as otp:
            await otp.run_retry(job)
        if ready and useful and ready[0].due_at <= self.outbox.clock():
            assert len(self.outbox.messages) == before + 1
        self.collect()

    def collect(self) -> None:
        for message in self.outbox.messages:
            self.codes[message.phone.e164] = {message.code}  # the latest is the living one's
        self.outbox.messages.clear()

    async def verify(self, who: int, phone: str) -> None:
        """The code that arrived last verifies in any process while it lives."""
        codes = self.codes.pop(phone, set())
        self.queued.pop(phone, None)
        async with self.service(who) as otp:
            for code in codes:
                views = await self.store.view(phone_key=otp._service.keys.phone_key(phone))
                lives = bool(views) and views[0].challenge.expires_at > self.outbox.clock()
                assert bool(await otp.verify(phone, code)) is lives

    async def rotate(self, first: int) -> None:
        """The next step, on one process and then on the other: add the key, make it current, retire the old one."""
        phase, is_second = divmod(self.step, 2)
        who = self.last = 1 - self.last if is_second else first
        old, new, keys = f"k{self.rotations}", f"k{self.rotations + 1}", self.keys[who]
        if phase == 0:
            self.fresh = self.fresh if is_second else secret()
            keys.code[new] = self.fresh
        elif phase == 1:
            keys.current = new
        elif await self.is_needed(who, old):
            self.last = 1 - who  # later then
            return
        else:
            del keys.code[old]
        self.step += 1
        if self.step == 6:
            self.step, self.rotations = 0, self.rotations + 1

    async def is_needed(self, who: int, key_id: str) -> bool:
        """As ``otp keys rotate --retire`` decides."""
        states = key_states(Settings.from_mapping(self.settings(who)), await self.store.keys_in_use())
        return next(state.standing for state in states if state.key_id == key_id) is not KeyStanding.UNUSED

    async def next_day(self, who: int) -> None:
        self.outbox.clock.advance(25 * 3600)
        self.codes.clear()
        self.queued.clear()
        async with self.service(who) as otp:
            await otp.purge()


people = st.sampled_from(PHONES)
whos = st.integers(0, 1)
steps = st.one_of(
    st.tuples(st.just("send"), whos, people, st.booleans(), st.booleans()),
    st.tuples(st.just("retry"), whos, people),
    st.tuples(st.just("verify"), whos, people),
    st.tuples(st.just("rotate"), whos),
    st.tuples(st.just("rotate"), whos),
    st.tuples(st.just("next_day"), whos),
)
WHOLE_ROTATION = [
    step
    for _ in range(7)
    for step in (
        ("send", 0, PHONES[0], True, True),
        ("send", 1, PHONES[1], False, False),
        ("rotate", 0),
        ("retry", 1, PHONES[0]),
        ("verify", 0, PHONES[0]),
        ("verify", 0, PHONES[1]),
        ("next_day", 1),
    )
]


@settings(max_examples=50, deadline=None, derandomize=True)
@example(WHOLE_ROTATION)
@given(st.lists(steps, min_size=5, max_size=40))
async def test_every_code_verifies_whenever_the_keys_are_rotated(taken: list[tuple[Any, ...]]) -> None:
    fleet = Fleet()
    for name, who, *rest in taken:
        await getattr(fleet, name)(who, *rest)
    for phone in PHONES:
        await fleet.retry(0, phone)
        await fleet.verify(1, phone)


# Two real processes over one SQLite file.

PROCESS = """
    import anyio, json, sys
    from otpcore import AsyncOTPService
    async def main():
        async with AsyncOTPService(json.loads(sys.stdin.readline())) as otp:
            print(json.dumps("open"), flush=True)
            while line := await anyio.to_thread.run_sync(sys.stdin.readline):
                what, phone, code = json.loads(line)
                if what == "send":
                    said = str((await otp.send_sms(phone, message=code)).state)
                else:
                    said = str((await otp.verify(phone, code)).status)
                print(json.dumps(said), flush=True)
    anyio.run(main)
    """


@attrs.define
class Process:
    """A host's process, told what to do on its standard input."""

    popen: subprocess.Popen[str]

    def ask(self, *said: Any) -> str:
        assert self.popen.stdin is not None
        assert self.popen.stdout is not None
        self.popen.stdin.write(json.dumps(said[0] if len(said) == 1 else said) + "\n")
        self.popen.stdin.flush()
        return str(json.loads(self.popen.stdout.readline()))


@contextmanager
def process(python: str, settings: dict[str, Any]) -> Iterator[Process]:
    """One that ends in order, when its standard input does: what a killed one had under way may come twice."""
    command = [python, "-c", textwrap.dedent(PROCESS)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as popen:
        try:
            made = Process(popen)
            assert made.ask(settings) == "open"
            yield made
            popen.communicate(timeout=30)
        finally:
            popen.kill()


@attrs.frozen
class Town:
    """People whose codes are sent by one process, and verified by another."""

    mada: MadaSimulator
    python: str
    storage: str
    index: str = attrs.field(factory=secret)
    _numbers: Iterator[int] = attrs.field(factory=itertools.count)

    def serving(self, code: dict[str, str], current: str) -> AbstractContextManager[Process]:
        """A process with these code keys."""
        settings = {
            "otp_sms_provider": "mada",
            "providers": {"mada": self.mada.provider_settings()},
            "keys": {"index": self.index, "code": code, "current": current},
            "storage": {"url": self.storage},
            "limits": {"phone": []},
            "sms": {"retry": True},
            "retry": {"first_delay": 0.05, "poll": 0.05},
        }
        return process(self.python, settings)

    def send(self, who: Process, count: int = 3) -> list[str]:
        """To so many new people; each send fails first."""
        people = [f"+35987{next(self._numbers):07d}" for _ in range(count)]
        for person in people:
            self.mada.fail(Fault.HTTP_503)
            assert who.ask("send", person, "Open with {code}") in ("queued", "sent")
        return people

    def code(self, person: str) -> str:
        """The one that reached them."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            found = [message for message in self.mada.inbox if message.recipient == person]
            if found:
                assert found[0].text == f"Open with {found[0].code}"
                return found[0].code
            time.sleep(0.02)
        raise AssertionError("a message was lost")

    def verify(self, who: Process, people: list[str]) -> None:
        """Each code is right."""
        answers = [who.ask("verify", person, self.code(person)) for person in people]
        assert answers == ["approved"] * len(people)


def test_two_processes_share_a_store_through_a_whole_rotation(tmp_path: Path, forked: Preloaded) -> None:
    """Sends that fail first are retried by whichever process claims them; each code is verified by the other one."""
    only_old, only_new = {"k1": secret()}, {"k2": secret()}
    both = {**only_old, **only_new}
    with MadaSimulator() as mada:
        town = Town(mada, forked.python, f"sqlite:///{tmp_path / 'otp.sqlite3'}")
        serving, send, verify = town.serving, town.send, town.verify
        with serving(only_old, "k1") as first:
            with serving(only_old, "k1") as second:
                early = send(first, 6) + send(second, 6)
            with serving(both, "k1") as second:  # one lists the new key
                verify(second, early[:3])
                people = send(second)
                verify(first, people)
                early += send(first)
        with serving(both, "k1") as first:  # the other too
            with serving(both, "k2") as second:  # one uses it
                verify(first, send(second))
                verify(second, send(first))
                verify(second, early[3:6])
                verify(first, early[6:9])
            with serving(both, "k2") as second:
                late = send(second)
        with (
            serving(both, "k2") as first,
            serving(both, "k2") as second,
        ):
            verify(first, late)
            verify(second, early[9:])
            verify(second, send(first))
        with (
            serving(only_new, "k2") as first,
            serving(both, "k2") as second,
        ):  # retired here
            verify(first, send(second))
            verify(second, send(first))
        assert len({message.recipient for message in mada.inbox}) == len(mada.inbox)
