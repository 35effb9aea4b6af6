"""What each auth system needs: how it proves itself, how its message is read, and what it makes of an answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar

import attrs
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import JSONResponse, PlainTextResponse, Response

from otp_server.api.schemas import Plain
from otp_server.edge import request_id
from otp_server.problems import Problem, ProblemError, faults_of, respond
from otp_server.relay_settings import Wording

__all__ = [
    "Adapter",
    "Call",
    "Digits",
    "Relayed",
    "Theirs",
    "To",
    "Whole",
    "client_of",
    "digits_of",
    "locale_of",
    "missing",
    "parsed",
    "purpose_of",
    "tell_people",
    "tell_programs",
    "words_for",
]

B = TypeVar("B", bound=BaseModel)

_DIGITS = re.compile(r"[0-9]{4,10}")
_LOCALE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")
_LONGEST_PURPOSE = 100

To = Annotated[Plain, Field(min_length=1, max_length=64)]
Digits = Annotated[str, Field(pattern=r"^[0-9]{4,10}$")]
Whole = Annotated[Plain, Field(min_length=1, max_length=1000)]

_WORDS: Mapping[int, str] = {
    403: "This number cannot get a message.",
    422: "This number cannot get a message.",
    429: "Too many messages were asked for. Try again later.",
}
_OTHER_WORDS = "Messages cannot be sent at present. Try again later."


class Theirs(BaseModel):
    """A part of what an auth system sends: what is not of use is passed over, and no error quotes a value."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True, strict=True)


@attrs.frozen(kw_only=True)
class Call:
    """A request, as its proof is looked for.

    Args:
        headers: Of the request; their case does not matter.
        body: As it came.
        now: Aware UTC.
    """

    headers: Mapping[str, str]
    body: bytes = attrs.field(repr=False)
    now: datetime


@attrs.frozen(kw_only=True)
class Relayed:
    """A message that an auth system hands over; of ``code`` and ``text`` at least one is given.

    Args:
        to: The number, with a leading ``+``.
        code: Its digits; None: it has none, or not digits alone.
        text: A whole text, with the code in it; None: there is none.
        purpose: The auth system's own word for the kind of message.
        locale: BCP 47; None: it names none.
        client: The person's address; None: it is not known.
        channel: ``sms`` or ``call``.
    """

    to: str = attrs.field(repr=False)
    code: str | None = attrs.field(default=None, repr=False)
    text: str | None = attrs.field(default=None, repr=False)
    purpose: str = "default"
    locale: str | None = None
    client: str | None = None
    channel: str = "sms"

    def worded_by(self, who: Wording) -> Relayed:
        """With what goes out alone: the text as it is, or the code for a text of otpcore."""
        if self.text is not None and (who is Wording.CALLER or self.code is None):
            return attrs.evolve(self, code=None)
        return attrs.evolve(self, text=None)


@attrs.frozen(kw_only=True)
class Adapter:
    """One auth system.

    Args:
        name: In addresses and settings.
        patience: Seconds in which it is answered, below those that it waits.
        window: For how long the same body is the same message.
        prove: Says whether a call is from it, given the secrets; else raises.
        read: Its message from the body.
        refuse: What it is answered instead of having its message carried.
    """

    name: str
    patience: float
    window: timedelta
    prove: Callable[[Call, Sequence[str]], None]
    read: Callable[[bytes], Relayed]
    refuse: Callable[[Problem], Response]

    def accept(self, message_id: str) -> Response:
        """The answer that its message is on its way; those that want none pass it over."""
        headers = {"Cache-Control": "no-store", "Location": f"/v1/messages/{message_id}"}
        return JSONResponse({"id": message_id}, headers=headers)


def parsed(kind: type[B], body: bytes) -> B:
    """A body as this model.

    Raises:
        ProblemError: It is no JSON, or another.
    """
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise _refusal(found) from None


def _refusal(found: Sequence[Any]) -> ProblemError:
    if any(one["type"] == "json_invalid" for one in found):
        return ProblemError("malformed")
    return ProblemError("invalid", errors=faults_of([{**one, "loc": ("body", *one["loc"])} for one in found]))


def missing(pointer: str) -> ProblemError:
    """The problem of a body that lacks what is sent, or whom it is sent to."""
    return ProblemError("invalid", errors=[{"pointer": pointer, "reason": "missing"}])


def digits_of(text: str | None) -> str | None:
    """A code that otpcore can carry; None: it is not 4 to 10 digits."""
    return text if text is not None and _DIGITS.fullmatch(text) else None


def locale_of(text: str | None) -> str | None:
    """A tag as it may be meant, ``pt_BR`` too; None: it is none."""
    tag = (text or "").replace("_", "-")
    return tag if _LOCALE.fullmatch(tag) else None


def client_of(text: str | None) -> str | None:
    """A person's address as it is told, which may be with a port; None: none is told.

    The core reads it as a host's, and logs what names nobody.
    """
    return None if text is None else text.replace("\x00", "")


def purpose_of(text: str | None) -> str:
    """The auth system's word for the kind of message."""
    return text[:_LONGEST_PURPOSE] if text else "default"


def words_for(problem: Problem) -> str:
    """What a person may be shown: nothing of why a number is refused."""
    return _WORDS.get(problem.status, _OTHER_WORDS)


def tell_programs(problem: Problem) -> Response:
    """The problem itself, for those that look at the status and log the rest."""
    return respond(problem, request_id())


def tell_people(problem: Problem) -> Response:
    """A line for a person, for those that show what they are answered."""
    headers = {
        name: value
        for name, value in respond(problem, request_id()).headers.items()
        if name in ("cache-control", "retry-after", "www-authenticate")
    }
    return PlainTextResponse(words_for(problem), problem.status, headers)
