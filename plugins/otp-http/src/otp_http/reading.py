"""A table read from the other side, for the simulator: which message a request asks for."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

import attrs
import phonenumbers

from otp_http.paths import as_text
from otp_http.placeholders import Node, Template, compiled, names_in
from otp_http.sections import NumberFormat, Request
from otp_http.tables import Outcome, Table
from otp_http.values import written
from otpcore.providers import PhoneNumber
from otpcore.simulators import SimulatedRequest

__all__ = ["Asked", "account_values", "asked", "ended", "recipient_of"]

_OPENING = {"e164": "", "digits": "+", "zeros": "+"}


@attrs.frozen(kw_only=True)
class Asked:
    """A request, understood.

    Args:
        channel: Over which it goes.
        values: What stood where the table has placeholders.
    """

    channel: str
    values: Mapping[str, str]


@attrs.define
class _Reading:
    """What was found so far: values for placeholders, and how many texts of the table itself."""

    values: dict[str, str] = attrs.field(factory=dict)
    literals: int = 0


def asked(table: Table, request: SimulatedRequest) -> Asked | None:
    """The message of a request; None where no channel of the gateway has such a one.

    Of two channels that both fit, such as an SMS and a call, it is the one that the request says more of.
    """
    found: list[tuple[int, Asked]] = []
    for channel, how in table.send.items():
        reading = _Reading()
        if how.method == request.method and _fits(how, request, reading):
            found.append((reading.literals, Asked(channel=channel, values=reading.values)))
    return max(found, key=lambda one: one[0])[1] if found else None


def ended(table: Table, request: SimulatedRequest) -> tuple[str, Asked] | None:
    """How it ended with a code, as a request tells it; None: the request tells no such thing."""
    for name, how in table.outcomes.items():
        reading = _Reading()
        if how.method == request.method and _fits(how, request, reading):
            return name, Asked(channel="", values=reading.values)
    return None


def account_values(table: Table, request: SimulatedRequest) -> Mapping[str, str] | None:
    """What the headers say of the account; None where one is not there or not of the table's form."""
    reading = _Reading()
    headers = {name.lower(): value for name, value in table.auth.headers.items()}
    if table.auth.bearer:
        headers["authorization"] = f"Bearer {table.auth.bearer}"
    for name, text in headers.items():
        if not _match(compiled(text), request.headers.get(name), reading):
            return None
    if table.auth.basic and not _basic(table.auth.basic, request.headers.get("authorization", ""), reading):
        return None
    return reading.values


def recipient_of(values: Mapping[str, str], how: NumberFormat, region: str) -> str:
    """The number (E.164) of a message, one without its country being of this region; empty: it has none."""
    for name, opening in _OPENING.items():
        if number := values.get(name, ""):
            return opening + (number.removeprefix("00") if name == "zeros" else number)
    number = values.get("number", "") or values.get("national", "")
    for candidate in _candidates(number, how, region):
        if re.fullmatch(r"\+[1-9][0-9]{6,14}", candidate) and number in _spellings(candidate, how):
            return candidate
    return ""


def _spellings(candidate: str, how: NumberFormat) -> tuple[str, ...]:
    number = PhoneNumber(candidate)
    return written(number, how), written(number, NumberFormat(format="national"))


def _candidates(number: str, how: NumberFormat, region: str) -> Iterator[str]:
    """Numbers that may be written so; those with their country first, as 00359… begins like a national 0…, too."""
    yield from (number, f"+{number}", f"+{number.removeprefix('00')}")
    for prefix, instead in how.prefixes.items():
        if number.startswith(instead):
            yield prefix + number.removeprefix(instead)
    if code := phonenumbers.country_code_for_region(region):
        yield from (f"+{code}{number.removeprefix('0')}", f"+{code}{number}")


def _fits(how: Request | Outcome, request: SimulatedRequest, reading: _Reading) -> bool:
    path = compiled(how.path)
    if not _match(path, request.path, reading, inside="[^/]*"):
        return False
    for name in names_in(path):
        reading.values[name] = unquote(reading.values[name])
    parts = (
        (how.query, dict(parse_qsl(request.query, keep_blank_values=True))),
        (how.form, {name: found[-1] for name, found in request.form().items()} if how.form else {}),
        (how.json, _json(request) if how.json else {}),
    )
    return all(_match(compiled(wanted), said, reading) for wanted, said in parts)


def _json(request: SimulatedRequest) -> Any:
    try:
        return request.json()
    except ValueError:
        return None


def _match(node: Node, said: Any, reading: _Reading, *, inside: str = ".*") -> bool:
    """Whether this could have been made of the template; what stood for its placeholders is kept.

    Fields that the template does not know are passed over, and so are those that are not there.
    """
    match node:
        case Template():
            return _match_text(node, said if isinstance(said, str) else as_text(said), reading, inside)
        case dict():
            return isinstance(said, Mapping) and all(
                _match(part, said[name], reading) for name, part in node.items() if name in said
            )
        case list():
            if not isinstance(said, list):  # of a field that came several times there is the last
                return bool(node) and _match(node[-1], said, reading)
            pairs = zip(node, said, strict=False)
            return len(said) <= len(node) and all(_match(part, one, reading) for part, one in pairs)
        case _:
            reading.literals += 1
            return as_text(node) == as_text(said)


def _match_text(node: Template, said: str, reading: _Reading, inside: str) -> bool:
    pattern = "".join(re.escape(part) if isinstance(part, str) else f"({inside})" for part in node.parts)
    found = re.fullmatch(pattern, said, re.DOTALL)
    if found is None:
        return False
    # A placeholder that comes twice stands for the same both times.
    pairs = zip(node.names, found.groups(), strict=True)
    return all(reading.values.setdefault(name, value) == value for name, value in pairs)


def _basic(wanted: tuple[str, ...], header: str, reading: _Reading) -> bool:
    scheme, _, encoded = header.partition(" ")
    try:
        given = base64.b64decode(encoded, validate=True).decode()
    except ValueError:  # not Base64, or not UTF-8
        return False
    parts = given.split(":", 1)
    return (
        scheme.lower() == "basic"
        and len(parts) == len(wanted)
        and all(_match(compiled(text), part, reading) for text, part in zip(wanted, parts, strict=True))
    )
