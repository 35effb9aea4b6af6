"""Apps and keys: a key is shown once and taken at once, each change has a reason, and nothing but that page ever has its token."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from console_client import Browser, Console, text_of

WHY = "for the new shop"
TOKEN = re.compile(r"otp_(?:test|live)_[a-z0-9]{12}_[A-Za-z0-9_-]{43}")
HOOK = {"url": "https://shop.example/hooks/s3cret", "secrets": ["whsec_" + "c2VjcmV0" * 4]}


@pytest.fixture
def keys(tmp_path: Path, serve_console: Any) -> Iterator[Console]:
    url = f"sqlite:///{tmp_path}/otp.sqlite3"
    apps = {"shop": {"purposes": ["sign-in"], "channels": ["sms"], "webhook": HOOK}, "bank": {}}
    with serve_console(url, storage={"url": url, "outbox": True}, server={"apps": apps}) as console:
        yield console


def _made(browser: Browser, **form: Any) -> httpx.Response:
    once = re.search(r'name="once" value="([^"]+)"', browser.get("/keys/new").text)
    assert once
    asked = {"app": "shop", "kind": "test", "scope": ["verify", "read"], "reason": WHY, "once": once[1], **form}
    return browser.post("/keys/new", **asked)


def test_apps_are_shown_with_what_they_may_and_no_secret(keys: Console) -> None:
    answer = keys.browser("vera").get("/keys")
    page = text_of(answer)
    assert "No key can be used, so no app can ask for a code." in page
    assert "May ask for sign-in, over sms." in page
    assert "Is told what changes at https://shop.example" in page
    assert "s3cret" not in answer.text
    assert HOOK["secrets"][0] not in answer.text
    assert "Make a key" not in page


def test_a_key_is_made_shown_once_and_taken_at_once(
    keys: Console, phone: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    browser = keys.browser("ada")
    answer = _made(browser, note="web", days="30", networks="127.0.0.0/8, 10.0.0.0/8")
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    (token,) = set(TOKEN.findall(answer.text))
    started = httpx.post(
        f"{keys.server.url}/v1/verifications",
        json={"to": phone, "purpose": "sign-in"},
        headers={"Authorization": f"Bearer {token}"},
        timeout=60,
    )
    assert started.status_code == 202
    key_id, secret = token.split("_", 3)[2:]
    for path in ("/keys", f"/keys/{key_id}", "/audit"):
        assert secret not in browser.get(path).text
    assert secret not in caplog.text
    page = text_of(browser.get("/keys"))
    assert "1 key of 1 app can be used." in page
    assert "web" in page
    assert "127.0.0.0/8, 10.0.0.0/8" in page
    latest = keys.server.do(keys.server.server.service.operator.audit())[0]
    assert (latest.by, latest.action, latest.target, latest.reason) == ("ada", "keys.api.new", key_id, WHY)


def test_the_same_form_sent_twice_makes_one_key(keys: Console) -> None:
    browser = keys.browser("ada")
    once = "A" * 22
    assert _made(browser, once=once).status_code == 201
    again = _made(browser, once=once)
    assert (again.status_code, "This key was made before." in text_of(again)) == (409, True)
    assert not TOKEN.search(again.text)
    assert len(keys.server.do(keys.server.server.keys.list())) == 1


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"reason": ""}, "Say why."),
        ({"app": "mall"}, "There is no such app in the settings."),
        ({"kind": "both"}, "Say whether it is a test key or a live one."),
        ({"scope": []}, "Say what it may do."),
        ({"days": "soon"}, "Write 1 to 3,660 days"),
        ({"networks": "home"}, "Write addresses or ranges of them"),
        ({"note": "x" * 101}, "Use at most 100 letters"),
    ],
)
def test_what_is_wrong_is_told_at_its_field_and_what_was_typed_is_kept(
    keys: Console, form: dict[str, Any], told: str
) -> None:
    answer = _made(keys.browser("ada"), **{"note": "web", **form})
    assert answer.status_code == 422
    assert text_of(answer).count(told) == 2  # above the form, and at its field
    assert f'value="{form.get("note", "web")}"' in answer.text
    assert keys.server.do(keys.server.server.keys.list()) == ()


def test_two_of_a_kind_are_in_use_and_a_revoked_one_makes_room(keys: Console) -> None:
    browser = keys.browser("ada")
    made = [_made(browser), _made(browser)]
    full = _made(browser)
    assert (full.status_code, "Two of this kind are in use." in text_of(full)) == (422, True)
    key_id = TOKEN.findall(made[0].text)[0].split("_")[2]
    operator = keys.browser("otto")
    operator.get(f"/keys/{key_id}")
    assert operator.post(f"/keys/{key_id}/revoke").status_code == 422
    page = text_of(operator.does(f"/keys/{key_id}/revoke", reason="it leaked"))
    assert f"The key {key_id} is taken no more, from now on." in page
    assert "1 key that can be used no more" in page
    assert "This key was revoked." in text_of(operator.get(f"/keys/{key_id}"))
    assert _made(browser).status_code == 201
    audit = keys.server.do(keys.server.server.service.operator.audit(action="keys.api.revoke"))
    assert [(one.by, one.target, one.reason) for one in audit] == [("otto", key_id, "it leaked")]


def test_who_may_not_make_a_key_makes_none(keys: Console) -> None:
    for name in ("vera", "otto"):
        browser = keys.browser(name)
        browser.get("/providers/instances/outbox")
        assert browser.get("/keys/new").status_code == 403
        assert browser.post("/keys/new", app="shop", kind="test", scope="verify", reason=WHY).status_code == 403
    viewer = keys.browser("vera")
    viewer.get("/keys")
    assert viewer.post("/keys/aaaaaaaaaaaa/revoke", reason=WHY).status_code == 403
    assert keys.browser("ada").get("/keys/aaaaaaaaaaaa").status_code == 404
    assert keys.server.do(keys.server.server.keys.list()) == ()


def test_keys_of_an_app_that_the_settings_do_not_name_are_told(keys: Console) -> None:
    keys.server.token(app="mall")
    assert "The settings do not name it, so its keys are not taken." in text_of(keys.browser("vera").get("/keys"))
