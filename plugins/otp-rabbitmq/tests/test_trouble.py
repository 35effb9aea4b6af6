"""What happens when the broker, the network, a process or a message is gone: nothing is lost."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from otp_rabbitmq.link import queue_names
from yarl import URL

from otpcore import AsyncOTPService, OTPService
from otpcore.runners import Channel, RetryJob, SettingsError

from .rig import Gateway, Proxy, eventually, on_channel, phone

pytestmark = pytest.mark.anyio
on_both_loops = pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])

Opened = Callable[..., Any]


def told(caplog: pytest.LogCaptureFixture, event: str) -> int:
    return sum(getattr(record, "otp_event", "") == event for record in caplog.records)


async def test_the_network_is_cut_and_mended_and_nothing_is_lost(
    opened: Opened, gateway: Gateway, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "otpcore")
    gateway.failures = 4
    async with opened({"url": proxy.url}) as otp:
        for number in range(30):
            await otp.send_sms(phone(number))
        await eventually(lambda: sum(map(len, gateway.tries.values())) > 45)
        proxy.break_off()
        await eventually(lambda: told(caplog, "broker_away"))
        tried = sum(map(len, gateway.tries.values()))
        await eventually(lambda: sum(map(len, gateway.tries.values())) > tried)  # from the store
        proxy.mend()
        await eventually(lambda: told(caplog, "broker_connected") == 2)
        await otp.send_sms(phone(30))
        await eventually(lambda: len(gateway.sent) == 31)
    assert set(gateway.sent.values()) == {1}
    assert {len(tries) for tries in gateway.tries.values()} == {5}
    assert told(caplog, "broker_away") == 1


async def test_no_broker_at_the_start_is_a_warning_and_it_is_found_when_it_is_there(
    opened: Opened, gateway: Gateway, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "otpcore")
    gateway.failures = 1
    proxy.cut = True
    async with opened({"url": proxy.url}) as otp:
        assert told(caplog, "broker_away") == 1
        await otp.send_sms(phone(1))
        await eventually(lambda: gateway.sent[phone(1)])
        proxy.mend()
        await eventually(lambda: told(caplog, "broker_connected"))
        await otp.send_sms(phone(2))
        await eventually(lambda: gateway.sent[phone(2)])
    assert "guest:guest" not in caplog.text


async def test_a_lost_message_is_found_by_the_sweep(
    opened: Opened, gateway: Gateway, broker_url: str, prefix: str
) -> None:
    gateway.failures = 1
    _, waits = queue_names(prefix)
    lost = 0

    async def purge(channel: Any) -> int:
        purged = 0
        for name in waits.values():
            queue = await channel.get_queue(name)
            purged += (await queue.purge()).message_count
        return purged

    async with opened(first_delay=2.0, jitter=0) as otp:
        await otp.send_sms(phone(1))
        await anyio.sleep(0.3)
        lost = await on_channel(broker_url, purge)
        await eventually(lambda: gateway.sent[phone(1)])
    assert lost == 1
    waited = gateway.tries[phone(1)][1] - gateway.tries[phone(1)][0]
    assert 4.5 < waited.total_seconds() < 12


async def test_deleted_queues_are_declared_again(
    opened: Opened, gateway: Gateway, broker_url: str, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "otpcore")
    gateway.failures = 1

    async def delete(channel: Any) -> None:
        work, waits = queue_names(prefix)
        for name in (work, *waits.values()):
            await channel.queue_delete(name)

    async with opened() as otp:
        await on_channel(broker_url, delete)
        await eventually(lambda: told(caplog, "broker_connected") == 2)
        await otp.send_sms(phone(1))
        await eventually(lambda: gateway.sent[phone(1)])


async def test_a_retry_whose_holder_died_comes_again_when_the_lease_is_over(opened: Opened, gateway: Gateway) -> None:
    gateway.failures = 1
    async with opened(first_delay=0.5, jitter=0) as otp:
        challenge = await otp.send_sms(phone(2))
        (view,) = await otp._service.store.view(challenge_id=challenge.id)
        job = RetryJob(challenge_id=challenge.id, channel=Channel.SMS, due_at=view.schedule[0].due_at)
        (claim,) = await otp._retries._claim(1, job)  # by somebody who is never heard of again
        assert claim.attempts == 1
        await eventually(lambda: gateway.sent[phone(2)])
    waited = gateway.tries[phone(2)][1] - gateway.tries[phone(2)][0]
    assert 1.9 < waited.total_seconds() < 4.9  # the lease is 2 s; the sweep alone would come later than 5 s


async def test_queues_with_other_arguments_are_a_clear_error(opened: Opened, broker_url: str, prefix: str) -> None:
    work, _ = queue_names(prefix)
    await on_channel(broker_url, lambda channel: channel.declare_queue(work, durable=True))
    with pytest.raises(SettingsError, match=rf"retry\.options\.prefix: .*{work}.*another prefix"):
        async with opened():
            pass


@on_both_loops
async def test_a_wrong_password_is_a_clear_error_that_does_not_show_it(opened: Opened, broker_url: str) -> None:
    url = str(URL(broker_url).with_password("wrong-and-secret"))
    with pytest.raises(SettingsError, match=r"retry\.options\.url: .* refuses the user") as caught:
        async with opened({"url": url}):
            pass
    assert "secret" not in str(caught.value)


@on_both_loops
async def test_the_hosts_own_error_is_neither_wrapped_nor_waited_for(opened: Opened, gateway: Gateway) -> None:
    gateway.down = True

    async def host() -> None:
        async with opened(first_delay=2.0) as otp:
            await otp.send_sms(phone(1))
            raise RuntimeError("of the host")

    with pytest.raises(RuntimeError, match="of the host"):
        await host()


@on_both_loops
async def test_closing_finishes_what_is_under_way(opened: Opened, gateway: Gateway) -> None:
    gateway.failures, gateway.takes = 1, 0.5
    async with opened(first_delay=0.05) as otp:
        await otp.send_sms(phone(1))
        await eventually(lambda: len(gateway.tries[phone(1)]) == 2)
    assert gateway.sent[phone(1)] == 1


async def test_two_processes_share_the_work_and_what_one_leaves_the_other_does(
    opened: Opened, gateway: Gateway
) -> None:
    gateway.failures = 3
    async with opened() as stays:
        async with opened() as goes:
            for number in range(20):
                await goes.send_sms(phone(number))
        await eventually(lambda: len(gateway.sent) == 20)
        assert stays._retries._worker.kind == "rabbitmq"
    assert set(gateway.sent.values()) == {1}


def test_blocking_hosts_need_nothing_else(settings: dict[str, Any], gateway: Gateway) -> None:
    gateway.failures = 1
    with OTPService(settings, providers={"gateway": gateway}) as otp:
        otp.send_sms(phone(1))
        deadline = 200
        while not gateway.sent[phone(1)] and (deadline := deadline - 1):
            time.sleep(0.05)
        assert otp.verify(phone(1), gateway.codes[phone(1)])


async def test_a_store_in_memory_is_refused(settings: dict[str, Any], gateway: Gateway) -> None:
    with pytest.raises(SettingsError, match="memory"):
        async with AsyncOTPService({**settings, "storage": {"store": "memory"}}, providers={"gateway": gateway}):
            pass


# Processes.

WORKER = """
import anyio
from otpcore import AsyncOTPService
from otpcore.providers import hookimpl
from otpcore.providers import DeliveryReceipt, ProviderInfo


