"""What every change goes through: the session, the role, the form's token, the reason, and the sentence afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from console_client import Console, text_of
from otp_server.console import app
from otp_server.console.asking import FormError, Role, changing
from otp_server.console.desk import Desk
from otp_server.console.frame import done
from otp_server.forms import form_token
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route


def routes(desk: Desk) -> Sequence[BaseRoute]:
    """A page that pauses sending, as the real ones are made."""

    async def pause(request: Request) -> Response:
        try:
            asked = await changing(desk, request)
        except FormError as wrong:
            return Response(f"{dict(wrong.errors)} {wrong.form.get('until')}", 422)
        await desk.operator.sending.pause(by=asked.by, reason=asked.reason)
        return done(desk, request, "/audit", f"Paused: {len(asked.form.getlist('id'))} were picked.")

    async def pause_plainly(request: Request) -> Response:
        await changing(desk, request)
        return done(desk, request, "/audit")

    async def reveal(request: Request) -> Response:
        await changing(desk, request, Role.OPERATOR, reveals=True)
        return done(desk, request, "/audit", "Revealed.")

    async def erase(request: Request) -> Response:
        await changing(desk, request, Role.ADMIN)
        return done(desk, request, "/audit", "Erased.")

    made = {"/try": pause, "/plain": pause_plainly, "/reveal": reveal, "/erase": erase}
    return [Route(path, one, methods=["POST"]) for path, one in made.items()]


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory, serve_console: Any) -> Iterator[Console]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "PARTS", (*app.PARTS, routes))
        with serve_console(f"sqlite:///{tmp_path_factory.mktemp('asking')}/otp.sqlite3") as started:
            yield started


@pytest.fixture
def otto(console: Console) -> Any:
    browser = console.browser("otto")
    browser.get("/audit")
    browser.token = _token(console, "otto")
    return browser


def _token(console: Console, name: str) -> str:
    return form_token(console.server.server, f"by the proxy {name}")


def test_a_change_is_kept_with_name_and_reason_and_told_once(console: Console, otto: Any) -> None:
    answer = otto.does("/try", reason=" vendor change ", id=["1", "2"])
    assert "Paused: 2 were picked." in text_of(answer)
    assert "Paused: 2 were picked." not in text_of(otto.get("/audit"))
    (change,) = console.server.do(console.server.server.service.operator.audit(1))
    assert (change.by, change.action, change.reason) == ("otto", "sending.pause", "vendor change")


@pytest.mark.parametrize("reason", ["", "   ", "x" * 201, "a\nb", "a\x00"])
def test_without_a_reason_nothing_is_changed(otto: Any, reason: str) -> None:
    answer = otto.post("/try", reason=reason, until="18:00")
    assert answer.status_code == 422
    assert "'reason'" in answer.text
    assert "18:00" in answer.text


def test_a_form_that_no_page_shows_again_says_so(otto: Any) -> None:
    answer = otto.post("/plain", reason="")
    assert (answer.status_code, "Nothing was changed." in text_of(answer)) == (422, True)
    assert "Say why." in text_of(answer)


@pytest.mark.parametrize(
    ("name", "path", "status"),
    [
        ("vera", "/try", 403),
        ("otto", "/reveal", 403),
        ("olga", "/reveal", 303),
        ("olga", "/erase", 403),
        ("ada", "/erase", 303),
        ("", "/erase", 303),
    ],
)
def test_each_takes_its_role(
    console: Console, name: str, path: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    browser = console.browser(name)
    browser.token = _token(console, name)
    answer = browser.post(path, reason="why")
    assert answer.status_code == status
    if not name:
        assert answer.headers["location"] == "/console/sign-in"
    elif status == 403:
        assert "You may not do this." in text_of(answer)
    assert "bug" not in caplog.text


def test_a_form_of_another_person_or_of_another_page_changes_nothing(console: Console, otto: Any) -> None:
    otto.token = _token(console, "ada")
    assert otto.post("/try", reason="why").status_code == 403
    otto.token = _token(console, "otto")
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        form = {"form_token": otto.token, "reason": "why"}
        assert otto.client.post("/try", data=form, headers=headers).status_code == 403
    assert otto.client.post("/try", json={"reason": "why"}).status_code in (400, 415, 403)
    assert otto.client.get("/plain").status_code in (404, 405)


def test_a_sentence_that_was_not_signed_is_not_shown(otto: Any) -> None:
    otto.client.cookies.set("otp-console-done", "IkJvbyI=." + "0" * 64)
    assert "Boo" not in otto.get("/audit").text
