"""What the acts of ``otp demo`` are played on: a service, three simulators, a clock that can be moved, a narrator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import attrs

from otpcore.cli.layout import prose
from otpcore.cli.options import Options
from otpcore.events import Event, EventType
from otpcore.models import Challenge, Channel, Verification
from otpcore.providers.hooks import hookimpl
from otpcore.service.asynchronous import AsyncOTPService
from otpcore.settings.tree import Settings
from otpcore.simulators.exchange import SimulatedMessage
from otpcore.simulators.simulator import Simulator

__all__ = ["RULES", "VENDORS", "ClaimError", "Clock", "Stage", "Story", "Watcher"]

RULES = "Twilio;Mada:+35987,+35988;Sinch"
VENDORS = ("mada", "sinch", "twilio")

_INDENT = "   "
_NAMED = 5  # simulators at the end
_PATIENCE = 15.0  # seconds; what is waited for comes within four


class ClaimError(Exception):
    """Something that the demo says does not hold."""


@attrs.define
class Story:
    """Tells what happens, and keeps it for ``--json``.

    Args:
        out: Where to tell it; None: nowhere.
    """

    out: Options | None
    acts: list[dict[str, Any]] = attrs.field(factory=list)

    def set_scene(self, simulators: Mapping[str, Simulator], settings: Settings) -> None:
        """Before the first act."""
        self._print("Nothing leaves this machine: vendors are simulators, numbers are made up.", "bold")
        for name, simulator in simulators.items():
            self.tell(f"{name:<8} {simulator.base_url}")
        self.tell(f"database {settings.database_url}")
        self.tell(f'rules    otp_sms_provider = "{settings.otp_sms_provider}"')

    def begin(self, title: str) -> None:
        """A new act."""
        self.acts.append({"title": title, "told": [], "claims": []})
        self._print()
        self._print(f"{len(self.acts)}. {title}", "bold")

    def tell(self, line: str) -> None:
        """What happens."""
        if self.acts:
            self.acts[-1]["told"].append(line)
        self._print(line, indent=_INDENT)

    def claim(self, what: str, *, holds: bool) -> None:
        """What must be so.

        Raises:
            ClaimError: It is not.
        """
        self.acts[-1]["claims"].append({"claim": what, "holds": holds})
        self._print(f"{'[ok]' if holds else '[NO]'} {what}", "green" if holds else "bold red", indent=_INDENT)
        if not holds:
            raise ClaimError(what)

    def end(self, others: Sequence[str]) -> None:
        """Every claim has held; these simulators did not take part."""
        count = sum(len(act["claims"]) for act in self.acts)
        self._print()
        self._print(f"All {count} claims held.", "bold green")
        if others:
            more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
            self._print(f"Also installed: {', '.join(others[:_NAMED])}{more}; such as `otp demo --with {others[0]}`.")

    def _print(self, line: str = "", style: str = "", *, indent: str = "") -> None:
        if self.out is not None:
            self.out.say({}, prose(line, style, indent=indent))


class Clock:
    """The wall clock, moved forward on demand."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def __call__(self) -> datetime:
        """Aware UTC."""
        return datetime.now(UTC) + self._ahead

    def move(self, by: timedelta) -> None:
        """Let time pass."""
        self._ahead += by


class Watcher:
    """An observer on whom one can wait."""

    def __init__(self) -> None:
        self._seen: list[Event] = []
        self._news = anyio.Event()

    @hookimpl
    def otp_event(self, event: Event) -> None:
        """Keep it, and wake whoever waits."""
        self._seen.append(event)
        self._news.set()

    async def wait_for(self, kind: EventType, challenge: Challenge, count: int = 1) -> list[Event]:
        """The first events of this kind about this challenge.

        Raises:
            ClaimError: They did not come.
        """
        with anyio.move_on_after(_PATIENCE):
            while len(found := self._about(kind, challenge)) < count:
                self._news = anyio.Event()
                await self._news.wait()
            return found[:count]
        raise ClaimError(f"{kind} was not seen within {_PATIENCE:g} s")

    def _about(self, kind: EventType, challenge: Challenge) -> list[Event]:
        return [event for event in self._seen if event.type is kind and event.challenge_id == challenge.id]


@attrs.frozen(kw_only=True)
class Stage:
    """What an act works with."""

    story: Story
    otp: AsyncOTPService
    simulators: Mapping[str, Simulator]
    clock: Clock
    watcher: Watcher

    async def send(self, phone: str, by: str) -> Challenge:
        """Send by SMS, and claim who takes it."""
        challenge = await self.otp.send_sms(phone)
        self.story.claim(f"an SMS to {phone} goes out through {by}", holds=challenge.provider == by)
        return challenge

    def read(self, vendor: str, phone: str) -> SimulatedMessage:
        """What the person got last from a vendor."""
        got = [message for message in self.simulators[vendor].inbox if message.recipient == phone]
        if not got:
            raise ClaimError(f"nothing of {vendor} arrived at {phone}")
        verb = "hears" if got[-1].channel is Channel.CALL else "reads"
        self.story.tell(f'the person {verb}: "{got[-1].text}"')
        return got[-1]

    async def approve(self, phone: str, code: str) -> None:
        """Type the right code."""
        result = await self.otp.verify(phone, code)
        self.story.claim(f"the code {code} is right: {_said(result)}", holds=bool(result))

    async def refuse(self, phone: str, code: str, why: str, status: str) -> Verification:
        """Type a code that must not be accepted."""
        result = await self.otp.verify(phone, code)
        self.story.claim(f"{why} is refused: {_said(result)}", holds=not result and result.status == status)
        return result


def _said(result: Verification) -> str:
    return f"{result.status}, (request_valid, code_valid) = {tuple(result)}"
