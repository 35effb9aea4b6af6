"""``manage.py``: checks, migrate and otp."""

from __future__ import annotations

import json
import logging
from io import StringIO

import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.test import override_settings
from otp_django import checking
from otp_django.management.commands.otp import Command
from otp_django_settings import otpcore_settings

from otpcore.operator.findings.host import CHECKS
from otpcore.operator.findings.routing import ROUTING_CHECKS

SANDBOX = "otp.W005"


def found(*, deploy=False):
    return {
        (one.id, one.msg.partition(":")[0]): one for one in run_checks(tags=["otp"], include_deployment_checks=deploy)
    }


def test_a_check_reads_the_settings_and_opens_nothing(monkeypatch):
    monkeypatch.setattr("otp_django.checking.Operator", None)
    assert found() == {}
    with override_settings(OTPCORE=otpcore_settings(otp={"lenght": 8})):
        (wrong,) = found().values()
    assert wrong.id == "otp.E001"
    assert "otp.lenght" in wrong.msg


def test_a_check_for_deployment_finds_what_the_doctor_finds(tables):
    told = found(deploy=True)
    assert (SANDBOX, "sandbox") in told
    assert told[SANDBOX, "sandbox"].hint == 'in OTPCORE: "sms": {"sandbox": False}'
    with override_settings(OTPCORE=otpcore_settings(sms={}, otp_sms_provider="nobody_there")):
        problems = {key for key in found(deploy=True) if key[0] == "otp.E003"}
    assert problems, "rules name an instance whose plugin is not installed"


@pytest.mark.parametrize(
    ("value", "is_right"),
    [("/", True), ("https://shop.example/in", True), ("otp:send", True), ("account", False), ("otp:nothing", False)],
)
def test_a_check_follows_where_a_verified_phone_leads(value, is_right):
    with override_settings(OTPCORE=otpcore_settings(verified_url=value)):
        told = found()
    assert [*told] == ([] if is_right else [("otp.E001", "OTPCORE")])
    assert all(repr(value) in one.msg and "URLconf" in one.hint for one in told.values())


def test_missing_keys_are_told_as_a_project_has_them(tables):
    with override_settings(OTPCORE=otpcore_settings(sms={}, keys={})):
        (told,) = found(deploy=True).values()
    assert (told.id, told.hint) == ("otp.E002", 'in OTPCORE: "keys": what `otp keys new` prints')


@pytest.mark.parametrize(
    ("fix", "here"),
    [
        ("run `otp init`, or name one with --settings or --app", 'in OTPCORE: "keys": what `otp keys new` prints'),
        ("start the host, or `otp worker`", "start the host, or `manage.py otp worker`"),
        ("otp keys rotate --retire k1", "manage.py otp keys rotate --retire k1"),
        ("in [otp]: app = 'Shop'", 'in OTPCORE: "otp": {"app": "Shop"}'),
        ("", None),
    ],
)
def test_a_fix_names_the_commands_of_the_project(fix, here):
    assert checking._fix(fix) == here


def test_every_fix_of_a_project_can_be_typed_there(tables):
    for sections in ({}, {"keys": {}}, {"sms": {}}, {"otp_sms_provider": "", "sms": {"retry": True}}):
        with override_settings(OTPCORE=otpcore_settings(**sections)):
            hints = [one.hint or "" for one in found(deploy=True).values()]
        told = " ".join(hints).replace("what `otp keys new`", "").replace("manage.py otp ", "")
        assert hints
        assert "otp " not in told
        assert "--app" not in told


def test_what_would_write_a_settings_file_is_refused(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, said = run(capsys, "init")
    assert (code, said.out) == (2, "")
    assert 'in OTPCORE: "keys": what `otp keys new` prints' in said.err
    code, said = run(capsys, "--json", "init")
    assert (code, json.loads(said.out)["error"]["fix"]) == (2, 'in OTPCORE: "keys": what `otp keys new` prints')


def test_one_note_can_be_silenced_and_the_others_stay(tables):
    told = {name for name, _ in found(deploy=True)}
    assert len(told) > 3
    with override_settings(SILENCED_SYSTEM_CHECKS=[SANDBOX]):
        left = {one.id for one in run_checks(tags=["otp"], include_deployment_checks=True) if not one.is_silenced()}
    assert left == told - {SANDBOX}


def test_every_subject_has_an_id():
    assert {*checking._NOTES} == {*CHECKS, *ROUTING_CHECKS}
    assert len({*checking._NOTES.values()}) == len(checking._NOTES)


def test_a_check_for_deployment_says_that_the_database_is_away(tables, monkeypatch):
    monkeypatch.setattr("otpcore.stores.sql.store.PATIENCE", 0.1)
    with override_settings(OTPCORE=otpcore_settings(database="pg")):
        (told,) = found(deploy=True).values()
    assert told.id == "otp.E002"


@pytest.fixture(autouse=True)
def logs_as_before():
    """The command line sets up otpcore's logger."""
    logger = logging.getLogger("otpcore")
    handlers, level = list(logger.handlers), logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)


def run(capsys, *words):
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        Command().run_from_argv(["manage.py", "otp", *words])
    return ended.value.code, capsys.readouterr()


def test_every_command_has_the_project_s_settings_and_otp_s_exit_codes(tables, capsys):
    code, said = run(capsys, "--settings", "x.y", "--json", "status", "--traceback")
    assert (code, "routes" in json.loads(said.out)) == (0, True)
    code, said = run(capsys, "send", "+35987")
    assert code == 2
    assert "fix: " in said.err
    code, said = run(capsys, "verify", "+359871234567", "123456")
    assert code == 1
    code, said = run(capsys, "--help")
    assert code == 0
    assert "challenges" in said.out
    with override_settings(OTPCORE=otpcore_settings(otp={"length": 99})):
        code, said = run(capsys, "status")
    assert code == 3
    assert "otp.length" in said.err


def test_from_code_a_command_that_ends_badly_raises(tables, capsys):
    said = StringIO()
    call_command("otp", "db", "current", "--json", stdout=said)
    assert json.loads(said.getvalue())["is_current"] is True
    with pytest.raises(CommandError) as raised:
        call_command("otp", "send", "+35987")
    assert raised.value.returncode == 2


def test_migrate_makes_the_tables_where_the_database_is_and_nowhere_else(tmp_path, capsys):
    from django.apps import apps  # noqa: PLC0415 - Django must be set up first
    from otp_django.tables import upgrade_tables  # noqa: PLC0415 - the same

    assert apps.get_app_config("otp").name == "otp_django"
    with override_settings(OTPCORE=otpcore_settings(database="memory")):
        upgrade_tables(using="memory")
    upgrade_tables(using="pg")
    assert capsys.readouterr().out == ""
    upgrade_tables(using="default")
    assert "up to date" in capsys.readouterr().out


def test_migrate_says_why_the_tables_cannot_be_made(monkeypatch):
    monkeypatch.setattr("otp_django.tables.SqlStore.start", broken)
    with pytest.raises(CommandError, match="the tables of otpcore: gone"):
        call_command("migrate", verbosity=0)


async def broken(*_):
    from otpcore import StoreError  # noqa: PLC0415 - of this test alone

    raise StoreError("gone")


def test_no_migration_is_missing():
    call_command("makemigrations", "otp", check=True, dry_run=True, verbosity=0)
