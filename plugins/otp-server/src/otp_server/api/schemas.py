"""Bodies of ``/v1``: what is taken, and what is answered."""

from __future__ import annotations

import ipaddress
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from otpcore import Payment

__all__ = [
    "Attempt",
    "AttemptPage",
    "BindBody",
    "CancelBody",
    "CheckBody",
    "Checked",
    "ClientBody",
    "Decoy",
    "Delivery",
    "ExplainBody",
    "Explained",
    "Message",
    "MessageBody",
    "Money",
    "OutcomeBody",
    "PageBody",
    "ProblemDocument",
    "Replayed",
    "ResendBody",
    "StartBody",
    "Status",
    "Unbound",
    "Verification",
]

Unbound = Literal["transaction_missing", "transaction_mismatch"]
Status = Literal["pending", "approved", "expired", "canceled", "max_attempts", "failed"]


def _given(name: str) -> dict[str, Any]:
    """JSON Schema: it is there, and is text."""
    return {"required": [name], "properties": {name: {"type": "string"}}}


def _address(text: str) -> str:
    return str(ipaddress.ip_address(text))


def _payee(text: str) -> str:
    """Payments of the core are exact about who is paid; what else they hold has its pattern here."""
    return Payment(payee=text, amount="1", currency="EUR").payee


Plain = Annotated[str, Field(pattern=r"^[^\x00]*$")]  # which PostgreSQL cannot store
Phone = Annotated[Plain, Field(min_length=1, max_length=64, description="With a leading +.", examples=["+12025550110"])]
Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,19}$", description="Such as sms, call or whatsapp.")]
Purpose = Annotated[Plain, Field(min_length=1, max_length=100, description="What the code is for.")]
Locale = Annotated[
    str, Field(pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,3}$", description="BCP 47.", examples=["pt-BR"])
]
MetadataName = Annotated[Plain, Field(min_length=1, max_length=40)]
MetadataText = Annotated[Plain, Field(max_length=128)]


class Body(BaseModel):
    """What is sent: unknown fields are refused, and no error quotes a value."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, strict=True)


class ClientBody(Body):
    """Who asks your application for a code."""

    ip: Annotated[
        str,
        AfterValidator(_address),
        Field(
            max_length=45,
            description="The person's address.",
            json_schema_extra={"anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]},
        ),
    ]


class PageBody(Body):
    """A page on which the person types the code."""

    return_url: Annotated[
        Plain, Field(max_length=500, description="Where it leads in the end: one of those that the settings name.")
    ] = ""
    state: Annotated[Plain, Field(max_length=200, description="Yours; it comes back with the person.")] = ""


class BindBody(Body):
    """A payment that the code confirms, and it alone; the person reads it."""

    payee: Annotated[
        Plain,
        AfterValidator(_payee),
        Field(min_length=1, max_length=70, description="Who is paid.", examples=["Linden Books"]),
    ]
    amount: Annotated[
        str, Field(pattern=r"^[0-9]{1,15}([.,][0-9]{1,4})?$", description="As it is read.", examples=["49.90"])
    ]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217.", examples=["EUR"])]


class StartBody(Body):
    """A verification to be started; the same again while it lives sends the code again, once it may be."""

    to: Phone
    channel: Word | None = Field(
        default=None, description="Over which the code goes; not given: the first of channels."
    )
    channels: Annotated[
        list[Word] | None,
        Field(min_length=1, max_length=5, description="In which order `resend` with `next` goes through them."),
    ] = None
    purpose: Purpose = "default"
    locale: Locale | None = None
    client: ClientBody | None = None
    metadata: Annotated[
        dict[MetadataName, MetadataText],
        Field(
            max_length=16,
            description="Yours; returned and never sent.",
            json_schema_extra={"additionalProperties": False},  # else a name of another pattern could have any value
        ),
    ] = {}
    page: PageBody | None = Field(default=None, description="Open a page for it; `page_url` is its address.")
    bind: BindBody | None = Field(
        default=None, description="Bind the code to a payment; a check must then say the same, letter for letter."
    )

    @model_validator(mode="after")
    def _one_way(self) -> StartBody:
        if self.channel is not None and self.channels is not None and self.channel not in self.channels:
            raise ValueError("channel must be one of channels")
        return self

    @property
    def named(self) -> dict[str, str]:
        """The channels that it names, each by the pointer to its place."""
        listed = {f"/channels/{place}": one for place, one in enumerate(self.channels or ())}
        return listed or {"/channel": self.channel or "sms"}

    @property
    def ladder(self) -> list[str]:
        """The channels in their order, the first one first."""
        if self.channels is None:
            return [self.channel or "sms"]
        first = self.channel or self.channels[0]
        return [first, *(one for one in self.channels if one != first)]


class CheckBody(Body):
    """A code as a person typed it."""

    code: Annotated[Plain, Field(max_length=64, description="As it was typed.", examples=["048 213"])]
    client: ClientBody | None = None
    bind: BindBody | None = Field(default=None, description="As it was started.")


class ResendBody(Body):
    """Another message of the same code."""

    channel: Annotated[Word | None, Field(description="Not given: as before; `next`: the next one of `channels`.")] = (
        None
    )
    client: ClientBody | None = None


class CancelBody(Body):
    """Nothing is said."""


class MessageBody(Body):
    """A message whose code was made elsewhere and is checked there; one of ``code`` and ``text`` is given, or both."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [_given("code"), _given("text")]})

    to: Phone
    code: Annotated[str | None, Field(pattern=r"^[0-9]{4,10}$", description="Put into the text of its language.")] = (
        None
    )
    text: Annotated[Plain | None, Field(min_length=1, max_length=1000, description="A whole text of yours.")] = None
    channel: Word = "sms"
    purpose: Purpose = "default"
    locale: Locale | None = None
    client: ClientBody | None = None

    @model_validator(mode="after")
    def _something(self) -> MessageBody:
        if self.code is None and self.text is None:
            raise ValueError("code or text must be given")
        return self


