"""``otp simulate``: a vendor to develop against, with the settings to use."""

from __future__ import annotations

import importlib.resources
import json
import os
import pty
import re
import signal
import socket
import subprocess
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from otpcore import DeliveryError, OTPService
from otpcore.cli.develop import simulate as _simulate
from otpcore.cli.exits import ExitCode
from otpcore.testing import Outbox

from ..preloaded import Preloaded  # noqa: TID252 - tests are no package that could be imported by name
from .desk import PHONE, Otp

PATIENCE = 60.0  # seconds until a test gives up on a program
MASKED = "+3598******67"

PARROT = '''
from otpcore.models import Channel
from otpcore.simulators import SimulatedAnswer, Simulator


class ParrotSimulator(Simulator):
    def provider_settings(self):
        return {"url": self.base_url, "sent": True, "words": ["a \\"b\\"", "ü"], "limits": {"per day": 1.5}}

    def handle(self, request):
        self.deliver(recipient="+359871234567", channel=Channel.SMS, text=request.body.decode())
        return SimulatedAnswer.empty(204)


class Speechless(Simulator):
    """Says nothing of how it is reached."""


class Stillborn(Simulator):
    def __init__(self):
        raise RuntimeError("+359871234567")


class Stranger:
    pass


NOT_A_CLASS = "parrot"
'''


