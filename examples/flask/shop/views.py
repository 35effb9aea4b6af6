"""A phone is asked for, then the code; the session keeps what belongs together."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, url_for
from flask_wtf import FlaskForm
from otp_flask import current_otp, verified, verified_phone
from otp_flask.forms import OTPCodeField, PhoneField
from wtforms import SubmitField
from wtforms.validators import InputRequired

from otpcore import OTPError, RateLimited
from otpcore.embedding import said_of, said_of_code

phone = Blueprint("phone", __name__)
account = Blueprint("account", __name__)


class PhoneForm(FlaskForm):
    phone = PhoneField(validators=[InputRequired()])
    send = SubmitField("Send a code")


class CodeForm(FlaskForm):
    code = OTPCodeField(validators=[InputRequired()])
    check = SubmitField("Continue")


@phone.route("/", methods=["GET", "POST"])
def ask():
    form = PhoneForm()
    if form.validate_on_submit():
        try:
            current_otp.ask(form.phone.data)
        except RateLimited:
            raise  # to the page that the shop has for it
        except OTPError as error:
            form.phone.errors = [said_of(error)]
        else:
            return redirect(url_for("phone.code"), 303)
    return render_template("form.html", title="Your phone", form=form)


@phone.route("/code", methods=["GET", "POST"])
def code():
    form = CodeForm()
    if form.validate_on_submit():
        verification = current_otp.confirm(form.code.data)
        if verification:
            return redirect(url_for("account.show"), 303)
        form.code.errors = [said_of_code(verification)]
    return render_template("form.html", title="Your code", form=form)


@account.get("/")
@verified(within=3600, or_else="phone.ask")
def show():
    return render_template("account.html", phone=verified_phone())
