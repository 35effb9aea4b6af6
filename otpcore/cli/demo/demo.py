"""``otp demo``: the whole story on this machine, with simulators in place of the vendors; every claim is checked."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import attrs

from otpcore.cli.demo.acts import ACTS
from otpcore.cli.demo.guests import others, play_guest
from otpcore.cli.demo.stage import RULES, VENDORS, ClaimError, Clock, Stage, Story, Watcher
from otpcore.cli.exits import CommandError, ExitCode
from otpcore.cli.host import run
from otpcore.cli.options import Options
from otpcore.errors import OTPError
from otpcore.providers.discovery import find
from otpcore.providers.provider import PROVIDERS, SIMULATORS, installed, load_target
from otpcore.service.asynchronous import AsyncOTPService
from otpcore.settings.tree import Settings, generate_keys
from otpcore.simulators.simulator import Simulator, running

__all__ = ["demo"]


def demo(options: Options, guests: Sequence[str] = ()) -> ExitCode:
    """Play every act; the first claim that does not hold ends it.

    Args:
        options: Of the command.
        guests: Other simulators, each with an act at the end. One that is broken ends its own act alone.
    """
    _require_packages()
    names = list(dict.fromkeys(map(_installed_name, guests)))
    if not options.verbose:
        # The outages are part of the story, which tells of them itself.
        logging.getLogger("otpcore").setLevel(logging.CRITICAL)
    story = Story(None if options.json else options)
    simulators: dict[str, Simulator] = {name: load_target(SIMULATORS, name)() for name in VENDORS}
    with running(*simulators.values()), tempfile.TemporaryDirectory(prefix="otp-demo-") as directory:
        problem = run(_play, story, simulators, Path(directory))
    problem = problem or "; ".join(
        filter(None, [run(play_guest, story, name) for name in names if name not in VENDORS])
    )
    if options.json:
        options.say({"ok": not problem, "problem": problem or None, "acts": story.acts})
    elif problem:
        raise CommandError(f"the demo does not hold: {problem}", "report it with what stands above", ExitCode.REFUSED)
    else:
        story.end([name for name in others() if name not in names])
    return ExitCode.REFUSED if problem else ExitCode.OK


def _installed_name(guest: str) -> str:
    if ":" in guest:
        raise CommandError(
            "--with takes the name of a simulator that is installed",
            "`otp simulate --list` lists them; `otp simulate module:class` runs one that is not",
            ExitCode.USAGE,
        )
    return find(SIMULATORS, guest, subject=f"--with {guest}").name


async def _play(story: Story, simulators: Mapping[str, Simulator], directory: Path) -> str:
    """What did not hold, or nothing."""
    clock, watcher, problem = Clock(), Watcher(), ""
    for simulator in simulators.values():
        simulator.clock = clock
    settings = _settings(simulators, directory)
    story.set_scene(simulators, settings)
    try:
        async with AsyncOTPService(settings, runner="background", observers=[watcher], clock=clock) as otp:
            stage = Stage(story=story, otp=otp, simulators=simulators, clock=clock, watcher=watcher)
            for title, act in ACTS:
                story.begin(title)
                await act(stage)
    except* (ClaimError, OTPError) as group:
        problem = "; ".join(map(str, group.exceptions))
    return problem


def _settings(simulators: Mapping[str, Simulator], directory: Path) -> Settings:
    """As ``otp init`` and a person who edits would write them."""
    return Settings.from_mapping(
        {
            "otp_sms_provider": RULES,
            "sms": {"retry": True, "max_retries": 20},
            "otp": {"app": "otp demo"},
            "storage": {"url": f"sqlite:///{directory / 'otpcore.sqlite3'}"},
            "keys": attrs.asdict(generate_keys(datetime.now(UTC))),
            "providers": {name: simulator.provider_settings() for name, simulator in simulators.items()},
        }
    )


def _require_packages() -> None:
    there = {plugin.name for plugin in installed(PROVIDERS)} & {plugin.name for plugin in installed(SIMULATORS)}
    if missing := [f"otp-{name}" for name in VENDORS if name not in there]:
        raise CommandError(
            f"the demo needs {', '.join(missing)}",
            f"pip install {' '.join(missing)} (everything at once: pip install 'otpcore[demo]')",
            ExitCode.CONFIGURATION,
        )
