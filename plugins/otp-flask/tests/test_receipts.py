"""What vendors report, as they signed it."""

from __future__ import annotations

import pytest
from flask import Flask, request
from flask_wtf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix

from otpcore import OTPService, ReceiptFault, ReceiptRefused, ReceiptResult, UnknownProviderError

BODY = "status=delivered&reference=%2B1&x=\u00e9".encode()
FORM = {"data": BODY, "content_type": "application/x-www-form-urlencoded"}


@pytest.fixture
def told(monkeypatch):
    """What otpcore was told."""
    seen = []

    def handle(self, instance, receipt):
        if instance == "another":
            raise UnknownProviderError("another")
        if instance == "forged":
            raise ReceiptRefused(ReceiptFault.SIGNATURE)
        seen.append((instance, receipt))
        return ReceiptResult(outcomes=(), status=202, text="OK", content_type="text/vendor; charset=utf-8")

    monkeypatch.setattr(OTPService, "handle_receipt", handle)
    return seen


def with_receipts(made, prefix="/receipts"):
    app, otp = made
    app.register_blueprint(otp.receipts_blueprint(), url_prefix=prefix)
    return app


def test_the_vendor_gets_its_answer_and_otpcore_the_request_as_it_was(make, told):
    app = with_receipts(make())
    answered = app.test_client().post("/receipts/twilio?a=1&b=%2f", **FORM, headers={"X-Signature": "s"})
    assert (answered.status_code, answered.text, answered.content_type) == (202, "OK", "text/vendor; charset=utf-8")
    ((instance, receipt),) = told
    assert (instance, receipt.method, receipt.body) == ("twilio", "POST", BODY)
    assert receipt.url == "http://localhost/receipts/twilio?a=1&b=%2f"
    assert receipt.headers["x-signature"] == "s"
    assert app.test_client().get("/receipts/bell/delivery/proof?d=1").status_code == 202
    assert (told[-1][0], told[-1][1].url) == ("bell", "http://localhost/receipts/bell/delivery/proof?d=1")


def test_what_is_refused_or_unknown_is_answered_without_a_word(make, told):
    client = with_receipts(make()).test_client()
    refused = client.post("/receipts/forged", **FORM)
    assert (refused.status_code, refused.text) == (403, "")
    assert client.post("/receipts/another", **FORM).status_code == 404
    assert client.delete("/receipts/twilio").status_code == 405
    assert told == []


@pytest.mark.parametrize(
    ("raw", "prefix", "receipts_url", "url"),
    [
        ("/receipts/tw%69lio?a=%7e", "", None, "https://shop.example/receipts/tw%69lio?a=%7e"),
        ("/receipts/tw%69lio", "/otp", None, "https://shop.example/otp/receipts/tw%69lio"),
        ("/otp/receipts/tw%69lio", "/otp", None, "https://shop.example/otp/receipts/tw%69lio"),
        ("/receipts/twilio?a=1", "", "https://public.example/receipts", "https://public.example/receipts/twilio?a=1"),
        ("http://inner/receipts/twilio", "", None, "https://shop.example/receipts/twilio?a=1"),
    ],
)
def test_behind_a_proxy_the_url_is_the_public_one_letter_for_letter(make, told, raw, prefix, receipts_url, url):
    app = with_receipts(make(otp={"receipts_url": receipts_url} if receipts_url else {}))
    app.wsgi_app = ProxyFix(app.wsgi_app, x_host=1, x_proto=1, x_prefix=1)
    forwarded = {"X-Forwarded-Host": "shop.example", "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": prefix}
    app.test_client().post("/receipts/twilio?a=1", **FORM, headers=forwarded, environ_overrides={"RAW_URI": raw})
    assert told[-1][1].url == url


@pytest.mark.parametrize("csrf_is", ["before", "after"])
def test_csrf_tokens_are_for_people(make, told, csrf_is):
    app, otp = make()
    if csrf_is == "before":
        CSRFProtect(app)
    with_receipts((app, otp))
    if csrf_is == "after":
        CSRFProtect(app)

    @app.post("/form")
    def form():
        return ""

    client = app.test_client()
    assert client.post("/receipts/twilio", **FORM).status_code == 202
    assert told[-1][1].body == BODY
    assert client.post("/form", **FORM).status_code == 400


def test_the_body_is_raw_whatever_reads_the_form_before(make, told):
    app = with_receipts(make())

    @app.before_request
    def reads_the_form():
        assert request.form["status"] == "delivered"

    app.test_client().post("/receipts/twilio", **FORM)
    assert told[-1][1].body == BODY


def test_a_body_has_an_end(make, told):
    app = with_receipts(make())
    assert app.test_client().post("/receipts/twilio", data=b"x" * (1024 * 1024 + 1)).status_code == 413
    app = with_receipts(make("small", config={"MAX_CONTENT_LENGTH": 10}))
    assert app.test_client().post("/receipts/twilio", **FORM).status_code == 413
    assert told == []


def test_it_may_be_there_twice_under_other_names(make, told):
    app, otp = make()
    assert isinstance(app, Flask)
    app.register_blueprint(otp.receipts_blueprint(), url_prefix="/a")
    app.register_blueprint(otp.receipts_blueprint("more"), url_prefix="/b")
    assert app.test_client().post("/b/twilio", **FORM).status_code == 202
