"""Every snippet of docs/django.md, run; and its tables."""

from __future__ import annotations

import asyncio
import re
import types
import unittest
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission
from django.core.management import get_commands
from django.test import RequestFactory, override_settings
from otp_django import checking, conf, verified_phone
from otp_django.checking import find
from otp_django_settings import KEY

PAGE_FILE = Path(__file__).parents[3] / "docs" / "django.md"

pytestmark = [
    pytest.mark.usefixtures("tables"),
    pytest.mark.skipif(not PAGE_FILE.exists(), reason="the page lies in the repository, not in the distribution"),
]
PAGE = PAGE_FILE.read_text(encoding="utf-8") if PAGE_FILE.exists() else ""
PHONE = "+359871234567"


def executed(name: str, number: int = 0) -> types.SimpleNamespace:
    """What a block makes whose first line names this file."""
    blocks = re.findall(rf"```python\n# {name}\n(.*?)```", PAGE, re.DOTALL)
    namespace = {"__name__": f"page_{name[:-3]}_{number}"}
    exec(compile(blocks[number], name, "exec"), namespace)
    return types.SimpleNamespace(**namespace)


def test_the_settings_are_ones_that_can_be_used(monkeypatch):
    for plugin in ("otp_mada", "otp_twilio"):
        pytest.importorskip(plugin)
    names = re.findall(r'os\.environ\["(\w+)"\]', PAGE)
    for name in names:
        monkeypatch.setenv(name, KEY if name.startswith("OTP_") else f"AC{'0' * 32}")
    monkeypatch.setenv("TWILIO_SERVICE_SID", f"VA{'0' * 32}")
    monkeypatch.setenv("MADA_URL", "https://gateway.example/sms")
    with override_settings(OTPCORE=executed("settings.py").OTPCORE):
        assert conf.load().otp.app == "Shop"
        assert conf.own().verified_url == "/account/"
        assert [one.msg for one in find() if one.id.startswith("otp.E")] == []


def test_the_keys_of_the_app_are_those_of_the_table():
    section = PAGE.partition("\n## Settings\n")[2].partition("\n## ")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == conf.EMBEDDING.keys


def test_the_ids_of_notes_are_those_of_the_table():
    told = dict(re.findall(r"^\| `(otp\.W\d+)` \| ([^|]+) \|$", PAGE, re.MULTILINE))
    assert told == {checking._OTHER_NOTES: "all else"} | {name: about for about, name in checking._NOTES.items()}


class Session(dict):
    """A session's dictionary."""

    def cycle_key(self) -> None:
        self["cycled"] = True

    async def aget(self, name, default=None):
        return self.get(name, default)

    async def aset(self, name, value) -> None:
        self[name] = value


def test_a_person_is_signed_in_by_them(otp_outbox):
    page, session = executed("views.py"), Session()
    for view, address, values in (
        (page.AskForCode, "/login/", {"phone": PHONE}),
        (page.TakeCode, "/login/code/", {}),
    ):
        request = RequestFactory().post(address, values or {"code": otp_outbox.code})
        request.session = session
        answer = view.as_view()(request)
    assert answer["Location"] == "/account/"
    assert session["cycled"]
    assert verified_phone(request, "login") == PHONE


def test_async_views(otp_outbox):
    page, session = executed("views.py", 1), Session()

    async def visit():
        request = RequestFactory().post("/ask/", {"phone": PHONE})
        request.session = session
        asked = await page.ask(request)
        request = RequestFactory().post("/check/", {"code": otp_outbox.code})
        request.session = session
        return asked.status_code, (await page.check(request)).content

    assert asyncio.run(visit()) == (202, b'{"code_valid": true}')


def test_the_test_of_a_project():
    case = executed("tests.py").PhoneTest
    case.databases = {"default"}
    ran = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(ran)
    assert (ran.testsRun, ran.errors, ran.failures) == (1, [], [])


def test_the_fixture_of_pytest():
    from otp_django.testing import fixtures  # noqa: PLC0415 - of this test alone

    assert executed("conftest.py").pytest_plugins == [fixtures.__name__]
    assert "otp_outbox" in fixtures.__all__


def test_the_permissions_are_those_of_the_table():
    section = PAGE.partition("\n## The admin\n")[2].partition("\n## ")[0]
    told = set(re.findall(r"`otp\.(\w+)`", section)) - {"operator"}
    assert told == set(Permission.objects.filter(content_type__app_label="otp").values_list("codename", flat=True))


def test_the_commands_are_there():
    assert get_commands()["otp"] == "otp_django"
    assert re.findall(r"^python manage.py otp (\w+)", PAGE, re.MULTILINE) == ["status", "doctor", "worker"]
