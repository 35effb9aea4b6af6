"""``otp simulate``: one vendor's simulator as a server on this machine, for a host to develop and test against."""

from __future__ import annotations

import contextlib
import errno
import json
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from otpcore.cli.develop.pasting import Instance, instance_of, is_table
from otpcore.cli.develop.simulators import make_simulator, settings_of
from otpcore.cli.exits import CommandError, ExitCode
from otpcore.cli.layout import table
from otpcore.cli.options import Options
from otpcore.clock import utc_now
from otpcore.phone.numbers import PhoneNumber
from otpcore.providers.provider import SIMULATORS, installed
from otpcore.settings.network import is_loopback
from otpcore.simulators.exchange import SimulatedMessage
from otpcore.simulators.simulator import Simulator

__all__ = ["list_simulators", "simulate"]

_PORT_FIXES = {
    errno.EADDRINUSE: "end what listens there, or take another one; --port 0 takes a free one",
    errno.EACCES: "take a port above 1023; --port 0 takes a free one",
}
_HOST_FIX = "give --host an address of this machine, such as 127.0.0.1"


def list_simulators(options: Options) -> ExitCode:
    """What is installed; nothing is imported."""
    found = installed(SIMULATORS)
    options.say(
        {"simulators": [attrs.asdict(one) for one in found]},
        table(
            ("simulator", "distribution", "version", "problem"),
            [(one.name, one.distribution, one.version, one.problem) for one in found],
        )
        if found
        else "no simulator is installed; pip install a provider, such as otp-twilio",
    )
    return ExitCode.OK


def simulate(options: Options, name: str, host: str, port: int) -> ExitCode:
    """Say what settings to use and what people receive, until Ctrl-C or SIGTERM."""
    simulator, end = make_simulator(name), _End()
    teller = _Teller(options, end)
    simulator.on_message = teller.tell_message
    with end.heard():
        _start(simulator, host, port)
        try:
            teller.tell_settings(name, host, simulator)
            end.wait()
        finally:
            simulator.stop()
    return ExitCode.OK


class _End:
    """The end of a command, for which its main thread waits: Ctrl-C, SIGTERM, or what another thread finds.

    The signal itself writes to a socket. A handler in Python that sets a ``threading.Event`` would hang where it interrupts
    the main thread just as it begins to wait for that event; and where the system gives the signal to another thread, none
    would run.
    """

    def __init__(self) -> None:
        self._ear, self._mouth = socket.socketpair()
        self._former = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}

    @contextlib.contextmanager
    def heard(self) -> Iterator[None]:
        """Listen for signals; a second one of them ends the process as it always does."""
        self._mouth.setblocking(False)
        for one in self._former:
            signal.signal(one, self._give_back)
        woken = signal.set_wakeup_fd(self._mouth.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(woken)
            self._give_back()
            self._ear.close()
            self._mouth.close()

    def come(self) -> None:
        """End it, from any thread."""
        with contextlib.suppress(OSError):  # it has ended
            self._mouth.send(b"\0")

    def wait(self) -> None:
        """Until it comes."""
        self._ear.recv(1)

    def _give_back(self, *_: object) -> None:
        for one, handler in self._former.items():
            signal.signal(one, handler)


@attrs.define(eq=False)
class _Teller:
    """Says what happens: lines of TOML and comments for people, one JSON document a line for programs."""

    options: Options
    end: _End

    def tell_settings(self, name: str, host: str, simulator: Simulator) -> None:
        """What an instance needs that talks to it, ready to be pasted into ``otpcore.toml``."""
        instance = instance_of(name, simulator, settings_of(name, simulator))
        if self.options.json:
            self._say(_document(name, simulator, instance))
            return
        shown = Path(name).name if is_table(name) else name
        who, command = instance.sending
        self._say(
            f"# {shown} at {simulator.base_url} until Ctrl-C; the settings to use:",
            *([] if is_loopback(host) else _BEYOND_LOOPBACK),
            f"[providers.{instance.name}]",
            *(f"{key} = {_toml(value)}" for key, value in instance.needed.items()),
            *(["# optional:"] if instance.optional else []),
            *(f"{key} = {_toml(value)}" for key, value in instance.optional.items()),
            *(["# numbers at which it does not deliver as usual:"] if instance.numbers else []),
            *(f"#   {number:<14} {what}" for number, what in instance.numbers.items()),
            f"# to send one, with {who}:",
            f"#   {command}",
            "# what people receive:" + ("" if self.options.reveal else " (--reveal shows numbers and texts)"),
        )

    def tell_message(self, message: SimulatedMessage) -> None:
        """What a person received; without ``--reveal`` neither its number nor its text."""
        now, reveal = utc_now(), self.options.reveal
        recipient = message.recipient if reveal else PhoneNumber(message.recipient).masked
        if self.options.json:
            told = {"at": now.isoformat(), "channel": str(message.channel), "recipient": recipient}
            read = {"text": message.text, "code": message.code, "reference": message.reference}
            self._say({**told, **(read if reveal else dict.fromkeys(read))})
            return
        text = message.text.replace("\n", "\n#   ") if reveal else "hidden"
        self._say(f"# {now:%H:%M:%S} {message.channel} to {recipient}: {text}")

    def _say(self, *lines: str | Mapping[str, Any]) -> None:
        said = "".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in lines)
        try:
            sys.stdout.write(said)
            sys.stdout.flush()
        except BrokenPipeError:  # its reader has gone, as `head` does
            self.end.come()


_BEYOND_LOOPBACK = [
    "# from other machines and containers: this port under the name by which they",
    "# know this machine; most providers refuse plain http there (some have",
    "# allow_plain_http = true)",
]


def _document(name: str, simulator: Simulator, instance: Instance) -> dict[str, Any]:
    """The first line for programs."""
    return {
        "simulator": name,
        "url": simulator.base_url,
        "providers": {instance.name: {**instance.needed, **instance.optional}},
        "needed": list(instance.needed),
        "optional": list(instance.optional),
        "numbers": dict(instance.numbers),
        "send": list(instance.sending),
    }


def _start(simulator: Simulator, host: str, port: int) -> None:
    try:
        simulator.start(port, host)
    except (OSError, UnicodeError) as error:  # the latter: a name that cannot be one
        number = error.errno if isinstance(error, OSError) else None
        why = (error.strerror if isinstance(error, OSError) else None) or "no such address"
        place = f"port {port} of {host}" if number in _PORT_FIXES else f"--host {host}"
        raise CommandError(
            f"{place}: {why}", _PORT_FIXES.get(number or 0, _HOST_FIX), ExitCode.CONFIGURATION
        ) from error


def _toml(value: Any) -> str:
    """A setting as TOML writes it on one line."""
    match value:
        case Mapping():
            return "{ " + ", ".join(f"{json.dumps(str(key))} = {_toml(one)}" for key, one in value.items()) + " }"
        case list() | tuple():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)
