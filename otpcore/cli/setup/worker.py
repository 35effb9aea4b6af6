"""``otp worker``: runs due retries, sweeps and purges until it is told to stop."""

from __future__ import annotations

import contextlib
import gc
import signal
from collections.abc import Iterator
from importlib.util import find_spec

import anyio
import attrs

from otpcore.cli.exits import CommandError, ExitCode
from otpcore.cli.host import load_host, make_service, run
from otpcore.cli.options import Options
from otpcore.cli.signals import ENDING, let_another_stop_at_once
from otpcore.errors import SettingsError
from otpcore.runners.background import BackgroundRunner
from otpcore.runners.contract import RetryRunner
from otpcore.service.assembly import make_store
from otpcore.service.asynchronous import AsyncOTPService
from otpcore.service.setup import Setup

__all__ = ["worker"]

_OVER_THE_STORE = {"background", "inline", "worker"}  # a plugin's runner works in a worker as it does in a host


def worker(options: Options, concurrency: int | None, backend: str) -> ExitCode:
    """Work until SIGTERM or SIGINT, then finish what is under way."""
    if find_spec(backend) is None:
        raise CommandError(f"{backend} is not installed", f"pip install {backend}", ExitCode.CONFIGURATION)
    host = load_host(options)
    store = make_store(host.settings, host.store)
    if not store.durable:
        raise SettingsError(
            'storage.store: a worker cannot see the "memory" store of another process. Fix: in [storage]: store = "sql"'
        )
    retry = attrs.evolve(host.settings.retry, concurrency=concurrency or host.settings.retry.concurrency)
    host = attrs.evolve(host, given=attrs.evolve(host.settings, retry=retry), store=store)
    run(_work, options, host, backend=backend)
    return ExitCode.OK


async def _work(options: Options, host: Setup) -> None:
    retry = host.settings.retry
    runner: RetryRunner | str = retry.runner
    if runner in _OVER_THE_STORE:
        runner = BackgroundRunner(concurrency=retry.concurrency, poll=retry.poll, kind="worker")
    # From here on a signal waits for its turn: what a worker has claimed, it finishes.
    with anyio.open_signal_receiver(*ENDING) as signals:
        async with make_service(host, runner) as service:
            await _announce(options, service, retry.concurrency)
            with _collector_at_rest():
                async for number in signals:
                    name = signal.Signals(number).name
                    options.note(f"{name}: finishing what is under way; another one stops at once")
                    break
                let_another_stop_at_once()


@contextlib.contextmanager
def _collector_at_rest() -> Iterator[None]:
    """The garbage collector leaves alone what is here to stay: a full look at it takes tens of ms, while retries are due."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


async def _announce(options: Options, service: AsyncOTPService, slots: int) -> None:
    facts = await service.diagnose()
    store, instances, retried = facts["store"], sorted(facts["providers"]), facts["retries"]
    options.say(
        {"ready": True, "concurrency": slots, "store": store, "instances": instances, "retries": retried},
        f"ready: up to {slots} retries at once through {', '.join(instances) or 'no provider'}; "
        f"store: {store.get('place') or store.get('store')}; Ctrl-C or SIGTERM stops it",
    )
    if not any(retried.values()):
        options.note("retries are off (sms.retry, call.retry, channels.NAME.retry): it only sweeps and purges")
