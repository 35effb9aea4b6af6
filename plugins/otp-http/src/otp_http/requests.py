"""A request to a gateway as its table says: read once for each channel, written for each message."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import attrs

from otp_http.placeholders import LEFT_OUT, Node, Template, compiled, fill, names_in
from otp_http.sections import Auth, BodyHmac, Request
from otp_http.tables import Account, Outcome

__all__ = ["Composed", "Composer", "body_signature", "encoded", "keyed"]

_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"


@attrs.frozen(kw_only=True)
class Composed:
    """One request, ready to be sent.

    Args:
        method: HTTP verb.
        target: Path and query, behind the base URL.
        headers: Of this request.
        body: None: it has none.
    """

    method: str
    target: str = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes | None = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Composer:
    """The templates of one request.

    Args:
        method: HTTP verb.
        path: Behind the base URL.
        query: Fields of the URL.
        form: Fields of the body.
        json: The body.
        headers: Of the request, those of the account among them.
        basic: User and password.
        signature: A signature of the body.
        names: All placeholders that have to be filled.
    """

    method: str
    path: Node
    query: Node
    form: Node
    json: Node
    headers: Mapping[str, Node]
    basic: tuple[Node, ...]
    signature: BodyHmac | None
    names: frozenset[str]

    @classmethod
    def of(cls, request: Request | Account | Outcome, auth: Auth) -> Composer:
        """Read the templates of a table, which has been checked."""
        said = {**auth.headers, **(request.headers if isinstance(request, Request) else {})}
        if auth.bearer:
            said["Authorization"] = f"Bearer {auth.bearer}"
        headers = {name: compiled(value) for name, value in said.items()}
        basic = tuple(map(compiled, auth.basic))
        nodes = {part: compiled(getattr(request, part)) for part in ("path", "query", "form", "json")}
        signing = [compiled(text) for text in ((auth.hmac.key, auth.hmac.prefix) if auth.hmac else ())]
        every = [*nodes.values(), *headers.values(), *basic, *signing]
        return cls(
            method=request.method,
            **nodes,
            headers=headers,
            basic=basic,
            signature=auth.hmac,
            names=frozenset(name for node in every for name in names_in(node)),
        )

    def compose(self, values: Mapping[str, str]) -> Composed:
        """The request for these values.

        Raises:
            ValueError: A value is no number where the table says that it is one. The text quotes nothing.
        """
        try:
            body, kind = self._body(values)
            query = urlencode(list(_pairs(fill(self.query, values))), quote_via=quote)
        except ValueError:
            raise ValueError("a value is no number where the gateway's table wants one") from None
        headers = {**({"Content-Type": kind} if kind else {}), **self._headers(values, body or b"")}
        target = _text(self.path, values, quoted=True)
        return Composed(method=self.method, target=f"{target}?{query}" if query else target, headers=headers, body=body)

    def _body(self, values: Mapping[str, str]) -> tuple[bytes | None, str]:
        if self.json:
            said = fill(self.json, values)
            said = {} if said is LEFT_OUT else said
            return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode(), _JSON
        if self.form:
            return urlencode(list(_pairs(fill(self.form, values)))).encode("ascii"), _FORM
        return None, ""

    def _headers(self, values: Mapping[str, str], body: bytes) -> dict[str, str]:
        filled = {name: fill(node, values) for name, node in self.headers.items()}
        headers = {name: str(value) for name, value in filled.items() if value is not LEFT_OUT}
        if self.basic:
            pair = ":".join(_text(node, values) for node in self.basic)
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode("ascii")
        if (how := self.signature) is not None:
            key, prefix = (_text(compiled(text), values) for text in (how.key, how.prefix))
            headers[how.header] = prefix + body_signature(how, key, headers, body)
        return headers


def body_signature(how: BodyHmac, key: str, headers: Mapping[str, str], body: bytes) -> str:
    """The signature of a request that has these headers.

    Raises:
        ValueError: The key is not written as the table says. The text quotes nothing.
    """
    try:
        secret = base64.b64decode(key, validate=True) if how.key_encoding == "base64" else key.encode()
    except ValueError:
        raise ValueError("the key of the signature is not Base64") from None
    parts = {f"{{{name.lower()}}}": value.encode() for name, value in headers.items()} | {"{body}": body}
    pieces = re.split(r"(\{[a-z0-9-]+\})", how.signed)
    said = b"".join(parts.get(piece, piece.encode()) for piece in pieces)
    return encoded(keyed(secret, said, how.hash), how.encoding)


def keyed(key: bytes, said: bytes, name: str) -> bytes:
    """The HMAC (RFC 2104) of what is said."""
    return hmac.new(key, said, getattr(hashlib, name)).digest()


def encoded(digest: bytes, how: str) -> str:
    """A digest as text: ``hex`` or ``base64``."""
    return digest.hex() if how == "hex" else base64.b64encode(digest).decode("ascii")


def _text(node: Node, values: Mapping[str, str], *, quoted: bool = False) -> str:
    if isinstance(node, Template):
        said = node.fill(values, _quoted) if quoted else node.fill(values)
        return "" if said is LEFT_OUT else str(said)
    return str(node)


def _quoted(value: str) -> str:
    return quote(value, safe="")


def _pairs(fields: Any) -> Iterator[tuple[str, str]]:
    """The fields of a form or a query; a list gives one name several times."""
    if fields is LEFT_OUT:
        return
    for name, value in fields.items():
        values: Iterable[Any] = value if isinstance(value, list) else [value]
        for one in values:
            yield name, ("true" if one else "false") if isinstance(one, bool) else str(one)
