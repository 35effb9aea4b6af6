"""``otp send``, ``otp call`` and ``otp verify``."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from otpcore.cli.exits import ExitCode
from otpcore.cli.send.messages import is_id
from otpcore.simulators.exchange import Fault
from otpcore.testing import wrong_code

from .desk import OTHER_PHONE, PHONE, Desk, Otp


def test_a_sent_code_verifies_once_by_phone(otp: Otp, desk: Desk) -> None:
    sent = otp("send", PHONE, "--json")
    assert sent.code == ExitCode.OK
    assert sent.document["state"] == "sent"
    assert sent.document["provider"] == "mada"
    assert sent.document["phone"] == "+3598******67"
    assert "code" not in sent.document
    code = desk.code()
    wrong = otp("verify", PHONE, wrong_code(code), "--json")
    assert wrong.code == ExitCode.REFUSED
    assert (wrong.document["status"], wrong.document["code_valid"]) == ("incorrect", False)
    right = otp("verify", PHONE, code, "--json")
    assert right.code == ExitCode.OK
    assert right.document["status"] == "approved"
    again = otp("verify", PHONE, code, "--json")
    assert (again.code, again.document["status"]) == (ExitCode.REFUSED, "not_found")


def test_a_code_verifies_by_the_challenges_id_under_its_purpose(otp: Otp, desk: Desk) -> None:
    challenge = otp("send", PHONE, "--purpose", "login", "--json").document["id"]
    assert otp("verify", challenge, desk.code(), "--json").document["status"] == "not_found"
    assert otp("verify", challenge, desk.code(), "--purpose", "login").code == ExitCode.OK


def test_a_second_send_at_once_says_that_it_sent_nothing(otp: Otp, desk: Desk) -> None:
    assert otp("send", PHONE, "--json").document["is_new_send"] is True
    again = otp("send", PHONE)
    assert again.code == ExitCode.OK
    assert "nothing new was sent" in again.out
    assert len(desk.mada.inbox) == 1


def test_number_and_code_are_shown_on_demand(otp: Otp, desk: Desk) -> None:
    document = otp("send", PHONE, "--reveal", "--json").document
    assert (document["phone"], document["code"]) == (PHONE, desk.code())


def test_a_text_of_ones_own_reaches_the_person(otp: Otp, desk: Desk) -> None:
    assert otp("send", PHONE, "--message", "Open with {code}").code == ExitCode.OK
    assert desk.mada.inbox[0].text == f"Open with {desk.code()}"


def test_a_code_of_ones_own_is_read_from_standard_input(otp: Otp, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PHONE}\n4081625\n"))
    assert otp("send", "-", "--code", "-").code == ExitCode.OK
    assert desk.code() == "4081625"
    assert otp("verify", PHONE, "4081625").code == ExitCode.OK


@pytest.mark.parametrize("code", ["408", "40816253001", "4081a"])
def test_what_is_no_such_code_is_wrong_usage_and_not_shown(otp: Otp, desk: Desk, code: str) -> None:
    refused = otp("send", PHONE, "--code", code)
    assert refused.code == ExitCode.USAGE
    assert "--code: has 4 to 10 digits" in refused.err
    assert code not in refused.out + refused.err
    assert desk.mada.inbox == []


def test_retries_that_nobody_else_runs_are_waited_for(otp: Otp, desk: Desk) -> None:
    desk.write(sms={"retry": True}, retry={"runner": "background"})
    desk.mada.fail(Fault.HTTP_503, times=2)
    sent = otp("send", PHONE, "--json")
    assert (sent.code, sent.document["state"]) == (ExitCode.OK, "sent")
    assert otp("verify", PHONE, desk.code()).code == ExitCode.OK


def test_a_send_that_gives_up_says_so(otp: Otp, desk: Desk) -> None:
    desk.write(sms={"retry": True, "max_retries": 1}, retry={"runner": "inline"})
    desk.mada.fail(Fault.HTTP_503, times=None)
    gave_up = otp("send", PHONE, "--json")
    assert (gave_up.code, gave_up.document["state"]) == (ExitCode.UNAVAILABLE, "unsendable")
    assert gave_up.document["reason"] == "max_retries"
    shown = otp("send", OTHER_PHONE)
    assert "nothing more will be tried: max_retries" in shown.out
    assert "otp status" in shown.out


def test_a_send_whose_retries_find_wrong_credentials_says_so(otp: Otp, desk: Desk) -> None:
    account = {**desk.mada.provider_settings(), "password": "wrong"}
    desk.write(sms={"retry": True}, retry={"runner": "inline"}, providers={"mada": account})
    desk.mada.fail(Fault.HTTP_503)
    gave_up = otp("send", PHONE, "--json")
    assert (gave_up.code, gave_up.document["reason"]) == (ExitCode.CONFIGURATION, "misconfigured")


def test_retries_of_workers_are_left_to_them(otp: Otp, desk: Desk) -> None:
    desk.write(sms={"retry": True})
    desk.mada.down()
    sent = otp("send", PHONE)
    assert sent.code == ExitCode.OK
    assert "queued" in sent.out
    assert "otp worker" in sent.out


def test_a_number_that_a_provider_refuses_ends_without_a_hint_at_a_channel_that_nobody_serves(
    otp: Otp, desk: Desk
) -> None:
    refused = otp("send", "+359888000011", "--json")
    assert refused.code == ExitCode.REFUSED
    assert "try_channel" not in refused.document["error"]
    assert otp("call", "+359888000011").code == ExitCode.REFUSED


def test_a_channel_that_nobody_serves_is_a_refusal_that_says_where_to_look(otp: Otp, desk: Desk) -> None:
    refused = otp("call", PHONE)
    assert refused.code == ExitCode.REFUSED
    assert "otp routes explain" in refused.err


def test_what_is_no_number_is_wrong_usage_and_not_quoted(otp: Otp, desk: Desk) -> None:
    refused = otp("send", "+35987123456789012")
    assert refused.code == ExitCode.USAGE
    assert "35987123456789012" not in refused.err


def test_a_limit_says_when_to_try_again(otp: Otp, desk: Desk) -> None:
    desk.write(limits={"phone": ["1/10m"]}, otp={"cooldown": 0})
    otp("send", PHONE)
    limited = otp("send", PHONE, "--json")
    assert limited.code == ExitCode.RATE_LIMITED
    assert limited.document["error"]["reason"] == "phone"
    assert 0 < limited.document["error"]["retry_after"] <= 600


def test_a_wrong_setting_is_named_with_its_file(otp: Otp, desk: Desk) -> None:
    desk.write(otp={"length": 99})
    refused = otp("send", PHONE)
    assert refused.code == ExitCode.CONFIGURATION
    assert "otp.length" in refused.err
    assert "otpcore.json" in refused.err


def test_missing_keys_name_the_command_that_makes_them(otp: Otp, desk: Desk) -> None:
    (desk.directory / ".otpcore.secrets.toml").unlink()
    refused = otp("send", PHONE)
    assert refused.code == ExitCode.CONFIGURATION
    assert f"fix: otp keys new --into {desk.directory}/.otpcore.secrets.toml" in refused.err


def test_a_store_that_cannot_be_used_is_not_the_callers_fault(otp: Otp, desk: Desk, directory: Path) -> None:
    (directory / "broken.sqlite3").write_bytes(b"this is no database" * 100)
    desk.write(storage={"url": f"sqlite:///{directory / 'broken.sqlite3'}"})
    refused = otp("send", OTHER_PHONE, "--json")
    assert refused.code == ExitCode.UNAVAILABLE
    assert refused.document["error"]["type"] == "StoreError"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("7Y-rvvxNXifcfyo_pSCiDkQq", True),
        ("-Y-rvvxNXifcfyo_pSCiDkQq", True),
        ("+359871234567", False),
        ("0871 234 567", False),
        ("0871-234-567-890-123-456", False),
        ("tel:+359871234567", False),
    ],
)
def test_an_id_is_told_from_a_number(target: str, expected: bool) -> None:
    assert is_id(target) is expected


def test_an_id_that_begins_with_a_hyphen_is_no_option(otp: Otp, desk: Desk) -> None:
    unknown = otp("verify", "-Y-rvvxNXifcfyo_pSCiDkQq", "123456", "--json")
    assert (unknown.code, unknown.document["status"]) == (ExitCode.REFUSED, "not_found")


def test_number_and_code_are_read_from_standard_input_and_stand_in_no_process_list(
    otp: Otp, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PHONE}\n"))
    assert otp("send", "-", "--json").document["state"] == "sent"
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PHONE}\n{desk.code()}\n"))
    assert otp("verify", "-").code == ExitCode.OK
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PHONE}\n"))
    ended = otp("verify", "-", "-")
    assert ended.code == ExitCode.USAGE
    assert "standard input holds no code" in ended.err
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PHONE}\n"))
    assert otp("purge", "--phone", "-", "--yes", "--json").document["challenges"] == 1


def test_a_purpose_without_end_is_wrong_usage(otp: Otp, desk: Desk) -> None:
    del desk
    for command in (("send", PHONE), ("verify", PHONE, "123456")):
        refused = otp(*command, "--purpose", "x" * 10_000)
        assert refused.code == ExitCode.USAGE
        assert "purpose: has 10000 characters" in refused.err


def test_the_provider_of_a_queued_send_is_the_last_one_that_was_tried(otp: Otp, desk: Desk) -> None:
    spare = {**desk.mada.provider_settings(), "plugin": "mada"}
    desk.write(
        otp_sms_provider="mada;spare",
        sms={"retry": True},
        providers={"spare": spare},
    )
    desk.mada.down()
    tried = otp("send", PHONE, "--json").document
    assert (tried["state"], tried["provider"]) == ("queued", "spare"), "and mada is the next to be tried"
    [shown] = otp("challenges", "show", PHONE, "--json").document["challenges"]
    assert (shown["state"], shown["provider"]) == ("queued", "spare")
    assert [one["provider"] for one in shown["deliveries"]] == ["mada", "spare"]


def test_what_is_relayed_reaches_the_person_and_verifies_nothing(otp: Otp, desk: Desk) -> None:
    sent = otp("send", PHONE, "--relayed", "--message", "Your parcel is here.", "--json")
    assert (sent.code, sent.document["verifiable"]) == (ExitCode.OK, False)
    assert desk.mada.inbox[-1].text == "Your parcel is here."
    assert otp("send", PHONE, "--relayed", "--code", "408162").code == ExitCode.OK
    assert "408162" in desk.mada.inbox[-1].text
    assert otp("verify", PHONE, "408162", "--json").document["status"] == "not_found"
    for given, named in (((), "--relayed"), (("--message", "{code} it is"), "no code is given")):
        refused = otp("send", PHONE, "--relayed", *given)
        assert refused.code == ExitCode.USAGE
        assert named in refused.err
    plain = otp("send", PHONE, "--message", "Your parcel is here.")
    assert plain.code == ExitCode.USAGE
    assert "--relayed" in plain.err


def test_a_code_of_one_app_verifies_for_that_app(otp: Otp, desk: Desk) -> None:
    sent = otp("send", PHONE, "--of-app", "shop", "--json").document
    assert sent["app"] == "shop"
    assert otp("verify", PHONE, desk.code(), "--json").document["status"] == "not_found"
    assert otp("verify", sent["id"], desk.code(), "--of-app", "shop").code == ExitCode.OK
    refused = otp("send", PHONE, "--of-app", "my shop")
    assert refused.code == ExitCode.USAGE
    assert "--of-app" in refused.err
