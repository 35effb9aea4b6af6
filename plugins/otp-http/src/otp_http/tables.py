"""What a gateway's table says as a whole, and where it is known from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs

from otp_http.receipt_sections import Receipts
from otp_http.sections import Accepted, Answer, Auth, NumberFormat, Request, Setting

__all__ = ["OUTCOMES", "PARTS", "Account", "Outcome", "Source", "Table"]

PARTS = (
    "request",
    "answer",
    "codes",
    "life",
    "receipts",
    "statuses",
    "receipt_codes",
    "proof",
    "account",
    "price",
    "outcomes",
)
"""The parts of a table whose source is named."""

OUTCOMES = ("approved", "unused")
"""How a challenge may end that a gateway is told of."""


@attrs.frozen(kw_only=True)
class Account:
    """A request that costs nothing and that only the owner of the account may make.

    Args:
        path: Behind the base URL.
        accepted: What the answer to the owner looks like.
        method: HTTP verb.
        query: Fields of the URL.
        form: Fields of a form in the body.
        json: A JSON body.
    """

    path: str
    accepted: Accepted
    method: Literal["GET", "POST"] = "GET"
    query: Mapping[str, Any] = attrs.field(factory=dict)
    form: Mapping[str, Any] = attrs.field(factory=dict)
    json: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Outcome:
    """A request that tells the vendor how it ended with a code: ``approved``, it was typed; ``unused``, it was not.

    Its placeholders are settings, ``{reference}`` (the vendor's id; without one nothing is told), ``{delivery_id}``,
    ``{e164}`` and ``{digits}``.

    Args:
        path: Behind the base URL.
        accepted: What the answer looks like once the vendor has heard it.
        gone: Codes, at the path of ``answer.code``, that say that there is nothing left to be told of.
        method: HTTP verb.
        query: Fields of the URL.
        form: Fields of a form in the body.
        json: A JSON body.
    """

    path: str
    accepted: Accepted
    gone: tuple[str, ...] = ()
    method: Literal["POST", "PUT", "DELETE"] = "POST"
    query: Mapping[str, Any] = attrs.field(factory=dict)
    form: Mapping[str, Any] = attrs.field(factory=dict)
    json: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Source:
    """Where a part of the table is known from.

    Args:
        certainty: Taken from the vendor's own software, read in its documents, or neither.
        source: Which software, document or page.
        unconfirmed: Single codes or statuses of which that is not so.
    """

    certainty: Literal["captured", "documented", "unconfirmed"]
    source: str
    unconfirmed: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Table:
    """One gateway.

    Args:
        name: For people.
        docs: The vendor's page.
        regions: Where it delivers, in words.
        base_url: May hold placeholders of settings; empty: each instance has its own.
        settings: What an instance says of its account.
        auth: What proves the account.
        number: How ``{number}`` is written.
        send: The request of each channel.
        answer: How answers are read.
        receipts: How it reports; None: it does not.
        account: How the account is looked at; None: it cannot be.
        outcomes: How it is told what became of a code; empty: it is told nothing.
        sources: Where each part is known from.
    """

    name: str
    docs: str = ""
    regions: str = ""
    base_url: str = ""
    settings: Mapping[str, Setting] = attrs.field(factory=dict)
    auth: Auth = attrs.field(factory=Auth)
    number: NumberFormat = attrs.field(factory=NumberFormat)
    send: Mapping[str, Request]
    answer: Answer = attrs.field(factory=Answer)
    receipts: Receipts | None = None
    account: Account | None = None
    outcomes: Mapping[str, Outcome] = attrs.field(factory=dict)
    sources: Mapping[str, Source] = attrs.field(factory=dict)

    def answer_of(self, channel: str) -> Answer:
        """How the answer to a message over this channel is read."""
        return self.send[channel].answer or self.answer

    @property
    def unconfirmed(self) -> tuple[str, ...]:
        """The parts of which not everything is known from the vendor."""
        parts = [part for part, one in self.sources.items() if one.certainty == "unconfirmed" or one.unconfirmed]
        return tuple(sorted(parts))
