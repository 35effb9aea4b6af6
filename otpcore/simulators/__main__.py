"""``python -m otpcore.simulators VENDOR``: one vendor's simulator as a server on loopback, to develop against."""

from __future__ import annotations

import argparse
import importlib
import json
import signal
import sys
import threading
from importlib.metadata import entry_points
from typing import TextIO

from otpcore.phone.numbers import PhoneNumber
from otpcore.simulators.simulator import SimulatedMessage, Simulator

__all__ = ["main"]

_GROUP = "otpcore.simulators"


def main() -> int:
    """Print the settings of an instance that talks to it and what people receive, until Ctrl-C or SIGTERM."""
    asked = _arguments()
    ended = threading.Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, lambda *_: ended.set())
    try:
        simulator = _simulator(asked.vendor)()
        simulator.on_message = lambda message: _say(_received(message, reveal=asked.reveal))
        simulator.start(asked.port)
    except _NotThereError as error:
        _say(f"error: {error}", sys.stderr)
        return 2
    except OSError as error:
        _say(f"error: port {asked.port}: {error.strerror}\nfix: --port 0 takes a free one", sys.stderr)
        return 2
    _say(_settings(asked.vendor, simulator))
    ended.wait()
    simulator.stop()
    return 0


class _NotThereError(Exception):
    """No such simulator; the text says what to do."""


def _arguments() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(prog="python -m otpcore.simulators", description=main.__doc__)
    arguments.add_argument("vendor", help="such as twilio; or module:class of a simulator of your own")
    arguments.add_argument("--port", type=int, default=0, help="of loopback; 0: a free one")
    arguments.add_argument("--reveal", action="store_true", help="show full phone numbers and codes")
    return arguments.parse_args()


def _simulator(vendor: str) -> type[Simulator]:
    module, _, name = vendor.partition(":")
    try:
        if name:
            made: type[Simulator] = getattr(importlib.import_module(module), name)
            return made
        known = {one.name: one for one in entry_points(group=_GROUP)}
        if vendor not in known:
            there = ", ".join(sorted(known)) or "none"
            raise _NotThereError(f"no simulator {vendor!r}; installed: {there}\nfix: pip install otp-{vendor}")
        made = known[vendor].load()
    except (ImportError, AttributeError) as error:
        raise _NotThereError(
            f"{vendor}: {error}\nfix: name it as module:class, and what it imports must be there"
        ) from None
    return made


def _settings(vendor: str, simulator: Simulator) -> str:
    """As they stand in ``otpcore.toml``."""
    module, _, name = vendor.partition(":")
    instance = name.removesuffix("Simulator").lower() or "vendor" if name else module
    plugin = {"plugin": "module:function of your provider"} if name else {}
    lines = [f"{key} = {json.dumps(value)}" for key, value in {**plugin, **simulator.provider_settings()}.items()]
    return "\n".join(
        [f"# at {simulator.base_url} until Ctrl-C", f"[providers.{instance}]", *lines, "# what people receive:"]
    )


def _received(message: SimulatedMessage, *, reveal: bool) -> str:
    if reveal:
        text = message.text.replace("\n", "\n# ")
        return f"# {message.channel} to {message.recipient}: {text}"
    return f"# {message.channel} to {PhoneNumber(message.recipient).masked}: hidden; --reveal shows it"


def _say(line: str, to: TextIO | None = None) -> None:
    print(line, file=to, flush=True)


if __name__ == "__main__":
    sys.exit(main())
