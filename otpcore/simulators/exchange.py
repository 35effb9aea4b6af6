"""What goes to and fro between a simulator and its customer, and what people receive."""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import parse_qs

import attrs

from otpcore.models import Channel
from otpcore.prices import Price

__all__ = ["Fault", "SimulatedAnswer", "SimulatedMessage", "SimulatedRequest", "find_code"]


class Fault(enum.Enum):
    """What goes wrong with a request. Only the two ``…_AFTER_WORK`` do the vendor's work."""

    HANG = "hang"
    """Read the request, never answer."""
    CLOSE_AFTER_READ = "close_after_read"
    """Read the request, close the connection in order (FIN)."""
    RESET_AFTER_READ = "reset_after_read"
    """Read the request, reset the connection (RST)."""
    RESET_AFTER_WORK = "reset_after_work"
    """Do the work, then reset the connection: the answer is lost."""
    HANG_AFTER_WORK = "hang_after_work"
    """Do the work, never answer."""
    GARBAGE_STATUS_LINE = "garbage_status_line"
    """Answer with something that is not HTTP."""
    GARBAGE_BODY = "garbage_body"
    """Answer 200 with a body that no vendor would send."""
    HTTP_500 = "http_500"
    HTTP_503 = "http_503"
    HTTP_429 = "http_429"
    """With ``Retry-After: 7``."""
    HTTP_401 = "http_401"
    HTTP_404 = "http_404"
    """As a wrong URL is answered; so is ``HTTP_405``."""
    HTTP_405 = "http_405"
    HTTP_418 = "http_418"
    """A status that no vendor's page lists."""
    REDIRECT = "redirect"
    """307 to ``/redirected`` on the same simulator, which a client must not follow."""
    HUGE_BODY = "huge_body"
    """Answer 200 with 4 MiB."""
    SLOW_BODY = "slow_body"
    """Answer 200 with a long body, byte by byte."""


@attrs.frozen
class SimulatedRequest:
    """One request as it arrived.

    Args:
        method: In upper case.
        path: As sent, nothing decoded; without the query.
        query: What follows the ``?``, as sent.
        headers: Names in lower case.
        body: Bytes.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = attrs.field(factory=dict)
    body: bytes = b""

    def form(self) -> dict[str, list[str]]:
        """The body as form fields."""
        return parse_qs(self.body.decode(errors="replace"), keep_blank_values=True)

    def json(self) -> Any:
        """The body as JSON; ValueError when it is not."""
        try:
            return json.loads(self.body)
        except RecursionError:
            raise ValueError("nested too deeply") from None


@attrs.frozen
class SimulatedAnswer:
    """One answer; ``json``, ``xml``, ``text`` and ``empty`` make it.

    Args:
        status: HTTP status.
        body: Bytes.
        headers: Besides ``Content-Length`` and ``Date``, which are added.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = attrs.field(factory=dict)

    @classmethod
    def json(cls, status: int, value: Any, headers: Mapping[str, str] | None = None) -> Self:
        """A JSON body."""
        return cls(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    @classmethod
    def xml(cls, status: int, text: str) -> Self:
        """An XML body."""
        return cls(status, text.encode(), {"Content-Type": "text/xml; charset=utf-8"})

    @classmethod
    def text(cls, status: int, text: str, headers: Mapping[str, str] | None = None) -> Self:
        """A plain text, such as ``OK:12345``."""
        return cls(status, text.encode(), {"Content-Type": "text/plain; charset=utf-8", **(headers or {})})

    @classmethod
    def empty(cls, status: int) -> Self:
        """No body."""
        return cls(status)


@attrs.frozen(kw_only=True)
class SimulatedMessage:
    """What a person received.

    Args:
        recipient: E.164.
        channel: Over which channel.
        text: What was read or heard.
        code: The code in it.
        reference: The vendor's id of the message or verification.
        price: What the vendor charges for it, wherever it says so; None: it says no price.
    """

    recipient: str
    channel: Channel = attrs.field(converter=Channel)
    text: str
    code: str
    reference: str = ""
    price: Price | None = None


def find_code(text: str) -> str:
    """The code in a message: 4 to 10 digits, said one by one, else the longest that stand together; "" without any."""
    spoken = re.search(r"(?<![0-9])[0-9](?:[ ,]+[0-9]){3,9}(?![0-9])", text)
    if spoken:
        return re.sub(r"[ ,]", "", spoken.group())
    return max(re.findall(r"(?<![0-9])[0-9]{4,10}(?![0-9])", text), key=len, default="")