class OutcomeBody(Body):
    """How a relayed code ended."""

    used: Annotated[bool, Field(description="The right code was typed at your side.")]


class ExplainBody(Body):
    """A number of which to say who would serve it."""

    to: Phone
    channel: Word = "sms"
    locale: Locale | None = None


class Money(BaseModel):
    """What a vendor charges for a message or call."""

    amount: str = Field(description="Exact: read it as a decimal number, and not as a float.", examples=["0.00750"])
    currency: str = Field(description="ISO 4217.", examples=["USD"])


class Delivery(BaseModel):
    """One message that was handed to a provider."""

    provider: str
    channel: str
    outcome: str
    provider_code: str | None
    is_retry: bool
    at: datetime
    delivered_at: datetime | None
    price: Money | None = Field(
        description="As its vendor said last, in the answer or a receipt; null: it did not say."
    )


class Verification(BaseModel):
    """A verification; of a number nothing but its mask."""

    id: str
    status: Status = Field(description="More words may come; take one that you do not know for over.")
    delivery_state: str
    to: str = Field(description="Masked.")
    channel: str
    purpose: str
    confirmed: bool = Field(description="A provider said that it took the message.")
    restricted: bool = Field(description="It goes over the telephone network, which NIST SP 800-63B calls restricted.")
    attempts_left: int
    created_at: datetime
    expires_at: datetime
    resend_at: datetime | None = Field(description="Before then the same channel sends nothing new.")
    approved_at: datetime | None
    metadata: dict[str, str]
    deliveries: list[Delivery] | None = Field(default=None, description="Only for keys with the scope `read`.")
    page_url: str | None = Field(default=None, description="Of the page, where one was asked for; told once.")


class Decoy(BaseModel):
    """A page that looks and answers as any other, while nothing is sent and no code is right."""

    page_url: str
    expires_at: datetime


class Checked(BaseModel):
    """Whether a code was right. A wrong one is an answer, and no error."""

    valid: bool
    status: Status
    attempts_left: int | None
    reason: Unbound | None = Field(
        default=None, description="The payment was not named, or it is another one: then no code is right."
    )


class Message(BaseModel):
    """A relayed message."""

    id: str
    delivery_state: str
    to: str = Field(description="Masked.")
    channel: str
    purpose: str
    confirmed: bool
    created_at: datetime
    expires_at: datetime = Field(description="Until then it is tried again, where retries are on.")
    used: bool | None = Field(description="As you told; null: you did not.")
    deliveries: list[Delivery] | None = None


class Step(BaseModel):
    """One provider of a route, or one that is left out."""

    provider: str
    position: int | None
    reason: str


class Explained(BaseModel):
    """Who would serve a number, and what limits it; nothing is sent."""

    to: str = Field(description="Masked.")
    channel: str
    route: list[str]
    steps: list[Step]
    refused: str | None = Field(description="Why a send would not even be routed.")
    barrier: str | None = Field(description="`paused` or `denied`.")
    limits: list[dict[str, Any]] = Field(description="What this number has used up.")


class Attempt(BaseModel):
    """One attempt to tell an app of a change."""

    attempt: str = Field(description="Its id, for a replay.")
    event: str = Field(description="The id of the event; `webhook-id` of the request.")
    type: str
    at: datetime
    number: int = Field(description="From 1; 0: a replay.")
    status: int = Field(description="HTTP's; 0: there was no answer.")
    problem: str
    heard: bool
    last: bool = Field(description="No other one follows by itself.")
    body: str


class AttemptPage(BaseModel):
    """Attempts, the latest first."""

    attempts: list[Attempt]


class Replayed(BaseModel):
    """How a replay ended."""

    heard: bool
    status: int
    problem: str


class ProblemDocument(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    reason: str
    retry_after: int | None = None
    try_channel: str | None = None
    errors: list[dict[str, str]] | None = None
    channels: list[str] | None = Field(default=None, description="Over which this app may send.")
