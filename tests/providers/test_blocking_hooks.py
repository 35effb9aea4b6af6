"""Blocking hooks: real threads, few places, callers that leave."""

from __future__ import annotations

import contextvars
import subprocess
import sys
import textwrap
import threading
from contextvars import ContextVar

import anyio
import pytest

from otpcore.errors import ErrorKind
from otpcore.providers.provider import provider_from_object
from otpcore.providers.requests import DeliveryReceipt

from .plugins import NUMBER, BlockingSms, delivery, failure_of


class Gate:
    """A vendor's library that blocks until the test lets it go on; counts who is inside."""

    def __init__(self):
        self.opened = threading.Event()
        self.entered = threading.Semaphore(0)
        self.inside = 0
        self.most = 0
        self.lock = threading.Lock()

    def __call__(self):
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.entered.release()
        self.opened.wait(10)
        with self.lock:
            self.inside -= 1
        return DeliveryReceipt(reference="late")


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.opened.set()


async def test_a_blocking_hook_runs_elsewhere_and_sees_the_callers_context():
    variable = contextvars.ContextVar("variable", default="nothing")
    variable.set("the request id")
    seen = []

    def body():
        seen.append((threading.current_thread(), variable.get()))
        return DeliveryReceipt()

    await provider_from_object("acme", BlockingSms(body)).send(delivery(), 5)
    ((thread, value),) = seen
    assert thread is not threading.current_thread()
    assert value == "the request id"


async def test_a_blocking_hook_may_run_an_event_loop_of_its_own():
    async def inner():
        await anyio.lowlevel.checkpoint()
        return DeliveryReceipt(reference="inner loop")

    provider = provider_from_object("acme", BlockingSms(lambda: anyio.run(inner)))
    assert (await provider.send(delivery(), 5)).reference == "inner loop"


async def test_abandoned_hooks_keep_their_slots_and_no_slot_means_not_sent(gate):
    provider = provider_from_object("acme", BlockingSms(gate), thread_slots=2)
    failures = []

    async def send():
        failures.append(await failure_of(provider, timeout=0.1))

    async with anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(send)
    kinds = sorted(failure.kind for failure in failures)
    assert kinds == [ErrorKind.AMBIGUOUS] * 2 + [ErrorKind.UNAVAILABLE] * 4
    assert {str(failure) for failure in failures if failure.kind is ErrorKind.UNAVAILABLE} == {
        "acme: unavailable: no worker thread was free within 0.1 s"
    }
    assert (await failure_of(provider, timeout=0.05)).kind is ErrorKind.UNAVAILABLE
    assert gate.most == 2


async def test_a_slot_that_comes_free_wakes_the_one_who_waits_longest(gate):
    sender, began = ContextVar("sender"), []

    def answer():
        began.append(sender.get())
        return gate()

    provider = provider_from_object("acme", BlockingSms(answer), thread_slots=1)

    async def send(name):
        sender.set(name)
        await provider.send(delivery(), 10)

    async with anyio.create_task_group() as group:
        for name in ("first", "second", "third"):
            group.start_soon(send, name)
            await anyio.wait_all_tasks_blocked()
        gate.opened.set()
    assert began == ["first", "second", "third"]
    assert gate.most == 1


async def test_after_an_abandoned_hook_ends_its_slot_is_used_again(gate):
    provider = provider_from_object("acme", BlockingSms(gate), thread_slots=1)
    await failure_of(provider, timeout=0.05)
    gate.opened.set()
    assert (await provider.send(delivery(), 10)).reference == "late"


async def test_a_cancelled_caller_leaves_at_once_and_passes_its_turn_on(gate):
    provider = provider_from_object("acme", BlockingSms(gate), thread_slots=1)
    outcomes = []

    async def send(name, scope):
        with scope:
            await provider.send(delivery(), 10)
        outcomes.append((name, scope.cancelled_caught))

    async with anyio.create_task_group() as group:
        scopes = {name: anyio.CancelScope() for name in ("running", "waiting", "next")}
        for name, scope in scopes.items():
            group.start_soon(send, name, scope)
            await anyio.wait_all_tasks_blocked()
        scopes["waiting"].cancel()
        scopes["running"].cancel()
        await anyio.wait_all_tasks_blocked()
        assert sorted(outcomes) == [("running", True), ("waiting", True)]
        gate.opened.set()
    assert outcomes[-1] == ("next", False)


async def test_a_turn_handed_to_a_caller_who_is_cancelled_in_that_moment_is_not_lost(gate):
    provider = provider_from_object("acme", BlockingSms(gate), thread_slots=1)

    async def send(scope):
        with scope:
            await provider.send(delivery(), 10)

    async with anyio.create_task_group() as group:
        running, waiting = anyio.CancelScope(), anyio.CancelScope()
        group.start_soon(send, running)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(send, waiting)
        await anyio.wait_all_tasks_blocked()
        (holder,) = [thread for thread in threading.enumerate() if thread.name == "otpcore-hook"]
        gate.opened.set()
        holder.join(10)  # the loop stands still meanwhile: the turn is handed over, and nobody has seen it yet
        waiting.cancel()
    assert (await provider.send(delivery(), 10)).reference == "late"


async def test_many_calls_over_few_slots_all_come_through():
    provider = provider_from_object("acme", BlockingSms(), thread_slots=3)
    receipts = []

    async def send():
        receipts.append(await provider.send(delivery(), 30))

    async with anyio.create_task_group() as group:
        for _ in range(100):
            group.start_soon(send)
    assert len(receipts) == 100


async def test_a_system_without_threads_left_means_not_sent(monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    provider = provider_from_object("acme", BlockingSms(), thread_slots=1)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        assert (await failure_of(provider)).kind is ErrorKind.UNAVAILABLE
    assert await provider.send(delivery(), 5) == DeliveryReceipt()


def test_a_hook_that_hangs_for_ever_does_not_keep_the_interpreter(anyio_backend_name):
    program = f"""
        import anyio, threading
        from datetime import UTC, datetime
        from otpcore.errors import ProviderError
        from otpcore.providers import hookimpl
        from otpcore.providers import Channel, DeliveryRequest, ProviderInfo
        from otpcore.phone.numbers import PhoneNumber
        from otpcore.providers.provider import provider_from_object

        class Hangs:
            @hookimpl
            def describe(self):
                return ProviderInfo(display_name="Hangs")
            @hookimpl
            def send_sms(self, request):
                threading.Event().wait()

        request = DeliveryRequest(delivery_id="d", challenge_id="c", recipient=PhoneNumber("{NUMBER}"),
                                  channel=Channel.SMS, deadline=datetime.now(UTC), idempotency_key="k")

        async def main():
            try:
                await provider_from_object("acme", Hangs()).send(request, 0.05)
            except ProviderError as error:
                print(error)

        anyio.run(main, backend="{anyio_backend_name}")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == "acme: ambiguous: no answer within 0.05 s"
