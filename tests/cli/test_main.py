"""The command line as a whole: help, global options, exit codes, and how errors are told."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest

from otpcore import cli
from otpcore.cli.exits import MEANINGS, CommandError, ExitCode, explain
from otpcore.cli.options import Options
from otpcore.errors import (
    DeliveryError,
    ErrorKind,
    InvalidPhoneNumber,
    NoRouteError,
    PluginLoadError,
    ProviderError,
    RateLimited,
    RoutingSyntaxError,
    SettingsError,
    StoreError,
    UnknownProviderError,
)

from .desk import Desk, Otp

HEAVY = {"sqlalchemy", "sqlmodel", "alembic", "dynaconf", "cryptography", "phonenumbers", "httpx", "aiohttp", "anyio"}


def test_the_installed_command_is_this_one() -> None:
    [point] = entry_points(group="console_scripts", name="otp")
    assert point.load() is cli.main


def test_help_starts_without_the_heavy_libraries_and_lists_every_exit_code() -> None:
    program = "import sys\nfrom otpcore.cli.main import run\nrun([])\nprint('MODULES', *sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    said, _, modules = ran.stdout.partition("MODULES")
    assert not HEAVY.intersection(modules.split())
    for code, meaning in MEANINGS.items():
        assert f"{int(code)} {meaning}." in " ".join(said.split())


def test_the_package_runs_as_a_module_and_says_its_version() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "otpcore", "--version"], capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout == f"otpcore {version('otpcore')}\n"
    assert ran.stderr == ""


def test_global_options_stand_before_or_behind_the_command(otp: Otp, desk: Desk) -> None:
    elsewhere = desk.write().rename(desk.directory / "elsewhere.json")
    behind = otp("routes", "show", "--json", "--settings", str(elsewhere))
    before = otp(f"--settings={elsewhere}", "--json", "routes", "show")
    assert behind.code == before.code == ExitCode.OK
    assert behind.document == before.document
    assert behind.document["file"]["otp_sms_provider"] == "Mada"


@pytest.mark.parametrize(
    "arguments", [["sned"], ["send"], ["send", "--nonsense"], ["worker", "--concurrency", "0"], ["routes"]]
)
def test_wrong_usage_is_one_line_and_the_help_to_read(otp: Otp, arguments: list[str]) -> None:
    ended = otp(*arguments)
    assert ended.code == ExitCode.USAGE
    error, fix = ended.err.splitlines()
    assert error.startswith("error: ")
    assert fix.startswith("fix: see `otp")
    assert ended.out == ""


def test_wrong_usage_is_a_document_for_programs(otp: Otp) -> None:
    ended = otp("send", "--json")
    assert ended.code == ExitCode.USAGE
    assert ended.document["error"]["exit_code"] == ExitCode.USAGE
    assert ended.err == ""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidPhoneNumber("no"), ExitCode.USAGE),
        (RateLimited("phone", 12.5), ExitCode.RATE_LIMITED),
        (NoRouteError("no"), ExitCode.REFUSED),
        (DeliveryError("permanent", (), "call"), ExitCode.REFUSED),
        (ProviderError(ErrorKind.UNAVAILABLE, "down", provider="mada"), ExitCode.UNAVAILABLE),
        (StoreError("locked"), ExitCode.UNAVAILABLE),
        (SettingsError("otp.length: no"), ExitCode.CONFIGURATION),
        (RoutingSyntaxError("no", "x:", 3), ExitCode.CONFIGURATION),
        (UnknownProviderError("no"), ExitCode.CONFIGURATION),
        (PluginLoadError("no"), ExitCode.CONFIGURATION),
        (CommandError("no", "do", ExitCode.REFUSED), ExitCode.REFUSED),
        (ExceptionGroup("a task group", [RateLimited("locked")]), ExitCode.RATE_LIMITED),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_error_has_its_exit_code(error: Exception, code: ExitCode) -> None:
    assert explain(error).code is code


def test_what_programs_need_of_an_error_is_in_its_document() -> None:
    told = explain(RateLimited("phone", 12.5)).to_dict()["error"]
    assert (told["type"], told["reason"], told["retry_after"], told["exit_code"]) == ("RateLimited", "phone", 12.5, 4)
    assert explain(DeliveryError("permanent", (), "call")).to_dict()["error"]["try_channel"] == "call"


BROKEN_STORE = """
from otpcore import AsyncOTPService, load_settings
from otpcore.stores import MemoryStore

class Broken(MemoryStore):
    durable = True

    async def settings(self):
        raise ZeroDivisionError("+359871234567 has the code 123456")

otp = AsyncOTPService(load_settings(), store=Broken())
"""


def test_a_bug_is_told_without_its_text_which_may_quote_anything(otp: Otp, desk: Desk, directory: Path) -> None:
    (directory / "bughost.py").write_text(BROKEN_STORE, encoding="utf-8")
    ended = otp("routes", "show", "--app", "bughost:otp")
    assert ended.code == ExitCode.BUG
    assert "ZeroDivisionError" in ended.err
    assert "bughost.py" in ended.err
    assert "123456" not in ended.err
    loud = otp("routes", "show", "--app", "bughost:otp", "--verbose")
    assert "routes.py" in loud.err
    assert "123456" not in loud.err


def test_logs_go_to_standard_error_and_only_when_asked_for(otp: Otp, desk: Desk) -> None:
    quiet = otp("routes", "show", "--json")
    assert quiet.err == ""
    loud = otp("routes", "show", "--json", "--verbose")
    first, *_ = map(json.loads, loud.err.splitlines())
    assert (first["logger"], first["event"]) == ("otpcore.config", "settings_read")
    assert loud.document == quiet.document
    assert "otpcore.config: settings read from" in otp("routes", "show", "--verbose").err


def test_what_is_logged_goes_to_what_is_standard_error_by_then(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = io.StringIO(), io.StringIO()
    logger = logging.getLogger("otpcore")
    before, level = list(logger.handlers), logger.level
    try:
        monkeypatch.setattr("sys.stderr", first)
        Options().configure_logging()
        logger.warning("once")
        first.close()
        monkeypatch.setattr("sys.stderr", second)
        logger.warning("again")
    finally:
        logger.handlers[:] = before
        logger.setLevel(level)
    [line] = second.getvalue().splitlines()
    assert line.endswith("WARNING otpcore: again")
