"""Whether a table can work: each thing that is wrong with it, with its key and the nearest right name."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from otp_http.meanings import DELIVERED, PROGRESS, UNDELIVERED, Meaning, nearest
from otp_http.placeholders import PlaceholderError, compiled, names_in
from otp_http.proofs import BODY_DIGEST, URL_DIGEST, secret_names
from otp_http.receipt_sections import Proof, Receipts
from otp_http.sections import Answer, BodyHmac, Request
from otp_http.signing import SIGNED_PARTS
from otp_http.tables import OUTCOMES, PARTS, Table
from otp_http.texts import problems_of_text
from otp_http.values import HOST_OR_SETTING, METADATA, VALUES
from otpcore.providers import Channel

__all__ = ["OF_EVERY_INSTANCE", "problems"]

OF_EVERY_INSTANCE = ("gateway", "gateway_file", "base_url", "allow_plain_http", "plugin", "proxy", "ca_file")
"""Settings that an instance has whatever its gateway."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_RECIPIENT = frozenset({"e164", "digits", "zeros", "national", "number"})
_LIFE_NAMES = frozenset({"life", "life_ms", "life_minutes", "life_hhmm", "expires_unix", "expires_iso"})
_RECEIPT_METHODS = ("GET", "POST")
_NEEDED: Mapping[str, tuple[str, ...]] = {  # of a proof, by its kind
    "address": (),
    "hmac": ("key",),
    "jwt": ("header", "key", "claims"),
    "ed25519": ("header", "key"),
    "basic": ("user", "password"),
    "header": ("header", "value"),
    "query": ("field", "value"),
}

_OF_OUTCOMES = ("reference", "delivery_id", "e164", "digits")
_HEADERS = {"timestamp": ("the signed time", "the time"), "nonce": ("what is said once", "it")}

Problem = tuple[str, str]


def problems(table: Table) -> Iterator[Problem]:
    """The key within the table, and what is wrong with it."""
    yield from _of_settings(table)
    yield from _of_templates(table)
    if not table.send:
        yield "send", "names no channel; write a section such as [send.sms]"
    for channel, request in table.send.items():
        yield from _of_request(table, channel, request)
        answer = table.answer_of(channel)
        yield from _of_answer(f"send.{channel}.answer" if request.answer else "answer", answer)
    if table.receipts is not None:
        yield from _of_receipts(table, table.receipts)
    yield from _of_outcomes(table)
    yield from _of_sources(table)


def _of_settings(table: Table) -> Iterator[Problem]:
    for name, setting in table.settings.items():
        key = f"settings.{name}"
        if not _NAME.fullmatch(name):
            yield key, "a setting's name is a lower-case letter, then lower-case letters, digits and _"
        if name in OF_EVERY_INSTANCE or (name in VALUES and name not in HOST_OR_SETTING):
            yield key, "this name means something else; choose another"
        yield from _of_pattern(f"{key}.form", setting.form)
        if setting.form and setting.must_be_given and not setting.example:
            yield f"{key}.example", "is needed beside form: the simulator's account has it"
        if setting.form and setting.example and not re.fullmatch(setting.form, setting.example):
            yield f"{key}.example", "is not of this setting's form"


def _of_templates(table: Table) -> Iterator[Problem]:
    """Each text with placeholders, by the names that it may have."""
    known = {*VALUES, *table.settings}
    yield from _of_text("base_url", table.base_url, table.settings)
    for channel, request in table.send.items():
        for part in ("path", "query", "form", "json", "headers"):
            yield from _of_text(f"send.{channel}.{part}", getattr(request, part), known, metadata=True)
    auth = table.auth
    yield from _of_text("auth.basic", auth.basic, table.settings)
    yield from _of_text("auth.bearer", auth.bearer, table.settings)
    yield from _of_text("auth.headers", auth.headers, known)
    if len(auth.basic) not in (0, 2):
        yield "auth.basic", "is a list of two: user and password"
    if auth.hmac is not None:
        yield from _of_text("auth.hmac.key", auth.hmac.key, table.settings)
        yield from _of_text("auth.hmac.prefix", auth.hmac.prefix, table.settings)
        yield from _of_signed(table, auth.hmac)
    if table.account is not None:
        for part in ("path", "query", "form", "json"):
            yield from _of_text(f"account.{part}", getattr(table.account, part), table.settings)


