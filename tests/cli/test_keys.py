"""``otp keys rotate`` and what ``otp doctor`` says of keys: a rotation that a person can follow and cannot get wrong."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otpcore.cli.exits import ExitCode
from otpcore.cli.setup.secrets_file import CannotEdit, add_code_key, remove_code_key, set_current_key
from otpcore.settings.tree import load_settings

from .desk import OTHER_PHONE, PHONE, Desk, Otp, send_at

SECRETS = ".otpcore.secrets.toml"


def findings(otp: Otp) -> list[tuple[str, str, str]]:
    checks = otp("doctor", "--json").document["checks"]
    return [(one["level"], one["detail"], one["fix"]) for one in checks if one["about"] == "kept keys"]


def rotated(otp: Otp) -> tuple[str, str]:
    """The old key and the new one, after the first two steps."""
    old = load_settings().keys.current
    new = otp("keys", "rotate", "--json").document["key_id"]
    assert otp("keys", "rotate", "--use", new).code == ExitCode.OK
    return old, new


def test_a_rotation_from_the_first_step_to_the_last(otp: Otp, desk: Desk) -> None:
    before = load_settings().keys
    send_at(datetime.now(UTC) - timedelta(hours=25), OTHER_PHONE)
    otp("send", PHONE)
    first_code = desk.code()

    added = otp("keys", "rotate", "--json").document
    new = added["key_id"]
    assert added == {"step": "added", "key_id": new, "file": str(desk.directory / SECRETS)}
    listed = load_settings().keys
    assert (listed.index, listed.current, list(listed.code)) == (before.index, before.current, [before.current, new])
    assert findings(otp) == [
        ("note", f"{new} is readable and not yet used", f"otp keys rotate --use {new}, once every process lists it")
    ]

    assert otp("keys", "rotate", "--use", new).code == ExitCode.OK
    assert load_settings().keys.current == new
    [(level, detail, _)] = findings(otp)
    assert (level, detail.partition(", until")[0]) == ("ok", f"{before.current} is read for 2 challenges")
    refused = otp("keys", "rotate", "--retire", before.current)
    assert refused.code == ExitCode.REFUSED
    assert "2 kept challenges" in refused.err
    assert otp("verify", PHONE, first_code).code == ExitCode.OK

    otp("purge")
    assert otp("keys", "rotate", "--retire", before.current).code == ExitCode.REFUSED
    otp("purge", "--phone", PHONE, "--yes")
    assert findings(otp) == [
        ("note", f"nothing needs {before.current} any more", f"otp keys rotate --retire {before.current}")
    ]
    assert otp("keys", "rotate", "--retire", before.current).code == ExitCode.OK
    after = load_settings().keys
    assert (after.index, after.current, list(after.code)) == (before.index, new, [new])


def test_a_sandbox_that_shares_keys_and_store_retires_no_key_that_real_challenges_need(desk: Desk, otp: Otp) -> None:
    old = load_settings().keys.current
    otp("send", PHONE)
    new = otp("keys", "rotate", "--json").document["key_id"]
    assert otp("keys", "rotate", "--use", new).code == ExitCode.OK
    desk.write(sms={"sandbox": True})
    [(level, detail, _)] = findings(otp)
    assert (level, detail.partition(", until")[0]) == ("ok", f"{old} is read for 1 challenges")
    refused = otp("keys", "rotate", "--retire", old)
    assert (refused.code, "1 kept challenges" in refused.err) == (ExitCode.REFUSED, True)


def test_the_refusal_says_until_when_a_key_is_needed(otp: Otp, desk: Desk) -> None:
    begun = datetime.now(UTC) - timedelta(hours=1)
    send_at(begun, PHONE)
    old, _ = rotated(otp)
    refused = otp("keys", "rotate", "--retire", old)
    until = begun + timedelta(minutes=10, days=1)  # a resend could prolong it to ten minutes; a day is kept
    assert f"wait until {until.astimezone():%Y-%m-%d %H:%M:%S}" in refused.err


def test_a_step_out_of_order_is_refused_with_the_way_on(otp: Otp, desk: Desk) -> None:
    current = load_settings().keys.current
    before = (desk.directory / SECRETS).read_bytes()
    for arguments, hint in [
        (("--use", "k9"), "keys.code.k9 is not listed here"),
        (("--use", current), f"{current} is the current key already"),
        (("--retire", current), f"{current} is the current key"),
        (("--retire", "k9"), "keys.code.k9 is not listed here"),
    ]:
        refused = otp("keys", "rotate", *arguments)
        assert (refused.code, hint in refused.err) == (ExitCode.REFUSED, True)
    assert otp("keys", "rotate", "--use", "k9", "--retire", "k9").code == ExitCode.USAGE
    assert (desk.directory / SECRETS).read_bytes() == before
    new = otp("keys", "rotate", "--json").document["key_id"]
    again = otp("keys", "rotate")
    assert again.code == ExitCode.REFUSED
    assert f"otp keys rotate --use {new}" in again.err
    assert otp("keys", "rotate", "--retire", new).code == ExitCode.OK  # given up
    assert (desk.directory / SECRETS).read_bytes() == before


def test_comments_rights_and_all_else_stay_and_no_copy_is_left(otp: Otp, desk: Desk) -> None:
    file = desk.directory / SECRETS
    file.write_text(file.read_text() + '\n# our gateway\n[providers.other]\npassword = "x" # current = "y"\n')
    before = file.read_text()
    _, new = rotated(otp)
    after = file.read_text()
    line = next(line for line in after.splitlines(keepends=True) if line.startswith(f"{new} = "))
    undone = after.replace(line, "").replace(f'current = "{new}"', re.search('current = "k.*?"', before)[0])  # type: ignore[index] # it is there
    assert undone == before
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert {one.name for one in desk.directory.iterdir() if "secrets" in one.name} == {SECRETS}


def test_a_link_stays_a_link(otp: Otp, desk: Desk) -> None:
    place = desk.directory / "vault" / "keys.toml"
    place.parent.mkdir()
    (desk.directory / SECRETS).rename(place)
    (desk.directory / SECRETS).symlink_to(place)
    _, new = rotated(otp)
    assert (desk.directory / SECRETS).is_symlink()
    assert new in place.read_text()


def test_two_changes_at_once_do_not_overwrite_one_another(otp: Otp, desk: Desk) -> None:
    (desk.directory / f"{SECRETS}.new").touch(mode=0o600)
    before = (desk.directory / SECRETS).read_bytes()
    ended = otp("keys", "rotate", "--json")
    assert ended.document["file"] is None
    assert "another change is under way" in ended.document["reason"]
    assert (desk.directory / SECRETS).read_bytes() == before


def test_keys_of_the_environment_are_printed_for_its_keeper(
    otp: Otp, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = load_settings().keys
    monkeypatch.setenv("OTPCORE_KEYS__INDEX", keys.index)
    monkeypatch.setenv(f"OTPCORE_KEYS__CODE__{keys.current.upper()}", keys.code[keys.current])
    monkeypatch.setenv("OTPCORE_KEYS__CURRENT", keys.current)
    (desk.directory / SECRETS).unlink()
    ended = otp("keys", "rotate", "--json").document
    assert ended["file"] is None
    assert f"environment variable OTPCORE_KEYS__CODE__{keys.current.upper()}" in ended["reason"]
    [(new, secret)] = ended["keys"]["code"].items()
    printed = otp("keys", "rotate").out
    assert tomllib.loads(printed)["keys"]["code"]
    monkeypatch.setenv(f"OTPCORE_KEYS__CODE__{new.upper()}", secret)
    use = otp("keys", "rotate", "--use", new)
    assert "environment variable OTPCORE_KEYS__CURRENT" in use.out
    assert tomllib.loads(use.out) == {"keys": {"current": new}}


def test_keys_of_a_host_are_printed_for_the_host(otp: Otp, desk: Desk) -> None:
    (desk.directory / "keyhost.py").write_text("from otpcore import load_settings\notp = load_settings()\n")
    before = (desk.directory / SECRETS).read_bytes()
    ended = otp("keys", "rotate", "--app", "keyhost:otp")
    assert ended.code == ExitCode.OK
    assert "these keys come from the host" in ended.out
    assert tomllib.loads(ended.out)["keys"]["code"]
    assert (desk.directory / SECRETS).read_bytes() == before


def test_a_key_that_was_taken_away_too_early_is_a_problem_that_doctor_names(otp: Otp, desk: Desk) -> None:
    otp("send", PHONE)
    old, _ = rotated(otp)
    file = desk.directory / SECRETS
    file.write_text(remove_code_key(file.read_text(), old))
    [(level, detail, fix)] = findings(otp)
    assert (level, detail.partition(",")[0]) == ("problem", f"1 challenges were written under {old}")
    assert fix.startswith("list it under [keys.code] again, until ")
    verify = otp("verify", PHONE, desk.code())
    assert verify.code == ExitCode.CONFIGURATION
    assert f"keys.code.{old}" in verify.err
    [shown] = otp("challenges", "show", PHONE, "--json").document["challenges"]
    assert shown["attempts"] == 0


KEYS_FILES = [
    '[keys]\nindex = "i"\ncurrent = "k1"\n[keys.code]\nk1 = "s"',
    "[ keys ] # ours\r\nindex = 'i'\r\n  current = 'k1'  # now\r\n\r\n[ keys . code ]\r\n'k1' = 's'\r\n\r\n# end\r\n[x]\r\n",
    '[keys.code]\n[keys]\ncurrent="k1"\n',
]


@pytest.mark.parametrize("text", KEYS_FILES)
def test_an_edit_changes_what_it_shall_and_nothing_else(text: str) -> None:
    added = add_code_key(text, "k2", "t")
    current = set_current_key(added, "k2")
    assert tomllib.loads(current)["keys"]["current"] == "k2"
    assert (
        remove_code_key(set_current_key(current, "k1"), "k2").replace("'", '"').rstrip()
        == text.replace("'", '"').rstrip()
    )


@pytest.mark.parametrize(
    "text",
    [
        'keys = {current = "k1", code = {k1 = "s"}}\n',
        '[keys]\ncurrent = "k1"\ncode = {k1 = "s"}\n',
        'keys.current = "k1"\nkeys.code.k1 = "s"\n',
        'x = """\n[keys.code]\nk1 = 1\n[keys]\ncurrent = "k1"\n"""\n[keys]\n"current" = "k1"\n[keys.code]\nk1 = "s"\n',
        "",
    ],
)
def test_what_is_written_in_an_unusual_way_is_left_to_a_person(text: str) -> None:
    for change in (lambda: add_code_key(text, "k2", "t"), lambda: remove_code_key(text, "k1")):
        with pytest.raises(CannotEdit):
            change()


@given(
    st.lists(
        st.sampled_from(
            ["[keys]", "[keys.code]", 'current = "k1"', 'k1 = "s"', "# x", "[a]", "b = [", "]", '"""', "c = 1"]
        )
    )
)
def test_an_edit_is_right_or_refused_whatever_the_file_holds(lines: list[str]) -> None:
    text = "\n".join(lines)
    try:
        before = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    try:
        after = tomllib.loads(add_code_key(text, "k2", "t"))
    except CannotEdit:
        return
    assert after["keys"]["code"].pop("k2") == "t"
    assert after == before


def test_a_file_that_cannot_be_replaced_is_said_and_left_alone(otp: Otp, desk: Desk) -> None:
    if os.geteuid() == 0:
        (desk.directory / f"{SECRETS}.new").mkdir()  # root may write anywhere
    else:
        desk.directory.chmod(0o500)
    try:
        ended = otp("keys", "rotate", "--json")
    finally:
        desk.directory.chmod(0o700)
    assert (ended.code, ended.document["file"]) == (ExitCode.OK, None)
    assert "was not changed" in ended.document["reason"]
    assert Path(desk.directory / SECRETS).exists()
