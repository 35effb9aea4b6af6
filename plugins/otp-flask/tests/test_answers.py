"""What is answered when a view lets an error through."""

from __future__ import annotations

import logging

import pytest
from flask import Blueprint
from otp_flask import OTP

from otpcore import ANSWERS, DeliveryError, OTPError, RateLimited
from otpcore.embedding import said_of_code

PHONE = "+359871234567"
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.fixture
def raising(make):
    app, _ = make()
    errors: list[OTPError] = []

    @app.route("/", methods=["GET", "POST"])
    def view():
        raise errors[0]

    return app, errors


@pytest.mark.parametrize("reason", sorted(reason for kind, reason in ANSWERS if kind == "RateLimited"))
def test_the_status_is_that_of_the_table(raising, reason):
    app, errors = raising
    errors.append(RateLimited(reason, retry_after=30.2))
    for headers in ({}, BROWSER):
        answered = app.test_client().get("/", headers=headers)
        assert answered.status_code == ANSWERS["RateLimited", reason].http_status
        assert answered.headers["Retry-After"] == "31"
    assert app.test_client().get("/").json == {"error": "RateLimited", "reason": reason, "try_channel": None}


def test_when_it_may_be_tried_again_stands_in_the_place_of_later(raising):
    app, errors = raising
    errors.append(RateLimited("paused", retry_after=3600))
    page = app.test_client().get("/", headers=BROWSER).text
    assert "No code could be sent. Try again in 60 minutes." in page
    errors[0] = RateLimited("paused")
    page = app.test_client().get("/", headers=BROWSER).text
    assert "No code could be sent. Please try again later." in page


def test_json_or_a_page_by_what_is_asked_for(raising):
    app, errors = raising
    errors.append(DeliveryError("permanent", try_channel="call"))
    client = app.test_client()
    page = client.get("/", headers=BROWSER)
    assert (page.status_code, page.mimetype) == (422, "text/html")
    assert "This number cannot be reached." in page.text
    assert "Retry-After" not in page.headers
    for answered in (
        client.get("/", headers={"Accept": "*/*"}),
        client.get("/", headers={"Accept": "application/json, text/html;q=0.5"}),
        client.post("/", json={}, headers=BROWSER),
    ):
        assert answered.json == {"error": "DeliveryError", "reason": "permanent", "try_channel": "call"}


def test_the_app_s_own_page_is_taken(raising):
    app, errors = raising
    errors.append(RateLimited("phone", retry_after=90))

    @app.errorhandler(429)
    def page(error):
        return f"<h1>Slowly</h1> {error.description}", 429

    answered = app.test_client().get("/", headers=BROWSER)
    assert answered.text == "<h1>Slowly</h1> This number has got enough codes for now. Try again in 2 minutes."
    assert (answered.status_code, answered.headers["Retry-After"]) == (429, "90")


def test_the_app_s_own_handler_goes_before(raising):
    app, errors = raising
    errors.append(RateLimited("phone"))

    @app.errorhandler(RateLimited)
    def own(_):
        return "own", 418

    assert app.test_client().get("/").status_code == 418


def test_handlers_may_be_for_one_blueprint_alone(make):
    app, _ = make()
    other, otp = app.__class__("other"), OTP(handles_errors=False)
    other.config["OTPCORE"] = app.config["OTPCORE"]
    otp.init_app(other)
    api = Blueprint("api", __name__)
    otp.register_error_handlers(api)
    for at, address in ((api, "/within"), (other, "/outside")):

        @at.get(address, endpoint=address[1:])
        def view():
            raise RateLimited("paused")

    other.register_blueprint(api)
    client = other.test_client()
    assert client.get("/within").status_code == 503
    other.config["PROPAGATE_EXCEPTIONS"] = False
    logging.getLogger("other").disabled = True
    assert client.get("/outside").status_code == 500


def test_nothing_that_was_typed_is_in_an_answer(make, otp_outbox):
    app, otp = make()

    @app.get("/")
    def view():
        otp.ask(PHONE)

    for kind in ("rejected_number", "misconfigured"):
        otp_outbox.fail(kind)
        answered = app.test_client().get("/", headers=BROWSER)
        assert answered.status_code in (422, 503)
        assert PHONE[4:] not in answered.text


def test_of_a_wrong_code(make, otp_outbox):
    app, otp = make(otp={"attempts": 2})
    with app.test_request_context():
        assert said_of_code(otp.confirm("123456")) == "This code can no longer be used. Ask for a new one."
        otp.ask(PHONE)
        wrong = f"{(int(otp_outbox.code) + 1) % 1_000_000:06}"
        assert said_of_code(otp.confirm(wrong)) == "This is not the code. You can try 1 more time."
        assert said_of_code(otp.confirm(wrong)) == "This code can no longer be used. Ask for a new one."
