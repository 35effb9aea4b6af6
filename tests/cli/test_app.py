"""``--app``: the command line sees what the host sees."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest

from otpcore.cli.exits import ExitCode

from .desk import PHONE, Desk, Otp

_numbers = itertools.count()

HOST = """
from otpcore import AsyncOTPService, OTPService, load_settings
from otpcore.settings.tree import Settings
from otpcore.providers import hookimpl
from otpcore.testing import Outbox

class Observer:
    def __init__(self):
        self.events = []

    @hookimpl
    def otp_event(self, event):
        self.events.append(str(event.type))

class NeverStarted:
    async def start(self, exit_stack, host):
        raise AssertionError("the host's runner is not the command line's")

settings = load_settings()
mapping = {"otp_sms_provider": "Mada", "keys": {"index": "A" * 43, "code": {"k": "B" * 43}, "current": "k"}}
mapping["providers"] = {"mada": dict(settings.providers["mada"])}
mapping["storage"] = {"url": "sqlite:///mapping.sqlite3"}
outbox, observer = Outbox(), Observer()
arguments = {"providers": outbox.providers, "observers": [observer], "runner": NeverStarted()}
otp = AsyncOTPService(settings, **arguments)
blocking = OTPService(settings, **arguments)

class Shop:
    otp = otp

def factory():
    return otp

async def async_factory():
    return otp

def needs_more(request):
    return otp

number = 7
"""


@pytest.fixture
def host(desk: Desk) -> str:
    """A module of its own for each test: Python imports a name only once."""
    name = f"host_{next(_numbers)}"
    (desk.directory / f"{name}.py").write_text(HOST, encoding="utf-8")
    return name


@pytest.mark.parametrize("target", ["settings", "mapping"])
def test_settings_of_a_host_are_used(otp: Otp, desk: Desk, host: str, target: str) -> None:
    sent = otp("send", PHONE, "--app", f"{host}:{target}", "--json")
    assert (sent.code, sent.document["provider"]) == (ExitCode.OK, "mada")
    assert otp("verify", PHONE, desk.code(), "--app", f"{host}:{target}").code == ExitCode.OK


@pytest.mark.parametrize("target", ["otp", "blocking", "factory", "Shop.otp"])
def test_a_services_forced_list_store_and_observers_are_used_but_not_its_runner(
    otp: Otp, desk: Desk, host: str, target: str
) -> None:
    shown = otp("routes", "show", "--app", f"{host}:{target}", "--json").document
    assert shown["forced"] == ["outbox"]
    assert shown["channels"]["sms"] == {"source": "forced", "rules": "outbox"}
    sent = otp("send", PHONE, "--app", f"{host}:{target}", "--json")
    assert (sent.code, sent.document["provider"]) == (ExitCode.OK, "outbox")
    module = __import__(host)
    assert module.outbox.messages[-1].phone.e164 == PHONE
    assert module.observer.events == ["send_started", "delivery_accepted"]
    assert otp("verify", PHONE, module.outbox.code, "--app", f"{host}:{target}").code == ExitCode.OK


def test_setting_rules_tells_of_a_list_that_goes_before_them(otp: Otp, host: str) -> None:
    ended = otp("routes", "set", "Mada", "--app", f"{host}:otp")
    assert ended.code == ExitCode.OK
    assert "forces outbox" in ended.out


def test_the_environment_names_the_host_and_the_command_line_goes_before_it(
    otp: Otp, desk: Desk, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTPCORE_APP", f"{host}:otp")
    assert otp("routes", "show", "--json").document["forced"] == ["outbox"]
    assert otp("routes", "show", "--json", "--settings", "otpcore.json").document["forced"] is None
    assert otp("routes", "show", "--json", "--app", f"{host}:settings").document["forced"] is None
    assert otp("routes", "show", "--settings", "otpcore.json", "--app", f"{host}:otp").code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("target", "code", "said"),
    [
        ("nowhere", ExitCode.USAGE, "module:name"),
        ("no_such_module:otp", ExitCode.CONFIGURATION, "there is no module no_such_module"),
        ("{host}:nothing", ExitCode.CONFIGURATION, "has no nothing"),
        ("{host}:number", ExitCode.CONFIGURATION, "it is int"),
        ("{host}:async_factory", ExitCode.CONFIGURATION, "its factory made coroutine"),
        ("{host}:needs_more", ExitCode.CONFIGURATION, "raised TypeError when called without arguments"),
        ("raises:otp", ExitCode.CONFIGURATION, "importing raises raised RuntimeError"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(
    otp: Otp, directory: Path, host: str, target: str, code: ExitCode, said: str
) -> None:
    (directory / "raises.py").write_text("raise RuntimeError('password: hunter2')", encoding="utf-8")
    ended = otp("routes", "show", "--app", target.format(host=host))
    assert ended.code == code
    assert said in ended.err
    assert "hunter2" not in ended.err
    assert len(ended.err.splitlines()) == 2


PLUGIN = """
from otpcore.models import Channel
from otpcore.providers.hooks import hookimpl
from otpcore.providers.requests import DeliveryReceipt, ProviderInfo

class Pigeon:
    @hookimpl
    def describe(self):
        return ProviderInfo(display_name="Pigeon")

    @hookimpl
    def send_sms(self, request):
        return DeliveryReceipt(reference="pigeon-1")

def create(context):
    return Pigeon()
"""


@pytest.mark.parametrize("place", ["settings", "current"])
def test_a_plugin_that_the_settings_name_is_found_beside_them_and_in_the_current_directory(
    otp: Otp, desk: Desk, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"pigeon_{next(_numbers)}"
    directory = {"settings": desk.directory, "current": desk.directory / "elsewhere"}[place]
    (desk.directory / "elsewhere").mkdir()
    (directory / f"{name}.py").write_text(PLUGIN, encoding="utf-8")
    file = desk.write(otp_sms_provider="pigeon", providers={"pigeon": {"plugin": f"{name}:create"}})
    monkeypatch.chdir(desk.directory / "elsewhere")
    here = {"", ".", str(desk.directory), str(desk.directory / "elsewhere")}
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one not in here])
    sent = otp("send", PHONE, "--settings", str(file), "--json")
    assert (sent.code, sent.document.get("provider")) == (ExitCode.OK, "pigeon"), sent
    assert otp("routes", "check", "pigeon", "--settings", str(file)).code == ExitCode.OK


def test_pythons_path_stays_as_it_is_where_the_settings_name_no_module(
    otp: Otp, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    (desk.directory / "secrets.py").write_text("raise RuntimeError", encoding="utf-8")
    path = [one for one in sys.path if one not in ("", str(desk.directory))]
    monkeypatch.setattr(sys, "path", list(path))
    assert otp("status").code == ExitCode.OK
    assert sys.path == path
