"""Where a scenario plays: three vendors, a service that uses all of them, and everything that is written or shown."""

from __future__ import annotations

import io
import itertools
import logging
import pickle
import sqlite3
import sys
import traceback
from collections.abc import Awaitable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import anyio
import attrs
from otp_mada.simulator import MadaSimulator
from otp_sinch.simulator import SinchSimulator
from otp_twilio.settings import Mode
from otp_twilio.simulator import TwilioSimulator

from otpcore import AsyncOTPService, Challenge, Event, hookimpl
from otpcore.clock import utc_now
from otpcore.settings.tree import generate_keys
from otpcore.simulators.simulator import Simulator

from .forms import Secret

COUNTRIES = {"mada": ("+359", "+35987{:07d}"), "backup": ("+359", "+35988{:07d}"), "twilio": ("+1", "+1415555{:04d}")}
COUNTRIES |= {"text": ("+1", "+1212555{:04d}"), "sinch": ("+46", "+4670174{:04d}")}
RULES = "Twilio;Mada:+35987,+35988;Text:+35988,+1212;Sinch:+46"
CLIENT = "[2001:db8:5e5a:3e::7]:50123"
METADATA = {"payee": "Ali Baba & forty others", "amount": "40000.01 EUR", "cave": "höhle-of-sesame"}
MESSAGE = "Sesame opens for {code}, says the sentinel"
DIGITS = 10  # no ten digits are those of a code by chance


@attrs.define
class Scene:
    """What a step works with.

    Args:
        shown: What was written or shown, by where.
        phones: The numbers used so far, by the instance that serves them.
    """

    directory: Path
    twilio: TwilioSimulator
    sinch: SinchSimulator
    mada: MadaSimulator
    keys: dict[str, Any]
    shown: dict[str, list[str | bytes]] = attrs.field(factory=dict)
    phones: dict[str, list[str]] = attrs.field(factory=dict)
    events: list[Event] = attrs.field(factory=list)
    log: io.StringIO = attrs.field(factory=io.StringIO)
    more_secrets: set[Secret] = attrs.field(factory=set)
    _numbers: Iterator[int] = attrs.field(factory=lambda: itertools.count(2671))
    _otp: AsyncOTPService | None = None

    @property
    def otp(self) -> AsyncOTPService:
        """The open service."""
        assert self._otp is not None
        return self._otp

    @property
    def simulators(self) -> tuple[Simulator, ...]:
        return self.twilio, self.sinch, self.mada

    def settings(self, **more: Any) -> dict[str, Any]:
        """Settings of the service, some sections replaced."""
        return {
            "otp_sms_provider": RULES,
            "providers": {
                "twilio": self.twilio.provider_settings(),
                "text": {"plugin": "twilio", **self.twilio.provider_settings(Mode.MESSAGING)},
                "sinch": self.sinch.provider_settings(),
                "mada": self.mada.provider_settings(),
            },
            "keys": self.keys,
            "storage": {"url": f"sqlite:///{self.directory / 'otp.sqlite3'}"},
            "limits": {"phone": []},
            "otp": {
                "length": DIGITS,
                "cooldown": 0.01,
                "provider_timeout": 2,
                "send_timeout": 8,
                "number_policy": "possible",
            },
            "sms": {"retry": True},
            "call": {"retry": True},
            "retry": {"first_delay": 0.05, "max_delay": 0.2, "poll": 0.02, "breaker_threshold": 1000, "lease": 5},
            **more,
        }

    def phone(self, instance: str = "mada") -> str:
        """A number that nobody has used yet; from now on nothing may show it."""
        number = COUNTRIES[instance][1].format(next(self._numbers))
        self.phones.setdefault(instance, []).append(number)
        return number

    def code(self, phone: str) -> str:
        """The last code that this person got."""
        received = [m for simulator in self.simulators for m in simulator.inbox if m.recipient == phone]
        return received[-1].code

    async def arrived(self, phone: str) -> str:
        """The last code that this person got, once there is one."""
        with anyio.fail_after(30):
            while not any(message.recipient == phone for one in self.simulators for message in one.inbox):
                await anyio.sleep(0.02)
        return self.code(phone)

    def show(self, where: str, what: str | bytes) -> None:
        """This was written or shown there."""
        self.shown.setdefault(where, []).append(what)

    def show_value(self, value: Any) -> None:
        """As a host, a debugger or a queue would write an object of ours."""
        name = type(value).__name__
        self.show(f"repr of {name}", f"{value!r} {value!s} {value!r:>9}")
        if isinstance(value, Challenge):
            self.show("to_dict of Challenge", repr(value.to_dict()))
            codeless = attrs.asdict(pickle.loads(pickle.dumps(value)), recurse=False)
            self.show("pickle of Challenge", repr(codeless))
        elif not isinstance(value, BaseException):
            self.show(f"pickle of {name}", pickle.dumps(value))
            if attrs.has(type(value)):
                self.show(f"asdict of {name}", repr(attrs.asdict(value)))

    async def attempt(self, work: Awaitable[Any]) -> Any:
        """Await it, and keep what it answers or raises as it would be shown."""
        try:
            answer = await work
        except Exception as error:  # noqa: BLE001 - whatever it is, it must show nothing
            self.show_error(error)
            return None
        self.show_value(answer)
        return answer

    def show_error(self, error: BaseException) -> None:
        """As logs, crash reporters and consoles would write it, with everything that it drags along."""
        seen: set[int] = set()
        queue: list[BaseException | None] = [error]
        while queue:
            one = queue.pop()
            if one is None or id(one) in seen:
                continue
            seen.add(id(one))
            queue += [one.__cause__, one.__context__, *getattr(one, "attempts", ()), *getattr(one, "exceptions", ())]
            self.show(f"{type(one).__name__}", f"{one!s}\n{one!r}\n{one.args!r}\n{vars(one)!r}")
            self.show("tracebacks", "".join(traceback.format_exception(one)))
        self.show("pickle of errors", pickle.dumps(error))

    @hookimpl
    def otp_event(self, event: Event) -> None:
        """An observer that keeps every event."""
        self.events.append(event)

    def secrets(self) -> set[Secret]:
        """All that nobody may read."""
        known = set(self.more_secrets)
        for instance, numbers in self.phones.items():
            for number in numbers:
                known |= set(Secret.phone(number, COUNTRIES[instance][0][1:]))
        known |= {
            Secret("code", message.code) for simulator in self.simulators for message in simulator.inbox if message.code
        }
        known |= {Secret("message", MESSAGE.partition("{code}")[0]), Secret("message", MESSAGE.partition("{code}")[2])}
        known |= {Secret("client", CLIENT), Secret("address", "2001:db8:5e5a:3e::7")}
        known |= {Secret(f"metadata {name}", text) for name, text in METADATA.items()}
        known |= {Secret("index key", self.keys["index"]), *(Secret("code key", k) for k in self.keys["code"].values())}
        known |= {
            Secret("Twilio's token", self.twilio.auth_token),
            Secret("Sinch's secret", self.sinch.application_secret),
            Secret("Mada's password", self.mada.password),
        }
        return known

    def places(self) -> dict[str, bytes]:
        """Everything that was written or shown, by where."""
        for event in self.events:
            self.show_value(event)
        self.show("logs", self.log.getvalue())
        for file in sorted(self.directory.rglob("*")):
            if file.is_file() and not file.name.startswith((".otpcore.secrets", "otpcore.json")):
                self.show(f"file {file.name}", file.read_bytes())
        with closing(sqlite3.connect(self.directory / "otp.sqlite3")) as database:
            self.show("database", "\n".join(database.iterdump()))
        return {
            where: b"\n".join(one.encode() if isinstance(one, str) else one for one in written)
            for where, written in self.shown.items()
        }


