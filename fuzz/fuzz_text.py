"""Fuzz targets for what people and operators write: rules, numbers, typed codes, texts, dates, sealed bytes."""

from __future__ import annotations

import datetime as dt
import functools

import httpx
from fuzz_common import CODE, NUMBER, run, text_of

from otpcore.codes import KeyRing, digest_length, normalise_code
from otpcore.errors import InvalidPhoneNumber, RoutingSyntaxError, SettingsError, StoreError
from otpcore.http.client import HttpClient, open_client
from otpcore.messages.texts import render_call, render_sms, segments, text_locale
from otpcore.phone.numbers import look_up_phone, parse_phone
from otpcore.providers.hooks import ProviderContext
from otpcore.routing import format_rules, parse_rules

_KEY = "b3RwY29yZS5mdXp6aW5nIGtleSwgbmV2ZXIgZm9yIHVzZXJz"
_NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def rules(data: bytes) -> None:
    """Any text is rules, or a syntax error with a column in it; rules survive being written and read again."""
    text = text_of(data)
    try:
        table = parse_rules(text)
    except RoutingSyntaxError as refused:
        assert 1 <= refused.column <= len(text) + 1
        assert "^" in str(refused)
        return
    assert parse_rules(format_rules(table)) == table
    route = table.candidates(NUMBER)
    assert len(set(route)) == len(route)
    assert {step.instance for step in table.explain(NUMBER)} == set(table.instances)


def phone(data: bytes) -> None:
    """Any text is a number that could exist, the same one where it is looked up, or is refused without being quoted."""
    text = text_of(data)
    for region, valid in ((None, True), ("BG", False)):
        try:
            number = parse_phone(text, default_region=region, require_valid=valid)
        except InvalidPhoneNumber as refused:
            digits = "".join(filter(str.isdigit, text))
            assert len(digits) < 5 or digits not in str(refused)
            continue
        assert look_up_phone(text, default_region=region) == look_up_phone(number.e164) == number
        assert number.e164.startswith("+")
        assert number.digits.isascii()
        assert number.digits.isdigit()
        assert 2 <= len(number.digits) <= 17
        assert number.e164 not in f"{number} {number!r}"


def typed_code(data: bytes) -> None:
    """Whatever is typed, nothing but the code's own digits matches its digest."""
    typed = normalise_code(text_of(data)[:64])
    assert normalise_code(typed) == typed
    assert _keys().matches("challenge", typed, _digest()) == (typed == CODE)


def template(data: bytes) -> None:
    """A text with a place for the code carries it; any other is refused; counting never fails."""
    text, _, rest = text_of(data).partition("\x1f")
    locale, _, app = rest.partition("\x1f")
    arguments = {"code": CODE, "locale": locale, "purpose": "login", "app": app, "minutes": 5}
    templates = {"default": {"en": text}}
    text_locale(locale=locale, purpose="login")
    for choice, refusal in (({"message": text}, ValueError), ({"templates": templates}, SettingsError)):
        try:
            message = render_sms(**arguments, **choice)  # type: ignore[arg-type] # one table for both calls
            spoken = render_call(**arguments, **choice)  # type: ignore[arg-type] # the same
        except refusal as refused:
            assert "{code}" not in text
            assert "_CODE_" not in text
            assert not text.strip() or len(text) < 8 or text not in str(refused)
            continue
        assert CODE in message
        assert spoken.count(", ".join(CODE)) >= 2
        counted = segments(message)
        assert counted.units >= len(message)
        assert counted.count <= max(counted.units, 1)


def sealed(data: bytes) -> None:
    """Bytes that this key did not seal open as nothing; a digest that we did not write matches nothing."""
    try:
        opened = _keys().unseal("challenge", "code", data)
    except SettingsError as refused:
        assert len(str(refused)) < 300
    else:
        raise AssertionError(f"{len(opened)} characters were opened that nobody sealed")
    stored = text_of(data)
    try:
        assert not _keys().matches("challenge", CODE, stored)
        digest_length(stored)
    except (SettingsError, StoreError):
        return


def retry_after(data: bytes) -> None:
    """Whatever stands in the header, it is a wait of zero or more seconds, or none."""
    answer = run(_client(data).request("GET", "/"))
    wait = answer.retry_after
    assert wait is None or 0 <= wait < 1e12
    assert wait is None or _NOW + dt.timedelta(seconds=min(wait, 1e9))


@functools.cache
def _keys() -> KeyRing:
    return KeyRing(index=_KEY, code={"a": _KEY}, current="a")


@functools.cache
def _digest() -> str:
    return _keys().digest("challenge", CODE)


def _client(data: bytes) -> HttpClient:
    _client_state["header"] = data.replace(b"\r", b"").replace(b"\n", b"")
    if "client" not in _client_state:
        transport = httpx.MockTransport(
            lambda _: httpx.Response(429, headers=[(b"Retry-After", _client_state["header"])])
        )
        context = ProviderContext(instance="fuzz", clock=lambda: _NOW, transport=transport)

        async def opened() -> HttpClient:
            from contextlib import AsyncExitStack  # noqa: PLC0415 - nothing is closed: the transport is ours

            return await open_client(AsyncExitStack(), context, base_url="https://vendor.example")

        _client_state["client"] = run(opened())
    return _client_state["client"]


_client_state: dict = {}

TARGETS = {
    "rules": rules,
    "phone": phone,
    "typed_code": typed_code,
    "template": template,
    "sealed": sealed,
    "retry_after": retry_after,
}
