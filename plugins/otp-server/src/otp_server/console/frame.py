"""How a page of the console is shown: the frame round it, what was just done, and where it leads."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from otp_server import html
from otp_server.console import words
from otp_server.console.asking import Person, person_of
from otp_server.console.desk import Desk
from otp_server.forms import cookie_name, form_token, is_secure
from otp_server.places import outside

__all__ = ["NAVIGATION", "at", "bare", "done", "here", "show"]

NAVIGATION = (
    (("Now", "/"),),
    (("Person", "/person"), ("Deliveries", "/deliveries"), ("Queue", "/queue"), ("Refused", "/refused")),
    (("Rules", "/rules"), ("Switches", "/switches"), ("Limits", "/limits"), ("Providers", "/providers")),
    (("Webhooks", "/webhooks"), ("Apps and keys", "/keys"), ("Audit", "/audit")),
    (("Inbox", "/inbox"),),
)
"""Names and paths of the pages, in groups, in this order."""

_DONE = "otp-console-done"
_DONE_LASTS = 60  # seconds


async def show(
    desk: Desk,
    request: Request,
    template: str,
    values: Mapping[str, Any],
    *,
    heading: str,
    status: int = 200,
    is_live: bool = False,
) -> Response:
    """A page within the frame.

    Args:
        desk: The console's.
        request: That is answered.
        template: Below ``templates/console/``; it extends ``console/frame.html``.
        values: What it shows, beside ``person``, ``nav``, ``form_token``, ``is_sandbox``, ``now``, ``at``, ``here`` and the
            words of ``words.FOR_TEMPLATES``.
        heading: What the browser's tab says; the same as the first sentence of the page.
        status: HTTP's.
        is_live: It is loaded anew every ten seconds, or ``every`` of the values, unless the person stops that.

    Raises:
        SignInError: No one is signed in.
    """
    person = await person_of(desk, request)
    said = _said(desk, request, person)
    made = {
        **_common(desk, request),
        "person": person,
        "nav": NAVIGATION,
        "form_token": form_token(desk.server, person.binding),
        "environment": str(desk.server.otp_settings.environment),
        "heading": heading,
        "said": said,
        "is_live": is_live,
        "is_fresh": is_live and request.query_params.get("refresh") != "off",
        **values,
    }
    response = html.page(f"console/{template}", made, status=status)
    if said:
        response.delete_cookie(_name(desk, request), path="/", secure=_secure(desk, request), samesite="strict")
    return response


def bare(
    desk: Desk, request: Request, template: str, values: Mapping[str, Any], *, heading: str, status: int = 200
) -> Response:
    """A page without the frame, for somebody who is not known; the template extends ``console/bare.html``."""
    made = {**_common(desk, request), "heading": heading, **values}
    return html.page(f"console/{template}", made, status=status)


def done(desk: Desk, request: Request, path: str, sentence: str = "") -> Response:
    """Back to a page after a change, which it says once.

    Args:
        desk: The console's.
        request: The form's; the person is known.
        path: Of the page, such as ``/switches``, with a query where it needs one.
        sentence: What was done, in our words; no number of a person, and nothing that was typed.
    """
    headers = {"Location": at(request, path), "Cache-Control": "no-store"}
    response = Response(status_code=303, headers=headers)
    if sentence:
        text = base64.urlsafe_b64encode(json.dumps(sentence).encode()).decode()
        person: Person = request.state.person
        response.set_cookie(
            _name(desk, request),
            f"{text}.{_sign(desk, person, text)}",
            max_age=_DONE_LASTS,
            path="/",
            httponly=True,
            secure=_secure(desk, request),
            samesite="strict",
        )
    return response


def at(request: Request, path: str) -> str:
    """The address of a path of the console, wherever that lies."""
    return outside(f"{request.scope.get('root_path', '')}{path}")


def here(request: Request, **changed: object) -> str:
    """This page's address with parts of its query changed; None takes one out."""
    query = {**request.query_params, **changed}
    kept = urlencode({name: str(value) for name, value in query.items() if value not in (None, "")})
    return f"{request.url.path}?{kept}" if kept else request.url.path


def _common(desk: Desk, request: Request) -> dict[str, Any]:
    now = datetime.now(UTC)
    told: dict[str, Callable[..., Any]] = {name: partial(one, now) for name, one in words.FROM_NOW.items()}
    return {
        **words.FOR_TEMPLATES,
        **told,
        "at": partial(at, request),
        "here": partial(here, request),
        "path": request.url.path.removeprefix(request.scope.get("root_path", "")),
        "is_sandbox": desk.server.is_sandbox,
        "now": now,
    }


def _said(desk: Desk, request: Request, person: Person) -> str:
    text, _, signature = request.cookies.get(_name(desk, request), "").partition(".")
    if not text or not hmac.compare_digest(signature.encode(), _sign(desk, person, text).encode()):
        return ""
    return str(json.loads(base64.urlsafe_b64decode(text)))


def _sign(desk: Desk, person: Person, text: str) -> str:
    return desk.server.vault.digest("console done", person.binding, text)


def _name(desk: Desk, request: Request) -> str:
    return cookie_name(desk.server, request, _DONE, public_url=desk.public_url)


def _secure(desk: Desk, request: Request) -> bool:
    return is_secure(desk.server, request, public_url=desk.public_url)
