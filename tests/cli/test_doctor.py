"""``otp doctor``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from otpcore.cli._exits import ExitCode

from .desk import PHONE, Desk, Ended, Otp, send_at


def found(ended: Ended, about: str, level: str) -> list[str]:
    return [one["detail"] for one in ended.document["checks"] if (one["about"], one["level"]) == (about, level)]


def test_a_good_setup_is_well_and_looking_at_it_makes_no_database(otp: Otp, desk: Desk) -> None:
    before = sorted(file.name for file in desk.directory.iterdir())
    ended = otp("doctor", "--json")
    assert ended.code == ExitCode.OK
    assert ended.document["ok"] is True
    assert found(ended, "rules", "ok") == ["sms: mada (from: file)"]
    assert "no instance of the rules can do it" in found(ended, "rules", "note")[0]
    assert found(ended, "providers", "ok") == ["mada: otp-mada 0.1.0; sms"]
    assert "yet; the first start makes it" in found(ended, "store", "note")[0]
    assert sorted(file.name for file in desk.directory.iterdir()) == before


def test_a_store_in_use_is_shown_with_its_revision(otp: Otp, desk: Desk) -> None:
    otp("send", PHONE)
    [store] = found(otp("doctor", "--json"), "store", "ok")
    assert str(desk.directory / "otpcore.sqlite3") in store
    assert "tables at" in store


def test_a_first_settings_file_lacks_only_its_rules(otp: Otp, directory: Path) -> None:
    otp("init")
    ended = otp("doctor", "--json")
    assert ended.code == ExitCode.REFUSED
    assert [one["about"] for one in ended.document["checks"] if one["level"] == "problem"] == ["rules"]
    assert otp("doctor").code == ExitCode.REFUSED


def test_without_anything_it_points_at_init(otp: Otp) -> None:
    ended = otp("doctor", "--json")
    assert ended.code == ExitCode.REFUSED
    assert any("otp init" in one["fix"] + one["detail"] for one in ended.document["checks"])


def test_a_wrong_setting_is_the_only_finding(otp: Otp, desk: Desk) -> None:
    desk.write(otp={"length": 99})
    ended = otp("doctor", "--json")
    assert ended.code == ExitCode.REFUSED
    [only] = ended.document["checks"]
    assert (only["about"], only["level"]) == ("settings", "problem")
    assert "otp.length" in only["detail"]


def test_a_broken_provider_is_a_problem_only_where_rules_need_it(otp: Otp, desk: Desk) -> None:
    desk.write(providers={"sinch": {}})
    spare = otp("doctor", "--json")
    assert spare.code == ExitCode.OK
    assert "providers.sinch.application_key" in found(spare, "providers", "note")[0]
    desk.write(otp_sms_provider="Mada;Sinch", providers={"sinch": {}})
    needed = otp("doctor", "--json")
    assert needed.code == ExitCode.REFUSED
    assert "providers.sinch.application_key" in found(needed, "providers", "problem")[0]


def test_whether_retries_are_on_and_how_they_run_is_said(otp: Otp, desk: Desk) -> None:
    off = found(otp("doctor", "--json"), "retries", "note")
    assert "sms: not retried when no provider takes it" in off
    desk.write(sms={"retry": True, "max_retries": 7})
    assert found(otp("doctor", "--json"), "retries", "ok") == [
        "sms: up to 7 retries, run by `otp worker`, which must run"
    ]
    desk.write(retry={"runner": "inline"})
    assert found(otp("doctor", "--json"), "workers", "note") == ["nobody sweeps and purges"]


def test_retries_that_nobody_runs_are_a_problem(otp: Otp, desk: Desk) -> None:
    desk.write(sms={"retry": True})
    desk.mada.down()
    send_at(datetime.now(UTC) - timedelta(minutes=3), PHONE)
    ended = otp("doctor", "--json")
    assert ended.code == ExitCode.REFUSED
    assert "nobody runs them" in found(ended, "retries", "problem")[0]


def test_secrets_that_others_can_read_and_a_store_that_forgets_are_noted(otp: Otp, desk: Desk) -> None:
    desk.write(storage={"store": "memory"}, retry={"runner": "inline"})
    (desk.directory / ".otpcore.secrets.toml").chmod(0o644)
    ended = otp("doctor", "--json")
    assert ended.code == ExitCode.OK
    assert "other users can read" in found(ended, "settings", "note")[0]
    assert "forgets everything" in found(ended, "store", "note")[0]


@pytest.mark.parametrize("content", [b"no database at all" * 100])
def test_a_database_that_cannot_be_read_is_a_problem(otp: Otp, desk: Desk, content: bytes) -> None:
    (desk.directory / "otpcore.sqlite3").write_bytes(content)
    ended = otp("doctor", "--json")
    assert ended.code == ExitCode.REFUSED
    assert found(ended, "store", "problem")
