"""The page in a frame of an app's own pages: who may frame it, and how its browser is known where cookies are kept back."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import attrs
from starlette.requests import Request
from starlette.responses import Response

from otp_server.forms import is_secure
from otp_server.pages.records import Page, Pages
from otp_server.server import Server

__all__ = ["QUERY", "admitted", "cookie_of", "every_origin", "is_framed", "keep_cookie", "origins_of", "policy"]

QUERY = "?embed=1"
"""Behind each address of a page that is shown in a frame."""

_COOKIE = "__Host-otp-frame"


def is_framed(request: Request) -> bool:
    """Whether a page is asked for as it is shown in a frame."""
    return request.query_params.get("embed") == "1"


def origins_of(server: Server, app: str) -> Sequence[str]:
    """Whose pages may frame those of an app."""
    allowed = server.settings.app(app)
    return allowed.page.origins if allowed is not None else ()


def every_origin(server: Server) -> Sequence[str]:
    """Whose pages may frame what tells of nobody's verification."""
    looks = [server.settings.page, *(one.page for one in server.settings.apps.values())]
    return tuple(dict.fromkeys(origin for look in looks for origin in look.origins))


def policy(origins: Sequence[str]) -> dict[str, str]:
    """What of the Content-Security-Policy lets these frame a page."""
    return {"frame-ancestors": " ".join(origins)} if origins else {}


def cookie_of(request: Request) -> str:
    """What the frame's browser keeps; empty: it keeps nothing for frames, or has not been asked yet."""
    return request.cookies.get(_COOKIE, "")


def keep_cookie(server: Server, request: Request, response: Response) -> None:
    """Ask the browser to keep a cookie for this frame, within pages of this site only (CHIPS); many do not."""
    if not cookie_of(request) and is_secure(server, request):
        value = f"{_COOKIE}={secrets.token_urlsafe(16)}; Path=/; Secure; HttpOnly; SameSite=None; Partitioned"
        response.headers.append("Set-Cookie", value)


async def admitted(server: Server, request: Request, token: str, page: Page) -> Page | None:
    """The page, if it may be shown in this frame; None: it is another browser's.

    The first time it belongs to whatever frame has its address; once a browser has shown the cookie, to that one alone.
    """
    pages, cookie = Pages(server=server), cookie_of(request)
    anybodys = pages.browser(token, "")
    own = pages.browser(token, cookie) if cookie else anybodys
    if page.browser in ("", anybodys) and page.browser != own:
        free = ("", anybodys)
        changed = await pages.change(token, lambda old: attrs.evolve(old, browser=own) if old.browser in free else old)
        page = changed or page
    return page if page.browser == own else None
