"""The verification page as a browser without JavaScript meets it, at the real server."""

from __future__ import annotations

import contextlib
import gzip
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import httpx
import pytest
from otp_server.keys import Kind
from otp_server.pages.records import Pages
from page_client import Look, Person, decoy_of, page_of

from otpcore.testing import wrong_code

RETURN = "https://shop.example/done"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, run_server: Any) -> Iterator[Any]:
    url = f"sqlite:///{tmp_path_factory.mktemp('pages')}/otp.sqlite3"
    sections = {"otp": {"app": "Linden Bank"}, "server": {"page": {"return_urls": [RETURN]}}}
    with run_server(url, **sections) as server:
        yield server


@pytest.fixture
def visit() -> Iterator[Callable[..., Person]]:
    """Somebody who opens a page."""
    with contextlib.ExitStack() as stack:

        def opened(page_url: str, **headers: str) -> Person:
            person = Person(page_url, **headers)
            stack.enter_context(person.client)
            return person

        yield opened


@pytest.fixture(scope="module")
def api(pages: Any) -> Iterator[httpx.Client]:
    with pages.client() as made:
        yield made


def test_a_code_typed_on_the_page_is_right_and_the_person_goes_back(
    visit: Any, pages: Any, api: httpx.Client, phone: str
) -> None:
    asked = {"return_url": RETURN, "state": "a&b"}
    begun = api.post("/v1/verifications", json={"to": phone, "page": asked}).json()
    person = visit(begun["page_url"])
    seen = person.look()
    assert (seen.status, seen.heading, seen.title) == (200, "Enter your code", "Enter your code · Linden Bank")
    assert f'<bdi dir="ltr">{phone[:5]}******{phone[-2:]}</bdi>' in seen.text
    assert phone not in seen.text
    assert pages.code() not in seen.text
    answer = person.post(code=f"{pages.code()[:3]} {pages.code()[3:]}")
    assert answer.status_code == 303
    address = urlsplit(answer.headers["location"])
    assert f"{address.scheme}://{address.netloc}{address.path}" == RETURN
    assert parse_qs(address.query) == {"verification": [begun["id"]], "state": ["a&b"]}
    assert api.get(f"/v1/verifications/{begun['id']}").json()["status"] == "approved"
    assert person.look().heading == "Your number is confirmed"


def test_a_wrong_code_is_told_and_never_shown_again(visit: Any, pages: Any, api: httpx.Client, phone: str) -> None:
    person = visit(page_of(api, phone))
    person.look()
    wrong = wrong_code(pages.code())
    seen = person.types(wrong)
    assert (seen.alert, seen.title) == ("That code did not work", "Error: Enter your code · Linden Bank")
    assert seen.says("4 tries are left.")
    assert 'aria-invalid="true"' in seen.text
    assert wrong not in seen.text
    assert person.types("12").alert == "The code is not complete"
    assert person.types("").says("Enter the 6 digits from the message.")
    assert person.types(wrong).says("3 tries are left.")  # what was no whole code was not counted
    for _ in range(3):
        seen = person.types(wrong)
    assert seen.heading == "No tries are left"
    assert person.types(pages.code()).heading == "No tries are left"


@pytest.mark.parametrize("typed", ["Code: {}", "G-{}", "{}\u00b2", "{}x"])
def test_what_cannot_be_a_code_uses_no_try(visit: Any, pages: Any, api: httpx.Client, phone: str, typed: str) -> None:
    person = visit(page_of(api, phone))
    person.look()
    code = pages.code()
    for _ in range(6):
        assert person.types(typed.format(code)).says("The code is not complete")
    assert person.types(f" {code[:3]}-{code[3:]}.").heading == "Your number is confirmed"


def test_the_same_form_twice_is_right_twice(visit: Any, pages: Any, api: httpx.Client, phone: str) -> None:
    person = visit(page_of(api, phone))
    person.look()
    code = pages.code()
    assert [person.types(code).heading for _ in range(2)] == ["Your number is confirmed"] * 2


def test_a_code_that_was_used_elsewhere_ends_the_page(visit: Any, pages: Any, api: httpx.Client, phone: str) -> None:
    begun = api.post("/v1/verifications", json={"to": phone, "page": {}}).json()
    person = visit(begun["page_url"])
    person.look()
    assert person.client.get(f"{person.url}/state").json() == {"over": False}
    api.post(f"/v1/verifications/{begun['id']}/check", json={"code": pages.code()})
    assert person.client.get(f"{person.url}/state").json() == {"over": True}
    assert person.look().heading == "The code was already used"
    assert person.types("123456").heading == "The code was already used"


