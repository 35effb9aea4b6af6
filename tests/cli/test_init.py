"""``otp init`` and ``otp keys new``."""

from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path

import pytest

from otpcore.cli.exits import ExitCode
from otpcore.settings.tree import load_settings

from .desk import Otp

SECRETS = ".otpcore.secrets.toml"


def test_init_writes_settings_that_can_be_used_and_secrets_that_only_their_owner_can_read(
    otp: Otp, directory: Path
) -> None:
    ended = otp("init", "--directory", "etc/otp", "--json")
    assert ended.code == ExitCode.OK
    home = directory / "etc/otp"
    assert ended.document["settings"] == str(home / "otpcore.toml")
    settings = load_settings(home / "otpcore.toml")
    settings.keys.check()
    assert ended.document["current_key"] == settings.keys.current
    assert stat.S_IMODE((home / SECRETS).stat().st_mode) == 0o600
    assert "retry = false\n" in (home / "otpcore.toml").read_text()
    assert "max_retries = 20\n" in (home / "otpcore.toml").read_text()
    assert settings.keys.index not in ended.out


@pytest.mark.parametrize("there", ["otpcore.toml", SECRETS, "otpcore.yaml", "otpcore.json"])
def test_init_overwrites_and_hides_nothing_unasked(otp: Otp, directory: Path, there: str) -> None:
    (directory / there).write_text("{}")
    ended = otp("init")
    assert ended.code == ExitCode.REFUSED
    assert there in ended.err
    assert "--force" in ended.err
    assert [file.name for file in directory.iterdir()] == [there]


def test_init_with_force_makes_new_keys_and_closes_a_file_that_was_open_to_all(otp: Otp, directory: Path) -> None:
    otp("init")
    before = load_settings().keys
    (directory / SECRETS).chmod(0o644)
    assert otp("init", "--force").code == ExitCode.OK
    assert load_settings().keys.index != before.index
    assert stat.S_IMODE((directory / SECRETS).stat().st_mode) == 0o600


def test_init_says_where_it_may_not_write(otp: Otp, directory: Path) -> None:
    (directory / "file").touch()
    ended = otp("init", "--directory", "file/below")
    assert ended.code == ExitCode.CONFIGURATION
    assert "file" in ended.err


def test_without_keys_a_whole_set_is_printed_that_works_when_it_is_pasted(otp: Otp, directory: Path) -> None:
    ended = otp("keys", "new")
    assert ended.code == ExitCode.OK
    (directory / SECRETS).write_text(ended.out, encoding="utf-8")
    (directory / SECRETS).chmod(0o600)
    load_settings().keys.check()


def test_a_whole_set_is_written_into_a_file_that_only_its_owner_reads(otp: Otp, directory: Path) -> None:
    mask = os.umask(0)
    try:
        ended = otp("keys", "new", "--into", SECRETS, "--json")
    finally:
        os.umask(mask)
    keys = load_settings().keys
    keys.check()
    assert ended.document == {"file": str(directory / SECRETS), "current_key": keys.current}
    assert stat.S_IMODE((directory / SECRETS).stat().st_mode) == 0o600
    again = otp("keys", "new", "--into", SECRETS)
    assert (again.code, load_settings().keys) == (ExitCode.REFUSED, keys)
    assert "fix: `otp keys rotate`" in again.err


def test_a_set_is_written_behind_what_a_file_says_already(otp: Otp, directory: Path) -> None:
    file = directory / SECRETS
    said = '# Ours.\n[providers.twilio]\nauth_token = "hush"\n'
    file.write_text(said, encoding="utf-8")
    file.chmod(0o640)
    assert otp("keys", "new", "--into", SECRETS).code == ExitCode.OK
    load_settings().keys.check()
    assert file.read_text("utf-8").startswith(said)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("name", "said", "mode", "fix"),
    [
        (SECRETS, "", 0o644, "chmod 600 "),
        (SECRETS, '[keys]\nindex = ""\n', 0o600, "restore the keys"),
        ("other.toml", "[keys\n", 0o600, "correct it"),
        ("secrets.yaml", None, 0, "name .otpcore.secrets.toml"),
        ("nowhere/secrets.toml", None, 0, "name a file that you may write to"),
    ],
)
def test_a_set_is_not_written_where_it_would_be_read_or_lost(
    otp: Otp, directory: Path, name: str, said: str | None, mode: int, fix: str
) -> None:
    file = directory / name
    if said is not None:
        file.write_text(said, encoding="utf-8")
        file.chmod(mode)
    ended = otp("keys", "new", "--into", name)
    assert ended.code in (ExitCode.REFUSED, ExitCode.CONFIGURATION)
    assert f"fix: {fix}" in ended.err
    assert (file.read_text("utf-8") if file.exists() else None) == said


def test_with_keys_only_a_code_key_is_printed_and_the_index_key_stays(otp: Otp, directory: Path) -> None:
    otp("init")
    before = load_settings().keys
    document = otp("keys", "new", "--json").document
    [(name, secret)] = document["keys"]["code"].items()
    assert list(document["keys"]) == ["code"]
    assert name not in before.code
    text = (directory / SECRETS).read_text().replace("[keys.code]", f'[keys.code]\n{name} = "{secret}"')
    (directory / SECRETS).write_text(text.replace(f'current = "{before.current}"', f'current = "{name}"'))
    after = load_settings().keys
    after.check()
    assert (after.index, after.current, set(after.code)) == (before.index, name, {*before.code, name})
    assert tomllib.loads(otp("keys", "new").out)["keys"]["code"]
