"""One connection to the broker: its queues, its consumer, and publishing with confirms."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from aiormq import exceptions as amqp

from otp_rabbitmq.messages import encoded
from otp_rabbitmq.settings import RabbitMQSettings
from otp_rabbitmq.steps import STEPS, step_for
from otpcore.runners import RetryJob, SettingsError

__all__ = ["Arrive", "Link", "queue_arguments", "queue_names"]

Arrive = Callable[[AbstractIncomingMessage], Awaitable[None]]

_WITHIN = 5.0  # seconds for the broker to answer
_DELIVERY_LIMIT = (
    20  # deliveries of one message whose consumers died; then it is dropped, and the row waits for the sweep
)


def queue_names(prefix: str) -> tuple[str, dict[int, str]]:
    """The work queue, and the queue of each step in milliseconds."""
    return f"{prefix}.retries", {step: f"{prefix}.retries.wait.{step}ms" for step in STEPS}


def queue_arguments(prefix: str) -> dict[str, dict[str, Any]]:
    """Every queue with its arguments."""
    work, waits = queue_names(prefix)
    safe = {"x-queue-type": "quorum", "x-overflow": "reject-publish"}
    step_queue = {
        **safe,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": work,
        "x-dead-letter-strategy": "at-least-once",
    }
    return {
        work: {**safe, "x-delivery-limit": _DELIVERY_LIMIT},
        **{name: {**step_queue, "x-message-ttl": step} for step, name in waits.items()},
    }


class Link:
    """Lasts as long as the connection does; ``lost`` is set when it is of no more use.

    Args:
        arrive: Gets each message; it acknowledges.
    """

    def __init__(self, settings: RabbitMQSettings, arrive: Arrive) -> None:
        self.lost = asyncio.Event()
        self._settings = settings
        self._arrive = arrive
        self._work, self._waits = queue_names(settings.prefix)
        # Not aio_pika.connect: a connection that failed must be closed, or the client's finalizer warns of it.
        self._connection = aio_pika.Connection(
            settings.address, client_properties={"connection_name": f"{settings.prefix} retries"}
        )
        self._channel: AbstractChannel
        self._queue: AbstractQueue
        self._consumer: str | None = None

    async def open(self, prefetch: int) -> None:
        """Connect, declare the queues, consume.

        Raises:
            SettingsError: The broker does not let us in, or has such a queue with other arguments.
            Exception: It does not answer; the client library has many words for that.
        """
        try:
            async with asyncio.timeout(_WITHIN):
                await self._connection.connect()
                self._connection.close_callbacks.add(self._note_loss)
                self._channel = await self._new_channel()
                for name, arguments in queue_arguments(self._settings.prefix).items():
                    await self._declare(name, arguments)
                await self._channel.set_qos(prefetch_count=prefetch)
                self._consumer = await self._queue.consume(self._arrive)
        except (amqp.AuthenticationError, amqp.ProbableAuthenticationError, amqp.ConnectionNotAllowed) as error:
            await self.close()
            raise SettingsError(
                f"retry.options.url: RabbitMQ at {self._settings.place} refuses the user, the password or the virtual host"
            ) from error
        except amqp.ChannelAccessRefused as error:
            await self.close()
            raise SettingsError(
                f"retry.options.url: RabbitMQ at {self._settings.place} does not let the user configure, write and read "
                f"the queues {self._work}*"
            ) from error
        except BaseException:
            await self.close()
            raise

    async def publish(self, job: RetryJob, wait: float) -> None:
        """Put the job into the queue of its step, and wait until the broker has it safely.

        Args:
            wait: Seconds until it is due.

        Raises:
            Exception: It may not have it.
        """
        step = step_for(wait)
        message = aio_pika.Message(
            encoded(job), content_type="application/json", delivery_mode=aio_pika.DeliveryMode.PERSISTENT
        )
        key = self._work if step is None else self._waits[step]
        await self._channel.default_exchange.publish(message, key, mandatory=True, timeout=_WITHIN)

    async def stop_consuming(self) -> None:
        """Take no more; what was taken can still be acknowledged."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with contextlib.suppress(Exception):  # a connection that is lost consumes nothing
                await self._queue.cancel(consumer, timeout=_WITHIN)

    async def close(self) -> None:
        """The broker gives what was not acknowledged to others."""
        self.lost.set()
        with contextlib.suppress(Exception):  # the connection may be broken in any way
            async with asyncio.timeout(1):
                await self._connection.close()

    async def _new_channel(self) -> AbstractChannel:
        channel = await self._connection.channel(on_return_raises=True)
        channel.close_callbacks.add(self._note_loss)
        underlay = await channel.get_underlay_channel()
        underlay.on_consumer_cancel_callbacks.add(self._note_loss)  # somebody deleted the queue
        return channel

    async def _declare(self, name: str, arguments: dict[str, Any]) -> None:
        try:
            queue = await self._channel.declare_queue(name, durable=True, arguments=arguments)
        except amqp.ChannelPreconditionFailed as error:
            raise SettingsError(
                f"retry.options.prefix: RabbitMQ at {self._settings.place} has the queue {name} with other arguments, or "
                f"knows not all of ours ({error}); it must be 3.10 or newer. Delete the queue, or choose another prefix"
            ) from error
        if name == self._work:
            self._queue = queue

    def _note_loss(self, *_: object) -> None:
        self.lost.set()
