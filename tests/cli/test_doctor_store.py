"""What `otp doctor` says of a store that cannot be used: the cause once, with the fix that leads out."""

from __future__ import annotations

import pytest

from otpcore.cli.exits import ExitCode

from .desk import Desk, Otp


def _problems(otp: Otp) -> list[tuple[str, str, str]]:
    ended = otp("doctor", "--json")
    found = [one for one in ended.document["checks"] if one["level"] == "problem"]
    assert (ended.code, ended.document["ok"]) == (ExitCode.REFUSED, False)
    return [(one["about"], one["detail"], one["fix"]) for one in found]


@pytest.mark.parametrize("url", ["sqlite://", "postgresql://u:p@ss:w/rd@host/db", "somewhere"])
def test_a_url_that_cannot_be_used_is_told_once(otp: Otp, desk: Desk, url: str) -> None:
    desk.write(storage={"url": url})
    [(about, detail, _)] = _problems(otp)
    assert about == "store"
    assert detail.startswith("storage.url: ")


def test_a_port_that_is_none_is_what_is_to_be_corrected(otp: Otp, desk: Desk) -> None:
    pytest.importorskip("psycopg")
    desk.write(storage={"url": "postgresql://user:secret@127.0.0.1:99999/db"})
    [(_, detail, fix)] = _problems(otp)
    assert "invalid port number" in detail
    assert fix == "correct the port in storage.url: a number from 1 to 65535"


def test_a_file_that_is_no_database_is_told_with_its_own_fix(otp: Otp, desk: Desk) -> None:
    (desk.directory / "otpcore.sqlite3").write_bytes(b"no database at all" * 100)
    [(_, detail, fix)] = _problems(otp)
    assert detail.endswith("otpcore.sqlite3 is not an SQLite database")
    assert fix == "move it away, or let storage.url name another file"
    (desk.directory / "otpcore.sqlite3").rename(desk.directory / "notes")
    assert otp("doctor").code == ExitCode.OK
