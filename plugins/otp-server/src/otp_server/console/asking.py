"""Who asks for a page, and whether a form may change what it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

import attrs
from starlette.datastructures import ImmutableMultiDict
from starlette.requests import Request

from otp_server.console.desk import Desk
from otp_server.console.sessions import COOKIE, Sessions
from otp_server.console_settings import Role
from otp_server.forms import FIELD, check_form, cookie_name
from otp_server.networks import is_among
from otp_server.peers import peer_of
from otp_server.problems import ProblemError

__all__ = [
    "Asked",
    "ForbiddenError",
    "FormError",
    "Person",
    "Role",
    "SignInError",
    "changing",
    "person_of",
    "read_form",
]

Form = ImmutableMultiDict[str, str]

LONGEST_REASON = 200
_LONGEST_NAME = 64
_MOST_FIELDS = 500
_FORM = "application/x-www-form-urlencoded"
_LOOPBACK = {"127.0.0.1", "::1"}
_AT_HOME = {*_LOOPBACK, "localhost"}


@attrs.frozen(kw_only=True)
class Person:
    """Who looks.

    Args:
        name: As the audit trail tells it.
        role: What they may do.
        may_reveal: They may see whole numbers, each for a reason.
        binding: What the tokens of their forms are bound to: the session, or who vouches for them.
        is_signed_in: They have a session here, which they can end.
    """

    name: str
    role: Role
    may_reveal: bool = False
    binding: str = attrs.field(repr=False)
    is_signed_in: bool = False


@attrs.frozen(kw_only=True)
class Asked:
    """A form that may change what it asks for.

    Args:
        person: Who sent it.
        form: What it holds; ``getlist`` has every value of a name.
        reason: In their words.
    """

    person: Person
    form: Form = attrs.field(repr=False)
    reason: str

    @property
    def by(self) -> str:
        """The name for the audit trail."""
        return self.person.name


class SignInError(Exception):
    """No one is signed in."""


class ForbiddenError(Exception):
    """The person may not do this.

    Args:
        needed: The role that may; None: it takes the right to reveal numbers.
    """

    def __init__(self, needed: Role | None) -> None:
        super().__init__(str(needed))
        self.needed = needed


class FormError(Exception):
    """A form is not right; the page shows it again with what was typed.

    Args:
        errors: By name of the field, what is wrong with it; a sentence for people.
        form: What was typed.
    """

    def __init__(self, errors: Mapping[str, str], form: Mapping[str, str]) -> None:
        super().__init__(", ".join(errors))
        self.errors = errors
        self.form = form


async def person_of(desk: Desk, request: Request, role: Role = Role.VIEWER) -> Person:
    """Who asks.

    Args:
        desk: The console's.
        request: Theirs.
        role: That the page takes.

    Raises:
        SignInError: No one is signed in.
        ForbiddenError: Their role does not do.
    """
    person = getattr(request.state, "person", None) or await _found(desk, request)
    if person is None:
        raise SignInError
    request.state.person = person
    if not person.role.may(role):
        raise ForbiddenError(role)
    return person


async def changing(desk: Desk, request: Request, role: Role = Role.OPERATOR, *, reveals: bool = False) -> Asked:
    """A form that may change something: of a page of ours, by somebody who may, for a reason.

    Args:
        desk: The console's.
        request: A POST.
        role: That the change takes.
        reveals: It shows a whole number, which takes the right to.

    Raises:
        SignInError: No one is signed in.
        ForbiddenError: Their role, or the right to reveal, is missing.
        ProblemError: No form of ours, or not from a page of ours.
        FormError: The reason is missing, or cannot be kept.
    """
    person = await person_of(desk, request, role)
    form = await read_form(desk, request, person.binding)
    if reveals and not person.may_reveal:
        raise ForbiddenError(None)
    reason = form.get("reason", "").strip()
    if not reason:
        raise FormError({"reason": "Say why. It is kept in the audit."}, form)
    if len(reason) > LONGEST_REASON or not reason.isprintable():
        raise FormError({"reason": f"Use at most {LONGEST_REASON} letters and no line breaks."}, form)
    return Asked(person=person, form=form, reason=reason)


async def read_form(desk: Desk, request: Request, binding: str) -> Form:
    """What a form of ours holds.

    Raises:
        ProblemError: It is none, or not from a page of ours in this browser.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise ProblemError("media_type")
    try:
        found = parse_qsl((await request.body()).decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise ProblemError("malformed") from None
    form: Form = ImmutableMultiDict(found)
    check_form(desk.server, request, form, binding, public_url=desk.public_url)
    return ImmutableMultiDict([(name, value) for name, value in found if name != FIELD])


async def _found(desk: Desk, request: Request) -> Person | None:
    if desk.is_open_at_home and _is_at_home(request):
        return Person(name="sandbox", role=Role.ADMIN, may_reveal=True, binding="sandbox at home")
    return await _vouched_for(desk, request) or await _signed_in(desk, request)


async def _signed_in(desk: Desk, request: Request) -> Person | None:
    """Whose session the browser has."""
    word = request.cookies.get(cookie_name(desk.server, request, COOKIE, public_url=desk.public_url), "")
    account = await Sessions(desk).find(word)
    if account is None:
        return None
    return Person(name=account.name, role=account.role, may_reveal=account.may_reveal, binding=word, is_signed_in=True)


async def _vouched_for(desk: Desk, request: Request) -> Person | None:
    """Whom the trusted proxy names."""
    named = request.headers.getlist(desk.settings.trusted_header) if desk.settings.trusted_header else []
    if not named or not is_among(peer_of(request), desk.settings.trusted_from):
        return None
    name = named[0].strip().lower()
    if len(named) > 1 or not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
        return None
    account = await desk.people.find(name)
    role = account.role if account is not None else desk.settings.trusted_role
    if role is None:
        raise ForbiddenError(Role.VIEWER)
    may_reveal = account is not None and account.may_reveal
    return Person(name=name, role=role, may_reveal=may_reveal, binding=f"by the proxy {name}")


def _is_at_home(request: Request) -> bool:
    """A stranger's page can have its own name resolve to this machine; then the browser says that name."""
    return peer_of(request) in _LOOPBACK and request.url.hostname in _AT_HOME
