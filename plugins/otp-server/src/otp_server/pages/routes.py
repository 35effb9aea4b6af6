"""``/v/{token}``: see the page, send a code, ask for another message. Looking never sends and never counts."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from urllib.parse import parse_qsl, quote, urlsplit

import attrs
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from otp_server import html
from otp_server.forms import check_form, cookie_name, form_token, is_secure
from otp_server.page_settings import PageSettings, readable_on
from otp_server.pages import framing
from otp_server.pages.acting import check_code, is_used, send_again
from otp_server.pages.records import Page, Pages
from otp_server.pages.texts import read, words_for
from otp_server.pages.view import Shown, end_of, ended, entry, return_address
from otp_server.problems import ProblemError, problem_of
from otp_server.server import Server
from otpcore import OTPConfigurationError, OTPError

__all__ = ["routes"]

_COOKIE = "otp-page"
_FORM = "application/x-www-form-urlencoded"
_MOST_FIELDS = 10
_LONGEST_CODE = 64
_UNAVAILABLE = 503

Answering = Callable[[Server, Request], Awaitable[Response]]


def routes(server: Server) -> Sequence[BaseRoute]:
    """The page's addresses.

    Raises:
        SettingsError: A catalogue of texts is not complete.
    """
    read()
    return [
        Route("/v/{token}", partial(_guarded, server, _see), methods=["GET"]),
        Route("/v/{token}", partial(_guarded, server, _type), methods=["POST"]),
        Route("/v/{token}/send", partial(_guarded, server, _ask), methods=["POST"]),
        Route("/v/{token}/send", partial(_guarded, server, _back), methods=["GET"]),
        Route("/v/{token}/state", partial(_guarded, server, _state), methods=["GET"]),
        Route("/page/{digest}.css", partial(_colours, server)),
    ]


@attrs.frozen(kw_only=True)
class _Visit:
    """A request for a page that this browser may see.

    Args:
        token: Of the page.
        page: As it is now.
        binding: To what its forms are bound: the browser's cookie, or in a frame the page itself.
        query: Behind its addresses: that it is in a frame, or nothing.
    """

    token: str
    page: Page
    binding: str
    query: str = ""

    @property
    def address(self) -> str:
        return f"/v/{self.token}{self.query}"


class _ForeignError(Exception):
    """The page is another browser's."""


async def _guarded(server: Server, answering: Answering, request: Request) -> Response:
    """Answer, and tell whatever goes wrong as a page.

    Raises:
        Exception: What nobody foresaw; the edge of the server tells of that.
    """
    try:
        return await answering(server, request)
    except _ForeignError:
        return _over(server, request, "foreign", status=403)
    except (ProblemError, OTPError, OTPConfigurationError) as error:
        problem = problem_of(error)
        if problem.reason == "not_found":
            return _over(server, request, "gone", status=404)
        if problem.reason in ("forbidden", "malformed", "media_type"):
            return _over(server, request, "stale", status=problem.status, link=_path(request))
        status = min(_UNAVAILABLE, problem.status)
        return _over(server, request, "trouble", status=status, link=_path(request))


async def _see(server: Server, request: Request) -> Response:
    """The page as it is now. The first browser that opens it is the one that may."""
    if request.method == "HEAD" or "prefetch" in request.headers.get("sec-purpose", ""):  # nobody has looked yet
        return Response(status_code=_UNAVAILABLE, headers={"Cache-Control": "no-store"})
    if framing.is_framed(request):
        response = await _shown(server, request, await _framed(server, request))
        framing.keep_cookie(server, request, response)
        return response
    token = request.path_params["token"]
    pages, name = Pages(server=server), cookie_name(server, request, _COOKIE)
    cookie = request.cookies.get(name, "")
    is_new = not cookie
    cookie = cookie or secrets.token_urlsafe(16)
    page = await pages.find(token)
    if page is None:
        raise ProblemError("not_found")
    own = pages.browser(token, cookie)
    if not page.browser:
        page = await pages.change(token, lambda old: old if old.browser else attrs.evolve(old, browser=own))
    if page is None or page.browser != own:
        raise _ForeignError
    response = await _shown(server, request, _Visit(token=token, page=page, binding=cookie))
    if is_new:
        response.set_cookie(name, cookie, httponly=True, secure=is_secure(server, request), samesite="lax", path="/")
    return response


async def _shown(server: Server, request: Request, visit: _Visit) -> Response:
    page, now = visit.page, datetime.now(UTC)
    shown, rules = _about(server, request, page), _policy(server, request, page)
    end = end_of(page, server.otp_settings, is_used=await is_used(server, page), now=now)
    if end:
        return html.page("pages/over.html", ended(shown, end, page), policy=rules)
    token = form_token(server, visit.binding)
    values = entry(shown, page, now=now, path=f"/v/{visit.token}", query=visit.query, form_token=token)
    return html.page("pages/enter.html", values, policy=rules)


async def _type(server: Server, request: Request) -> Response:
    """A code was typed: on to where it leads, or back to the page."""
    visit, form = await _posted(server, request)
    page = await check_code(server, visit.token, visit.page, form.get("code", "")[:_LONGEST_CODE], _client(request))
    leads_to = return_address(page) if page.is_done and not visit.query else ""
    return _see_other(leads_to or visit.address)