def test_looking_reloading_and_going_back_send_nothing(visit: Any, pages: Any, api: httpx.Client, phone: str) -> None:
    person = visit(page_of(api, phone))
    before = len(pages.server.sandbox.sandbox_inbox())
    for _ in range(3):
        person.look()
        assert person.client.get(f"{person.url}/send").status_code == 303
        assert person.client.head(person.url).status_code == 503
    assert len(pages.server.sandbox.sandbox_inbox()) == before


def test_too_early_nothing_is_sent_and_another_channel_is_there_at_once(
    visit: Any, pages: Any, api: httpx.Client, phone: str
) -> None:
    person = visit(page_of(api, phone, channels=["sms", "call"]))
    seen = person.look()
    assert re.search(r"You can have it sent again in <time datetime=\"PT\d+S\">0:\d\d</time>", seen.text)
    before = len(pages.server.sandbox.sandbox_inbox())
    assert person.asks().alert == "It is too soon to send it again"
    assert len(pages.server.sandbox.sandbox_inbox()) == before
    seen = person.asks("call")
    assert seen.says("We have passed on your request.")
    assert seen.says("You get it in a phone call to")
    _until(lambda: len(pages.server.sandbox.sandbox_inbox()) == before + 1)
    latest = pages.server.sandbox.sandbox_inbox()[-1]
    assert (str(latest.channel), latest.phone.e164) == ("call", phone)
    assert person.types(latest.code).heading == "Your number is confirmed"
    assert person.post("/send", channel="whatsapp").status_code == 303  # none of this page's: nothing happens


def test_a_page_is_the_first_browsers(visit: Any, api: httpx.Client, phone: str) -> None:
    url = page_of(api, phone)
    prefetched = httpx.get(url, headers={"Sec-Purpose": "prefetch"})
    assert (prefetched.status_code, "set-cookie" in prefetched.headers) == (503, False)
    first, second = visit(url), visit(url)
    assert first.look().heading == "Enter your code"
    assert (second.look().status, second.look().heading) == (403, "This page was opened in another browser")
    second.token = first.token
    assert second.post(code="123456").status_code == 403
    assert first.look().heading == "Enter your code"


@pytest.mark.parametrize("token", ["A" * 22, "short", "%00", "A" * 23, "..%2F..%2Fetc"])
def test_there_is_no_such_page(pages: Any, token: str) -> None:
    seen = Look(httpx.get(f"{pages.url}/v/{token}"))
    assert seen.status == 404
    if "/" not in token and "%2F" not in token:
        assert seen.heading == "There is no such page"


