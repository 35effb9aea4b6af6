"""Providers: each state is told and marked, draining and taking back are in the audit, and a test goes through one instance alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
from console_client import Console, text_of
from otp_server.keys import Kind

from otpcore.testing import Outbox

WHY = "mada answers 401"


@attrs.define
class Scene:
    """A console over two instances, the first of which is asked first."""

    console: Console
    mada: Outbox
    backup: Outbox
    start: Callable[[str], Any]

    def changes(self) -> list[tuple[str, str, str, str]]:
        found = self.console.server.do(self.console.server.server.service.operator.audit())
        return [(one.by, one.action, one.target, one.reason) for one in found if not one.action.startswith("console")]


@pytest.fixture
def scene(tmp_path: Path, serve_console: Any) -> Iterator[Scene]:
    mada, backup = Outbox(), Outbox()
    with serve_console(f"sqlite:///{tmp_path}/otp.sqlite3", {"mada": mada, "backup": backup}) as console:
        headers = {"Authorization": f"Bearer {console.server.token(Kind.LIVE)}"}

        def start(phone: str) -> Any:
            answer = httpx.post(
                f"{console.server.url}/v1/verifications", json={"to": phone}, headers=headers, timeout=60
            )
            assert answer.status_code == 202, answer.text
            return answer.json()

        yield Scene(console, mada, backup, start)


def test_what_works_is_told_in_one_sentence(scene: Scene, phone: str) -> None:
    browser = scene.console.browser("vera")
    assert (
        text_of(browser.get("/providers")).count("All 2 providers are ready. Nothing was sent in the last hour.") == 2
    )
    scene.start(phone)
    page = text_of(browser.get("/providers"))
    assert "1 of 2 providers works, 1 had nothing to send in the last hour." in page
    assert "no receipts" not in page  # what was accepted a moment ago is not counted for a day yet
    assert phone[1:] not in page


def test_an_instance_that_refuses_our_account_comes_first_with_what_it_said(scene: Scene, phone: str) -> None:
    scene.mada.fail("misconfigured")
    scene.start(phone)
    browser = scene.console.browser("vera")
    page = text_of(browser.get("/providers"))
    assert "mada has refused our account since" in page
    assert page.index("mada") < page.index("backup")
    page = text_of(browser.get("/providers/instances/mada"))
    assert "mada has refused our account since" in page
    assert "Account refused" in page
    assert "None among its last 1 message" in text_of(browser.get("/providers/instances/backup"))


def test_an_instance_that_is_left_out_says_since_when_and_when_it_is_tried(scene: Scene, phone: str) -> None:
    scene.mada.fail("unavailable", times=9)
    for digit in range(6):
        scene.start(f"{phone[:-1]}{digit}")
    page = text_of(scene.console.browser("vera").get("/providers/instances/mada"))
    assert "mada has been left out since" in page
    assert "One message a second tries whether it works again" in page
    assert "All its deliveries" in page


def test_draining_and_taking_back_ask_why_and_are_in_the_audit(scene: Scene, phone: str) -> None:
    browser = scene.console.browser("otto")
    browser.get("/providers/instances/mada")
    unsaid = browser.post("/providers/instances/mada/drain")
    assert (unsaid.status_code, "Say why." in unsaid.text) == (422, True)
    page = text_of(browser.does("/providers/instances/mada/drain", reason=WHY))
    assert "mada is drained. Every process obeys within" in page
    assert "mada is drained: it gets no new messages." in page
    scene.start(phone)
    assert (len(scene.mada.messages), len(scene.backup.messages)) == (0, 1)
    assert "1 of 2 providers works, 1 is drained." in text_of(browser.get("/providers"))
    assert "Take mada back" in text_of(browser.get("/providers/instances/mada"))
    browser.does("/providers/instances/mada/take-back", reason="it answers again")
    assert scene.changes()[:2] == [
        ("otto", "instances.take_back", "mada", "it answers again"),
        ("otto", "instances.drain", "mada", WHY),
    ]
    assert browser.post("/providers/instances/nobody/drain", reason=WHY).status_code == 404
    assert browser.get("/providers/instances/nobody").status_code == 404


def test_viewers_change_nothing(scene: Scene, phone: str) -> None:
    browser = scene.console.browser("vera")
    browser.get("/providers/instances/mada")
    for path in ("drain", "take-back", "test"):
        assert browser.post(f"/providers/instances/mada/{path}", reason=WHY, to=phone).status_code == 403
    assert browser.post("/providers/health").status_code == 403
    assert scene.mada.messages == []
    stranger = scene.console.browser("otto")
    assert (
        stranger.post("/providers/instances/mada/test", reason=WHY, to=phone).status_code == 403
    )  # not from a page of ours
    assert scene.mada.messages == []


def test_a_test_goes_through_one_instance_and_shows_what_became_of_it(scene: Scene, phone: str) -> None:
    browser = scene.console.browser("otto")
    browser.get("/providers/instances/backup")
    page = browser.does("/providers/instances/backup/test", to=phone, channel="sms", reason="new password")
    assert (len(scene.mada.messages), len(scene.backup.messages)) == (0, 1)
    assert "backup accepted the test after" in text_of(page)
    code = scene.backup.messages[0].code
    assert code not in page.text
    assert phone[1:] not in page.text
    assert scene.changes()[0] == ("otto", "instances.test", "backup", "new password")
    again = text_of(browser.does("/providers/instances/backup/test", to=phone, channel="sms", reason="new password"))
    assert "Nothing was sent: a test through backup to this number has just been made." in again
    assert len(scene.backup.messages) == 1


def test_a_test_that_fails_shows_what_the_vendor_said(scene: Scene, phone: str) -> None:
    scene.mada.fail("rejected_number")
    browser = scene.console.browser("otto")
    browser.get("/providers/instances/mada")
    page = text_of(browser.does("/providers/instances/mada/test", to=phone, channel="call", reason=WHY))
    assert "The test through mada ended after" in page
    assert "number rejected" in page
    assert scene.backup.messages == []


@pytest.mark.parametrize(
    ("typed", "told"),
    [({"to": "0", "channel": "sms"}, "This is not one number."), ({"channel": "fax"}, "does not do fax")],
)
def test_what_keeps_a_test_from_leaving_is_told_at_its_field(
    scene: Scene, phone: str, typed: dict[str, str], told: str
) -> None:
    browser = scene.console.browser("otto")
    browser.get("/providers/instances/mada")
    page = browser.post("/providers/instances/mada/test", **{"to": phone, "reason": WHY, **typed})
    assert page.status_code == 422
    assert told in text_of(page)
    assert f'value="{WHY}"' in page.text
    assert "Nothing was sent." in page.text
    assert scene.mada.messages == []


def test_a_pause_keeps_a_test_from_leaving(scene: Scene, phone: str) -> None:
    server = scene.console.server
    server.do(server.server.service.operator.sending.pause(by="the test"))
    browser = scene.console.browser("otto")
    browser.get("/providers/instances/mada")
    page = browser.post("/providers/instances/mada/test", to=phone, channel="sms", reason=WHY)
    assert (page.status_code, "Nothing was sent: paused" in text_of(page)) == (422, True)


def test_the_setup_is_examined(scene: Scene) -> None:
    browser = scene.console.browser("otto")
    page = text_of(browser.get("/providers/health"))
    assert "What was looked at" in page
    assert any(word in page for word in ("Nothing is wrong.", "One thing is wrong.", "things are wrong."))
    asked = browser.post("/providers/health")
    assert "each vendor was asked about the account" in text_of(asked)
