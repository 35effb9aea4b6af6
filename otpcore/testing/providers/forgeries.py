"""Forged receipts: a genuine callback, changed in one thing that its vendor proves; each has a name."""

from __future__ import annotations

import base64
import binascii
import functools
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, urlencode, urlsplit, urlunsplit

import attrs

from otpcore.providers.requests import ReceiptRequest

__all__ = ["SIGNABLE", "Forgery", "forgeries", "forgeries_of_addresses", "forgeries_of_challenges"]

SIGNABLE = frozenset({"body", "headers", "url", "secret"})
"""What a vendor may prove: the words of ``ProviderContract.signed``."""

_PROOFS = ("sign", "authorization", "digest", "hmac", "token", "secret", "api-key")
"""What the names of headers that prove something have in them."""

_WRITTEN: tuple[Callable[[str], str], ...] = (str, quote, quote_plus, functools.partial(quote, safe=""))
"""How a secret may stand in a URL or a body."""

_ADVICE = {
    "proof": "prove it before anything else, compare the whole of it with hmac.compare_digest, and raise "
    "ReceiptRefused(ReceiptFault.SIGNATURE, ...)",
    "body": "compute the signature over request.body, the raw bytes. Does the vendor leave fields out? Name them in "
    "`unsigned_fields`. Does it not sign the body? Declare signed = {others}",
    "headers": "put the signed headers into what you compute. Does the vendor not sign this header? Leave it out of "
    "`callback`, or declare signed = {others}",
    "url": "compute the signature over request.url, as the vendor called it. Does the vendor not sign the URL? Declare "
    "signed = {others}",
    "secret": "compare the whole secret with hmac.compare_digest. Does the vendor send none? Then it is told an "
    "address of each message: ProviderInfo(signs_receipts=False) and signed = set()",
}

Changed = tuple[str, ReceiptRequest]
"""What is wrong with it, in words, and the request."""


@attrs.frozen
class Forgery:
    """A request that must be refused.

    Args:
        what: Is wrong with it, as in "taken with another path".
        request: Never the genuine one.
        advice: What the author of a provider does that takes it.
    """

    what: str
    request: ReceiptRequest
    advice: str


def forgeries(
    callback: ReceiptRequest, *, signed: Collection[str], unsigned_fields: Collection[str], secrets: Collection[str]
) -> Iterator[Forgery]:
    """What must be refused, each change by itself and once.

    Args:
        callback: The genuine one.
        signed: What the vendor proves, of ``SIGNABLE``.
        unsigned_fields: Names of fields that its signature leaves out.
        secrets: Values of the settings that are secret.
    """
    makers: dict[str, Callable[[], Iterator[Changed]]] = {
        "proof": lambda: _proofs(callback),
        "body": lambda: _bodies(callback, unsigned_fields),
        "headers": lambda: _headers(callback),
        "url": lambda: _urls(callback, unsigned_fields),
        "secret": lambda: _secrets(callback, secrets),
    }
    seen = [callback]
    for word, make in makers.items():
        if word != "proof" and word not in signed:
            continue
        advice = _ADVICE[word].replace("{others}", _written(set(signed) - {word}))
        for what, forged in make():
            if forged not in seen:
                seen.append(forged)
                yield Forgery(what, forged, advice)


def forgeries_of_challenges(genuine: ReceiptRequest) -> Iterator[Forgery]:
    """The GET by which an address is proven, without its query and with other values in it."""
    advice = "compare the secret in it with hmac.compare_digest before its text is repeated"
    there, _, query = genuine.url.partition("?")
    other = urlencode([(name, f"{value}x") for name, value in parse_qsl(query, keep_blank_values=True)])
    for what, url in {"without its query": there, "without its secret": f"{there}?{other}"}.items():
        if url != genuine.url:
            yield Forgery(f"a challenge {what}", attrs.evolve(genuine, url=url), advice)


def forgeries_of_addresses(callback: ReceiptRequest, foreign_proof: Callable[[str], str]) -> Iterator[Forgery]:
    """Other addresses than the one that is the proof."""
    address, mark, query = callback.url.partition("?")
    base, delivery_id, proof = address.rsplit("/", 2)
    others = {
        "no proof in its address": base,
        "an empty proof in its address": f"{base}/{delivery_id}/",
        "another proof in its address": f"{base}/{delivery_id}/{_other_than(proof)}",
        "the proof of another delivery in its address": f"{base}/{delivery_id}x/{proof}",
        "the proof of another instance in its address": f"{base}/{delivery_id}/{foreign_proof(delivery_id)}",
    }
    advice = "a vendor that signs nothing is believed at its address alone: ProviderInfo(signs_receipts=False)"
    for what, other in others.items():
        yield Forgery(what, attrs.evolve(callback, url=f"{other}{mark}{query}"), advice)


def _written(words: Collection[str]) -> str:
    """A set as it is written in Python."""
    return "{" + ", ".join(f'"{word}"' for word in sorted(words)) + "}" if words else "set()"


