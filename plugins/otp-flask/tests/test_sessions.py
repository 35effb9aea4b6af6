"""Codes that belong to a session."""

from __future__ import annotations

import pytest
from otp_flask import sessions, verified, verified_phone

PHONE = "+359871234567"
BROWSER = {"Accept": "text/html"}


@pytest.fixture
def app(make, otp_outbox):
    app, otp = make()

    @app.get("/ask/<purpose>")
    def ask(purpose):
        return {"id": otp.ask(PHONE, purpose=purpose).id}

    @app.get("/confirm/<purpose>/<code>")
    def confirm(purpose, code):
        return {"valid": bool(otp.confirm(code, purpose=purpose)), "phone": verified_phone(purpose)}

    @app.get("/pay")
    @verified("pay", or_else="where_to_ask")
    def pay():
        """Of the view."""
        return {"by": verified_phone("pay")}

    @app.get("/read")
    @verified("pay")
    async def read():
        return {"by": verified_phone("pay")}

    @app.get("/where")
    def where_to_ask():
        return ""

    assert pay.__doc__ == "Of the view."
    return app


def test_a_code_is_for_the_session_that_asked_for_it(app, otp_outbox):
    mine, theirs = app.test_client(), app.test_client()
    mine.get("/ask/pay")
    code = otp_outbox.code
    assert theirs.get(f"/confirm/pay/{code}").json == {"valid": False, "phone": None}
    assert mine.get(f"/confirm/login/{code}").json == {"valid": False, "phone": None}
    assert mine.get(f"/confirm/pay/{code}").json == {"valid": True, "phone": PHONE}
    assert mine.get(f"/confirm/pay/{code}").json == {"valid": False, "phone": PHONE}
    assert theirs.get(f"/confirm/pay/{code}").json == {"valid": False, "phone": None}


def test_purposes_stand_side_by_side_and_asking_again_takes_back(app, otp_outbox):
    client = app.test_client()
    for purpose in ("login", "pay"):
        client.get(f"/ask/{purpose}")
        assert client.get(f"/confirm/{purpose}/{otp_outbox.code}").json["valid"]
    assert client.get("/confirm/login/1").json == {"valid": False, "phone": PHONE}
    client.get("/ask/pay")
    assert client.get("/confirm/pay/1").json == {"valid": False, "phone": None}
    assert client.get("/confirm/login/1").json == {"valid": False, "phone": PHONE}


def test_a_view_is_for_those_who_have_verified(app, otp_outbox, monkeypatch):
    client = app.test_client()
    assert (client.get("/pay").status_code, client.get("/pay").json) == (403, {"error": "NotVerified", "reason": "pay"})
    led = client.get("/pay", headers=BROWSER)
    assert (led.status_code, led.location) == (303, "/where")
    assert client.get("/read", headers=BROWSER).status_code == 403
    client.get("/ask/login")
    client.get(f"/confirm/login/{otp_outbox.code}")
    assert client.get("/pay").status_code == 403, "verified for another purpose"
    client.get("/ask/pay")
    assert client.get("/pay").status_code == 403, "asked for, and not typed"
    client.get(f"/confirm/pay/{otp_outbox.code}")
    assert client.get("/pay").json == client.get("/read").json == {"by": PHONE}
    now = sessions.time.time()
    monkeypatch.setattr(sessions.time, "time", lambda: now + 299)
    assert client.get("/pay").status_code == 200
    monkeypatch.setattr(sessions.time, "time", lambda: now + 301)
    assert client.get("/pay").status_code == 403


def test_a_session_that_says_something_else_is_one_that_says_nothing(app):
    for kept in ("pay", {"pay": "x"}, {"pay": {"verified": 1, "at": 1}}, {"pay": {"verified": PHONE}}):
        client = app.test_client()
        with client.session_transaction() as session:
            session["otp_flask"] = kept
        assert client.get("/pay").status_code == 403


def test_what_is_kept_shows_no_number():
    assert PHONE not in repr(sessions.Asked(challenge="c", phone=PHONE, app=""))


def test_a_send_that_is_refused_leaves_the_session_as_it_was(app, otp_outbox):
    client = app.test_client()
    client.get("/ask/pay")
    code = otp_outbox.code
    otp_outbox.fail("rejected_number")
    assert client.get("/ask/pay").status_code == 422
    assert client.get(f"/confirm/pay/{code}").json["valid"]


def test_the_id_of_the_verification_is_enough_of_a_proof_where_it_is_asked_for(make):
    app, otp = make(otp={"verify_by": "id"})
    with app.test_request_context():
        otp.ask(PHONE)
        code = otp.operator.inbox(PHONE, reveal=True)[-1].code
        assert otp.confirm(code)
        assert verified_phone() == PHONE
