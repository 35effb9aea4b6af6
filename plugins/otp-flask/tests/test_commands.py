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


def test_flask_lists_it(make):
    app, _ = make()
    assert "Every command of otp" in app.test_cli_runner().invoke(args=["--help"]).output