def _of_signed(table: Table, how: BodyHmac) -> Iterator[Problem]:
    shared = {name.lower() for name in table.auth.headers}
    names = set(re.findall(r"\{([a-z0-9-]+)\}", how.signed))
    if "body" not in names:
        yield "auth.hmac.signed", "must hold {body}, or the message could be changed"
    for channel, request in table.send.items():
        known = {"body", *shared, *(name.lower() for name in request.headers)}
        for name in sorted(names - known):
            yield "auth.hmac.signed", f"send.{channel} has no header {name}; {nearest(name, known)}"


def _of_text(key: str, value: Any, known: Collection[str], *, metadata: bool = False) -> Iterator[Problem]:
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _of_text(f"{key}.{name}", part, known, metadata=metadata)
        return
    if isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from _of_text(f"{key}.{index}", part, known, metadata=metadata)
        return
    try:
        names = tuple(names_in(compiled(value)))
    except PlaceholderError as error:
        yield key, str(error)
        return
    for name in names:
        if name in known or (metadata and name.startswith(METADATA)):
            continue
        fix = f"declare it as [settings.{name}]" if name in HOST_OR_SETTING else nearest(name, known)
        yield key, f"{{{name}}} is neither a value nor a setting; {fix}"


def _of_request(table: Table, channel: str, request: Request) -> Iterator[Problem]:
    key = f"send.{channel}"
    try:
        Channel(channel)
    except ValueError as error:
        yield key, str(error)
    names = _names(request)
    yield from _of_form(key, request)
    if names is None:
        return  # what a text that cannot be read would have named is not known
    yield from _of_content(key, request, names)
    yield from _of_unused(key, request, names)
    if table.receipts is not None and table.receipts.proof.kind == "address" and "receipt_url" not in names:
        yield key, 'never says {receipt_url}, which receipts.proof.kind = "address" needs'


def _of_form(key: str, request: Request) -> Iterator[Problem]:
    if request.form and request.json:
        yield f"{key}.json", "a request has one body: form or json"
    if not _is_json(request.json):
        yield f"{key}.json", "must be a table or a list"
    if (request.form or request.json) and request.method == "GET":
        yield f"{key}.method", 'a GET has no body; write "POST", or put the fields into query'
    if not request.path.startswith("/"):
        yield f"{key}.path", "begins with /; what comes before is base_url"
    if len(request.code_lengths) not in (0, 2):
        yield f"{key}.code_lengths", "is a list of two: the shortest and the longest"
    if request.life is not None and request.life.min > request.life.max:
        yield f"{key}.life", "min is more than max; both are seconds"
    yield from _of_pattern(f"{key}.sender", request.sender)


def _is_json(value: Any, body: str = "json") -> bool:
    return isinstance(value, Mapping) or (body == "json" and isinstance(value, list))


def _of_content(key: str, request: Request, names: Collection[str]) -> Iterator[Problem]:
    if not _RECIPIENT.intersection(names):
        yield key, "names no recipient; write {e164}, {digits} or {number} where the gateway wants it"
    wanted, other = ("text", "code") if request.content == "text" else ("code", "text")
    if wanted not in names:
        yield key, f'has content = "{request.content}" and no {{{wanted}}}'
    if request.content == "code" and other in names:
        yield key, 'has content = "code" and {text}; the gateway words what it sends, or write content = "text"'


def _of_unused(key: str, request: Request, names: Collection[str]) -> Iterator[Problem]:
    """What is said for placeholders that are not there."""
    if request.sender and "sender" not in names:
        yield f"{key}.sender", "is not used; write {sender} where the gateway wants it"
    if request.languages and "language" not in names:
        yield f"{key}.languages", "is not used; write {language} where the gateway wants it"
    if request.life is not None and not _LIFE_NAMES.intersection(names):
        shown = ", ".join(f"{{{name}}}" for name in sorted(_LIFE_NAMES))
        yield f"{key}.life", f"is not used; write one of {shown}"