def _proofs(callback: ReceiptRequest) -> Iterator[Changed]:
    """Without the header that proves it, and with another in its place."""
    names = [name for name, value in callback.headers.items() if value and any(part in name for part in _PROOFS)]
    for name in names:
        yield f"another {name}", _with_header(callback, name, _other_than(callback.headers[name]))
        yield f"no {name}", _without_header(callback, name)


def _headers(callback: ReceiptRequest) -> Iterator[Changed]:
    yield "no headers", attrs.evolve(callback, headers={})
    for name, value in callback.headers.items():
        yield f"another {name}", _with_header(callback, name, _other_than(value))
        yield f"no {name}", _without_header(callback, name)


def _bodies(callback: ReceiptRequest, unsigned: Collection[str]) -> Iterator[Changed]:
    body = callback.body
    if not body:
        return
    for name, changed in _fields_changed(body):
        if name not in unsigned:
            yield f"another `{name}` in its body", attrs.evolve(callback, body=changed)
    if not unsigned:  # else it signs fields, and not the bytes around them
        yield "a byte more in its body", attrs.evolve(callback, body=body + b" ")
        yield "a byte less in its body", attrs.evolve(callback, body=body[:-1])


def _urls(callback: ReceiptRequest, unsigned: Collection[str]) -> Iterator[Changed]:
    parts = urlsplit(callback.url)
    yield "another path", _at(callback, parts._replace(path=f"{parts.path}x"))
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    for name, value in pairs:
        if name not in unsigned:
            others = [(each, _other_than(value) if each == name else kept) for each, kept in pairs]
            yield f"another `{name}` in its query", _at(callback, parts._replace(query=urlencode(others)))
            fewer = [(each, kept) for each, kept in pairs if each != name]
            yield f"no `{name}` in its query", _at(callback, parts._replace(query=urlencode(fewer)))


def _secrets(callback: ReceiptRequest, secrets: Collection[str]) -> Iterator[Changed]:
    """Another secret wherever the genuine one stands, as it is, percent-encoded, or in credentials of HTTP Basic."""
    for secret in secrets:
        other = _other_than(secret)
        for old, new in {(form(secret), form(other)) for form in _WRITTEN}:
            yield "another secret in its URL", attrs.evolve(callback, url=callback.url.replace(old, new))
            yield (
                "another secret in its body",
                attrs.evolve(callback, body=callback.body.replace(old.encode(), new.encode())),
            )
            for name, value in callback.headers.items():
                yield f"another secret in its {name}", _with_header(callback, name, value.replace(old, new))
        for name, value in callback.headers.items():
            yield f"another secret in its {name}", _with_header(callback, name, _with_basic(value, secret, other))


def _with_basic(value: str, secret: str, other: str) -> str:
    scheme, _, credentials = value.partition(" ")
    try:
        read = base64.b64decode(credentials, validate=True)
    except (binascii.Error, ValueError):
        return value
    if secret.encode() not in read:
        return value
    return f"{scheme} {base64.b64encode(read.replace(secret.encode(), other.encode())).decode()}"


def _fields_changed(body: bytes) -> Iterator[tuple[str, bytes]]:
    """A body of JSON or of a form with another value in one field after the other, and without it."""
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        yield from _form_changed(body)
        return
    for path in _leaves(read):
        yield ".".join(map(str, path)), json.dumps(_replaced(read, path)).encode()


def _form_changed(body: bytes) -> Iterator[tuple[str, bytes]]:
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True)
    except ValueError:  # neither JSON nor a form: the bytes more and less are what can be changed
        return
    for name, value in pairs:
        yield name, urlencode([(each, _other_than(value) if each == name else kept) for each, kept in pairs]).encode()
        yield name, urlencode([(each, kept) for each, kept in pairs if each != name]).encode()


def _leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    children: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, dict):
        children = value.items()
    elif isinstance(value, list):
        children = enumerate(value)
    found = False
    for key, child in children:
        found = True
        yield from _leaves(child, (*path, key))
    if not found and path:
        yield path


def _replaced(value: Any, path: tuple[str | int, ...]) -> Any:
    if not path:
        return _other_than(value) if isinstance(value, str) else "another"
    key, *rest = path
    copy: Any = dict(value) if isinstance(value, Mapping) else list(value)
    copy[key] = _replaced(value[key], tuple(rest))
    return copy


def _other_than(text: str) -> str:
    """A text of this length, other in the middle: the last characters of base64 may decode to the same bytes."""
    if not text:
        return "x"
    middle = len(text) // 2
    return f"{text[:middle]}{'1' if text[middle] == '0' else '0'}{text[middle + 1 :]}"


def _at(callback: ReceiptRequest, parts: Any) -> ReceiptRequest:
    return attrs.evolve(callback, url=urlunsplit(parts))


def _with_header(callback: ReceiptRequest, name: str, value: str) -> ReceiptRequest:
    return attrs.evolve(callback, headers={**callback.headers, name: value})


def _without_header(callback: ReceiptRequest, name: str) -> ReceiptRequest:
    return attrs.evolve(callback, headers={each: value for each, value in callback.headers.items() if each != name})
