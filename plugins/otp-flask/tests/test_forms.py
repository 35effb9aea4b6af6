"""Form fields, and that they need WTForms alone."""

from __future__ import annotations

import importlib
import sys

import pytest
from otp_flask.forms import OTPCodeField, PhoneField
from werkzeug.datastructures import MultiDict
from wtforms import Form
from wtforms.validators import InputRequired, Optional

from otpcore import SettingsError


class Fields(Form):
    phone = PhoneField(validators=[InputRequired()])
    local = PhoneField("Local", validators=[Optional()], region="BG", render_kw={"class": "wide"})
    code = OTPCodeField(validators=[InputRequired()])


@pytest.fixture(autouse=True)
def active(make, otp_outbox):
    app, _ = make()
    with app.app_context():
        yield


def filled(**values):
    form = Fields(MultiDict({"phone": "+359871234567", "code": "123456", **values}))
    return form.validate(), form


@pytest.mark.parametrize(
    ("typed", "phone"),
    [("+359 87 123 4567", "+359871234567"), (" +359-87-1234567 ", "+359871234567"), ("+12025550123", "+12025550123")],
)
def test_a_number_becomes_e164(typed, phone):
    is_valid, form = filled(phone=typed)
    assert (is_valid, form.phone.data) == (True, phone)


@pytest.mark.parametrize("typed", ["0871234567", "+35987", "x", "+359871234567, +359871234568", "1" * 5000])
def test_what_is_no_number_is_said_and_shown_again(typed):
    is_valid, form = filled(phone=typed)
    assert not is_valid
    assert form.phone.errors == ["Enter a phone number, with + and the country code."]
    assert form.phone.data == typed


def test_a_number_without_plus_is_of_the_field_s_region():
    is_valid, form = filled(local="0871234567")
    assert (is_valid, form.local.data) == (True, "+359871234567")


@pytest.mark.parametrize(
    ("typed", "code"), [("123 456", "123456"), ("123-456\u200b", "123456"), ("\u0661\u0662\u0663\u0664", "1234")]
)
def test_a_code_is_taken_as_it_is_typed(typed, code):
    is_valid, form = filled(code=typed)
    assert (is_valid, form.code.data) == (True, code)


@pytest.mark.parametrize("typed", ["123", "12345678901", "12a456", "----", "\u00b2\u00b2\u00b2\u00b2"])
def test_what_is_no_code_is_said_and_not_shown_again(typed):
    is_valid, form = filled(code=typed)
    assert not is_valid
    assert form.code.errors == ["Enter the code that was sent to you: digits only."]
    assert typed not in form.code()


def test_nothing_typed_is_nothing():
    is_valid, form = filled(code="", phone="")
    assert not is_valid
    assert (form.phone.data, form.code.data) == ("", "")
    assert form.code.errors == form.phone.errors == ["This field is required."]
    is_valid, form = filled(code=" ", phone=" ", local=" ")
    assert not is_valid
    assert set(form.errors) == {"code", "phone"}


def test_browsers_are_told_what_to_offer():
    _, form = filled()
    for told in ('type="tel"', 'autocomplete="tel"', 'inputmode="tel"'):
        assert told in form.phone()
    assert 'class="wide"' in form.local()
    for told in ('autocomplete="one-time-code"', 'inputmode="numeric"'):
        assert told in form.code()
    assert "123456" not in form.code()


def test_without_wtforms_the_fix_is_said_and_the_rest_works(monkeypatch):
    monkeypatch.setitem(sys.modules, "wtforms.fields", None)
    monkeypatch.delitem(sys.modules, "otp_flask.forms")
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'otp-flask\[forms\]'"):
        importlib.import_module("otp_flask.forms")


def test_a_region_that_is_none_is_told_where_the_form_is_made():
    class Abroad(Form):
        phone = PhoneField(region="UK")

    with pytest.raises(SettingsError, match=r"region: .*the United Kingdom is GB"):
        Abroad()
