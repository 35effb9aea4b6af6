"""The broker as a runner sees it: a thread of its own keeps a connection, and nobody waits for it.

aio-pika needs asyncio. In a thread with an asyncio loop of its own it serves trio hosts and blocking ones just as well, and
heartbeats go on while the host's loop is busy. Reconnecting is our own: a second after the broker is back, so is the
connection; the client library's own way took fifteen in a measurement.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import attrs
from aio_pika.abc import AbstractIncomingMessage
from aiormq.exceptions import DeliveryError, PublishError

from otp_rabbitmq.link import Link
from otp_rabbitmq.messages import decoded
from otp_rabbitmq.settings import RabbitMQSettings
from otpcore.runners import RetryJob, SettingsError, backoff

__all__ = ["Broker", "Delivery"]

_logger = logging.getLogger("otpcore.rabbitmq")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 0.7  # seconds between attempts to connect, on average
_LAST_WORDS_WITHIN = 5.0  # seconds for confirms and acknowledgements before the connection is closed


@attrs.frozen(kw_only=True, eq=False)
class Delivery:
    """A job that the broker handed over; it hands it to another if this is not settled before the connection ends."""

    job: RetryJob
    message: AbstractIncomingMessage


class Broker:
    """All methods may be called from any thread and return at once, but ``ready`` and ``join``.

    Args:
        prefetch: How many deliveries may be unsettled at once.
        arrive: Called with each delivery, in the broker's thread.
        changed: Called when the connection was lost or found, in the broker's thread.
    """

    def __init__(
        self,
        settings: RabbitMQSettings,
        *,
        prefetch: int,
        arrive: Callable[[Delivery], None],
        changed: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._prefetch = prefetch
        self._arrive = arrive
        self._changed = changed
        self._link: Link | None = None
        self._first_attempt: Future[None] = Future()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loop: asyncio.AbstractEventLoop
        self._thread: threading.Thread
        self._closing = asyncio.Event()

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as is known."""
        return self._link is not None

    def open(self) -> None:
        """Begin to connect, and to connect again whenever the connection is lost."""
        runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = runner.get_loop()
        self._thread = threading.Thread(target=self._body, args=(runner,), name="otpcore-rabbitmq", daemon=True)
        self._thread.start()

    def ready(self) -> None:
        """Wait until the first attempt to connect is over, successful or not.

        Raises:
            SettingsError: The broker answers, and no later attempt could succeed.
        """
        self._first_attempt.result()

    def publish(self, job: RetryJob, wait: float) -> None:
        """Let the job come back when it is due in ``wait`` seconds. If that fails, the row in the store tells of it."""
        self._post(self._publish, job, wait)

    def settle(self, delivery: Delivery, job: RetryJob | None = None, wait: float = 0.0) -> None:
        """Publish what is due next, if anything, and then acknowledge."""
        self._post(self._settle, delivery, job, wait)

    def stop_consuming(self) -> None:
        """Take no more deliveries."""
        self._post(self._stop_consuming)

    def close(self) -> None:
        """Finish what was asked for, within seconds, and end the connection and the thread."""
        with contextlib.suppress(RuntimeError):  # the thread has ended
            self._loop.call_soon_threadsafe(self._closing.set)

    def join(self) -> None:
        """Wait for the end after ``close``."""
        self._thread.join(2 * _LAST_WORDS_WITHIN)

    # In the broker's thread.

    def _body(self, runner: asyncio.Runner) -> None:
        with runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        pauses, was_away = backoff(_FIRST_PAUSE, _LONGEST_PAUSE), False
        while not self._closing.is_set():
            link = await self._connect(was_away=was_away)
            if link is not None:
                pauses = backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
                await self._use(link)
            elif self._first_attempt.exception():
                return
            was_away = link is None
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), next(pauses))

    async def _connect(self, *, was_away: bool) -> Link | None:
        """A connection that works; None: there is none now."""
        link = Link(self._settings, self._receive)
        try:
            await link.open(self._prefetch)
        except SettingsError as error:
            if not self._first_attempt.done():
                self._first_attempt.set_exception(error)
            elif not was_away:
                _logger.error("%s", error, extra={"otp_event": "broker_refuses", "otp_reason": "SettingsError"})
            return None
        except Exception as error:  # noqa: BLE001 - whatever the client library calls it, the store goes on
            if not was_away:
                name = type(error).__name__
                _logger.warning(
                    "RabbitMQ at %s is away: %s; retries run from the store until it is back",
                    self._settings.place,
                    name,
                    extra={"otp_event": "broker_away", "otp_reason": name},
                )
            if not self._first_attempt.done():
                self._first_attempt.set_result(None)
            return None
        return link

    async def _use(self, link: Link) -> None:
        """Until the connection is lost, or all is over."""
        self._link = link
        about = {"otp_event": "broker_connected", "otp_detail": self._settings.place}
        _logger.info("connected to RabbitMQ at %s", self._settings.place, extra=about)
        if not self._first_attempt.done():
            self._first_attempt.set_result(None)
        self._changed()
        ends = [asyncio.ensure_future(event.wait()) for event in (link.lost, self._closing)]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
        if self._closing.is_set() and self._tasks:
            await asyncio.wait(self._tasks, timeout=_LAST_WORDS_WITHIN)
        self._link = None
        self._changed()
        await link.close()

    async def _receive(self, message: AbstractIncomingMessage) -> None:
        try:
            job = decoded(message.body)
        except ValueError as error:
            about = {"otp_event": "message_dropped", "otp_reason": "garbled"}
            _logger.warning("a message of %d bytes is dropped: %s", len(message.body), error, extra=about)
            with contextlib.suppress(Exception):  # the connection was lost meanwhile, and it comes again
                await message.reject(requeue=False)
            return
        self._arrive(Delivery(job=job, message=message))

    async def _publish(self, job: RetryJob, wait: float) -> None:
        link = self._link
        if link is None:
            return
        try:
            await link.publish(job, wait)
        except DeliveryError as error:  # the queue is full, or gone: then it is declared again with the connection
            about = {"otp_event": "message_refused", "otp_challenge_id": job.challenge_id}
            _logger.warning("RabbitMQ did not take a retry; it will run from the store", extra=about)
            if isinstance(error, PublishError):
                link.lost.set()
        except Exception:  # noqa: BLE001 - the connection is broken, whatever the client library calls it
            link.lost.set()

    async def _settle(self, delivery: Delivery, job: RetryJob | None, wait: float) -> None:
        if job is not None:
            await self._publish(job, wait)
        with contextlib.suppress(Exception):  # the connection was lost meanwhile, and the message comes again
            await delivery.message.ack()

    async def _stop_consuming(self) -> None:
        if self._link is not None:
            await self._link.stop_consuming()

    def _post(self, work: Callable[..., Any], *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the thread has ended
            self._loop.call_soon_threadsafe(self._spawn, work, *arguments)

    def _spawn(self, work: Callable[..., Any], *arguments: Any) -> None:
        task = self._loop.create_task(work(*arguments))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
