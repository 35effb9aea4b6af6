"""The sections of a gateway's table, as settings are read: a class for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs

__all__ = [
    "Accepted",
    "Answer",
    "Auth",
    "BodyHmac",
    "Examples",
    "Life",
    "NumberFormat",
    "PriceAt",
    "Request",
    "Setting",
    "Wait",
]

Hash = Literal["sha1", "sha256", "sha384", "sha512"]
Encoding = Literal["hex", "base64"]


@attrs.frozen(kw_only=True)
class Setting:
    """What an instance says of its account.

    Args:
        meaning: What it is and where it is found, for people.
        secret: It is never shown.
        required: It must not be left out or blank; with a default, or ``required = false``, it may be.
        default: Where it is left out.
        form: Regular expression that the whole value must match; empty: any.
        example: What the simulator's account has; empty: made from the name.
    """

    meaning: str
    secret: bool = False
    required: bool = True
    default: str = ""
    form: str = ""
    example: str = ""

    @property
    def must_be_given(self) -> bool:
        """Whether an instance cannot be without it."""
        return self.required and not self.default


@attrs.frozen(kw_only=True)
class BodyHmac:
    """A signature of the body as it is sent, in a header.

    Args:
        header: That carries it.
        key: Of the signature.
        key_encoding: How the key is written.
        hash: Of the HMAC.
        encoding: Of the signature.
        prefix: Before the signature.
        signed: What is signed: ``{body}``, and headers of the request by their names in lower case.
    """

    header: str
    key: str
    key_encoding: Literal["raw", "base64"] = "raw"
    hash: Hash = "sha256"
    encoding: Encoding = "hex"
    prefix: str = ""
    signed: str = "{body}"


@attrs.frozen(kw_only=True)
class Auth:
    """What proves the account, with each request.

    Args:
        basic: User and password of HTTP Basic authentication.
        bearer: Token of ``Authorization: Bearer``.
        headers: Any header.
        hmac: A signature of the body.
    """

    basic: tuple[str, ...] = ()
    bearer: str = ""
    headers: Mapping[str, str] = attrs.field(factory=dict)
    hmac: BodyHmac | None = None


@attrs.frozen(kw_only=True)
class NumberFormat:
    """How ``{number}`` is written.

    Args:
        format: As a rule: ``+359…``, ``359…``, ``00359…``, or as it is dialled within its country, in this order.
        prefixes: What a number begins with in E.164, and what it begins with instead; the longest that fits counts.
    """

    format: Literal["e164", "digits", "zeros", "national"] = "e164"
    prefixes: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Life:
    """Which lives of a code the vendor can be told.

    Args:
        min: Seconds; of a shorter one nothing is said.
        max: Seconds; a longer one is cut.
    """

    min: int = 1
    max: int = 86_400


@attrs.frozen(kw_only=True)
class Accepted:
    """What an acceptance looks like; all of it must hold.

    Args:
        status: HTTP statuses; empty: any 2xx.
        path: A value of the body that must be there.
        is_: What it must be; empty: anything but nothing.
    """

    status: tuple[int, ...] = ()
    path: str = ""
    is_: tuple[Any, ...] = ()


@attrs.frozen(kw_only=True)
class Wait:
    """Where the seconds are that the vendor asks for, besides ``Retry-After``.

    Args:
        header: Which.
        path: In the body.
        pattern: Regular expression whose first group they are.
    """

    header: str = ""
    path: str = ""
    pattern: str = "([0-9]+)"


@attrs.frozen(kw_only=True)
class PriceAt:
    """Where a price is.

    Args:
        amount: Path of the amount.
        currency: ISO 4217 code, or after ``=`` its path.
    """

    amount: str
    currency: str


@attrs.frozen(kw_only=True)
class Examples:
    """Answers from the vendor's documents; the simulator answers in their shape.

    Args:
        accepted: To a message that it took, a table or a list; where an id is a number, the simulator's ids are numbers too. Of a text:
            ``text`` with the names of values in braces, such as ``"OK:{id}"``, and an example of each value.
        refused: To one that it did not, in the same way.
    """

    accepted: Any = attrs.field(factory=dict)
    refused: Any = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Answer:
    """How an answer is read.

    Args:
        body: How it is written; a ``text`` needs ``pattern`` and ``examples``.
        pattern: Of a text: a regular expression whose named groups are its values, by which the paths below name them.
        accepted: What an acceptance looks like.
        reference: Path of the vendor's id; empty: there is none.
        code: Paths of the vendor's code; the first that is there counts.
        detail: Path of what tells two meanings of one code apart; empty: there is none.
        duplicates: Codes that mean that an earlier try of the same id was accepted.
        codes: The code, or ``code/detail``, and what it means: a kind, or ``kind: words``.
        otherwise: The kind of a code that is not listed, where the HTTP status speaks of no failure. ``ambiguous`` counts
            as sent; where the vendor's page says that any code means that nothing was sent, say another.
        http: The same by HTTP status, before the rules for all vendors.
        retry_after: Where the seconds are that it asks for.
        refusal_status: HTTP status of its refusals; for the simulator.
        price: Where the price is.
        examples: For the simulator, which answers in their shape.
    """

    body: Literal["json", "form", "text"] = "json"
    pattern: str = ""
    accepted: Accepted = attrs.field(factory=Accepted)
    reference: str = ""
    code: tuple[str, ...] = ()
    detail: str = ""
    duplicates: tuple[str, ...] = ()
    codes: Mapping[str, str] = attrs.field(factory=dict)
    otherwise: str = "ambiguous"
    http: Mapping[str, str] = attrs.field(factory=dict)
    retry_after: Wait = attrs.field(factory=Wait)
    refusal_status: int = 400
    price: PriceAt | None = None
    examples: Examples = attrs.field(factory=Examples)


@attrs.frozen(kw_only=True)
class Request:
    """How one channel's message is handed over.

    Args:
        content: ``text``: ours, with the code in it. ``code``: the vendor words the message round our code.
        method: HTTP verb.
        path: Behind the base URL.
        query: Fields of the URL.
        form: Fields of a form in the body.
        json: A JSON body, a table or a list.
        headers: For this request.
        life: Which lives the vendor takes; None: any.
        languages: BCP 47 tags and the vendor's names of them; empty: the language is passed on as it is, if at all.
        code_lengths: Shortest and longest code that it takes; empty: any.
        sender: Regular expression of the senders that it takes; empty: any.
        gsm_only: It refuses texts outside the GSM alphabet.
        most_parts: It refuses texts of more SMS than these.
        answer: This channel's own; None: that of the table.
    """

    path: str
    content: Literal["text", "code"] = "text"
    method: Literal["POST", "GET", "PUT"] = "POST"
    query: Mapping[str, Any] = attrs.field(factory=dict)
    form: Mapping[str, Any] = attrs.field(factory=dict)
    json: Any = attrs.field(factory=dict)
    headers: Mapping[str, str] = attrs.field(factory=dict)
    life: Life | None = None
    languages: Mapping[str, str] = attrs.field(factory=dict)
    code_lengths: tuple[int, ...] = ()
    sender: str = ""
    gsm_only: bool = False
    most_parts: int | None = None
    answer: Answer | None = None
