"""What helps, as it is told in a project: each fix is followed as it stands there, and then nothing is told any more."""

from __future__ import annotations

import ast
import json
import re
import tomllib

import pytest
from django.core.checks import run_checks
from django.test import override_settings
from otp_django import conf, otp
from otp_django_settings import otpcore_settings

from otpcore import SettingsError
from otpcore.cli import run_command

pytestmark = pytest.mark.usefixtures("tables")
ENTRY = re.compile(r"in OTPCORE: (\"\w+\": \{.*\})")


def findings():
    return [one for one in run_checks(tags=["otp"], include_deployment_checks=True) if one.hint]


def merged(settings, more):
    """The settings with this written into them."""
    for name, value in more.items():
        settings = {**settings, name: merged(settings.get(name, {}), value) if isinstance(value, dict) else value}
    return settings


def entry_of(told):
    found = ENTRY.search(told)
    return ast.literal_eval(f"{{{found[1]}}}") if found else {}


BARE = otpcore_settings(sms={}, limits={}, otp={}, otp_sms_provider="any", http={})


def test_each_fix_of_the_checks_that_is_a_setting_ends_what_it_is_told_against():
    followed = []
    with override_settings(OTPCORE=BARE):
        first = [(one.msg, entry_of(one.hint)) for one in findings() if entry_of(one.hint)]
    for message, entry in first:
        with override_settings(OTPCORE=merged(BARE, entry)):
            assert message not in [one.msg for one in findings()], entry
        followed.append(message.partition(":")[0])
    assert len(followed) > 5
    assert {"limits", "retries"} <= {*followed}


def test_with_a_settings_file_a_fix_stands_as_that_file_has_it_and_works_there(tmp_path):
    file = tmp_path / "otpcore.toml"
    file.write_text('otp_sms_provider = "any"\n[sms]\nsandbox = true\n[providers.any]\nplugin = "twilio"\n')
    with override_settings(OTPCORE={"settings_file": file}):
        told = {one.msg: one.hint for one in findings()}
        (message,) = (one for one in told if "no limit for each country" in one)
        section, entry = re.fullmatch(r"in (\[limits\]): (.*)", told[message]).groups()
        assert tomllib.loads(f"{section}\n{entry}")
        file.write_text(f"{file.read_text()}\n{section}\n{entry}\n")
        conf.hide()
        assert message not in {one.msg for one in findings()}


def test_an_error_of_a_send_says_what_helps_in_the_words_of_the_project():
    forgetful = otpcore_settings(
        storage={"store": "memory"}, retry={"runner": "worker"}, sms={"sandbox": True, "retry": True}
    )
    with override_settings(OTPCORE=forgetful), pytest.raises(SettingsError) as raised:
        otp.send_sms("+359871234567")
    assert entry_of(str(raised.value)) == {"storage": {"store": "sql"}}


def test_the_keys_that_are_told_of_are_taken(capsys):
    assert run_command(["keys", "new"]) == 0
    keys = tomllib.loads(capsys.readouterr().out)["keys"]
    with override_settings(OTPCORE=otpcore_settings(sms={}, keys=keys)):
        assert "otp.E002" not in {one.id for one in findings()}


def test_the_status_and_its_document_are_told_so_too(capsys):
    from otp_django.management.commands.otp import Command  # noqa: PLC0415 - Django must be set up first

    for words in (["status"], ["--json", "status"]):
        with pytest.raises(SystemExit):
            Command().run_from_argv(["manage.py", "otp", *words])
        said = capsys.readouterr().out
        if "--json" in words:
            said = " ".join(one["fix"] for one in json.loads(said)["obstacles"])
        assert 'in OTPCORE: "sms": {"sandbox": False}' in said
        assert "in [sms]" not in said
