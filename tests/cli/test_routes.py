"""``otp routes`` and ``otp providers``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from otp_sinch.simulator import SinchSimulator

from otpcore.cli.exits import ExitCode
from otpcore.stores.sql.store import SqlStore

from .desk import PHONE, Desk, Otp

SINCH = {"application_key": SinchSimulator.application_key, "application_secret": SinchSimulator.application_secret}


@pytest.fixture
def two_vendors(desk: Desk) -> Desk:
    desk.write(providers={"sinch": SINCH})
    return desk


def write_setting(directory: Path, name: str, value: str) -> None:
    async def write() -> None:
        from contextlib import AsyncExitStack  # noqa: PLC0415 - only here

        async with AsyncExitStack() as stack:
            store = SqlStore(f"sqlite:///{directory / 'otpcore.sqlite3'}")
            await store.start(stack)
            await store.write_setting(name, value)

    anyio.run(write)


def test_a_good_rule_is_shown_as_it_is_understood(otp: Otp, two_vendors: Desk) -> None:
    good = otp("routes", "check", " SINCH ; Mada : +35987 , +35988 ", "--json")
    assert good.code == ExitCode.OK
    assert good.document["rules"] == "sinch;mada:+35987,+35988"
    assert good.document["instances"] == ["sinch", "mada"]


def test_a_bad_rule_is_shown_with_a_caret(otp: Otp, two_vendors: Desk) -> None:
    bad = otp("routes", "check", "Sinch;Mada:35987")
    assert bad.code == ExitCode.CONFIGURATION
    lines = bad.err.splitlines()
    assert "Sinch;Mada:35987" in lines[1]
    assert lines[2].index("^") == lines[1].index("35987")


def test_an_instance_that_is_not_there_is_named_with_those_that_are(otp: Otp, two_vendors: Desk) -> None:
    bad = otp("routes", "check", "Sinhc")
    assert bad.code == ExitCode.CONFIGURATION
    assert "did you mean 'sinch'" in bad.err
    assert "WARNING" not in bad.err


def test_an_instance_that_is_installed_but_not_configured_is_refused_with_the_key(otp: Otp, desk: Desk) -> None:
    bad = otp("routes", "check", "Sinch")
    assert bad.code == ExitCode.CONFIGURATION
    assert "providers.sinch.application_key" in bad.err


def test_who_cannot_do_the_channel_is_said(otp: Otp, two_vendors: Desk) -> None:
    assert otp("routes", "check", "Mada;Sinch", "--channel", "call", "--json").document["idle"] == ["mada"]


def test_explain_says_who_serves_a_number_and_why(otp: Otp, two_vendors: Desk) -> None:
    two_vendors.write(otp_sms_provider="Sinch;Mada:+35987", providers={"sinch": SINCH})
    by_sms = otp("routes", "explain", PHONE, "--json")
    assert by_sms.code == ExitCode.OK
    assert by_sms.document["route"] == ["mada"]
    by_call = otp("routes", "explain", PHONE, "--channel", "call", "--json").document
    assert by_call["route"] == ["sinch"]
    [mada] = [step for step in by_call["steps"] if step["instance"] == "mada"]
    assert mada["reason"] == "cannot place calls"


def test_explain_says_who_cannot_carry_what_a_send_asks_for(otp: Otp, two_vendors: Desk) -> None:
    two_vendors.write(otp_sms_provider="Sinch;Mada", providers={"sinch": SINCH})
    asked = ("routes", "explain", PHONE, "--message", "Pay 100 EUR to Bob: {code}", "--json")
    ended = otp(*asked)
    assert ended.code == ExitCode.OK
    assert ended.document["route"] == ["mada"]
    assert [step["reason"] for step in ended.document["steps"] if step["instance"] == "sinch"] == [
        "cannot carry a text of your own"
    ]
    by_call = otp("routes", "explain", PHONE, "--channel", "call", "--locale", "bg", "--json")
    assert by_call.code == ExitCode.REFUSED
    assert "cannot carry the language 'bg'" in by_call.out
    assert otp("routes", "explain", PHONE, "--locale", "de", "--json").document["route"] == ["sinch", "mada"]
    assert otp("routes", "explain", PHONE, "--locale", "bg", "--json").document["route"] == [
        "sinch"
    ]  # no Cyrillic there


def test_a_send_that_nobody_can_carry_says_so_and_names_the_command(otp: Otp, two_vendors: Desk) -> None:
    two_vendors.write(otp_sms_provider="Sinch", providers={"sinch": SINCH})
    ended = otp("send", PHONE, "--message", "Pay 100 EUR to Bob: {code}", "--json")
    assert ended.code == ExitCode.CONFIGURATION
    assert "sinch cannot carry a text of your own" in ended.out
    assert ended.document["error"]["reason"] == "cannot_carry"


def test_explain_names_what_could_not_be_loaded(otp: Otp, desk: Desk) -> None:
    desk.write(otp_sms_provider="Mada:+44;Sinch")
    nobody = otp("routes", "explain", PHONE)
    assert nobody.code == ExitCode.REFUSED
    assert "not loaded" in nobody.out
    assert "providers.sinch.application_key" in nobody.out


def test_set_checks_before_it_writes_and_clear_brings_the_file_back(otp: Otp, two_vendors: Desk) -> None:
    assert otp("routes", "set", "Sinch;Nobody").code == ExitCode.CONFIGURATION
    assert sources(otp) == {"sms": ("file", "mada"), "call": ("file", "mada")}
    assert otp("routes", "set", "Sinch; Mada:+35987").code == ExitCode.OK
    assert otp("routes", "set", "Sinch", "--channel", "call").code == ExitCode.OK
    assert sources(otp) == {"sms": ("database", "sinch;mada:+35987"), "call": ("database", "sinch")}
    assert otp("routes", "set", "--clear").code == ExitCode.OK
    assert sources(otp) == {"sms": ("file", "mada"), "call": ("database", "sinch")}


def test_another_channel_has_rules_of_its_own(otp: Otp, desk: Desk) -> None:
    desk.write(sms={"sandbox": True}, otp_whatsapp_provider="Mada")
    assert sources(otp, "whatsapp")["whatsapp"] == ("file", "mada")
    explained = otp("routes", "explain", PHONE, "--channel", "whatsapp")
    assert (explained.code, "cannot send over whatsapp" in explained.out) == (ExitCode.REFUSED, True)
    desk.write(sms={"sandbox": True}, otp_whatsapp_provider="nowhere")
    assert otp("send", PHONE, "--channel", "whatsapp", "--json").document["channel"] == "whatsapp"
    assert otp("routes", "set", "--clear", "--channel", "whatsapp").code == ExitCode.OK


@pytest.mark.parametrize("arguments", [("send", PHONE), ("routes", "explain", PHONE), ("routes", "check", "Mada")])
def test_what_is_no_word_of_a_channel_is_wrong_usage(otp: Otp, desk: Desk, arguments: tuple[str, ...]) -> None:
    ended = otp(*arguments, "--channel", "Whats App")
    assert (ended.code, "--channel" in ended.err) == (ExitCode.USAGE, True)


@pytest.mark.parametrize("arguments", [[], ["Mada", "--clear"]])
def test_set_wants_either_rules_or_clear(otp: Otp, desk: Desk, arguments: list[str]) -> None:
    assert otp("routes", "set", *arguments).code == ExitCode.USAGE


def test_a_stored_rule_that_cannot_take_force_is_shown_as_refused(otp: Otp, desk: Desk) -> None:
    write_setting(desk.directory, "otp_sms_provider", "Mada;Gone")
    document = otp("routes", "show", "--json").document
    assert document["channels"]["sms"] == {"source": "file", "rules": "mada"}
    assert "gone" in document["refused"]["otp_sms_provider"]


def test_providers_lists_installed_loaded_and_broken(otp: Otp, desk: Desk) -> None:
    desk.write(providers={"sinch": {}, "mada_eu": {**desk.mada.provider_settings(), "plugin": "mada"}, "old": {}})
    document = otp("providers", "--json").document
    assert {"mada", "sinch"} <= {plugin["name"] for plugin in document["installed"]}
    instances: dict[str, dict[str, Any]] = {one["instance"]: one for one in document["instances"]}
    assert instances["mada_eu"]["channels"] == ["sms"]
    assert instances["mada_eu"]["error"] is None
    assert "providers.sinch.application_key" in instances["sinch"]["error"]
    assert "no plugin 'old' is installed" in instances["old"]["error"]
    shown = otp("providers").out
    assert shown.count("broken: ") == shown.count("fix: ") == 2
    assert "fix: install the package that brings it" in shown
    assert "Fix: " not in shown
    assert "run `otp doctor`" in instances["sinch"]["fix"]


def test_providers_lists_the_tables_of_gateways_that_other_distributions_bring(
    otp: Otp, desk: Desk, importable: Path
) -> None:
    before = otp("providers", "--json").document["gateways"]
    metadata = importable / "otp_bell-1.2.3.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: otp-bell\nVersion: 1.2.3\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text("[otpcore.http_gateways]\nbell = otp_bell\n", encoding="utf-8")
    (gateway,) = [one for one in otp("providers", "--json").document["gateways"] if one not in before]
    assert (gateway["name"], gateway["distribution"], gateway["version"]) == ("bell", "otp-bell", "1.2.3")
    shown = otp("providers").out
    assert "tables of gateways, for the plugin http" in shown
    assert "otp-bell" in shown


def test_a_gateway_is_enough_of_a_plugin_and_says_what_of_it_is_unconfirmed(otp: Otp, desk: Desk) -> None:
    (desk.directory / "bell.toml").write_text(
        """
        name = "Bell"
        base_url = "https://sms.bell.example"
        send.sms = { path = "/", form = { to = "{digits}", text = "{text}" } }
        answer = { reference = "id" }
        sources.receipts = { certainty = "unconfirmed", source = "a friend" }
        """
    )
    telnyx = {"gateway": "telnyx", "api_key": "of the portal", "sender": "Acme"}
    own = {"gateway_file": "bell.toml", "plugin": "mada"}
    desk.write(providers={"telnyx": telnyx, "bell": {"gateway_file": "bell.toml"}, "own": own})
    listed: list[dict[str, Any]] = otp("providers", "--json").document["instances"]
    instances = {one["instance"]: one for one in listed}
    assert (instances["telnyx"]["display_name"], instances["telnyx"]["unconfirmed"]) == ("Telnyx", [])
    assert (instances["bell"]["distribution"], instances["bell"]["unconfirmed"]) == ("otp-http", ["receipts"])
    assert "loaded; unconfirmed: receipts" in " ".join(otp("providers").out.split())
    assert "providers.own.gateway_file: unknown key" in instances["own"]["error"], "a plugin that is named counts"


def sources(otp: Otp, *channels: str) -> dict[str, tuple[str, str]]:
    shown = otp("routes", "show", "--json").document["channels"]
    return {channel: (shown[channel]["source"], shown[channel]["rules"]) for channel in channels or ("sms", "call")}


def test_explaining_says_who_cannot_carry_a_code_of_ones_own(otp: Otp, two_vendors: Desk) -> None:
    two_vendors.write(providers={"sinch": SINCH}, otp_sms_provider="Sinch;Mada")
    assert otp("routes", "explain", PHONE, "--json").document["route"] == ["sinch", "mada"]
    explained = otp("routes", "explain", PHONE, "--own-code", "--json").document
    assert explained["route"] == ["mada"]
    (reason,) = [step["reason"] for step in explained["steps"] if step["instance"] == "sinch"]
    assert "a code of your own" in reason
