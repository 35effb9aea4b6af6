"""Every command of ``otp`` in text and JSON, with all logging: nothing of what nobody may read is shown or written."""

from __future__ import annotations

import io
import json
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from otpcore.cli.exits import ExitCode
from otpcore.cli.main import run
from otpcore.cli.tree import COMMANDS, GROUPS
from otpcore.clock import utc_now
from otpcore.settings.tree import generate_keys, load_settings, starter_file

from .forms import Secret, search
from .scene import MESSAGE, Scene, playing

RUNS: list[tuple[str, ...]] = [
    ("doctor",),
    ("db", "upgrade"),
    ("db", "current"),
    ("send", "PHONE"),
    ("send", "-", "--message", MESSAGE),
    ("send", "PHONE", "--purpose", "other", "--client", "203.0.113.7"),
    ("send", "PHONE now"),
    ("call", "PHONE"),
    ("call", "CALLED"),
    ("verify", "PHONE", "0000000000"),
    ("verify", "-"),
    ("verify", "PHONE", "CODE"),
    ("verify", "PHONE now", "CODE"),
    ("send", "QUEUED"),
    ("retries", "list"),
    ("retries", "requeue", "ID", "--reason", "asked by PHONE"),
    ("retries", "drop", "ID"),
    ("challenges", "list"),
    ("challenges", "list", "--phone", "PHONE"),
    ("challenges", "list", "--state", "PHONE"),
    ("challenges", "list", "--since", "PHONE"),
    ("deliveries", "list", "--phone", "-"),
    ("deliveries", "cost", "--by", "day"),
    ("deliveries", "list", "--prefix", "PHONE", "--after", "PHONE"),
    ("series", "--by", "prefix"),
    ("series", "--by", "PHONE"),
    ("challenges", "show", "ID"),
    ("challenges", "show", "PHONE"),
    ("challenges", "show", "-"),
    ("challenges", "cancel", "ID"),
    ("status",),
    ("pause", "--for", "1s"),
    ("send", "PHONE"),
    ("resume",),
    ("limits", "deny", "+359876", "--for", "2h"),
    ("limits", "allow", "+359876"),
    ("limits", "show"),
    ("limits", "show", "PHONE"),
    ("limits", "refused"),
    ("limits", "refused", "--phone", "PHONE"),
    ("limits", "reset", "PHONE"),
    ("retries", "drop", "--prefix", "+359", "--yes"),
    ("routes", "check", "Twilio;Mada:+35987"),
    ("routes", "explain", "PHONE"),
    ("routes", "explain", "-"),
    ("routes", "show"),
    ("routes", "set", "Mada;Twilio"),
    ("routes", "set", "Mada;;"),
    ("routes", "history"),
    ("routes", "preview", "Mada;Twilio"),
    ("routes", "restore", "1"),
    ("instances", "status"),
    ("instances", "drain", "mada", "--reason", "PHONE complained"),
    ("instances", "test", "mada", "PHONE", "--reason", "PHONE complained"),
    ("instances", "test", "mada", "PHONE now"),
    ("instances", "take-back", "mada"),
    ("providers",),
    ("sandbox",),
    ("sandbox", "PHONE"),
    ("keys", "rotate"),
    ("purge",),
    ("purge", "--phone", "PHONE"),
    ("purge", "--phone", "PHONE", "--yes"),
    ("purge", "--phone", "-", "--yes"),
    ("audit",),
    ("doctor",),
]  # fmt: skip
"""A new command is one more line. ``keys new`` prints a key, that is what it is for; the others need no number or store."""

ELSEWHERE = {"init", "demo", "new-provider", "simulate", "worker", "keys new"}


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A scene whose settings and keys are in files."""
    for name in [name for name in os.environ if name.startswith("OTPCORE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    logger = logging.getLogger("otpcore")
    handlers, level = list(logger.handlers), logger.level
    with playing(tmp_path) as scene:
        settings = {**scene.settings(), "retry": {"runner": "worker", "first_delay": 60, "max_delay": 60}}
        keys = generate_keys(utc_now())
        scene.keys = {"index": keys.index, "code": dict(keys.code), "current": keys.current}
        del settings["keys"], settings["storage"]
        (tmp_path / "otpcore.json").write_text(json.dumps(settings), encoding="utf-8")
        secrets = tmp_path / ".otpcore.secrets.toml"
        secrets.touch(0o600)
        secrets.write_text(starter_file(keys)[1], encoding="utf-8")
        yield scene
    logger.handlers[:] = handlers
    logger.setLevel(level)


def test_the_list_of_commands_is_complete() -> None:
    known = {*COMMANDS, *(f"{group} {name}" for group, (_, commands) in GROUPS.items() for name in commands)}
    grouped = {" ".join(command[:2]) if command[0] in GROUPS else command[0] for command in RUNS}
    assert grouped | ELSEWHERE == known


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
def test_no_command_shows_or_writes_anything_readable(
    scene: Scene, form: tuple[str, ...], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    phone, called, queued = scene.phone("mada"), scene.phone("twilio"), scene.phone("sinch")
    challenge_id = ""
    for command in RUNS:
        code = scene.code(phone) if any(message.recipient == phone for message in scene.mada.inbox) else ""
        words = {"PHONE": phone, "CALLED": called, "QUEUED": queued, "ID": challenge_id, "CODE": code}
        arguments = [_filled(word, words) for word in command]
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{phone}\n{code}\n"))
        if command == ("send", "QUEUED"):
            scene.sinch.down()
        ended = run([*arguments, *form, "--verbose"])
        scene.sinch.up()
        out, err = capfd.readouterr()
        scene.show(" ".join(command), out + err)
        assert ended != ExitCode.BUG, out + err
        if command == ("send", "QUEUED"):
            capfd.readouterr()
            run(["retries", "list", "--json"])
            challenge_id = json.loads(capfd.readouterr().out)["retries"][0]["challenge_id"]
    scene.more_secrets |= {Secret("code key", one) for one in load_settings().keys.code.values()}
    (scene.directory / "otpcore.sqlite3").rename(scene.directory / "otp.sqlite3")
    assert search(scene.places(), scene.secrets()) == []


def _filled(word: str, words: dict[str, str]) -> str:
    return re.sub("[A-Z]+", lambda found: words.get(found[0], found[0]), word)


def test_with_reveal_numbers_and_codes_are_shown_to_whoever_asks(
    scene: Scene, capfd: pytest.CaptureFixture[str]
) -> None:
    """The search above looks at the right places: with ``--reveal`` it finds them there."""
    phone = scene.phone()
    run(["send", phone, "--reveal"])
    scene.show("shown", capfd.readouterr().out)
    (scene.directory / "otpcore.sqlite3").rename(scene.directory / "otp.sqlite3")
    found = search(scene.places(), scene.secrets())
    assert {(one.where, one.name) for one in found} == {
        ("shown", "phone"),
        ("shown", "national number"),
        ("shown", "code"),
    }
