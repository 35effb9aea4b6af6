"""The admin's pages, over a store with a person's history."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from otp_django import otp
from otp_django.testing import sending_to_outbox

from otpcore import DeliveryError
from otpcore.testing import wrong_code

PHONE, OTHER = "+359871234567", "+359881234567"
PAGES = ["challenge", "delivery", "waitingsend", "sending", "change"]

pytestmark = pytest.mark.usefixtures("tables")


@pytest.fixture
def outbox():
    with sending_to_outbox(sms={"retry": True}, retry={"runner": "background"}) as made:
        yield made


def signed_in(*permissions: str, is_superuser: bool = False) -> Client:
    name = "-".join(permissions) or f"super-{is_superuser}"
    user, _ = User.objects.get_or_create(username=name[:150], defaults={"is_staff": True, "is_superuser": is_superuser})
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def root() -> Client:
    return signed_in(is_superuser=True)


def text(answer) -> str:
    assert answer.status_code == 200, answer.context["problem"]
    return re.sub(r"\s+", " ", answer.content.decode())


def told(answer) -> list[str]:
    return [str(one) for one in answer.context["messages"]]


def test_the_index_leads_to_every_page_and_each_looks_like_the_admin(root, outbox):
    index = text(root.get("/admin/"))
    for name in PAGES:
        assert f"/admin/otp/{name}/" in index
        page = text(root.get(f"/admin/otp/{name}/"))
        assert 'id="nav-sidebar"' in page
        assert "admin/css/changelists.css" in page
        assert "breadcrumbs" in page
    assert "/add/" not in text(root.get("/admin/otp/")).replace("/auth/", "")


@pytest.mark.parametrize("name", PAGES)
def test_who_has_no_permission_sees_nothing(name, outbox):
    assert signed_in().get(f"/admin/otp/{name}/").status_code == 403
    assert Client().get(f"/admin/otp/{name}/").status_code == 302
    assert signed_in(f"view_{name}").get(f"/admin/otp/{name}/").status_code == 200
    assert f"/admin/otp/{name}/" not in text(signed_in("view_user").get("/admin/"))


def test_a_person_is_looked_up_by_post_and_shown_masked(root, outbox):
    mine, _ = otp.send_sms(PHONE), otp.send_sms(OTHER)
    otp.verify(challenge_id=mine.id, code=wrong_code(outbox.messages[0].code))
    every = text(root.get("/admin/otp/challenge/"))
    assert every.count("/admin/otp/challenge/show/") == 2
    person = text(root.post("/admin/otp/challenge/person/", {"phone": "+359 87 123 4567"}))
    assert person.count("/admin/otp/challenge/show/") == 1
    one = text(root.get(f"/admin/otp/challenge/show/{mine.id}/"))
    for page in (every, person, one):
        assert PHONE not in page
        assert "+3598******67" in page
        assert outbox.messages[0].code not in page
    assert "begun" in one
    assert "delivery" in one
    assert "outbox" in one
    assert root.post("/admin/otp/challenge/person/", {"phone": "nonsense"}).status_code == 422
    assert "no such verification" in text(
        root.get("/admin/otp/challenge/show/6b0e268952f739e6e3e307283d1ded774cff3366/")
    )


def test_lists_are_filtered_by_the_address(root, outbox):
    otp.verify(challenge_id=otp.send_sms(PHONE).id, code=outbox.code)
    outbox.fail("rejected_number")
    with pytest.raises(DeliveryError):
        otp.send_sms(OTHER)

    def rows(address: str) -> int:
        return text(root.get(address)).count("/admin/otp/challenge/show/")

    assert rows("/admin/otp/challenge/?state=approved") == 1
    assert rows("/admin/otp/challenge/?state=sent") == 0
    assert rows("/admin/otp/challenge/?instance=outbox") == 2
    assert rows("/admin/otp/delivery/?outcome=rejected_number") == 1
    assert rows("/admin/otp/delivery/?outcome=accepted&instance=nobody") == 0
    assert root.get("/admin/otp/challenge/?state=nonsense").status_code == 422


def test_a_long_list_goes_on_and_keeps_its_filter(root, outbox):
    for number in range(52):
        otp.send_sms(f"+35987123{number:04}")
    first = text(root.get("/admin/otp/delivery/?outcome=accepted"))
    (more,) = re.findall(r'href="(\?outcome=accepted&amp;after=[^"]+)"', first)
    assert first.count("/challenge/show/") == 50
    assert text(root.get(f"/admin/otp/delivery/{more.replace('&amp;', '&')}")).count("/challenge/show/") == 2


def test_a_verification_is_ended_with_a_reason_and_the_name_of_who_did_it(root, outbox):
    challenge = otp.send_sms(PHONE)
    page = text(root.get(f"/admin/otp/challenge/show/{challenge.id}/"))
    assert "End this verification" in page
    without = root.post("/admin/otp/challenge/do/cancel/", {"id": challenge.id}, follow=True)
    assert told(without) == ["Say why; it is kept with the change."]
    assert otp.operator.challenges.show(challenge.id)[0].living
    done = root.post("/admin/otp/challenge/do/cancel/", {"id": challenge.id, "reason": "stolen"}, follow=True)
    assert told(done) == ["The verification was ended."]
    assert not otp.operator.challenges.show(challenge.id)[0].living
    (change,) = otp.operator.audit()
    assert (change.by, change.action, change.reason) == ("super-True", "challenges.cancel", "stolen")
    trail = text(root.get("/admin/otp/change/"))
    assert "challenges.cancel" in trail
    assert "stolen" in trail


@pytest.mark.parametrize(
    ("name", "word", "needed"),
    [
        ("challenge", "cancel", "cancel_challenge"),
        ("waitingsend", "requeue", "requeue_waitingsend"),
        ("waitingsend", "drop", "drop_waitingsend"),
        ("sending", "pause", "pause_sending"),
        ("sending", "resume", "pause_sending"),
        ("sending", "drain", "drain_sending"),
        ("sending", "take_back", "drain_sending"),
    ],
)
def test_each_change_needs_its_permission_and_a_post(name, word, needed, outbox):
    address = f"/admin/otp/{name}/do/{word}/"
    values = {"id": "outbox", "reason": "why"}
    assert signed_in(f"view_{name}").post(address, values).status_code == 403
    assert signed_in(needed).post(address, values).status_code == 403, "who may not see it may not change it"
    allowed = signed_in(f"view_{name}", needed)
    assert allowed.get(address).status_code == 405
    assert allowed.post(address, values).status_code == 302
    assert allowed.post(f"/admin/otp/{name}/do/nonsense/", values).status_code == 403


def test_a_change_needs_the_token_of_its_page(outbox):
    user = User.objects.get_or_create(username="strict", is_staff=True, is_superuser=True)[0]
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    assert client.post("/admin/otp/sending/do/pause/", {"reason": "why"}).status_code == 403
    assert otp.operator.sending.show().paused is None


def test_what_waits_is_tried_now_or_ended(root, outbox):
    for phone in (PHONE, OTHER, "+359891234567"):
        outbox.fail("unavailable")
        otp.send_sms(phone)
    page = text(root.get("/admin/otp/waitingsend/"))
    assert "All 3 of this list" in page
    first, *_ = re.findall(r'name="id" value="([^"]+)"', page)

    def do(word: str, **values: str) -> str:
        return told(root.post(f"/admin/otp/waitingsend/do/{word}/", {"reason": "why", **values}, follow=True))[-1]

    assert do("drop", id=first) == "Ended: 1 of 1."
    assert "count again" in do("drop", id="", count="1"), "more wait than the page has shown"
    assert do("drop", id="", count="2", instance="another") == "Ended: 0 of 0."
    assert do("drop", id="", count="2", instance="outbox") == "Ended: 2 of 2."
    assert "Nothing waits" in text(root.get("/admin/otp/waitingsend/"))
    outbox.fail("unavailable")
    waiting = otp.send_sms("+359897654321")
    reader = text(signed_in("view_waitingsend").get("/admin/otp/waitingsend/"))
    assert waiting.id in reader
    assert "Try now" not in reader
    assert do("requeue", id=waiting.id) == "Made due now: 1 of 1."


def test_sending_is_paused_and_an_instance_taken_out_of_use(root, outbox):
    assert "Pause all sending" in text(root.get("/admin/otp/sending/"))
    paused = root.post("/admin/otp/sending/do/pause/", {"hours": "2", "reason": "fraud"}, follow=True)
    assert told(paused) == ["Sending is paused."]
    page = text(root.get("/admin/otp/sending/"))
    assert "Go on with sending" in page
    assert "Until" in page
    root.post("/admin/otp/sending/do/resume/", {"reason": "over"})
    assert otp.operator.sending.show().paused is None
    drained = root.post("/admin/otp/sending/do/drain/", {"id": "outbox", "reason": "slow"}, follow=True)
    assert told(drained)[-1:] == ["outbox gets no new sends."]
    assert otp.operator.instances.status()[0].drained
    root.post("/admin/otp/sending/do/take_back/", {"id": "outbox", "reason": "fast"})
    assert not otp.operator.instances.status()[0].drained
    assert [one.by for one in otp.operator.audit()] == ["super-True"] * 4


def test_a_store_that_is_away_is_told_on_the_page(root, outbox, monkeypatch):
    from otpcore import StoreError  # noqa: PLC0415 - of this test alone

    def away(_):
        raise StoreError("the database is away")

    monkeypatch.setattr(type(__import__("otp_django.running").running.service()), "operator", property(away))
    answer = root.get("/admin/otp/challenge/")
    assert answer.status_code == 503
    assert "the database is away" in answer.content.decode()
