"""``otp limits``, ``otp pause`` and ``otp resume``, and ``otp retries drop --prefix``: what an operator sees and stops."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from otpcore.cli.exits import ExitCode

from .desk import OTHER_PHONE, PHONE, Desk, Otp


def refused(otp: Otp, *more: str) -> list[tuple[str, str, int]]:
    rows = otp("limits", "refused", *more, "--json").document["refused"]
    return [(row["asked"], row["reason"], row["count"]) for row in rows]


def test_a_pause_stops_sending_and_not_verifying(otp: Otp, desk: Desk) -> None:
    otp("send", PHONE)
    paused = otp("pause", "--for", "2h", "--json").document
    assert paused["paused"]
    assert paused["until"]
    stopped = otp("send", OTHER_PHONE, "--json")
    assert stopped.code == ExitCode.RATE_LIMITED
    assert stopped.document["error"]["reason"] == "paused"
    assert 7100 < stopped.document["error"]["retry_after"] <= 7200
    assert "paused until" in otp("limits", "show").out
    assert otp("verify", PHONE, desk.code()).code == ExitCode.OK
    assert otp("resume").code == ExitCode.OK
    assert otp("send", OTHER_PHONE).code == ExitCode.OK
    assert otp("limits", "show", "--json").document["paused"] is None


def test_a_prefix_is_denied_allowed_and_left_to_the_settings_again(otp: Otp, desk: Desk) -> None:
    desk.write(limits={"phone": [], "deny": ["+49"]})
    assert otp("limits", "deny", "+35987", "--for", "30m").code == ExitCode.OK
    assert otp("limits", "allow", "+49", "--json").document == {"prefix": "+49", "state": "allowed", "until": None}
    assert otp("send", PHONE).code == ExitCode.RATE_LIMITED
    assert otp("send", OTHER_PHONE).code == ExitCode.OK
    shown = otp("limits", "show", "--json").document
    assert [(one["prefix"], one["state"], bool(one["until"])) for one in shown["prefixes"]] == [
        ("+35987", "denied", True),
        ("+49", "allowed", False),
    ]
    assert shown["deny"] == ["+49"]
    assert otp("limits", "show", PHONE, "--json").document["barrier"] == "denied"
    assert otp("limits", "show", "+4915112345678", "--json").document["barrier"] is None
    assert otp("limits", "allow", "+49", "--clear").code == ExitCode.OK
    assert otp("limits", "show", "+4915112345678", "--json").document["barrier"] == "denied"
    assert otp("limits", "allow", "+35987").code == ExitCode.OK
    assert otp("send", PHONE).code == ExitCode.OK


@pytest.mark.parametrize(
    "command",
    [
        ("limits", "deny", "35987"),
        ("limits", "deny", PHONE),
        ("limits", "allow", "+35987", "--for", "soon"),
        ("limits", "deny", "+35987", "--for", "2h", "--clear"),
        ("pause", "--for", "2 hours"),
        ("retries", "drop"),
        ("retries", "drop", "someid", "--prefix", "+35987"),
        ("retries", "drop", "--prefix", "35987"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(otp: Otp, desk: Desk, command: tuple[str, ...]) -> None:
    assert otp(*command).code == ExitCode.USAGE


def test_no_whole_number_gets_into_the_database_as_a_prefix(otp: Otp, desk: Desk, directory: Path) -> None:
    otp("limits", "deny", PHONE)
    otp("send", PHONE)
    with closing(sqlite3.connect(directory / "otpcore.sqlite3")) as connection:
        assert PHONE[1:] not in "\n".join(connection.iterdump())


def test_refusals_are_listed_with_their_reasons(otp: Otp, desk: Desk) -> None:
    desk.write(limits={"phone": ["1/10m"]}, otp={"cooldown": 0})
    assert refused(otp) == []
    assert "nothing was refused" in otp("limits", "refused").out
    otp("send", PHONE)
    otp("send", PHONE)
    otp("send", PHONE)
    otp("pause")
    otp("send", OTHER_PHONE)
    assert sum(count for _, reason, count in refused(otp) if reason == "phone") == 2
    assert ("send", "paused", 1) in refused(otp)
    assert refused(otp, "--phone", OTHER_PHONE) == [("send", "paused", 1)]
    assert len(refused(otp, "--limit", "1")) == 1
    assert "+3598******67" in otp("limits", "refused").out


def test_budgets_and_all_counters_of_a_number_are_shown(otp: Otp, desk: Desk) -> None:
    desk.write(
        otp_sms_provider="Mada;Mada:+35987",
        limits={"phone": ["3/10m"], "prefix": {"+35987": ["5/1h"]}, "country": ["9/1h"], "global": ["99/1h"]},
    )
    otp("send", PHONE)
    shown = otp("limits", "show", PHONE, "--json").document
    assert [(one["reason"], one["count"], one["limit"]) for one in shown["sends"]] == [
        ("phone", 1, 3),
        ("prefix", 1, 5),
        ("country", 1, 9),
        ("global", 1, 99),
    ]
    assert [(one["country"], one["prefix"], one["used"], one["limit"]) for one in shown["budgets"]] == [
        ("BG", "+35987", 1, 3),
        ("BG", "+35987", 1, 20),
    ]
    assert shown["verified_at"] is None
    otp("verify", PHONE, desk.code())
    verified = otp("limits", "show", PHONE, "--json").document
    assert verified["verified_at"]
    assert [(one["used"], one["verified"]) for one in otp("limits", "show", "--json").document["budgets"]] == [
        (0, 1),
        (0, 1),
    ]
    assert "verified last" in otp("limits", "show", PHONE).out


@pytest.fixture
def waiting(otp: Otp, desk: Desk) -> list[str]:
    """Ids of challenges that wait for their retry: two to one prefix, one to another."""
    desk.write(sms={"retry": True}, retry={"first_delay": 60, "max_delay": 60})
    desk.mada.down()
    return [otp("send", phone, "--json").document["id"] for phone in (PHONE, "+359871234999", OTHER_PHONE)]


def test_what_waits_for_a_prefix_is_dropped(otp: Otp, waiting: list[str]) -> None:
    asked = otp("retries", "drop", "--prefix", "+35987")
    assert asked.code == ExitCode.USAGE, "nobody is there to say yes"
    assert "2 sends" in asked.err
    dropped = otp("retries", "drop", "--prefix", "+35987", "--yes", "--json").document
    assert dropped == {"prefix": "+35987", "found": 2, "dropped": 2, "unread": 0}
    left = otp("retries", "list", "--json").document["retries"]
    assert [one["challenge_id"] for one in left] == [waiting[2]]
    assert otp("retries", "drop", "--prefix", "+35987", "--json").document["found"] == 0


def test_numbers_that_no_key_opens_are_told_of(otp: Otp, waiting: list[str], directory: Path) -> None:
    with closing(sqlite3.connect(directory / "otpcore.sqlite3")) as connection, connection:
        connection.execute("UPDATE otp_challenge SET phone_sealed = X'6b6579323a00' WHERE id = ?", (waiting[0],))
    ended = otp("retries", "drop", "--prefix", "+35987", "--yes", "--json")
    assert ended.document == {"prefix": "+35987", "found": 1, "dropped": 1, "unread": 1}
    assert ended.code == ExitCode.REFUSED


@pytest.mark.parametrize(
    ("obstacle", "reason"),
    [(("pause",), "paused"), (("limits", "deny", "+359"), "denied"), (("limits", "deny", "+"), "denied")],
)
def test_what_an_operator_refuses_ends_a_send_as_what_a_limit_refuses(
    otp: Otp, desk: Desk, obstacle: tuple[str, ...], reason: str
) -> None:
    del desk
    assert otp(*obstacle).code == ExitCode.OK
    refused = otp("send", PHONE, "--json")
    assert (refused.code, refused.document["error"]["reason"]) == (ExitCode.RATE_LIMITED, reason)
    assert refused.document["error"]["exit_code"] == ExitCode.RATE_LIMITED
