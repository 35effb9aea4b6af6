"""The two pages of a verification, as a browser goes through them."""

from __future__ import annotations

import re

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory, override_settings
from django.views.generic import FormView
from otp_django import OTPVerifyMixin, otp, phone_verified, running, verified_phone
from otp_django.forms import CodeForm
from otp_django.testing import sending_to_outbox
from otp_django_settings import otpcore_settings

from otpcore import NoRouteError
from otpcore.testing import wrong_code

PHONE = "+359871234567"

pytestmark = pytest.mark.usefixtures("tables")


@pytest.fixture
def client():
    return Client(enforce_csrf_checks=True)


def post(client: Client, address: str, **values: str):
    """With the token of the page's form, as a browser does."""
    page = client.get(address).content.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert token, "the form has a token"
    return client.post(address, {"csrfmiddlewaretoken": token[1], **values})


def errors(answer) -> list[str]:
    return [str(one) for row in answer.context["form"].errors.values() for one in row]


def test_a_phone_is_verified_once_and_the_session_knows_it(client, otp_outbox):
    heard = []

    def hear(sender, request, phone, purpose, **_):
        heard.append((sender.__name__, phone, purpose))

    phone_verified.connect(hear)
    sent = post(client, "/phone/", phone="+359 87 123 4567")
    assert (sent.status_code, sent["Location"]) == (302, "/phone/code/")
    page = client.get("/phone/code/")
    assert "…67" in page.content.decode()
    assert PHONE not in page.content.decode()
    assert "no-store" in page["Cache-Control"]
    code = otp_outbox.code
    refused = post(client, "/phone/code/", code=wrong_code(code))
    assert (refused.status_code, errors(refused)) == (200, ["This is not the code. You can try 4 more times."])
    assert heard == []
    before = client.session.session_key
    done = post(client, "/phone/code/", code=f"{code[:3]} {code[3:]}")
    assert (done.status_code, done["Location"]) == (302, "/")
    assert client.session.session_key != before, "whoever knew the session before is out"
    assert heard == [("VerifyCodeView", PHONE, "default")]
    request = RequestFactory().get("/")
    request.session = client.session
    assert verified_phone(request) == PHONE
    assert verified_phone(request, "login") is None
    assert (verified_phone(request, within=60), verified_phone(request, within=0)) == (PHONE, None)
    assert client.get("/phone/code/")["Location"] == "/phone/", "it is over, and cannot be verified again"


def test_another_session_cannot_use_the_code(client, otp_outbox):
    post(client, "/phone/", phone=PHONE)
    other = Client()
    assert other.post("/phone/code/", {"code": otp_outbox.code})["Location"] == "/phone/"


def test_a_code_belongs_to_the_session_that_asked_for_it(client, otp_outbox):
    post(client, "/phone/", phone=PHONE)
    (first,) = otp.operator.challenges.show(PHONE)
    otp.operator.challenges.cancel(first.id, by="the test")
    post(Client(), "/phone/", phone=PHONE)
    assert len(otp_outbox.messages) == 2
    assert errors(post(client, "/phone/code/", code=otp_outbox.code)) != []


def test_a_form_of_another_site_is_refused(client, otp_outbox):
    assert client.post("/phone/", {"phone": PHONE}).status_code == 403
    assert otp_outbox.messages == []


def test_the_same_code_comes_again(client, otp_outbox):
    post(client, "/phone/", phone=PHONE)
    otp_outbox.clock.advance(31)
    assert post(client, "/phone/code/", again="1").status_code == 200
    first, second = otp_outbox.messages
    assert first.code == second.code


@pytest.mark.parametrize("phone", ["+35987", "nonsense", ""])
def test_what_is_no_phone_sends_nothing(client, otp_outbox, phone):
    assert post(client, "/phone/", phone=phone).status_code == 200
    assert otp_outbox.messages == []


