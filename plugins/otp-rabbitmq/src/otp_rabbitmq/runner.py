"""The runner behind ``retry.runner = "rabbitmq"``: RabbitMQ says when, the store says whether.

A message is a hint that names a retry. What it stands for is claimed in the store before anything is sent, so a message that
comes twice sends once, and one that is lost is found there by the sweep. Without a broker the runner works over the store
alone, as ``background`` does.
"""

from __future__ import annotations

import logging
import random
from contextlib import AsyncExitStack

import anyio
import anyio.abc
import anyio.to_thread
import attrs

from otp_rabbitmq.broker import Broker, Delivery
from otp_rabbitmq.mailbox import Mailbox
from otp_rabbitmq.settings import RabbitMQSettings
from otp_rabbitmq.steps import step_for
from otpcore.runners import (
    Claim,
    RetryDue,
    RetryElsewhere,
    RetryHost,
    RetryJob,
    RetryOver,
    Settings,
    SettingsError,
    StoreError,
    structure,
)

__all__ = ["RabbitMQRunner", "create_runner"]

_logger = logging.getLogger("otpcore.rabbitmq")

_KIND = "rabbitmq"
_SWEEP_PAUSES = (1.0, 2.0)  # seconds between sweeps, at random: processes that start together do not sweep together
_AGAIN = 1.0  # seconds before a retry that this process cannot run now goes round again
_PAUSE_AFTER_ERROR = 1.0  # seconds; the store may be back by then
_LEAVE_WITHIN = 2.0  # seconds for the last word to the store
_LONGEST_WAIT = 86_400.0  # seconds; no code lives longer


def create_runner(settings: Settings) -> RabbitMQRunner:
    """The factory behind ``retry.runner = "rabbitmq"``.

    Raises:
        SettingsError: ``retry.options`` is wrong, or the store is one that no other process can see.
    """
    if settings.storage.store == "memory":
        raise SettingsError(
            'retry.runner: "rabbitmq" is for several processes, which cannot see the "memory" store. Fix: in [storage]: store = "sql"'
        )
    options = structure(settings.retry.options, RabbitMQSettings, prefix="retry.options")
    if settings.sms.sandbox:  # its jobs are nothing to the processes that reach people, nor theirs to it
        options = attrs.evolve(options, prefix=f"{options.prefix}.sandbox")
    return RabbitMQRunner(options, concurrency=settings.retry.concurrency, poll=settings.retry.poll)


