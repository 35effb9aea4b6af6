"""The vendors' simulators, watched: when each message arrived, what each vendor still keeps, and kills from outside."""

from __future__ import annotations

import os
import signal
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

import attrs
import pytest
from otp_mada.simulator import MadaSimulator
from otp_sinch.answers import VerificationStatus
from otp_sinch.simulator import SinchSimulator
from otp_twilio.settings import Mode
from otp_twilio.simulator import TwilioSimulator, messaging
from otp_twilio.simulator.answers import MESSAGE_ENDS

from otpcore.simulators.exchange import SimulatedAnswer, SimulatedRequest
from otpcore.simulators.simulator import Simulator, running

ARRIVED, WORKED = "vendor.arrived", "vendor.worked"
"""The request is written, and the vendor does nothing; the vendor did its work, and nobody hears of it."""
REPORTS = "http://127.0.0.1:9/receipts/reporter"
"""Nobody listens there: whoever plays the host's web server takes the reports from the simulator."""
UNREACHABLE = "+15005550603"
"""What Twilio takes for this number, it reports as undelivered; any instance may try next."""


@attrs.define(eq=False)
class Hunter:
    """Kills one process when its request reaches a vendor."""

    prey: int = 0
    point: str = ""
    left: int = 0
    seen: int = 0

    def aim(self, prey: int, point: str) -> None:
        name, _, count = point.partition("#")
        self.prey, self.point, self.left = prey, name, int(count or 1)

    def rest(self) -> None:
        self.prey = 0

    def strike(self, point: str) -> bool:
        if not self.prey or point != self.point:
            return False
        self.left -= 1
        if self.left:
            return False
        with suppress(ProcessLookupError):
            os.kill(self.prey, signal.SIGKILL)
        self.rest()
        return True


@attrs.frozen(kw_only=True)
class Received:
    """What a person received, and when. ``vendor``: whose code it is; ``""``: ours."""

    at: datetime
    phone: str
    code: str
    vendor: str
    reference: str


@attrs.define(eq=False)
class Vendors:
    """All of them. Instances: ``twilio`` (Verify), ``texter`` (Twilio Messaging), ``reporter`` (the same, with receipts), ``sinch``
    and ``mada``.
    """

    twilio: TwilioSimulator
    sinch: SinchSimulator
    mada: MadaSimulator
    hunter: Hunter
    received: list[Received]
    by_phone: dict[str, list[Received]]
    ends: dict[str, Any]

    def all(self) -> dict[str, Simulator]:
        return {"twilio": self.twilio, "sinch": self.sinch, "mada": self.mada}

    def instances(self) -> dict[str, Any]:
        return {
            "twilio": self.twilio.provider_settings(),
            "texter": {"plugin": "twilio", **self.twilio.provider_settings(Mode.MESSAGING)},
            "reporter": {
                "plugin": "twilio",
                **self.twilio.provider_settings(Mode.MESSAGING),
                "status_callback_url": REPORTS,
            },
            "sinch": self.sinch.provider_settings(),
            "mada": self.mada.provider_settings(),
        }

    def of(self, phone: str) -> list[Received]:
        """What this person received, oldest first."""
        return list(self.by_phone.get(phone, ()))

    def lose(self, phone: str) -> None:
        """What Twilio takes for this person does not arrive."""
        self.ends[phone] = self.ends[UNREACHABLE]

    def loses(self, phone: str) -> bool:
        return phone in self.ends

    def reports(self, begin: int = 0) -> list[Mapping[str, Any]]:
        """What Twilio reported, oldest first, from the so-manieth on; as a host would receive it."""
        return [
            {"url": one.url, "headers": dict(one.headers), "body": one.body.decode()}
            for one in self.twilio.callbacks[begin:]
        ]

    def undelivered(self, phone: str) -> Mapping[str, Any]:
        """The last report that a message to this person was not delivered."""
        told = [(one, parse_qs(one["body"])) for one in self.reports()]
        return next(
            one
            for one, fields in reversed(told)
            if (fields["To"], fields["MessageStatus"]) == ([phone], ["undelivered"])
        )

    def keeps(self, message: Received) -> bool:
        """Whether whoever owns the code could still say yes to it; ours are judged by nobody here."""
        if message.vendor == "twilio":
            with self.twilio._state:
                kept = self.twilio._verify._kept()
            return any(
                one.to == message.phone and one.code == message.code and one.status == "pending" and one.checks < 5
                for one in kept
            )
        if message.vendor == "sinch":
            with self.sinch._state:
                found = self.sinch._find("number", message.phone)
            return found is not None and found.code == message.code and found.status is VerificationStatus.PENDING
        return True


def _watched(
    kind: type[Any], name: str, hunter: Hunter, received: list[Received], by_phone: dict[str, list[Received]]
) -> Any:
    lock = threading.Lock()

    class Watched(kind):  # type: ignore[misc] # a base chosen at run time
        def handle(self, request: SimulatedRequest) -> SimulatedAnswer:
            hunter.seen += 1
            if hunter.strike(ARRIVED):
                return SimulatedAnswer.empty(503)
            answer: SimulatedAnswer = super().handle(request)
            hunter.strike(WORKED)
            return answer

        def deliver(self, **message: Any) -> None:
            super().deliver(**message)
            arrived = self.inbox[-1]
            owner = "" if name == "mada" or arrived.reference[:2] in ("SM", "CA") else name
            with lock:
                message = Received(
                    at=self.clock(),
                    phone=arrived.recipient,
                    code=arrived.code,
                    vendor=owner,
                    reference=arrived.reference,
                )
                by_phone[message.phone].append(message)
                received.append(message)

    return Watched()


@contextmanager
def open_vendors(clock: Callable[[], datetime]) -> Iterator[Vendors]:
    """All vendors on loopback, living by this clock."""
    hunter, received, by_phone = Hunter(), list[Received](), defaultdict[str, list[Received]](list)
    kinds = {"twilio": TwilioSimulator, "sinch": SinchSimulator, "mada": MadaSimulator}
    made = {name: _watched(kind, name, hunter, received, by_phone) for name, kind in kinds.items()}
    for simulator in made.values():
        simulator.clock = clock
    with pytest.MonkeyPatch.context() as patch, running(*made.values()):
        ends = dict(MESSAGE_ENDS)
        patch.setattr(messaging, "MESSAGE_ENDS", ends)
        yield Vendors(**made, hunter=hunter, received=received, by_phone=by_phone, ends=ends)
