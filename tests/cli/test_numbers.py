"""Numbers at the command line: any digits are looked up and erased, ``-`` reads them, regions stand beside prefixes."""

from __future__ import annotations

import io
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from otpcore.cli.exits import ExitCode

from .desk import OTHER_PHONE, PHONE, Desk, Otp

UNASSIGNED = "+13575550131"
WITH_NUMBER = [
    ("limits", "show"),
    ("limits", "reset"),
    ("limits", "refused", "--phone"),
    ("challenges", "show"),
    ("routes", "explain"),
    ("purge", "--yes", "--phone"),
    ("sandbox",),
]


@pytest.fixture
def sent(otp: Otp, desk: Desk) -> str:
    """A number that was sent to under the loose policy, and would not be today."""
    desk.write(otp={"number_policy": "possible"})
    assert otp("send", UNASSIGNED).code == ExitCode.OK
    desk.write(otp={"number_policy": "valid"}, limits={"phone": ["3/1h"]})
    return UNASSIGNED


def test_whoever_cannot_be_sent_to_any_more_is_found_verified_and_erased(otp: Otp, desk: Desk, sent: str) -> None:
    assert otp("send", sent).code == ExitCode.USAGE
    assert [one["state"] for one in otp("challenges", "show", sent, "--json").document["challenges"]] == ["sent"]
    assert otp("limits", "show", sent).code == otp("limits", "reset", sent).code == ExitCode.OK
    assert otp("limits", "refused", "--phone", sent).code == ExitCode.OK
    assert otp("verify", sent, desk.code(sent)).code == ExitCode.OK
    assert otp("purge", "--phone", sent, "--yes", "--json").document["challenges"] == 1
    assert otp("challenges", "show", sent).code == ExitCode.REFUSED
    explained = otp("routes", "explain", sent, "--json")
    assert explained.document["route"] == ["mada"]
    assert "not assigned" in explained.document["refused"]
    assert "not assigned" in otp("routes", "explain", sent).out
    assert otp("routes", "explain", PHONE, "--json").document["refused"] is None


@pytest.mark.parametrize("number", ["+22997123456", "+999123", "+1", "+359"])
@pytest.mark.parametrize("command", WITH_NUMBER)
def test_any_digits_can_be_asked_about(otp: Otp, desk: Desk, command: tuple[str, ...], number: str) -> None:
    ended = otp(*command, number)
    assert ended.code in (ExitCode.OK, ExitCode.REFUSED), ended.err


@pytest.mark.parametrize("command", WITH_NUMBER)
def test_a_hyphen_reads_the_number_from_standard_input(
    otp: Otp, desk: Desk, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    otp("send", PHONE)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PHONE}\n"))
    read = otp(*command, "-")
    assert read.code in (ExitCode.OK, ExitCode.REFUSED), read.err
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    ended = otp(*command, "-")
    assert (ended.code, "standard input holds no phone" in ended.err) == (ExitCode.USAGE, True)


def test_a_hyphen_reads_a_prefix(otp: Otp, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in (("limits", "deny"), ("limits", "allow"), ("retries", "drop", "--yes", "--prefix")):
        monkeypatch.setattr("sys.stdin", io.StringIO("+35987\n"))
        assert otp(*command, "-", "--json").document["prefix"] == "+35987"


def test_a_region_is_denied_allowed_and_left_to_the_settings_again(otp: Otp, desk: Desk) -> None:
    desk.write(limits={"phone": [], "allow": ["BG"]})
    assert otp("limits", "deny", "bg", "--for", "30m").code == ExitCode.OK
    assert otp("send", PHONE, "--json").document["error"]["reason"] == "denied"
    assert [(one["prefix"], one["state"]) for one in otp("limits", "show", "--json").document["prefixes"]] == [
        ("BG", "denied")
    ]
    assert otp("limits", "allow", "+35987").code == ExitCode.OK
    assert otp("send", PHONE).code == ExitCode.OK
    assert otp("send", OTHER_PHONE).code == ExitCode.RATE_LIMITED
    assert otp("limits", "deny", "BG", "--clear").code == ExitCode.OK
    assert otp("send", OTHER_PHONE).code == ExitCode.OK
    for wrong in ("Bulgaria", "XX", "359"):
        assert otp("limits", "deny", wrong).code == ExitCode.USAGE


def test_what_waits_for_a_region_is_dropped(otp: Otp, desk: Desk) -> None:
    desk.write(sms={"retry": True}, retry={"first_delay": 60, "max_delay": 60})
    desk.mada.down()
    for phone in (PHONE, OTHER_PHONE, "+4915112345678"):
        otp("send", phone)
    assert otp("retries", "drop", "--prefix", "bg", "--yes", "--json").document["dropped"] == 2


def test_none_at_all_is_shown_as_what_stands_in_the_way(otp: Otp, desk: Desk) -> None:
    desk.write(limits={"phone": [], "countries": {"BG": ["0/1d"]}})
    assert otp("send", PHONE, "--json").document["error"]["reason"] == "denied"
    assert otp("limits", "show", PHONE, "--json").document["barrier"] == "denied"
    assert otp("limits", "show", "--json").document["none_at_all"] == ["limits.countries.BG"]
    assert "nothing passes limits.countries.BG" in otp("limits", "show").out


def test_no_whole_number_gets_into_the_database_as_a_rule(otp: Otp, desk: Desk, directory: Path) -> None:
    otp("routes", "set", "Mada:+35987")
    for number in (PHONE, UNASSIGNED, "+5215512345678"):
        for command in (
            ("routes", "set", f"Mada:+35988,{number}"),
            ("limits", "deny", number),
            ("limits", "allow", number),
        ):
            ended = otp(*command)
            assert (ended.code, "whole number" in ended.err) == (ExitCode.USAGE, True), ended.err
            assert number[1:] not in ended.err
    assert otp("routes", "show", "--json").document["database"]["otp_sms_provider"] == "Mada:+35987"
    with closing(sqlite3.connect(directory / "otpcore.sqlite3")) as connection:
        dump = "\n".join(connection.iterdump())
        assert not [number for number in (PHONE[1:], UNASSIGNED[1:]) if number in dump]


def test_a_wrong_argument_is_wrong_usage_and_no_bug(otp: Otp, desk: Desk) -> None:
    ended = otp("send", PHONE, "--message", "without a place for it")
    assert (ended.code, "{code}" in ended.err) == (ExitCode.USAGE, True)
