"""What the tests of this plugin work with: a gateway in the process, a proxy that can be cut, a look at the queues."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Self

import aio_pika
import anyio
import anyio.to_thread
import attrs
from yarl import URL

from otpcore.errors import ErrorKind, ProviderError
from otpcore.providers.hooks import hookimpl
from otpcore.providers.requests import DeliveryReceipt, DeliveryRequest, ProviderInfo

__all__ = ["Gateway", "Proxy", "eventually", "in_asyncio", "phone"]


def phone(number: int) -> str:
    return f"+35987{number:07d}"


def in_asyncio(work: Callable[[], Awaitable[Any]]) -> Any:
    """Run it in an asyncio loop of a thread of its own; the test itself may run under trio."""
    result: list[Any] = []
    thread = threading.Thread(target=lambda: result.append(asyncio.run(work())))
    thread.start()
    thread.join()
    return result[0]


async def eventually(condition: Callable[[], Any], within: float = 20.0) -> None:
    with anyio.fail_after(within):
        while not condition():
            await anyio.sleep(0.01)


async def on_channel(url: str, work: Callable[[Any], Awaitable[Any]]) -> Any:
    """Do something with a channel of one's own."""

    async def whole() -> Any:
        async with await aio_pika.connect(url) as connection:
            return await work(await connection.channel())

    return await anyio.to_thread.run_sync(in_asyncio, whole)


@attrs.define(eq=False)
class Gateway:
    """A provider that fails the first tries of each number, and keeps when each try came."""

    failures: int = 0
    takes: float = 0.0
    tries: dict[str, list[datetime]] = attrs.field(factory=dict)
    codes: dict[str, str] = attrs.field(factory=dict)
    sent: Counter[str] = attrs.field(factory=Counter)
    down: bool = False

    @hookimpl
    def describe(self) -> ProviderInfo:
        return ProviderInfo(display_name="Gateway")

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        number = request.recipient.e164
        self.codes[number] = request.code or ""
        tries = self.tries.setdefault(number, [])
        tries.append(datetime.now(UTC))
        await anyio.sleep(self.takes)
        if self.down or len(tries) <= self.failures:
            raise ProviderError(ErrorKind.THROTTLED, "asked for by the test")  # opens no breaker
        self.sent[number] += 1
        return DeliveryReceipt(reference=request.delivery_id)


class Proxy:
    """Forwards bytes to the broker, until it is cut: then connections break, and new ones are closed at once."""

    def __init__(self, url: str) -> None:
        address = URL(url)
        self._target = (address.host or "", address.port or 5672)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = str(address.with_host("127.0.0.1").with_port(self._listener.getsockname()[1]))
        self._open: set[socket.socket] = set()
        self.cut = False

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.break_off()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def break_off(self) -> None:
        self.cut = True
        for one in list(self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self.cut = False

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener is closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        with client:
            if self.cut:
                return
            with socket.create_connection(self._target) as server:
                self._open |= {client, server}
                back = threading.Thread(target=self._pump, args=(server, client), daemon=True)
                back.start()
                self._pump(client, server)
                back.join()
                self._open -= {client, server}

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
