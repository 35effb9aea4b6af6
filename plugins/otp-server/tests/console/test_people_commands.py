"""``otp console user`` beside a console in a process of its own, as an administrator uses it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyotp
import pytest
from console_client import Browser, text_of

SANDBOX = 'otp_sms_provider = "anyone"\n[sms]\nsandbox = true\n[server.console]\nport = 0\n'


@pytest.fixture
def site(tmp_path: Path, otp: Callable[..., Any]) -> Path:
    """A directory with keys, and settings for a sandbox that keeps what it knows."""
    assert otp("init")[0] == 0
    (tmp_path / "otpcore.toml").write_text(SANDBOX)
    return tmp_path


def signed_in(url: str, made: dict[str, Any]) -> Browser:
    browser = Browser(url, "")
    browser.get("/sign-in")
    name, digits = made["person"]["name"], pyotp.TOTP(made["seed"]).now()
    assert browser.does("/sign-in", name=name, password=made["password"], digits=digits).status_code == 200
    return browser


def test_who_is_added_signs_in_and_who_is_removed_is_out(
    site: Path, otp: Callable[..., Any], serve: Callable[..., Any]
) -> None:
    code, made = otp("console", "user", "add", "Ann", "--role", "operator", "--may-reveal", "--reason", "first")
    assert code == 0
    assert (made["person"]["name"], made["person"]["role"], made["person"]["may_reveal"]) == ("ann", "operator", True)
    assert made["address"].startswith("otpauth://totp/")
    running = serve(site)
    browser = signed_in(running.told["console"].rstrip("/"), made)
    assert "ann, operator" in text_of(browser.get("/"))
    (person,) = otp("console", "user", "list")[1]["people"]
    assert person["signed_in_at"] is not None
    assert made["password"] not in str(person)
    assert "epoch" not in person
    assert otp("console", "user", "remove", "ann", "--reason", "left") == (0, {"removed": "ann"})
    assert browser.get("/").status_code == 303
    browser.client.close()
    changes = otp("audit")[1]["changes"]
    assert [(one["action"], one["reason"]) for one in changes] == [
        ("console.user.remove", "left"),
        ("console.user.add", "first"),
    ]
    assert running.end(signal.SIGTERM) == 0


def test_a_reset_changes_what_is_said_and_nothing_else(site: Path, otp: Callable[..., Any]) -> None:
    first = otp("console", "user", "add", "ann", "--role", "operator")[1]
    again = otp("console", "user", "reset", "ann")[1]
    assert (again["person"]["role"], again["person"]["may_reveal"]) == ("operator", False)
    assert {first["password"], first["seed"]}.isdisjoint({again["password"], again["seed"]})
    assert otp("console", "user", "reset", "ann", "--role", "admin", "--may-reveal")[1]["person"]["role"] == "admin"
    assert otp("console", "user", "reset", "ann", "--no-reveal")[1]["person"]["may_reveal"] is False


def test_whom_a_proxy_names_has_no_password(site: Path, otp: Callable[..., Any]) -> None:
    made = otp("console", "user", "add", "ann@example.com", "--by-proxy", "--role", "admin")[1]
    assert (made["person"]["by_proxy"], "password" in made, "seed" in made) == (True, False, False)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("reset", "bob"), 1),
        (("remove", "bob"), 1),
        (("add", "ann"), 2),
        (("add", "a b"), 2),
        (("add", "+359887012345"), 2),
    ],
)
def test_what_cannot_be_done_says_so(
    site: Path, otp: Callable[..., Any], arguments: tuple[str, ...], code: int
) -> None:
    otp("console", "user", "add", "ann")
    assert otp("console", "user", *arguments)[0] == code


def test_without_keys_there_are_no_accounts(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "otpcore", "console", "user", "add", "ann"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 3
    assert "otp init" in ran.stderr


def test_what_is_shown_on_a_terminal_has_a_picture(site: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "otpcore", "console", "user", "add", "ann"],
        cwd=site,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )
    assert "█" in ran.stdout
    assert "otpauth://totp/otp:ann?secret=" in ran.stdout
    assert "shown this once" in ran.stdout


def test_the_sandbox_is_open_at_home_and_nowhere_else(tmp_path: Path, serve: Callable[..., Any]) -> None:
    running = serve(tmp_path, OTPCORE_SERVER__CONSOLE__PORT="0")
    url = running.told["console"].rstrip("/")
    home, away = Browser(url, ""), Browser(url, "")
    assert "sandbox, admin" in text_of(home.get("/"))
    away.client.headers["Host"] = "evil.example"
    assert away.get("/").status_code == 303
    for one in (home, away):
        one.client.close()
    assert running.end(signal.SIGTERM) == 0


def test_a_console_can_be_left_out_or_lie_on_a_path(tmp_path: Path, serve: Callable[..., Any]) -> None:
    left_out = serve(tmp_path, OTPCORE_SERVER__CONSOLE__ON="false")
    assert "console" not in left_out.told
    on_a_path = serve(tmp_path, OTPCORE_SERVER__CONSOLE__PATH="/console")
    assert on_a_path.told["console"] == f"{on_a_path.url}/console/"
    browser = Browser(f"{on_a_path.url}/console", "")
    assert browser.get("/").status_code == 200
    assert browser.client.get(f"{on_a_path.url}/console").headers["location"] == "/console/"
    browser.client.close()
