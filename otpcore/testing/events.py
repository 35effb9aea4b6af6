"""An observer for tests of a host: it keeps what the service told."""

from __future__ import annotations

import anyio
import attrs

from otpcore.events import Event, EventType
from otpcore.providers.hooks import hookimpl

__all__ = ["EventRecorder"]


@attrs.define(eq=False)
class EventRecorder:
    """An observer that keeps every event: ``outbox.service(observers=[recorder])``.

    Attributes:
        events: In the order in which they came.
    """

    events: list[Event] = attrs.field(factory=list)
    _news: anyio.Event | None = None

    @hookimpl
    def otp_event(self, event: Event) -> None:
        """Keep the event, and wake whoever waits for one."""
        self.events.append(event)
        if self._news is not None:
            self._news.set()
            self._news = None

    def types(self) -> list[EventType]:
        """What happened, oldest first."""
        return [event.type for event in self.events]

    def of(self, kind: EventType) -> list[Event]:
        """The events of one type, oldest first."""
        return [event for event in self.events if event.type is kind]

    def one(self, kind: EventType) -> Event:
        """The only event of its type.

        Raises:
            AssertionError: There is none, or more than one.
        """
        found = self.of(kind)
        if len(found) != 1:
            raise AssertionError(f"{len(found)} events of type {kind.value}, not one; all: {self.types()}")
        return found[0]

    async def wait_for(self, kind: EventType, seconds: float = 30) -> None:
        """Return when there is an event of this type; in the event loop of the service.

        Raises:
            TimeoutError: None came within ``seconds``.
        """
        with anyio.fail_after(seconds):
            while not self.of(kind):
                if self._news is None:
                    self._news = anyio.Event()
                await self._news.wait()