def test_a_refusal_is_told_in_a_sentence(client):
    with sending_to_outbox(limits={"phone": ["1/10m"]}) as outbox:
        post(client, "/phone/", phone=PHONE)
        outbox.clock.advance(31)
        (told,) = errors(post(client, "/phone/", phone=PHONE))
        assert told == "This number has got enough codes for now. Try again in 10 minutes."
        again = post(client, "/phone/code/", again="1").content.decode()
        assert told in again
        outbox.fail("rejected_number")
        assert errors(post(client, "/phone/", phone="+359881234567")) == ["This number cannot be reached."]


def test_while_sending_is_paused_the_time_stands_in_the_place_of_later(client, otp_outbox):
    otp.operator.sending.pause(for_=3600, by="the test")
    (told,) = errors(post(client, "/phone/", phone=PHONE))
    assert told == "No code could be sent. Try again in 60 minutes."
    otp.operator.sending.resume(by="the test")
    otp_outbox.fail("unavailable", times=9)
    (told,) = errors(post(client, "/phone/", phone=PHONE))
    assert told.startswith("No code could be sent. ")
    assert told.count("ry again") == 1


def test_a_code_that_was_guessed_at_too_often_says_so(client, otp_outbox):
    post(client, "/phone/", phone=PHONE)
    for _ in range(5):
        answer = post(client, "/phone/code/", code=wrong_code(otp_outbox.code))
    assert errors(answer) == ["This code can no longer be used. Ask for a new one."]
    assert "no longer" in errors(post(client, "/phone/code/", code=otp_outbox.code))[0]


def test_the_message_is_in_the_active_language(client, otp_outbox):
    with override_settings(LANGUAGES=[("en", "English"), ("bg", "Bulgarian"), ("pt-br", "Portuguese")]):
        for language, tag in (("bg", "bg"), ("pt-br", "pt-BR")):
            client.cookies["django_language"] = language
            post(client, "/phone/", phone=PHONE)
            otp_outbox.clock.advance(700)
            assert otp_outbox.messages[-1].locale == tag


def test_a_provider_that_cannot_be_told_the_language_sends_in_its_own(client, otp_outbox, monkeypatch):
    asked = []
    send = type(running.service()).send

    def knows_no_languages(self, phone, **said):
        asked.append(said.get("locale"))
        if said.get("locale"):
            raise NoRouteError("no instance knows it", reason="cannot_carry")
        return send(self, phone, **said)

    monkeypatch.setattr(type(running.service()), "send", knows_no_languages)
    assert post(client, "/phone/", phone=PHONE).status_code == 302
    assert asked == ["en", None]
    assert len(otp_outbox.messages) == 1


class Login(OTPVerifyMixin, FormView):
    """A view of a project."""

    form_class, template_name, purpose, send_url = CodeForm, "otp/verify.html", "login", "/phone/"

    def phone_verified(self, phone):
        return HttpResponse(f"signed in: {phone}")


def test_a_view_of_the_project_has_a_purpose_of_its_own(client, otp_outbox):
    post(client, "/phone/", phone=PHONE)
    request = RequestFactory().post("/in/", {"code": otp_outbox.code})
    request.session = client.session
    assert Login.as_view()(request)["Location"] == "/phone/", "a code of another purpose is none"
    view = Login()
    view.setup(request)
    otp_outbox.clock.advance(31)
    view.send_code(PHONE)
    assert otp_outbox.messages[-1].purpose == "login"
    request.POST = {"code": otp_outbox.code}
    assert Login.as_view()(request).content.decode() == f"signed in: {PHONE}"


def test_where_a_verified_phone_leads_is_a_setting(client, otp_outbox):
    with override_settings(OTPCORE=otpcore_settings(verified_url="/welcome/")):
        post(client, "/phone/", phone=PHONE)
        assert post(client, "/phone/code/", code=otp_outbox.code)["Location"] == "/welcome/"


def test_receipts_of_strangers_are_refused(client, otp_outbox):
    assert client.post("/phone/receipts/nobody", {"x": "1"}).status_code == 404, "and it needs no token"
    assert client.put("/phone/receipts/nobody").status_code == 405