def _of_answer(key: str, answer: Answer) -> Iterator[Problem]:
    accepted = answer.accepted
    if not accepted.path and not answer.reference:
        yield (
            f"{key}.accepted",
            ("an HTTP status alone is no acceptance; name a path and what it is, or the path of the reference"),
        )
    if accepted.is_ and not accepted.path:
        yield f"{key}.accepted.is", "needs path beside it"
    yield from _of_body(key, answer)
    yield from _of_pattern(f"{key}.pattern", answer.pattern)
    yield from _of_pattern(f"{key}.retry_after.pattern", answer.retry_after.pattern, groups=1)
    if answer.codes and not answer.code:
        yield f"{key}.code", "is needed beside codes: the path of the code"
    if answer.detail and not any("/" in code for code in answer.codes):
        yield f"{key}.detail", 'is not used; write codes such as "9/recipients"'
    yield from _of_meanings(f"{key}.codes", answer.codes)
    yield from _of_meanings(f"{key}.http", answer.http)
    yield from _of_meanings(key, {"otherwise": answer.otherwise})
    for status in answer.http:
        if not re.fullmatch("[2-5][0-9]{2}", status):
            yield f"{key}.http.{status}", "is no HTTP status"


def _of_body(key: str, answer: Answer) -> Iterator[Problem]:
    """How an answer is written, and its examples."""
    odd = [name for name in ("accepted", "refused") if not _is_json(getattr(answer.examples, name), answer.body)]
    for name in odd:
        yield f"{key}.examples.{name}", "must be a table" + (" or a list" if answer.body == "json" else "")
    if answer.body == "text" and not odd:
        for name, problem in problems_of_text(answer):
            yield f"{key}.{name}", problem
    elif answer.body != "text" and answer.pattern:
        yield f"{key}.pattern", 'goes with body = "text", and with nothing else'


def _of_receipts(table: Table, receipts: Receipts) -> Iterator[Problem]:
    proof = receipts.proof
    yield from _of_statuses(receipts.statuses)
    yield from _of_meanings("receipts.codes", receipts.codes)
    for method in receipts.methods:
        if method not in _RECEIPT_METHODS:
            yield "receipts.methods", f"{method!r} is none that reports come with; write GET, POST or both"
    if not receipts.methods:
        yield "receipts.methods", "is empty; write GET, POST or both"
    if receipts.items and "*" not in receipts.items.split("."):
        yield "receipts.items", "has no *, so it leads to no list; write the whole path in status, reference and so on"
    if receipts.codes and not receipts.code:
        yield "receipts.code", "is needed beside codes: the path of the code"
    if not (receipts.reference or receipts.delivery_id or proof.kind == "address"):
        yield "receipts.reference", "is needed, or delivery_id: a report names its message"
    yield from _of_proof(table, "receipts.proof", proof)
    if receipts.signature is not None:
        yield from _of_signature(table, receipts.signature)
    if receipts.challenge is not None:
        yield from _of_text("receipts.challenge.secret", receipts.challenge.secret, table.settings)


def _of_statuses(statuses: Mapping[str, str]) -> Iterator[Problem]:
    words = (DELIVERED, UNDELIVERED, PROGRESS)
    for status, text in statuses.items():
        word, _, kind = (part.strip() for part in text.partition(":"))
        if word not in words:
            yield f"receipts.statuses.{status}", f"{word!r} is no end of a message; {nearest(word, words)}"
        elif kind and word != UNDELIVERED:
            yield f"receipts.statuses.{status}", f"only {UNDELIVERED} has a kind"
        elif kind:
            yield from _of_meanings("receipts.statuses", {status: kind})