@contextmanager
def simulating(forked: Preloaded, *words: str) -> Iterator[tuple[dict[str, Any], subprocess.Popen[str]]]:
    """The program, and the settings that it prints first."""
    command = [forked.otp, "simulate", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        assert running.stdout is not None
        try:
            first = running.stdout.readline()
            assert re.match(r"# .* at http://127\.0\.0\.1:\d+ until Ctrl-C", first), first + running.stdout.read()
            settings, line = "", "\n"
            while not line.startswith("# what people receive"):
                line = running.stdout.readline()
                settings += line
            yield tomllib.loads(settings)["providers"], running
        finally:
            running.kill()


@contextmanager
def hosting(name: str, providers: dict[str, Any]) -> Iterator[OTPService]:
    with OTPService({**Outbox().settings, "otp_sms_provider": name, "providers": providers}) as otp:
        yield otp


@pytest.mark.parametrize("vendor", ["mada", "sinch", "twilio"])
def test_a_host_sends_through_what_it_prints(vendor: str, forked: Preloaded) -> None:
    with simulating(forked, vendor, "--reveal") as (providers, running), hosting(vendor, providers) as otp:
        assert running.stdout is not None
        challenge = otp.send_sms(PHONE)
        heard = running.stdout.readline()
        assert re.match(rf"# \d\d:\d\d:\d\d sms to \{PHONE}: ", heard)
        code = max(re.findall(r"\d+", heard.partition(": ")[2]), key=len)
        assert otp.verify(PHONE, code, challenge_id=challenge.id)
        running.send_signal(signal.SIGTERM)
        assert (running.wait(PATIENCE), running.stdout.read()) == (0, "")


def test_numbers_and_texts_are_shown_only_where_that_is_asked_for(forked: Preloaded) -> None:
    with simulating(forked, "mada") as (providers, running):
        assert running.stdout is not None
        with hosting("mada", providers) as otp:
            otp.send_sms(PHONE)
        assert re.fullmatch(rf"# \d\d:\d\d:\d\d sms to {re.escape(MASKED)}: hidden\n", running.stdout.readline())
        running.send_signal(signal.SIGINT)
        assert (running.wait(PATIENCE), running.stdout.read()) == (0, "")


@pytest.mark.parametrize("reveal", [False, True])
def test_programs_read_one_document_a_line(reveal: bool, forked: Preloaded) -> None:
    command = [forked.otp, "simulate", "mada", "--json", *(["--reveal"] if reveal else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        first = json.loads(running.stdout.readline())
        assert first["simulator"] == "mada"
        assert {*first["needed"], *first["optional"]} == set(first["providers"]["mada"])
        assert first["send"] == ['otp_sms_provider = "mada"', f"otp send {PHONE}"]
        assert "+359888010002" in first["numbers"]
        with hosting("mada", first["providers"]) as otp:
            assert first["providers"]["mada"]["url"].startswith(first["url"])
            otp.send_sms(PHONE)
            told = json.loads(running.stdout.readline())
            assert (told["channel"], told["recipient"]) == ("sms", PHONE if reveal else MASKED)
            assert told["code"] is None or otp.verify(PHONE, told["code"])
            assert [told[key] is not None for key in ("text", "code", "reference")] == [reveal] * 3
        running.terminate()
        assert (running.wait(PATIENCE), running.stdout.read()) == (0, "")


@pytest.fixture
def parrot(directory: Path) -> Path:
    (directory / "parrot.py").write_text(PARROT, encoding="utf-8")
    return directory


def test_a_simulator_of_ones_own_is_named_by_its_class_and_keeps_its_port(parrot: Path, forked: Preloaded) -> None:
    name = "parrot:ParrotSimulator"
    with simulating(forked, name) as (providers, running):
        assert providers["parrot"] == {
            "plugin": "module:function of your provider",
            "url": providers["parrot"]["url"],
            "sent": True,
            "words": ['a "b"', "ü"],
            "limits": {"per day": 1.5},
        }
        port = providers["parrot"]["url"].rpartition(":")[2]
        running.terminate()
        running.wait(PATIENCE)
    with simulating(forked, name, "--port", port) as (again, _):
        assert again == providers


def test_a_port_that_is_taken_and_an_address_of_others_are_told_with_what_to_do(otp: Otp) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        former = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
        ended = otp("simulate", "mada", "--port", str(port))
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == former
    assert ended.code == ExitCode.CONFIGURATION
    assert f"error: port {port} of 127.0.0.1: Address already in use" in ended.err
    assert "--port 0 takes a free one" in ended.err
    for address in ("192.0.2.1", "no-such-host.invalid", "a" * 80):
        ended = otp("simulate", "mada", "--host", address)
        assert (ended.code, ended.out) == (ExitCode.CONFIGURATION, "")
        assert f"error: --host {address}: " in ended.err
        assert "fix: give --host an address of this machine" in ended.err


@pytest.mark.parametrize(
    ("name", "said", "fix"),
    [
        (
            "twillio",
            "did you mean 'twilio'? installed: africastalking, aws, clickatell, ",
            "write twilio; `otp simulate --list` lists",
        ),
        ("nexmo", "installed: africastalking, aws, clickatell, ", "install the package that brings it; "),
        ("no_such:Thing", "No module named 'no_such'", "with the module on Python's path"),
        ("parrot:Missing", "has no attribute 'Missing'", "module:attribute"),
        ("parrot:NOT_A_CLASS", "nothing that can be called", "correct the class"),
        ("parrot:Stillborn", "making it raised RuntimeError", "correct the class"),
        ("parrot:Stranger", "does not inherit otpcore.simulators.Simulator", "correct the class"),
        ("parrot:Speechless", "provider_settings() raised NotImplementedError", "correct the class"),
    ],
)
def test_what_cannot_be_run_is_told_with_a_fix(name: str, said: str, fix: str, parrot: Path, otp: Otp) -> None:
    ended = otp("simulate", name)
    assert ended.code == ExitCode.CONFIGURATION
    assert said in ended.err
    assert fix in ended.err.partition("fix: ")[2]
    assert PHONE not in ended.err
    assert not [one for one in threading.enumerate() if one.name.startswith("simulator-")], "it is stopped"


def test_those_that_are_installed_are_listed(otp: Otp) -> None:
    listed = otp("simulate", "--list", "--json").document["simulators"]
    assert {"mada", "sinch", "twilio"} <= {one["name"] for one in listed}
    assert re.search(r"^twilio +otp-twilio +0\.1\.0 ", otp("simulate", "--list").out, re.MULTILINE)
    ended = otp("simulate")
    assert (ended.code, "otp simulate --list" in ended.err) == (ExitCode.USAGE, True)


def head(forked: Preloaded, *words: str) -> str:
    """What it prints before the first message."""
    with subprocess.Popen([forked.otp, "simulate", *words], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        lines = []
        while not lines or not lines[-1].startswith("# what people receive"):
            lines.append(running.stdout.readline())
            assert lines[-1], "".join(lines)
        running.terminate()
    return "".join(lines)


def test_what_is_needed_stands_before_what_is_optional(forked: Preloaded) -> None:
    needed, _, optional = head(forked, "telnyx", "--port", "0").partition("# optional:\n")
    assert set(tomllib.loads(needed)["providers"]["telnyx"]) == {"gateway", "base_url", "api_key", "sender"}
    assert set(tomllib.loads(optional.partition("#")[0])) == {"messaging_profile_id", "public_key"}
    with hosting("telnyx", tomllib.loads(needed)["providers"]):
        pass  # it loads


@pytest.mark.parametrize(("vendor", "number"), [("smsapi", "+359880000013"), ("telnyx", "+359880000013")])
def test_the_numbers_that_fail_are_named_and_do(vendor: str, number: str, forked: Preloaded) -> None:
    with simulating(forked, vendor) as (providers, running), hosting(vendor, providers) as otp:
        assert running.stdout is not None
        told = head(forked, vendor, "--port", "0")
        assert re.search(rf"^#   \{number} +\w", told, re.MULTILINE)
        assert f'# to send one, with otp_sms_provider = "{vendor}":\n#   otp send {PHONE}\n' in told
        with pytest.raises(DeliveryError):
            otp.send_sms(number)
        assert otp.send_sms(PHONE).state == "sent"


@pytest.mark.parametrize("vendor", ["aws", "sinch", "twilio", "whatsapp"])
def test_every_simulator_names_its_numbers_and_fits_80_columns(vendor: str, forked: Preloaded) -> None:
    told = head(forked, vendor, "--port", "0")
    assert len(re.findall(r"^#   \+\d{11,12} +\w", told, re.MULTILINE)) > 5
    assert max(map(len, told.splitlines())) <= 80


def test_the_file_of_a_gateway_s_table_is_enough(forked: Preloaded, directory: Path) -> None:
    table = importlib.resources.files("otp_http.gateways").joinpath("infobip.toml").read_text(encoding="utf-8")
    (directory / "my gateway.toml").write_text(table, encoding="utf-8")
    with simulating(forked, "./my gateway.toml", "--reveal") as (providers, running):
        assert running.stdout is not None
        assert providers["my_gateway"]["gateway_file"] == str(directory / "my gateway.toml")
        with hosting("my_gateway", providers) as otp:
            challenge = otp.send_sms(PHONE)
            code = max(re.findall(r"\d+", running.stdout.readline().partition(": ")[2]), key=len)
            assert otp.verify(PHONE, code, challenge_id=challenge.id)


def test_a_file_that_is_no_table_is_told_with_a_fix(otp: Otp, directory: Path) -> None:
    missing = otp("simulate", "none.toml")
    assert (missing.code, "none.toml: there is no such file" in missing.err) == (ExitCode.CONFIGURATION, True)
    (directory / "bad.toml").write_text("name = 1\n", encoding="utf-8")
    wrong = otp("simulate", "bad.toml")
    assert wrong.code == ExitCode.CONFIGURATION
    assert "gateway_file" in wrong.err
    assert "fix: " in wrong.err


def test_a_reader_that_goes_away_ends_it(forked: Preloaded) -> None:
    with simulating(forked, "mada") as (providers, running):
        assert running.stdout is not None
        running.stdout.close()
        with hosting("mada", providers) as otp:
            otp.send_sms(PHONE)
        assert running.wait(PATIENCE) == 0


def test_it_can_be_reached_from_other_machines_where_that_is_asked_for(forked: Preloaded) -> None:
    with simulating(forked, "mada", "--host", "0.0.0.0") as (providers, running):
        with hosting("mada", providers) as otp:
            otp.send_sms(PHONE)
        port = int(re.search(r":(\d+)/", providers["mada"]["url"])[1])  # type: ignore[index] # it has a port
        with socket.create_connection(("127.0.0.2", port), PATIENCE):
            running.terminate()
        assert running.wait(PATIENCE) == 0


def test_on_a_terminal_of_80_columns_what_is_to_be_pasted_is_whole(forked: Preloaded) -> None:
    leader, follower = pty.openpty()
    environment = {**os.environ, "COLUMNS": "80", "TERM": "xterm"}
    with subprocess.Popen([forked.otp, "simulate", "sinch"], stdout=follower, stderr=follower, env=environment) as ran:
        os.close(follower)
        seen, deadline = b"", time.monotonic() + PATIENCE
        while b"what people receive" not in seen:
            assert time.monotonic() < deadline
            seen += os.read(leader, 4096)
        ran.send_signal(signal.SIGINT)
        assert ran.wait(PATIENCE) == 0
    os.close(leader)
    text = seen.decode().replace("\r\n", "\n")
    assert set(tomllib.loads(text.rpartition("# what")[0])["providers"]) == {"sinch"}
    assert max(map(len, text.splitlines())) <= 80


def test_handlers_of_signals_are_given_back(otp: Otp, monkeypatch: pytest.MonkeyPatch) -> None:
    former = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(_simulate, "_start", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    monkeypatch.setattr(_simulate._Teller, "tell_settings", lambda *_: None)
    assert otp("simulate", "mada").code == ExitCode.OK
    assert signal.getsignal(signal.SIGTERM) == former
