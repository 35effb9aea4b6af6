"""The base of the vendors' simulators: a small HTTP server on loopback that speaks one vendor's wire protocol.

It runs in threads of its own, so it serves asyncio, trio and blocking code alike, and needs no test library::

    with TwilioSimulator() as twilio:
        ...                                  # settings={"providers": {"twilio": twilio.provider_settings()}}
        assert twilio.inbox[-1].code
        twilio.fail(Fault.HTTP_503)          # the next request only
        twilio.down()                        # connection refused, until up()

A vendor's simulator overrides ``handle`` and ``provider_settings``; its entry point is in the group
``otpcore.simulators`` and names the class.
"""

from __future__ import annotations

import contextlib
import email.utils
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Self

from otpcore.clock import in_utc
from otpcore.models import Channel
from otpcore.prices import Price
from otpcore.simulators.callbacks import Callback, Caller, call, never, written
from otpcore.simulators.exchange import Fault, SimulatedAnswer, SimulatedMessage, SimulatedRequest, find_code
from otpcore.simulators.server import Connection, Listener

__all__ = ["Simulator", "running"]


class Simulator:
    """One vendor on loopback; a context manager, or ``start`` and ``stop``.

    Attributes:
        requests: Everything that arrived, oldest first; faults too.
        answers: What ``handle`` answered to each of them, or the exception that it raised; None: a fault came instead.
        paths: Where it answers, such as ``("POST /messages",)``: the contract suite names them where another is asked.
        numbers: Numbers (E.164) at which it does not deliver as usual, each with what it does in a few words: ``otp
            simulate`` names them.
        inbox: What people received, oldest first.
        clock: In UTC, whatever zone the one that is set has; the vendor's expiry follows it. A test may replace it at any time.
        callbacks: What it sent to URLs of its customer, oldest first.
        on_message: Called with each message that comes into the inbox, where it is set.
    """

    paths: Sequence[str] = ()
    numbers: Mapping[str, str] = MappingProxyType({})

    def __init__(self) -> None:
        self.requests: list[SimulatedRequest] = []
        self.answers: list[SimulatedAnswer | Exception | None] = []
        self.inbox: list[SimulatedMessage] = []
        self.on_message: Callable[[SimulatedMessage], object] | None = None
        self._clock: Callable[[], datetime] = _utc_now
        self.callbacks: list[Callback] = []
        self._to_send: list[Callback] = []
        self._caller = Caller()
        self._faults: list[tuple[Fault, int | None]] = []
        self._state = threading.Lock()
        self._listener: Listener | None = None

    @property
    def clock(self) -> Callable[[], datetime]:
        """Tells the vendor's time."""
        return self._clock

    @clock.setter
    def clock(self, clock: Callable[[], datetime]) -> None:
        self._clock = in_utc(clock)

    def handle(self, request: SimulatedRequest) -> SimulatedAnswer:
        """Do the vendor's work. Called under a lock, one request at a time, so state needs no care."""
        raise NotImplementedError

    def provider_settings(self) -> dict[str, Any]:
        """Settings (``providers.<instance>``) of an instance that talks to this simulator, which must be running."""
        raise NotImplementedError

    @property
    def base_url(self) -> str:
        """``http://127.0.0.1:PORT``, or with the host that it was given; the port stays the same through ``down`` and ``up``.

        Raises:
            RuntimeError: The simulator has not been started.
        """
        if self._listener is None:
            raise RuntimeError("the simulator has not been started")
        return self._listener.url

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return self._listener.connections if self._listener is not None else 0

    def start(self, port: int = 0, host: str = "127.0.0.1") -> None:
        """Listen on this port of an address of this machine; 0: a free one.

        Args:
            port: TCP port.
            host: Name or address; ``0.0.0.0``: all of them, for tests that run in another container.

        Raises:
            OSError: The port is taken, or the address is not this machine's.
        """
        if self._listener is not None:
            raise RuntimeError("the simulator is running")
        self._listener = Listener(self._serve, port, host)
        self._listener.open()

    def stop(self) -> None:
        """Close every connection, those that hang too, and end every thread. A second call does nothing."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self._caller.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def down(self) -> None:
        """Take the vendor away: open connections break, new ones are refused."""
        if self._listener is None:
            raise RuntimeError("the simulator has not been started")
        self._listener.close()
        # Bound, but not listening: refuses connections and keeps the port.
        self._listener = Listener(self._serve, self._listener.port, self._listener.host)

    def up(self) -> None:
        """Bring it back on the same port, with all its state."""
        if self._listener is None:
            raise RuntimeError("the simulator has not been started")
        self._listener.open()

    def fail(self, fault: Fault, *, times: int | None = 1) -> None:
        """Let the next ``times`` requests fail (None: all, until ``recover``). Several calls queue up."""
        with self._state:
            self._faults.append((fault, times))

    def recover(self) -> None:
        """Forget all faults that have not happened yet."""
        with self._state:
            self._faults.clear()

    def deliver(
        self,
        *,
        recipient: str,
        channel: Channel,
        text: str,
        code: str = "",
        reference: str = "",
        price: Price | None = None,
    ) -> None:
        """Put a message into the inbox; without ``code`` it is looked for in the text."""
        message = SimulatedMessage(
            recipient=recipient,
            channel=channel,
            text=text,
            code=code or find_code(text),
            reference=reference,
            price=price,
        )
        self.inbox.append(message)
        if self.on_message is not None:
            self.on_message(message)

    def call_back(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        again: Callable[[int, int], bool] = never,
        *,
        method: str = "POST",
        query: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        json: Any = None,
    ) -> None:
        """Report to the customer; called by ``handle``, sent after the answer to the request, in order.

        Args:
            url: As the customer gave it with the message, or for the account.
            headers: Such as the signature.
            body: As it was signed; else ``form`` or ``json`` makes it.
            again: Whether it is repeated, by how often it was tried and by the status of the answer (0: there was none).
            method: HTTP verb; ``GET`` with ``query``.
            query: Fields that are added to the URL.
            form: Fields of a form in the body.
            json: What is written as JSON in the body.
        """
        url, headers, made = written(url, headers or {}, query=query, form=form, json=json)
        self._to_send.append(Callback(url=url, headers=headers, body=body or made, again=again, method=method))

    def ask(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """Ask the customer within ``handle``: status and body of the answer, or status 0 where there was none."""
        question = Callback(url=url, headers=headers, body=body)
        self.callbacks.append(question)
        return call(question)

    def wait_for_callbacks(self) -> None:
        """Until everything that was reported so far has been answered, or there was none to answer."""
        self._caller.wait()

    def _serve(self, connection: Connection) -> None:
        path, _, query = connection.path.partition("?")
        headers = {name.lower(): value for name, value in connection.headers.items()}
        request = SimulatedRequest(connection.command, path, query, headers, connection.body)
        with self._state:
            fault = self._next_fault()
            works = fault in (None, Fault.RESET_AFTER_WORK, Fault.HANG_AFTER_WORK)
            answer = self._work(request, works=works)
            answered = self._announce()
        try:
            if fault is None and answer is not None:
                date = email.utils.format_datetime(self.clock().astimezone(UTC), usegmt=True)
                connection.answer(answer.status, {"Date": date, **answer.headers}, answer.body)
        finally:
            answered.set()
        if fault is not None:
            _FAULTS[fault](connection)

    def _work(self, request: SimulatedRequest, *, works: bool) -> SimulatedAnswer | None:
        """Note the request and its answer; None: it does no work."""
        self.requests.append(request)
        self.answers.append(None)
        try:
            answer = self.handle(request) if works else None
        except Exception as error:
            self.answers[-1] = error
            raise
        self.answers[-1] = answer
        return answer

    def _announce(self) -> threading.Event:
        """Queue what ``handle`` reported, to be sent when the event is set."""
        answered = threading.Event()
        for report in self._to_send:
            self.callbacks.append(report)
            self._caller.send(report, answered)
        self._to_send.clear()
        return answered

    def _next_fault(self) -> Fault | None:
        if not self._faults:
            return None
        fault, times = self._faults[0]
        if times is not None:
            self._faults[:1] = [(fault, times - 1)] if times > 1 else []
        return fault


@contextlib.contextmanager
def running(*simulators: Simulator) -> Iterator[tuple[Simulator, ...]]:
    """Run several simulators together; all are stopped, whatever happens."""
    with contextlib.ExitStack() as stack:
        yield tuple(stack.enter_context(simulator) for simulator in simulators)


def _utc_now() -> datetime:
    return datetime.now(UTC)


# What each fault does with the connection that waits for an answer.
_FAULTS: dict[Fault, Callable[[Connection], None]] = {
    Fault.HANG: Connection.hang,
    Fault.HANG_AFTER_WORK: Connection.hang,
    Fault.CLOSE_AFTER_READ: Connection.close_in_order,
    Fault.RESET_AFTER_READ: Connection.reset,
    Fault.RESET_AFTER_WORK: Connection.reset,
    Fault.GARBAGE_STATUS_LINE: Connection.answer_without_status_line,
    Fault.GARBAGE_BODY: lambda connection: connection.answer(200, {"Content-Type": "text/plain"}, b"\xff<<nonsense"),
    Fault.HTTP_500: lambda connection: connection.answer(500, {}, b"Internal Server Error"),
    Fault.HTTP_503: lambda connection: connection.answer(503, {}, b"Service Unavailable"),
    Fault.HTTP_429: lambda connection: connection.answer(429, {"Retry-After": "7"}, b"Too Many Requests"),
    Fault.HTTP_401: lambda connection: connection.answer(401, {}, b"Unauthorized"),
    Fault.HTTP_404: lambda connection: connection.answer(404, {}, b"Not Found"),
    Fault.HTTP_405: lambda connection: connection.answer(405, {"Allow": "GET"}, b"Method Not Allowed"),
    Fault.HTTP_418: lambda connection: connection.answer(418, {}, b"I'm a Teapot"),
    Fault.REDIRECT: lambda connection: connection.answer(307, {"Location": "/redirected"}, b""),
    Fault.HUGE_BODY: Connection.answer_with_many_bytes,
    Fault.SLOW_BODY: Connection.answer_slowly,
}