async def _ask(server: Server, request: Request) -> Response:
    """Another message was asked for; it is sent once this is answered."""
    visit, form = await _posted(server, request)
    channel = form.get("channel", "")
    if channel in visit.page.channels:
        await send_again(server, visit.token, channel, _client(request))
    return _see_other(visit.address)


async def _back(_: Server, request: Request) -> Response:
    """Who loads this address by hand is shown the page, and nothing is sent."""
    return _see_other(_path(request))


async def _state(server: Server, request: Request) -> Response:
    """Whether the page is over, for its own script: nothing else is told."""
    visit = await _visit(server, request)
    used = visit.page.is_done or await is_used(server, visit.page)
    return JSONResponse({"over": used}, headers={"Cache-Control": "no-store"})


async def _posted(server: Server, request: Request) -> tuple[_Visit, dict[str, str]]:
    """What came of a form of ours in the browser that the page belongs to.

    Raises:
        ProblemError: It did not.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise ProblemError("media_type")
    try:
        form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    except ValueError:
        raise ProblemError("malformed") from None
    visit = await _visit(server, request)
    check_form(server, request, form, visit.binding)
    return visit, form


async def _framed(server: Server, request: Request) -> _Visit:
    """A visit in a frame, where cookies may be kept back: what the page's forms bring along says whose they are.

    Raises:
        ProblemError: There is no such page, or it may not be framed.
    """
    token = request.path_params["token"]
    page = await Pages(server=server).find(token)
    if page is None or not framing.origins_of(server, page.app):
        raise ProblemError("not_found")
    page = await framing.admitted(server, request, token, page)
    if page is None:
        raise _ForeignError
    return _Visit(token=token, page=page, binding=f"frame {token}", query=framing.QUERY)


async def _visit(server: Server, request: Request) -> _Visit:
    if framing.is_framed(request):
        return await _framed(server, request)
    pages, token = Pages(server=server), request.path_params["token"]
    cookie = request.cookies.get(cookie_name(server, request, _COOKIE), "")
    page = await pages.find(token)
    if page is None:
        raise ProblemError("not_found")
    if not cookie:
        raise ProblemError("forbidden")
    if page.browser != pages.browser(token, cookie):
        raise _ForeignError
    return _Visit(token=token, page=page, binding=cookie)


def _over(server: Server, request: Request, key: str, *, status: int, link: str = "") -> Response:
    """A page about what went wrong, that tells nothing of any verification."""
    shown, rules = _about(server, request, None), _policy(server, request, None)
    return html.page("pages/over.html", ended(shown, key, link=link), status=status, policy=rules)


def _about(server: Server, request: Request, page: Page | None) -> Shown:
    """How pages look and speak, for the app of a page; None: for nobody's."""
    otp = server.otp_settings.otp
    app = page.app if page is not None else ""
    allowed = server.settings.app(app) if page is not None else None
    look = allowed.page if allowed is not None else PageSettings()
    return Shown(
        words=words_for(page.locale if page else None, otp.locale, accepted=request.headers.get("accept-language", "")),
        settings=server.otp_settings,
        look=look,
        app=otp.of_app(app).app if page is not None else "",
        style=f"/page/{_digest(look)}.css" if _style(look) else "",
        origins=_origins(server, request, page),
    )


def _origins(server: Server, request: Request, page: Page | None) -> Sequence[str]:
    """Whose pages may frame this answer."""
    if not framing.is_framed(request):
        return ()
    return framing.every_origin(server) if page is None else framing.origins_of(server, page.app)


async def _colours(server: Server, request: Request) -> Response:
    """The colours of an app, under an address that changes with them."""
    looks = [server.settings.page, *(one.page for one in server.settings.apps.values())]
    found = next((_style(one) for one in looks if _style(one) and _digest(one) == request.path_params["digest"]), None)
    if found is None:
        raise ProblemError("not_found")
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    return Response(found, headers=headers, media_type="text/css")


def _style(look: PageSettings) -> str:
    def rule(colour: str) -> str:
        return f":root{{--accent:{colour};--on-accent:{readable_on(colour)}}}"

    light = f"@media (prefers-color-scheme:light){{{rule(look.accent)}}}" if look.accent else ""
    dark = f"@media (prefers-color-scheme:dark){{{rule(look.accent_dark)}}}" if look.accent_dark else ""
    return light + dark


def _digest(look: PageSettings) -> str:
    return hashlib.sha256(_style(look).encode()).hexdigest()[:12]


def _policy(server: Server, request: Request, page: Page | None) -> dict[str, str]:
    """A form may lead to where the page leads: browsers hold what a form is redirected to against ``form-action``.

    In a frame it leads nowhere.
    """
    if page is None or framing.is_framed(request):
        return framing.policy(_origins(server, request, page))
    parts = urlsplit(page.return_url)
    if not page.return_url:
        return {}
    web = parts.scheme in ("http", "https")
    return {"form-action": f"'self' {parts.scheme}://{parts.netloc}" if web else f"'self' {parts.scheme}:"}


def _see_other(address: str) -> Response:
    return Response(status_code=303, headers={"Location": address, "Cache-Control": "no-store"})


def _path(request: Request) -> str:
    path = f"/v/{quote(request.path_params['token'], safe='')}"
    return f"{path}{framing.QUERY if framing.is_framed(request) else ''}"


def _client(request: Request) -> str:
    return request.client.host if request.client is not None else ""