def test_only_our_own_form_in_this_browser_is_taken(visit: Any, api: httpx.Client, phone: str) -> None:
    person = visit(page_of(api, phone))
    person.look()
    foreign = {"Origin": "https://evil.example"}
    refused = [
        person.client.post(person.url, data={"code": "123456"}),
        person.client.post(person.url, data={"code": "123456", "form_token": "0" * 64}),
        person.client.post(person.url, data={"code": "123456", "form_token": person.token}, headers=foreign),
        person.client.post(
            person.url, data={"code": "1", "form_token": person.token}, headers={"Sec-Fetch-Site": "cross-site"}
        ),
        httpx.post(person.url, data={"code": "123456", "form_token": person.token}),
    ]
    assert {one.status_code for one in refused} == {403}
    assert all(Look(one).heading == "Your answer could not be accepted" for one in refused)
    assert person.client.post(person.url, json={"code": "123456"}).status_code == 415
    assert person.client.post(
        person.url, content=b"\xff", headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert person.look().alert == ""  # nothing of it was counted


def test_nothing_foreign_gets_in(visit: Any, api: httpx.Client, phone: str) -> None:
    person = visit(page_of(api, phone, page={"return_url": RETURN}))
    seen = person.look()
    headers = seen.answer.headers
    policy = dict(one.split(" ", 1) for one in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["form-action"] == "'self' https://shop.example"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", seen.text)
    assert not re.search(r"(?:src|href|action)=\"(?!/|#|data:,|https://shop\.example)", seen.text)
    cookie = headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie


def test_a_page_leads_only_where_the_settings_say(api: httpx.Client, phone: str) -> None:
    for address in ("https://shop.example/done/", "https://evil.example", RETURN + "?next=1", "https://shop.example"):
        answer = api.post("/v1/verifications", json={"to": phone, "page": {"return_url": address}})
        assert (answer.status_code, answer.json()["errors"]) == (
            422,
            [{"pointer": "/page/return_url", "reason": "not_registered"}],
        )


def test_an_expired_code_is_told(visit: Any, tmp_path: Any, run_server: Any, phone: str) -> None:
    otp = {"life": 30, "cooldown": 0}
    with run_server(f"sqlite:///{tmp_path}/otp.sqlite3", otp=otp) as server, server.client() as client:
        person = visit(page_of(client, phone))
        assert person.look().says("The code works for less than a minute.")
        token = person.url.rpartition("/")[2]
        _grow_old(server, token)
        assert person.look().heading == "The code has expired"
        assert person.types(server.code()).heading == "The code has expired"
        before = len(server.server.sandbox.sandbox_inbox())
        assert person.asks().heading == "The code has expired"
        assert len(server.server.sandbox.sandbox_inbox()) == before


def test_a_locked_number_is_answered_like_a_wrong_code(visit: Any, tmp_path: Any, run_server: Any, phone: str) -> None:
    limits = {"phone": [], "client": [], "lock_after": 1}
    with run_server(f"sqlite:///{tmp_path}/otp.sqlite3", limits=limits) as server, server.client() as client:
        begun = client.post("/v1/verifications", json={"to": phone, "page": {}}).json()
        person = visit(begun["page_url"])
        person.look()
        assert person.types(wrong_code(server.code())).says("4 tries are left.")
        seen = person.types(server.code())
        assert (seen.alert, seen.says("3 tries are left.")) == ("That code did not work", True)
        told = client.get(f"/v1/verifications/{begun['id']}").json()
        assert (told["status"], told["attempts_left"]) == ("pending", 4)  # the second was never compared


def test_a_test_key_says_that_it_is_a_test_and_a_live_one_sends(
    visit: Any, pages: Any, api: httpx.Client, phone: str
) -> None:
    assert visit(page_of(api, phone)).look().says("This is a test: nobody is sent anything.")
    with pages.client(Kind.LIVE) as live:
        person = visit(page_of(live, phone))
        seen = person.look()
        assert not seen.says("This is a test")
        assert person.types(pages.outbox.code).heading == "Your number is confirmed"


def test_a_decoy_looks_like_any_other_and_no_code_is_right(
    visit: Any, pages: Any, api: httpx.Client, phone: str
) -> None:
    with pages.client(Kind.LIVE) as live:
        person = visit(decoy_of(live, phone, page={"return_url": RETURN}))
        seen = person.look()
        assert (seen.heading, seen.status) == ("Enter your code", 200)
        found = pages.server.sandbox.sandbox_inbox(phone)
        assert person.types(found[-1].code).alert == "That code did not work"  # even the one that its sandbox made
        assert phone not in {one.phone.e164 for one in pages.outbox.messages}
        refused = live.post("/v1/decoys", json={"to": "+1", "page": {}})
        assert refused.status_code == 422


@pytest.mark.parametrize(
    ("locale", "language", "direction", "title"),
    [
        ("ar", "ar", "rtl", "أدخل الرمز"),
        ("pt-BR", "pt", "ltr", "Introduza o seu código"),
        ("xx", "en", "ltr", "Enter your code"),
    ],
)
def test_it_speaks_the_persons_language(
    visit: Any, api: httpx.Client, phone: str, locale: str, language: str, direction: str, title: str
) -> None:
    seen = visit(page_of(api, phone, locale=locale)).look()
    assert f'<html lang="{language}" dir="{direction}">' in seen.text
    assert seen.heading == title


def test_without_a_locale_the_browser_is_asked(visit: Any, api: httpx.Client, phone: str) -> None:
    person = visit(page_of(api, phone), **{"Accept-Language": "xx, de-AT;q=0.9, fr;q=0.8"})
    assert person.look().heading == "Code eingeben"


def test_a_page_is_light(visit: Any, pages: Any, api: httpx.Client, phone: str) -> None:
    person = visit(page_of(api, phone, channels=["sms", "call"], locale="hi"))
    person.look()
    seen = person.types(wrong_code(pages.code()))
    css, js = (
        httpx.get(pages.url + re.search(rf'"(/static/[^"]+\.{kind})"', seen.text)[1]).content for kind in ("css", "js")
    )
    assert len(gzip.compress(seen.text.encode())) + len(gzip.compress(css)) <= 14 * 1024
    assert len(gzip.compress(js)) <= 3 * 1024


def _grow_old(server: Any, token: str) -> None:
    """As if the page's time were over."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    server.do(Pages(server=server.server).change(token, lambda old: attrs.evolve(old, expires_at=past)))


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)
