"""What the command line advises for each error: one line for every reason, and it names only what exists."""

from __future__ import annotations

import re

import pytest

from otpcore.cli.exits import ExitCode, explain
from otpcore.cli.tree import COMMANDS, GROUPS
from otpcore.errors import ANSWERS, DeliveryError, NoRouteError, RateLimited, known_as
from otpcore.models import UnsendableReason
from otpcore.operator.fixes import FIXES, error_of_end, fix_of
from otpcore.settings.tree import documented_keys

from .desk import PHONE, Desk, Otp


def test_every_reason_has_its_own_line() -> None:
    assert set(FIXES) == {row for row in ANSWERS if row[0] != "ReceiptRefused"}
    assert all(FIXES.values())


@pytest.mark.parametrize("row", FIXES, ids=".".join)
def test_it_names_commands_and_settings_that_exist(row: tuple[str, str]) -> None:
    commands = {*COMMANDS, *(f"{group} {name}" for group, (_, those) in GROUPS.items() for name in those)}
    named = re.findall(r"`([^`]*)`", FIXES[row])
    settings = {described.key.partition(".<")[0] for described in documented_keys()}
    assert named or row in {("InvalidPhoneNumber", ""), ("InvalidArgument", ""), ("DeliveryError", "limit_reached")}
    for one in named:
        words = " ".join(word for word in one.split() if word.islower())
        assert words.removeprefix("otp ") in commands if one.startswith("otp ") else one in settings, one


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (RateLimited("paused"), ExitCode.RATE_LIMITED, "`otp resume`"),
        (RateLimited("denied"), ExitCode.RATE_LIMITED, "`otp limits allow PREFIX`"),
        (RateLimited("phone", 9), ExitCode.RATE_LIMITED, "`otp limits reset PHONE`"),
        (RateLimited("locked"), ExitCode.RATE_LIMITED, "`otp limits reset PHONE`"),
        (DeliveryError("misconfigured"), ExitCode.CONFIGURATION, "`otp doctor`"),
        (DeliveryError("limit_reached"), ExitCode.RATE_LIMITED, "wait"),
        (DeliveryError("failed"), ExitCode.UNAVAILABLE, "`otp status`"),
        (DeliveryError("permanent"), ExitCode.REFUSED, "another number"),
        (DeliveryError("permanent", (), "call"), ExitCode.REFUSED, "`otp call PHONE`"),
        (DeliveryError("permanent", (), "sms"), ExitCode.REFUSED, "`otp send PHONE`"),
        (DeliveryError("permanent", (), "viber"), ExitCode.REFUSED, "`otp send PHONE --channel viber`"),
        (NoRouteError("no"), ExitCode.REFUSED, "`otp routes explain PHONE`"),
        (NoRouteError("no", reason="no_rules"), ExitCode.CONFIGURATION, "`otp_sms_provider`"),
        (NoRouteError("no", reason="cannot_carry"), ExitCode.CONFIGURATION, "`otp routes explain PHONE`"),
    ],
    ids=lambda value: str(getattr(value, "reason", "")),
)
def test_the_fix_is_the_true_one(error: Exception, code: ExitCode, words: str) -> None:
    told = explain(error)
    assert (told.code, words in told.fix) == (code, True), told.fix


@pytest.mark.parametrize("reason", UnsendableReason)
def test_every_end_of_retries_has_a_fix_too(reason: UnsendableReason) -> None:
    error = error_of_end(reason)
    assert known_as(error) in ANSWERS
    assert fix_of(error)


def test_what_refuses_a_send_is_lifted_by_the_command_that_is_named(otp: Otp, desk: Desk) -> None:
    desk.write(otp={"cooldown": 0})
    for obstacle, remedy in (
        (("pause",), ("resume",)),
        (("limits", "deny", "+"), ("limits", "allow", "+359")),
        (("limits", "deny", "+35987"), ("limits", "allow", "+35987")),
    ):
        assert otp(*obstacle).code == ExitCode.OK
        refused = otp("send", PHONE)
        assert f"`otp {' '.join(word for word in remedy if word.isalpha())}" in refused.err
        assert otp(*remedy).code == ExitCode.OK
        assert otp("send", PHONE).code == ExitCode.OK


def test_a_wrong_password_at_the_gateway_is_a_matter_of_configuration(otp: Otp, desk: Desk) -> None:
    account = {**desk.mada.provider_settings(), "password": "wrong"}
    desk.write(providers={"mada": account})
    refused = otp("send", PHONE, "--json")
    assert refused.code == ExitCode.CONFIGURATION
    assert refused.document["error"]["reason"] == "misconfigured"
    assert "credentials" in refused.document["error"]["fix"]