def _of_proof(table: Table, key: str, proof: Proof) -> Iterator[Problem]:
    for name in _NEEDED[proof.kind]:
        if not getattr(proof, name):
            yield f"{key}.{name}", f'is needed with kind = "{proof.kind}"'
    if proof.kind == "hmac" and bool(proof.header) is bool(proof.field):
        yield f"{key}.header", 'or field is needed with kind = "hmac", one of the two: where the signature stands'
    for name in secret_names(proof):
        yield from _of_text(f"{key}.{name}", getattr(proof, name), table.settings)
    if proof.kind == "jwt":
        yield from _of_claims(table, f"{key}.claims", proof.claims)
        return
    for part in re.findall(r"\{([a-z_]+)\}", proof.signed):
        if part not in SIGNED_PARTS:
            yield f"{key}.signed", f"{{{part}}} cannot be signed; {nearest(part, SIGNED_PARTS)}"
    yield from _of_moment(key, proof)


def _of_moment(key: str, proof: Proof) -> Iterator[Problem]:
    """What tells one report from the same one later: its time, and what is said once."""
    for part, name in (("timestamp", proof.timestamp), ("nonce", proof.nonce)):
        if f"{{{part}}}" in proof.signed and not name:
            yield f"{key}.{part}", f"is needed: the header with {_HEADERS[part][0]}"
        if name and f"{{{part}}}" not in proof.signed:
            yield f"{key}.signed", f"must hold {{{part}}}, or {_HEADERS[part][1]} could be changed"
    if (proof.field or proof.timestamp_field) and proof.kind == "hmac" and "{fields}" not in proof.signed:
        yield f"{key}.signed", "must hold {fields}, or they could be changed"


def _of_claims(table: Table, key: str, claims: Mapping[str, str]) -> Iterator[Problem]:
    digests = (BODY_DIGEST, URL_DIGEST)
    if claims and not set(digests) & set(claims.values()):
        yield key, f"has neither {BODY_DIGEST} nor {URL_DIGEST}: any report could be put beside such a token"
    for name, text in claims.items():
        if text not in digests:
            yield from _of_text(f"{key}.{name}", text, table.settings)


def _of_signature(table: Table, signature: Proof) -> Iterator[Problem]:
    key = "receipts.signature"
    if signature.kind not in ("hmac", "jwt", "ed25519"):
        yield f"{key}.kind", "must be one of hmac, jwt, ed25519; what is no signature goes into receipts.proof"
    yield from _of_proof(table, key, signature)
    try:
        names = tuple(names_in(compiled(signature.key)))
    except PlaceholderError:
        return  # told of already
    if not any(name in table.settings and not table.settings[name].must_be_given for name in names):
        yield f"{key}.key", "holds no setting that may be left out; with this key at hand it is receipts.proof"


def _of_outcomes(table: Table) -> Iterator[Problem]:
    for name, how in table.outcomes.items():
        key = f"outcomes.{name}"
        if name not in OUTCOMES:
            yield key, f"is no end of a code; {nearest(name, OUTCOMES)}"
        known = {*_OF_OUTCOMES, *table.settings}
        for part in ("path", "query", "form", "json"):
            yield from _of_text(f"{key}.{part}", getattr(how, part), known)
        if not how.accepted.path:
            yield f"{key}.accepted.path", "is required: an HTTP status alone says nothing"
        if how.gone and not table.answer.code:
            yield f"{key}.gone", "needs answer.code: the path of the code"


def _of_sources(table: Table) -> Iterator[Problem]:
    for part in table.sources:
        if part.partition(".")[0] not in PARTS:
            yield f"sources.{part}", f"the table has no such part; {nearest(part, PARTS)}"


def _of_meanings(key: str, table: Mapping[str, str]) -> Iterator[Problem]:
    for code, text in table.items():
        try:
            Meaning.read(text)
        except ValueError as error:
            yield f"{key}.{code}", str(error)


def _of_pattern(key: str, pattern: str, groups: int = 0) -> Iterator[Problem]:
    try:
        found = re.compile(pattern).groups
    except re.error as error:
        yield key, f"is no regular expression: {error}"
        return
    if found < groups:
        yield key, "has no group: put brackets round what it is to find"


def _names(request: Request) -> set[str] | None:
    """The placeholders of all its texts; None where one cannot be read, which is told of already."""
    nodes = [getattr(request, part) for part in ("path", "query", "form", "json", "headers")]
    try:
        return {name for node in nodes for name in names_in(compiled(node))}
    except PlaceholderError:
        return None