class Gateway:
    @hookimpl
    def describe(self):
        return ProviderInfo(display_name="Gateway")

    @hookimpl
    async def send_sms(self, request):
        print("begun", request.recipient.e164, flush=True)
        await anyio.sleep(PAUSE)
        print("sent", request.recipient.e164, flush=True)
        return DeliveryReceipt(reference=request.delivery_id)


PAUSE = 0.3
service = AsyncOTPService(SETTINGS, providers={"gateway": Gateway()})
"""


class Worker:
    """``otp worker`` in a process of its own; what it says is kept."""

    def __init__(self, directory: Path, settings: dict[str, Any], pause: float) -> None:
        name = f"app{len(list(directory.glob('app*.py')))}"
        text = WORKER.replace("SETTINGS", repr(settings)).replace("PAUSE = 0.3", f"PAUSE = {pause}")
        (directory / f"{name}.py").write_text(text)
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "otpcore", "--app", f"{name}:service", "worker"],
            cwd=directory,
            env={**os.environ, "PYTHONPATH": str(directory)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as said:
            for line in said:
                self.lines.append(line.strip())

    def said(self, word: str) -> list[str]:
        return [line for line in self.lines if line.startswith(word)]

    async def ended(self) -> int:
        return await anyio.to_thread.run_sync(self.process.wait)


async def test_a_worker_is_killed_in_the_middle_and_nothing_is_lost(
    opened: Opened, settings: dict[str, Any], gateway: Gateway, tmp_path: Path
) -> None:
    gateway.down = True
    settings["retry"]["first_delay"] = 1.0
    first = Worker(tmp_path, settings, 30)
    second = None
    try:
        await eventually(lambda: first.said("ready"))
        async with opened() as publisher:
            publisher._runner._broker.stop_consuming()  # this process only sends
            for number in range(10):
                await publisher.send_sms(phone(number))
            await eventually(lambda: len(first.said("begun")) >= 3)
            first.process.send_signal(signal.SIGKILL)
            await first.ended()
            second = Worker(tmp_path, settings, 0.1)
            await eventually(lambda: len(second.said("sent")) == 10, 40)
            assert len(set(second.said("sent"))) == 10
            second.process.send_signal(signal.SIGTERM)
            assert await second.ended() == 0
        assert first.said("sent") == []
    finally:
        for worker in (first, second):
            if worker is not None:
                worker.process.kill()


@on_both_loops
async def test_a_host_that_is_cancelled_is_let_go(opened: Opened, gateway: Gateway) -> None:
    gateway.down = True
    began = 0.0
    with anyio.CancelScope() as scope:
        async with opened() as otp:
            await otp.send_sms(phone(1))
            began = time.monotonic()
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert time.monotonic() - began < 5
    assert not [thread for thread in threading.enumerate() if thread.name == "otpcore-rabbitmq"]
