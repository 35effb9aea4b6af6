"""`python -m otpcore.simulators`: a vendor to develop against, with the settings to use."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tomllib
from contextlib import contextmanager

import pytest

from otpcore import OTPService
from otpcore.simulators import __main__ as program
from otpcore.testing import Outbox

PHONE = "+359871234567"
PATIENCE = 60.0  # seconds until a test gives up on a program


@contextmanager
def simulating(python, *words):
    """The program, and the settings that it prints first."""
    command = [python, "-m", "otpcore.simulators", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        try:
            first = running.stdout.readline()
            assert re.fullmatch(r"# at http://127\.0\.0\.1:\d+ until Ctrl-C\n", first), first + running.stdout.read()
            settings, line = "", "\n"
            while not line.startswith("# "):
                line = running.stdout.readline()
                settings += line
            yield tomllib.loads(settings)["providers"], running
        finally:
            running.kill()


@pytest.mark.parametrize("vendor", ["mada", "sinch", "twilio"])
def test_a_host_sends_through_what_it_prints(vendor, forked):
    with simulating(forked.python, vendor, "--reveal") as (providers, running):
        settings = {**Outbox().settings, "otp_sms_provider": vendor, "providers": providers}
        with OTPService(settings) as otp:
            challenge = otp.send_sms(PHONE)
            heard = running.stdout.readline()
            assert heard.startswith(f"# sms to {PHONE}: ")
            code = max(re.findall(r"\d+", heard.partition(": ")[2]), key=len)
            assert otp.verify(PHONE, code, challenge_id=challenge.id)
        running.send_signal(signal.SIGTERM)
        assert (running.wait(PATIENCE), running.stdout.read()) == (0, "")


def test_numbers_and_texts_are_shown_only_where_that_is_asked_for(forked):
    with simulating(forked.python, "mada") as (providers, running):
        with OTPService({**Outbox().settings, "otp_sms_provider": "mada", "providers": providers}) as otp:
            otp.send_sms(PHONE)
        assert running.stdout.readline() == "# sms to +3598******67: hidden; --reveal shows it\n"
        running.send_signal(signal.SIGINT)
        assert running.wait(PATIENCE) == 0


def test_a_simulator_of_ones_own_is_named_by_its_class_and_keeps_its_port(forked):
    name = "otp_mada.simulator:MadaSimulator"
    with simulating(forked.python, name) as (providers, running):
        assert list(providers) == ["mada"]
        assert providers["mada"]["plugin"] == "module:function of your provider"
        port = re.search(r":(\d+)/", providers["mada"]["url"])[1]
        running.terminate()
        running.wait(PATIENCE)
    with simulating(forked.python, name, "--port", port) as (again, _):
        assert again == providers
        done = subprocess.run(
            [forked.python, "-m", "otpcore.simulators", "mada", "--port", port],
            text=True,
            capture_output=True,
            check=False,
        )
    assert (done.returncode, "--port 0 takes a free one" in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize(
    ("vendor", "said"),
    [
        ("nexmo", "twilio, vonage_sms, whatsapp\nfix: pip install otp-nexmo"),
        ("no_such:Thing", "no_such"),
        ("otpcore:Thing", "module:class"),
    ],
)
def test_what_is_not_there_is_said_with_a_fix(vendor, said, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["otpcore.simulators", vendor])
    handlers = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    try:
        assert program.main() == 2
    finally:
        for one, handler in zip((signal.SIGINT, signal.SIGTERM), handlers, strict=True):
            signal.signal(one, handler)
    told = capsys.readouterr().err
    assert said in told
    assert "fix: " in told
