"""``settings.OTPCORE``: what may be said, and that nothing shows it."""

from __future__ import annotations

import re
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import Client, override_settings
from django.views.debug import SafeExceptionReporterFilter, get_default_exception_reporter_filter
from otp_django import conf
from otp_django_settings import KEY, SECRET, otpcore_settings

from otpcore import SettingsError


def page_of_the_error(address: str, **overridden: Any) -> str:
    with override_settings(DEBUG=True, **overridden):
        answer = Client(raise_request_exception=False).get(address)
    assert answer.status_code == 500
    return answer.content.decode()


def test_the_debug_page_shows_that_there_are_settings_and_none_of_them(tables):
    page = page_of_the_error("/broken/")
    assert "ZeroDivisionError" in page
    assert "&lt;OTPCORE: hidden&gt;" in page
    assert KEY not in page
    assert SECRET not in page
    assert SECRET not in str(get_default_exception_reporter_filter().get_safe_settings()["OTPCORE"])


def test_a_section_in_a_variable_of_the_project_is_hidden_too(tables):
    page = page_of_the_error("/holds-sections/")
    assert "ZeroDivisionError" in page
    assert "providers" in page
    assert KEY not in page
    assert SECRET not in page


def test_nor_does_a_project_that_masks_other_names(tables, monkeypatch):
    monkeypatch.setattr(SafeExceptionReporterFilter, "hidden_settings", re.compile("NOTHING_OF_THE_KIND"))
    page = page_of_the_error("/broken/")
    assert "ZeroDivisionError" in page
    assert KEY not in page


@pytest.mark.parametrize(
    "sections",
    [
        {"keys": {"index": SECRET, "code": {"test": KEY}, "current": "test"}},
        {"otp": {"length": 99}},
        {"unknown_section": {"token": SECRET}},
        {"database": "nowhere"},
        {"database": "memory"},
    ],
)
def test_the_debug_page_of_wrong_settings_says_what_is_wrong_and_shows_no_value(tables, sections):
    page = page_of_the_error("/send/?phone=%2B359871234567", OTPCORE=otpcore_settings(**sections))
    assert "SettingsError" in page
    assert KEY not in page
    assert SECRET not in page


def test_the_debug_page_of_a_database_that_is_away_shows_no_password(tables, monkeypatch):
    monkeypatch.setattr("otpcore.stores.sql.store.PATIENCE", 0.1)
    page = page_of_the_error("/send/?phone=%2B359871234567", OTPCORE=otpcore_settings(database="pg"))
    assert "StoreError" in page
    assert SECRET not in page
    assert KEY not in page


def test_the_debug_page_of_a_send_that_is_refused_shows_frames_of_the_view_alone(tables, otp_outbox):
    otp_outbox.fail("rejected_number")
    page = page_of_the_error("/send/?phone=%2B359871234567")
    assert "DeliveryError" in page
    assert "otpcore/service" not in page
    assert KEY not in page


def test_diffsettings_hides_them():
    said = StringIO()
    call_command("diffsettings", stdout=said)
    assert [line for line in said.getvalue().splitlines() if "OTPCORE" in line] == ["OTPCORE = <OTPCORE: hidden>  ###"]


def test_what_a_test_overrides_is_hidden_too_and_holds_at_once(tables):
    with override_settings(OTPCORE=otpcore_settings(otp={"length": 8})):
        assert SECRET not in repr(settings.OTPCORE)
        assert settings.OTPCORE["otp"]["length"] == 8
        assert conf.load().otp.length == 8
    assert conf.load().otp.length == 6


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"database": "default", "storage": {"store": "memory"}}, "leave one of them out"),
        ({"database": ""}, "alias of DATABASES"),
        ({"database": "other"}, "no such alias; it has default, memory, pg"),
        ({"databse": "default"}, "database is meant?"),
        ({"trusted_proxies": ["10.0.0.0/8", "proxy.example"]}, "10.0.0.0/8, or 'unix'"),
        ({"trusted_proxies": "10.0.0.0/8"}, "must be a list"),
        ({"verified_url": 7}, "verified_url: must be text"),
        ({"settings_file": "otpcore.toml"}, "write them there"),
        ({"otp": {"lenght": 6}}, "otp.lenght"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_fix(sections, told):
    with override_settings(OTPCORE=otpcore_settings(**sections)), pytest.raises(SettingsError) as refused:
        conf.load()
    assert told in str(refused.value)


@pytest.mark.parametrize("given", [None, "text", ["a"]])
def test_there_must_be_a_dictionary(given):
    with override_settings(OTPCORE=given), pytest.raises(SettingsError, match="OTPCORE"):
        conf.load()


def test_storage_may_be_said_instead_of_a_database():
    with override_settings(OTPCORE=otpcore_settings(storage={"store": "memory"})):
        assert conf.database_alias() is None
        assert conf.load().store_name == "memory"


def test_a_settings_file_of_otpcore_may_be_named(tmp_path, monkeypatch):
    (tmp_path / "otpcore.toml").write_text("[otp]\nlength = 7\n")
    monkeypatch.setenv("OTPCORE_OTP__LOCALE", "bg")
    with override_settings(OTPCORE={"settings_file": tmp_path / "otpcore.toml"}):
        read = conf.load()
    assert (read.otp.length, read.otp.locale) == (7, "bg")
    assert read.storage.url.endswith("/site.otp.sqlite3")
