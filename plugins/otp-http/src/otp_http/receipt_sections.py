"""The sections of a gateway's table that are about its reports, as settings are read: a class for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs

from otp_http.sections import Encoding, Hash, PriceAt

__all__ = ["Challenge", "Proof", "Receipts"]


@attrs.frozen(kw_only=True)
class Proof:
    """What proves that a receipt is the vendor's.

    Args:
        kind: ``address``: the vendor signs nothing, and is told another address with each message. ``hmac``, ``jwt`` and
            ``ed25519``: it signs. ``basic``, ``header``, ``query``: it brings a secret.
        header: That carries the signature, the token or the secret.
        field: Of the query, for a secret in the URL; of the report, for an HMAC that stands there.
        separator: Between the signatures of a header that may hold several, one of which has to be right.
        key: Of the signature.
        key_encoding: How the key is written, or that it is hashed before it is used.
        hash: Of an HMAC, and of a JWT, whose ``alg`` is then HS256, HS384 or HS512 and nothing else.
        encoding: Of the signature.
        prefix: Before the signature or token.
        signed: What is signed, as it is put together: ``{body}``, ``{timestamp}``, ``{nonce}``, ``{method}``, ``{url}``,
            ``{address}`` (the URL without its query), ``{query}`` (its fields sorted, as ``a=1&b=2.``, and empty without
            any) and ``{fields}`` (those of the report, sorted by name).
        written: How ``{fields}`` has each of them; ``{name}`` and ``{value}``.
        replaced: The characters in whose place a value of ``{fields}`` has ``_``.
        timestamp: The header with the time at which it was signed, in Unix seconds.
        timestamp_field: The field of the report with that time, instead of a header.
        nonce: The header that ``{nonce}`` is.
        tolerance: Seconds that this time may be away from now.
        claims: What a JWT has to say: claims and their values, with ``{body_sha256}`` and ``{url_sha256}`` in hex.
        user: Of HTTP Basic authentication.
        password: Of HTTP Basic authentication.
        value: What the header or field must be.
    """

    kind: Literal["address", "hmac", "jwt", "ed25519", "basic", "header", "query"]
    header: str = ""
    field: str = ""
    separator: str = ""
    key: str = ""
    key_encoding: Literal["raw", "base64", "sha256"] = "raw"
    hash: Hash = "sha256"
    encoding: Encoding = "hex"
    prefix: str = ""
    signed: str = "{body}"
    written: str = "{name}{value}"
    replaced: str = ""
    timestamp: str = ""
    timestamp_field: str = ""
    nonce: str = ""
    tolerance: int = 300
    claims: Mapping[str, str] = attrs.field(factory=dict)
    user: str = ""
    password: str = ""
    value: str = ""


@attrs.frozen(kw_only=True)
class Challenge:
    """A GET by which the vendor has the address proven, as Meta does.

    Args:
        token: Field of the query with a secret.
        secret: What it must be.
        answer: Field that is sent back.
    """

    token: str
    secret: str
    answer: str


@attrs.frozen(kw_only=True)
class Receipts:
    """How the vendor reports what became of a message.

    Args:
        proof: What proves that it is the vendor.
        signature: What proves it instead, where the settings are set that are its key; for vendors that sign if one wants.
        longest_address: The most characters that the vendor takes of an address for reports; None: any.
        methods: HTTP verbs.
        body: Where the fields are.
        json_field: The field that holds JSON; empty: none does.
        items: Path of the reports, ``*`` for each of a list; empty: the whole is one.
        split: The fields are lists joined by this; empty: they are not.
        reference: Path of the vendor's id in a report.
        delivery_id: Path of ours.
        status: Paths of the status; the first that is there counts.
        detail: Path of what tells two meanings of one status apart; ``status/detail`` then goes before ``status``.
        code: Path of the vendor's code.
        statuses: The status and what it means: ``delivered``, ``progress``, ``undelivered`` or ``undelivered: kind``.
        codes: The code and its kind, before that of the status.
        answer: What the vendor waits for.
        type: Path of what kind of request it is.
        ignored: Those that hold no report.
        price: Where the price is.
        challenge: How the vendor has the address proven.
    """

    proof: Proof
    signature: Proof | None = None
    longest_address: int | None = None
    methods: tuple[str, ...] = ("POST",)
    body: Literal["form", "json", "query"] = "json"
    json_field: str = ""
    items: str = ""
    split: str = ""
    reference: str = ""
    delivery_id: str = ""
    status: tuple[str, ...]
    detail: str = ""
    code: str = ""
    statuses: Mapping[str, str]
    codes: Mapping[str, str] = attrs.field(factory=dict)
    answer: str = ""
    type: str = ""
    ignored: tuple[str, ...] = ()
    price: PriceAt | None = None
    challenge: Challenge | None = None
