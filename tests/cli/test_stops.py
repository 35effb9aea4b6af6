"""Whom an obstacle stops: what `otp status`, its probe and `otp doctor` say is what a send then meets."""

from __future__ import annotations

from typing import Any

import pytest

from otpcore.cli.exits import ExitCode

from .desk import OTHER_PHONE, PHONE, Desk, Otp

_EVERYBODY, _SOME = "everybody", "some"


def _stops(otp: Otp) -> dict[str, str]:
    """Whom each obstacle stops, by instance or prefix, else by kind."""
    found = otp("status", "--json").document["obstacles"]
    return {one["instance"] or one["prefix"] or one["kind"]: one["stops"] for one in found}


def _two(otp: Otp, desk: Desk, **sections: Any) -> None:
    """Two instances; the gateway of `first` does not answer, and its breaker is open."""
    closed = {**desk.mada.provider_settings(), "plugin": "mada", "url": "http://127.0.0.1:9"}
    desk.write(otp_sms_provider="first", retry={"breaker_threshold": 1}, providers={"first": closed})
    assert otp("send", PHONE).code == ExitCode.UNAVAILABLE
    desk.write(
        **{
            "otp_sms_provider": "first;mada",
            "retry": {"breaker_threshold": 1},
            "providers": {"first": closed},
            **sections,
        }
    )


def test_one_instance_drained_and_the_other_failing_stop_everybody(otp: Otp, desk: Desk) -> None:
    _two(otp, desk)
    assert otp("status", "--check").code == ExitCode.OK
    assert otp("instances", "drain", "mada").code == ExitCode.OK
    assert _stops(otp) == {"first": _EVERYBODY, "mada": _EVERYBODY}
    assert otp("send", PHONE).code == ExitCode.UNAVAILABLE
    assert otp("status", "--check").code == ExitCode.REFUSED

    assert otp("instances", "take-back", "mada").code == ExitCode.OK
    assert _stops(otp) == {"first": _SOME}
    assert otp("send", PHONE).code == ExitCode.OK


def test_an_instance_that_no_rules_name_stops_nobody(otp: Otp, desk: Desk) -> None:
    _two(otp, desk)
    assert otp("doctor").code == ExitCode.REFUSED
    assert "`otp routes set` can leave it out" in otp("status").out
    assert otp("routes", "set", "Mada").code == ExitCode.OK
    assert _stops(otp) == {"first": "nobody"}
    assert "otp instances test first PHONE" in otp("status").out
    assert otp("doctor").code == ExitCode.OK


@pytest.mark.parametrize(
    ("limits", "right"),
    [
        ({"phone": ["0/1d"]}, {"phone": []}),
        ({"global": ["0/1d"]}, {"global": []}),
        ({"country": ["0/1d"]}, {"country": []}),
        ({"deny": ["+"]}, {"deny": []}),
    ],
)
def test_settings_that_refuse_every_number_are_told_first(
    otp: Otp, desk: Desk, limits: dict[str, list[str]], right: dict[str, list[str]]
) -> None:
    desk.write(limits=limits)
    assert otp("send", PHONE).code == ExitCode.RATE_LIMITED
    assert _stops(otp) == {"+": _EVERYBODY}
    assert otp("status", "--check").code == ExitCode.REFUSED
    doctor = otp("doctor", "--json")
    first = doctor.document["checks"][0]
    assert (first["about"], first["level"], doctor.code) == ("sending", "problem", ExitCode.REFUSED)
    assert first["fix"].startswith(f"in [limits]: {next(iter(limits))} = [")

    desk.write(limits=right)
    assert _stops(otp) == {}
    assert otp("send", PHONE).code == ExitCode.OK


@pytest.mark.parametrize(
    "limits",
    [
        {"country": ["0/1d"], "countries": {"BG": ["5/1h"]}},
        {"countries": {"JM": ["0/1d"]}},
        {"channel": {"call": ["0/1d"]}},
        {"deny": ["+"], "allow": ["BG"]},
    ],
)
def test_whom_to_serve_is_the_settings_choice(otp: Otp, desk: Desk, limits: dict[str, Any]) -> None:
    desk.write(limits=limits)
    assert _stops(otp) == {}
    assert otp("send", PHONE).code == ExitCode.OK


def test_a_denial_of_all_that_the_settings_allow_stops_everybody(otp: Otp, desk: Desk) -> None:
    desk.write(limits={"allow": ["BG", "+43"]})
    otp("limits", "deny", "BG")
    assert _stops(otp) == {"BG": _SOME}
    assert "numbers of the region BG are denied" in otp("status").out
    otp("limits", "deny", "+4")
    assert _stops(otp) == {"BG": _EVERYBODY, "+4": _EVERYBODY}
    assert otp("status", "--check").code == ExitCode.REFUSED


def test_a_limit_of_all_sends_that_is_used_up_stops_everybody_until_its_window_ends(otp: Otp, desk: Desk) -> None:
    desk.write(limits={"global": ["2/1h"]})
    assert otp("send", PHONE).code == ExitCode.OK
    assert _stops(otp) == {}
    assert otp("send", OTHER_PHONE).code == ExitCode.OK
    assert _stops(otp) == {"limit_reached": _EVERYBODY}
    assert otp("send", "+359891234567").code == ExitCode.RATE_LIMITED
    assert "limits.global (2/1h) is used up: every send is refused, until 20" in otp("status", "--check").out
    assert otp("doctor").code == ExitCode.REFUSED
    for right in (["5/1h"], []):
        desk.write(limits={"global": right})
        assert _stops(otp) == {}


def test_who_is_allowed_goes_before_a_denial_of_everybody(otp: Otp, desk: Desk) -> None:
    otp("limits", "deny", "+")
    assert _stops(otp) == {"+": _EVERYBODY}
    otp("limits", "allow", "BG")
    assert _stops(otp) == {"+": _SOME}
    assert "every number is denied (+), but those of BG" in otp("status").out
    assert otp("send", PHONE).code == ExitCode.OK
    assert otp("status", "--check").code == ExitCode.OK
