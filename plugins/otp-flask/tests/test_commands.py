"""``flask otp``."""

from __future__ import annotations

import json
import logging

import pytest

PHONE = "+359871234567"


@pytest.fixture(autouse=True)
def logs_as_before():
    """The command line sets up otpcore's logger."""
    logger = logging.getLogger("otpcore")
    handlers, level = list(logger.handlers), logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)


def run(app, *words):
    return app.test_cli_runner().invoke(args=["otp", *words])


def test_every_command_has_the_app_s_settings_and_otp_s_exit_codes(make):
    app, otp = make()
    ran = run(app, "--json", "status")
    assert (ran.exit_code, "routes" in json.loads(ran.stdout)) == (0, True)
    assert run(app, "send", PHONE).exit_code == 0
    assert otp.operator.inbox(PHONE), "in the app's store"
    ran = run(app, "send", "+35987")
    assert ran.exit_code == 2
    assert "fix: " in ran.stderr
    assert run(app, "verify", PHONE, "000000").exit_code == 1
    ran = run(app, "--help")
    assert ran.exit_code == 0
    assert "challenges" in ran.stdout
    assert run(app, "challenges", "list", "--json").exit_code == 0


def test_wrong_settings_are_said_as_everywhere(make):
    app, _ = make(otp={"length": 99})
    ran = run(app, "status")
    assert ran.exit_code == 3
    assert "otp.length" in ran.stderr


def test_what_helps_is_told_as_an_app_has_settings_and_commands(make, tmp_path):
    app, _ = make(sms={}, providers={})
    told = run(app, "doctor")
    assert 'fix: in app.config["OTPCORE"]: "sms": {"retry": True}' in told.stdout
    assert "`flask otp routes set RULES`" in told.stdout
    assert "in [" not in told.stdout
    with_file, _ = make("filed")
    (tmp_path / "mine.toml").write_text(f'[storage]\nurl = "sqlite:///{tmp_path}/o.sqlite3"\n[sms]\nsandbox = true\n')
    with_file.config["OTPCORE"] = {"settings_file": str(tmp_path / "mine.toml")}
    told = run(with_file, "doctor", "--json")
    assert "in [sms]: sandbox = false" in {one["fix"] for one in json.loads(told.stdout)["checks"]}


def test_what_would_write_a_settings_file_is_refused_where_none_is_read(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    app, _ = make()
    ran = run(app, "init")
    assert ran.exit_code == 2
    assert 'fix: in app.config["OTPCORE"]: "keys": what `otp keys new` prints' in ran.stderr
    assert not (tmp_path / "otpcore.toml").exists()


def test_the_usage_names_the_command_of_flask(make):
    app, _ = make()
    assert "Usage: flask otp [OPTIONS]" in run(app, "--help").stdout
    assert "see `flask otp send --help`" in run(app, "send").stderr


def test_flask_lists_it(make):
    app, _ = make()
    assert "Every command of otp" in app.test_cli_runner().invoke(args=["--help"]).output
