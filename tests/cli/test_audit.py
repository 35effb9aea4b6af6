"""``otp audit``, and the commands whose changes it lists: instances, rules that come back, challenges that end, retries in bulk."""

from __future__ import annotations

import getpass
import re
from pathlib import Path

import pytest

from otpcore.cli.exits import ExitCode

from .desk import OTHER_PHONE, PHONE, Desk, Otp


@pytest.fixture(autouse=True)
def ann(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sits at the terminal."""
    monkeypatch.setenv("LOGNAME", "ann")


@pytest.fixture
def waiting(otp: Otp, desk: Desk) -> list[str]:
    """Ids of two challenges that wait for their retry."""
    desk.write(sms={"retry": True}, retry={"first_delay": 60, "max_delay": 60})
    desk.mada.down()
    return [otp("send", phone, "--json").document["id"] for phone in (PHONE, OTHER_PHONE)]


def changes(otp: Otp, *more: str) -> list[tuple[str, str, str, str]]:
    """The trail, the oldest first: by, action, target, reason."""
    found = otp("audit", "--json", *more).document["changes"]
    return [(one["by"], one["action"], one["target"], one["reason"]) for one in reversed(found)]


def test_every_change_is_listed_with_the_systems_user_and_the_reason(otp: Otp, desk: Desk) -> None:
    assert "no change was made" in otp("audit").out
    otp("pause", "--reason", f"asked by {PHONE}")
    otp("limits", "deny", "+49", "--for", "2h")
    otp("resume", "--reason", "mada is back")
    assert changes(otp) == [
        ("ann", "sending.pause", "", "asked by +…67"),
        ("ann", "sending.deny", "+49", ""),
        ("ann", "sending.resume", "", "mada is back"),
    ]
    shown = otp("audit").out
    assert "mada is back" in shown
    words = " ".join(shown.split())
    assert "paused: not paused -> paused until it is switched again" in words
    assert "paused: paused until it is switched again -> not paused" in words
    denied = r"limits\.prefix\.\+49: left to the settings -> denied until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d "
    assert re.search(denied, words)
    raw = otp("audit", "--action", "sending.pause", "--json").document["changes"][0]["detail"]
    assert raw["after"].startswith("on until switched since ")
    assert changes(otp, "--action", "sending.deny") == [("ann", "sending.deny", "+49", "")]
    latest = otp("audit", "--limit", "1", "--json").document["changes"][0]
    assert latest["action"] == "sending.resume"
    assert len(changes(otp, "--before", str(latest["number"]))) == 2
    assert f"--before {latest['number']}" in otp("audit", "--limit", "1").out


def test_a_user_without_a_name_is_told_by_number(otp: Otp, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def getuser() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr(getpass, "getuser", getuser)
    otp("pause")
    ((by, *_),) = changes(otp)
    assert by.startswith("uid ")


def test_an_instance_is_drained_and_taken_back(otp: Otp, desk: Desk) -> None:
    otp("send", PHONE)
    assert otp("instances", "drain", "Mada", "--reason", "it loses messages", "--json").document["drained"]
    refused = otp("send", OTHER_PHONE, "--json")
    assert refused.document["error"]["reason"] == "drained"
    assert otp("status", "--check").code == ExitCode.REFUSED
    assert "draining" in otp("routes", "explain", PHONE).out
    assert "drained since" in otp("instances", "status").out
    assert otp("verify", PHONE, desk.code()).code == ExitCode.OK
    drained = " ".join(otp("audit", "--action", "instances.drain").out.split())
    assert "drained.mada: in use -> drained since " in drained
    assert otp("instances", "take-back", "mada").code == ExitCode.OK
    assert otp("send", OTHER_PHONE).code == ExitCode.OK
    assert "in use" in otp("instances", "status").out
    unknown = otp("instances", "drain", "twilio")
    assert unknown.code == ExitCode.USAGE
    assert "name one of mada" in unknown.err
    assert [change[1:3] for change in changes(otp)] == [("instances.drain", "mada"), ("instances.take_back", "mada")]


def test_draining_needs_no_provider(otp: Otp, desk: Desk) -> None:
    desk.write(otp_sms_provider="Mada;Sinch", providers={"sinch": {"nonsense": 1}})
    assert otp("send", PHONE).code == ExitCode.CONFIGURATION
    assert otp("instances", "drain", "sinch").code == ExitCode.OK
    assert otp("pause").code == ExitCode.OK


def test_rules_come_back(otp: Otp, desk: Desk) -> None:
    assert "no rules were ever written here" in otp("routes", "history").out
    otp("routes", "set", "Mada:+35987", "--reason", "one prefix")
    otp("routes", "set", "Mada:+49")
    latest, first = otp("routes", "history", "--json").document["versions"]
    assert (latest["former"], first["rules"], first["reason"]) == ("Mada:+35987", "Mada:+35987", "one prefix")
    seen = otp("routes", "explain", PHONE, "--proposed", "Mada", "--json").document
    assert (seen["route"], seen["proposed"]["route"]) == ([], ["mada"])
    restored = otp("routes", "restore", str(first["number"]), "--json")
    assert restored.document["rules"] == "Mada:+35987"
    assert otp("routes", "explain", PHONE, "--json").document["route"] == ["mada"]
    assert otp("routes", "restore", "99").code == ExitCode.USAGE


def test_rules_are_previewed(otp: Otp, desk: Desk) -> None:
    otp("send", PHONE)
    otp("send", OTHER_PHONE)
    seen = otp("routes", "preview", "Mada:+35987", "--since", "1h", "--json").document
    assert (seen["examined"], [(one["before"], one["after"], one["count"]) for one in seen["moved"]]) == (
        2,
        [("mada", "", 1)],
    )
    assert "50.0%" in otp("routes", "preview", "Mada:+35987").out
    assert "none would go elsewhere" in otp("routes", "preview", "Mada").out
    assert otp("routes", "preview", "Mada;;").code == ExitCode.CONFIGURATION


def test_a_challenge_is_ended(otp: Otp, desk: Desk) -> None:
    challenge_id = otp("send", PHONE, "--json").document["id"]
    assert otp("challenges", "cancel", challenge_id, "--reason", "wrong person").code == ExitCode.OK
    assert otp("verify", PHONE, desk.code()).code == ExitCode.REFUSED
    assert otp("challenges", "cancel", challenge_id).code == ExitCode.REFUSED
    assert changes(otp) == [("ann", "challenges.cancel", challenge_id, "wrong person")]


@pytest.mark.parametrize("what", ["requeue", "drop"])
def test_all_that_waits_is_changed_once_somebody_said_yes(otp: Otp, waiting: list[str], what: str) -> None:
    asked = otp("retries", what, "--all")
    assert asked.code == ExitCode.USAGE
    assert "2 sends would be" in asked.err
    done = otp("retries", what, "--all", "--yes", "--json").document
    assert (done["found"], done["unread"]) == (2, 0)
    assert 2 in done.values()
    assert {change[2] for change in changes(otp)} == set(waiting)
    assert otp("retries", what, "--all", waiting[0]).code == ExitCode.USAGE


def test_limits_of_a_client_and_a_prefix_are_shown_and_reset(otp: Otp, desk: Desk, directory: Path) -> None:
    desk.write(limits={"phone": [], "client": ["20/1h"], "prefix": {"+35987": ["5/1h"]}})
    otp("send", PHONE, "--client", "203.0.113.7")
    of_client = otp("limits", "show", "--client", "203.0.113.7", "--json").document
    assert [(one["reason"], one["count"], one["limit"]) for one in of_client["sends"]] == [("client", 1, 20)]
    of_prefix = otp("limits", "show", "--prefix", "+35987", "--json").document
    assert [(one["reason"], one["count"], one["limit"]) for one in of_prefix["sends"]] == [("prefix", 1, 5)]
    assert otp("limits", "reset", "--client", "203.0.113.7").code == ExitCode.OK
    assert otp("limits", "reset", "--prefix", "+35987", "--json").document == {"prefix": "+35987", "removed": 1}
    assert otp("limits", "reset").code == ExitCode.USAGE
    assert otp("limits", "show", PHONE, "--prefix", "+35987").code == ExitCode.USAGE
    assert "203.0.113.7" not in otp("audit", "--json").out


def test_a_test_of_an_instance_sends_one_message_through_it(otp: Otp, desk: Desk) -> None:
    tested = otp("instances", "test", "mada", PHONE, "--reason", "new password", "--json")
    assert (tested.document["outcome"], tested.document["is_new"], len(desk.mada.inbox)) == ("accepted", True, 1)
    assert PHONE not in tested.out
    assert changes(otp) == [("ann", "instances.test", "mada", "new password")]
    assert "nothing was sent" in otp("instances", "test", "mada", PHONE).out
    desk.mada.down()
    failed = otp("instances", "test", "mada", OTHER_PHONE, "--json")
    assert (failed.code, failed.document["outcome"]) == (ExitCode.REFUSED, "unavailable")
    assert otp("retries", "list", "--json").document["retries"] == []
