"""Limits: of a phone, a client and a prefix, looked at and given back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from console_client import Browser, text_of
from console_scenes import Scene, gateways, rows

from otpcore.testing import wrong_code

CLIENT = "203.0.113.9"
REASON = "ticket 4711"
LIMITS = {
    "phone": ["2/1d", "5/10m"],
    "client": ["20/1h"],
    "prefix": {"+35987": ["100/1d"]},
    "countries": {"JM": ["0/1d"]},
    "lock_after": 2,
}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, serve_console: Any) -> Iterator[Scene]:
    mada, twilio = gateways()
    url = f"sqlite:///{tmp_path_factory.mktemp('limits')}/otp.sqlite3"
    with serve_console(url, {"mada": mada, "twilio_eu": twilio}, limits=LIMITS) as console:
        yield Scene(console, mada, twilio)


def found(browser: Browser, **asked: str) -> str:
    """The path to which the look-up leads."""
    browser.get("/limits")
    answer = browser.post("/limits", **asked)
    assert answer.status_code == 303, text_of(answer)
    return str(answer.headers["location"]).removeprefix("/console")


def test_what_the_settings_allow_is_told(scene: Scene) -> None:
    told = text_of(scene.console.browser("vera").get("/limits"))
    for line in (
        "Each phone 2 in 1 day, 5 in 10 minutes",
        "Each client 20 in 1 hour",
        "Prefix +35987 100 in 1 day",
        "Each country no limit",
        "Region JM 0 in 1 day",
    ):
        assert line in told


def test_a_phone_is_looked_up_by_a_reference(scene: Scene, phone: str) -> None:
    for number in range(3):
        scene.send(phone, purpose=f"purpose {number}")
    browser = scene.console.browser("vera")
    path = found(browser, phone=phone)
    answer = browser.get(path)
    assert f"<title>{phone[:5]}******{phone[-2:]} has no sends left until " in answer.text
    assert phone[4:] not in path + answer.text
    states = [" ".join(row.split()[:3]) for row in rows(answer)]
    assert "Sends Used up" in states
    assert "Sends Room left" in states
    assert "An operator may give them back." in text_of(answer)


def test_a_lock_is_told_and_given_back(scene: Scene, phone: str) -> None:
    scene.send(phone)
    for _ in range(2):
        scene.verify(phone, wrong_code(scene.mada.codes[-1]))
    browser = scene.console.browser("otto")
    path = found(browser, phone=phone)
    answer = browser.get(path)
    assert "is locked after wrong codes." in text_of(answer)
    assert any("Locked 2" in row for row in rows(answer, 1))
    wordless = browser.post(f"{path}/reset", reason="")
    assert (wordless.status_code, "Say why." in text_of(wordless)) == (422, True)
    done = browser.does(f"{path}/reset", reason=REASON)
    assert "Given back:" in text_of(done)
    assert "has room under every limit." in text_of(done)  # its prefix has its own
    assert "Wrong codes in a row" not in text_of(done)
    assert scene.audited()[0] == ("otto", "limits.reset", f"{phone[:5]}******{phone[-2:]}", REASON)


def test_a_client_is_shown_by_the_beginning_of_its_key(scene: Scene, phone: str) -> None:
    scene.send(phone, client=CLIENT)
    browser = scene.console.browser("otto")
    path = found(browser, client=CLIENT)
    answer = browser.get(path)
    assert CLIENT not in path + answer.text
    assert "Client " in text_of(answer)
    assert "has room under every limit." in text_of(answer)
    assert any(row.startswith("Sends Room left 1 h 1 20") for row in rows(answer))
    assert "has used up nothing." in text_of(browser.does(f"{path}/reset", reason=REASON))


def test_a_prefix_is_in_the_address(scene: Scene, phone: str) -> None:
    scene.send(phone)
    browser = scene.console.browser("otto")
    path = found(browser, prefix="+35987")
    assert path == "/limits/prefix/+35987"
    assert any(row.startswith("Sends to its prefix Room left 1 day") for row in rows(browser.get(path)))
    assert found(browser, prefix="jm") == "/limits/prefix/JM"
    assert found(browser, prefix="\u202a+359\u00a087\u202c") == path
    assert found(browser, prefix="\u200bjm") == "/limits/prefix/JM"
    assert "JM has used up nothing." in text_of(browser.get("/limits/prefix/JM"))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "Fill one of the three."),
        ({"phone": "+359871234567 +359871234568"}, "This is not one whole number."),
        ({"client": "unknown"}, "This names nobody."),
        ({"prefix": "+359881234567"}, "This is no prefix and no region."),
        ({"prefix": "Bulgaria"}, "This is no prefix and no region."),
    ],
)
def test_what_cannot_be_looked_up_is_said_at_its_field(scene: Scene, asked: dict[str, str], said: str) -> None:
    browser = scene.console.browser("vera")
    browser.get("/limits")
    answer = browser.post("/limits", **asked)
    assert answer.status_code == 422
    assert f"<title>{said}" in answer.text
    assert all(f'value="{value}"' in answer.text for value in asked.values())


@pytest.mark.parametrize("path", ["phone/x", "client/x", "nothing/x", "prefix/+359881234567"])
def test_an_address_that_names_nobody_leads_to_the_look_up(scene: Scene, path: str) -> None:
    browser = scene.console.browser("otto")
    answer = browser.get(f"/limits/{path}")
    assert answer.status_code == 422
    assert "+359881234567" not in answer.text
    assert browser.post(f"/limits/{path}/reset", reason=REASON).status_code == 422


def test_a_viewer_gives_nothing_back(scene: Scene, phone: str) -> None:
    scene.send(phone)
    browser = scene.console.browser("vera")
    path = found(browser, phone=phone)
    browser.get(path)
    assert browser.post(f"{path}/reset", reason=REASON).status_code == 403
    assert rows(browser.get(path))