@contextmanager
def playing(directory: Path) -> Iterator[Scene]:
    """A scene with everything logged, by every library, at the lowest level."""
    keys = generate_keys(utc_now())
    mada = MadaSimulator()
    mada.password = "a sentinel's password"
    twilio, sinch = TwilioSimulator(), SinchSimulator()
    twilio.code_digits = sinch.code_digits = DIGITS
    with twilio, sinch, mada:
        scene = Scene(
            directory=directory,
            twilio=twilio,
            sinch=sinch,
            mada=mada,
            keys={"index": keys.index, "code": dict(keys.code), "current": keys.current},
        )
        with _logging_everything(scene.log):
            yield scene


_LOGGERS = ("", "otpcore", "httpx", "httpcore", "aiohttp", "asyncio", "trio", "sqlalchemy", "alembic", "concurrent")


@contextmanager
def _logging_everything(stream: io.StringIO) -> Iterator[None]:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Everything())
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(1)
    loggers[0].addHandler(handler)
    try:
        yield
    finally:
        loggers[0].removeHandler(handler)
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


class _Everything(logging.Formatter):
    """A record with all that it carries, as a JSON formatter would write it.

    With it comes what is being handled: ``logging`` prints that, as the context of its own error, where a handler fails.
    """

    def format(self, record: logging.LogRecord) -> str:
        carried = {name: value for name, value in vars(record).items() if not isinstance(value, float)}  # times
        handled = "" if sys.exc_info()[1] is None else traceback.format_exc()
        return f"{super().format(record)} {carried!r} {handled}"