class RabbitMQRunner:
    """Publishes what this process leaves due, and runs what any process left due.

    Args:
        concurrency: How many retries run at once; the consumer's prefetch.
        poll: Seconds between looks at the store while there is no broker.
        grace: Seconds past due after which a message counts as lost, while there is a connection.
    """

    _host: RetryHost
    _broker: Broker
    _tasks: anyio.abc.TaskGroup
    _inbox: Mailbox[Delivery | None]
    _stopped: anyio.Event
    _wake: anyio.Event

    def __init__(
        self, settings: RabbitMQSettings, *, concurrency: int = 64, poll: float = 0.25, grace: float = 3.0
    ) -> None:
        self._concurrency = concurrency
        self._poll = poll
        self._grace = grace
        self._running = 0
        self._settings = settings

    async def start(self, exit_stack: AsyncExitStack, host: RetryHost) -> None:
        """Connect and consume; without a broker go on by the store, and connect when it is there.

        Closing the stack lets what is under way finish; what is only waiting goes back to the broker.

        Raises:
            SettingsError: The broker answers, and refuses user, virtual host or queues.
        """
        self._host = host
        self._inbox, self._stopped, self._wake = Mailbox(), anyio.Event(), anyio.Event()
        self._broker = Broker(
            self._settings,
            prefetch=self._concurrency,
            arrive=self._inbox.put,
            changed=lambda: self._inbox.put(None),
        )
        self._broker.open()
        try:
            await anyio.to_thread.run_sync(self._broker.ready, abandon_on_cancel=True)
        except BaseException:
            self._broker.close()
            raise
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        exit_stack.push_async_callback(self._finish)
        self._tasks.start_soon(self._take_deliveries, name="otpcore retries from RabbitMQ")
        self._tasks.start_soon(self._keep_house, name="otpcore retries from the store")

    async def submit(self, job: RetryJob) -> None:
        """Publish in the background; the row in the store is what counts."""
        self._hand_over(job)

    async def _finish(self) -> None:
        self._stopped.set()
        self._wake.set()
        self._broker.stop_consuming()
        self._inbox.put(None)
        try:
            await self._tasks.__aexit__(None, None, None)
        finally:
            self._broker.close()
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._broker.join)

    def _hand_over(self, job: RetryJob) -> None:
        if self._broker.connected:
            self._broker.publish(job, self._wait_for(job))
        else:
            self._wake.set()

    def _wait_for(self, job: RetryJob) -> float:
        return (job.due_at - self._host.now()).total_seconds()

    # What the broker delivers.

    async def _take_deliveries(self) -> None:
        while not self._stopped.is_set():
            delivery = await self._inbox.take()
            if delivery is None:
                self._wake.set()
            elif not self._stopped.is_set():
                self._running += 1
                self._tasks.start_soon(self._deliver, delivery)

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            wait = self._wait_for(delivery.job)
            if wait > _LONGEST_WAIT:
                about = {"otp_event": "message_dropped", "otp_reason": "far_future"}
                _logger.warning("a message is dropped: no retry waits so long", extra=about)
                self._broker.settle(delivery)
            elif step_for(wait) is not None:
                self._broker.settle(delivery, delivery.job, wait)
            elif await self._is_due_after(wait):
                await self._run(delivery)
        finally:
            self._running -= 1

    async def _is_due_after(self, wait: float) -> bool:
        """Wait for what is shorter than any step; False: the runner stops, and the broker gives it to another."""
        if wait > 0:
            with anyio.move_on_after(wait):
                await self._stopped.wait()
        return not self._stopped.is_set()

    async def _run(self, delivery: Delivery) -> None:
        match await self._run_retry(delivery.job):
            case RetryDue(job=job):
                self._broker.settle(delivery, job, self._wait_for(job))
            case RetryElsewhere():
                self._broker.settle(delivery, delivery.job, _AGAIN)
            case RetryOver():
                self._broker.settle(delivery)

    async def _run_retry(self, job: RetryJob) -> RetryDue | RetryElsewhere | RetryOver:
        """What is left of it; what failed here goes round again."""
        try:
            return await self._host.run_retry(job)
        except StoreError:
            return RetryElsewhere()  # the house-keeping says so once a second
        except Exception as error:  # noqa: BLE001 - one retry never stops a runner
            name = type(error).__name__
            about = {"otp_event": "retry_failed", "otp_challenge_id": job.challenge_id, "otp_reason": name}
            _logger.error("challenge %s: retry failed: %s", job.challenge_id, name, extra=about)
            return RetryElsewhere()

    # What the store knows.

    async def _keep_house(self) -> None:
        try:
            while not self._stopped.is_set():
                self._wake = anyio.Event()
                pause = await self._guarded_sweep()
                if not self._stopped.is_set():
                    with anyio.move_on_after(pause):
                        await self._wake.wait()
        finally:
            with anyio.move_on_after(_LEAVE_WITHIN, shield=True):
                await self._host.leave()

    async def _guarded_sweep(self) -> float:
        """One sweep, and how long to sleep after it, whatever happened."""
        try:
            return await self._sweep()
        except Exception as error:  # noqa: BLE001 - a store that is away must not end the loop
            name = type(error).__name__
            about = {"otp_event": "retries_wait", "otp_reason": name}
            _logger.warning("retries wait: %s: %s", name, error, extra=about)
            return _PAUSE_AFTER_ERROR

    async def _sweep(self) -> float:
        """Keep house, and run what no message will tell of; how long to sleep."""
        host = self._host
        await host.upkeep(kind=_KIND, running=self._running)
        connected = self._broker.connected
        pause = random.uniform(*_SWEEP_PAUSES) if connected else self._poll
        free = self._concurrency - self._running
        if free <= 0:
            return pause
        due_at = await host.next_due()
        if due_at is None:
            return pause
        wait = (due_at - host.now()).total_seconds() + (self._grace if connected else 0.0)
        if wait > 0:
            return min(wait, pause)
        claims = await host.claim(free)
        for claim in claims:
            self._running += 1
            self._tasks.start_soon(self._run_claim, claim)
        return 0.0 if claims and not connected else pause

    async def _run_claim(self, claim: Claim) -> None:
        try:
            left = await self._host.run(claim)
        finally:
            self._running -= 1
        if isinstance(left, RetryDue):
            self._hand_over(left.job)
        elif not self._broker.connected:
            self._wake.set()  # a place is free
