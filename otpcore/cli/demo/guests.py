"""The last acts of ``otp demo --with NAME``: any installed simulator, on a service of its own, so that it can spoil nothing else."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import anyio
import attrs

from otpcore.cli.demo.stage import VENDORS, ClaimError, Clock, Stage, Story, Watcher
from otpcore.cli.develop.simulators import make_simulator, settings_of
from otpcore.cli.exits import CommandError
from otpcore.errors import OTPConfigurationError, OTPError
from otpcore.models import Channel
from otpcore.providers.provider import SIMULATORS, installed
from otpcore.service.asynchronous import AsyncOTPService
from otpcore.settings.tree import Settings, generate_keys
from otpcore.simulators.simulator import Simulator

__all__ = ["others", "play_guest"]

_PHONE = "+359871234567"  # to which the contract suite sends by default, so simulators deliver there
_PATIENCE = 30.0  # seconds for the whole act, which takes one


def others() -> tuple[str, ...]:
    """The simulators that are installed besides those that the demo is about."""
    return tuple(sorted({one.name for one in installed(SIMULATORS)} - set(VENDORS)))


async def play_guest(story: Story, name: str) -> str:
    """Send through it and verify what arrived; what did not hold, or nothing."""
    story.begin(f"A code through {name}")
    problem = ""
    with _faults_of_threads() as faults:
        try:
            simulator = make_simulator(name)
            with simulator, anyio.fail_after(_PATIENCE):
                await _act(story, name, simulator)
        except* (ClaimError, CommandError, OTPConfigurationError, OTPError) as group:
            problem = "; ".join(str(one) for one in _leaves(group))
        except* Exception as group:  # noqa: BLE001 - whatever a stranger's code raises; its text may quote the number
            problem = "it raised " + ", ".join(type(one).__name__ for one in _leaves(group))
    if problem and faults:
        problem += f" (its simulator raised {', '.join(faults)})"
    if problem:
        story.tell(f"it does not hold: {problem}")
    return f"{name}: {problem}" if problem else ""


async def _act(story: Story, name: str, simulator: Simulator) -> None:
    clock, watcher = Clock(), Watcher()
    simulator.clock = clock
    async with AsyncOTPService(_settings(name, settings_of(name, simulator)), observers=[watcher], clock=clock) as otp:
        found = (await otp.diagnose())["providers"][name]["channels"]
        channel = Channel.SMS if Channel.SMS in found else Channel(found[0])
        stage = Stage(story=story, otp=otp, simulators={name: simulator}, clock=clock, watcher=watcher)
        challenge = await otp.send(_PHONE, channel=channel)
        story.claim(f"a code to {_PHONE} goes out through {name}", holds=challenge.provider == name)
        await stage.approve(_PHONE, stage.read(name, _PHONE).code)


def _settings(name: str, provider: Mapping[str, Any]) -> Settings:
    return Settings.from_mapping(
        {
            "otp_sms_provider": name,
            "otp": {"app": "otp demo"},
            "storage": {"store": "memory"},
            "keys": attrs.asdict(generate_keys(datetime.now(UTC))),
            "providers": {name: provider},
        }
    )


@contextlib.contextmanager
def _faults_of_threads() -> Iterator[list[str]]:
    """What ends threads meanwhile, by name: a simulator answers in threads of its own, and their traces would be no story."""
    faults: list[str] = []
    former = threading.excepthook
    threading.excepthook = lambda ended: faults.append(ended.exc_type.__name__)
    try:
        yield faults
    finally:
        threading.excepthook = former


def _leaves(group: BaseExceptionGroup) -> Iterator[BaseException]:
    for one in group.exceptions:
        if isinstance(one, BaseExceptionGroup):
            yield from _leaves(one)
        else:
            yield one
