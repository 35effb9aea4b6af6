"""The settings of one instance: those of every gateway, and those that its table declares."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from otp_http.placeholders import names_in
from otp_http.proofs import filled
from otp_http.requests import Composer
from otp_http.sections import Request, Setting
from otp_http.tables import Account, Outcome, Table
from otpcore.http import check_base_url
from otpcore.providers import ProviderContext, SettingsError

__all__ = ["InstanceSettings", "settings_of"]


@attrs.frozen(kw_only=True)
class InstanceSettings:
    """What one instance says of its account.

    Args:
        base_url: Under which the gateway is reached.
        values: By name, those that are not set as they are by default; without those of every gateway.
        secrets: Those of them that are never shown.
    """

    base_url: str
    values: Mapping[str, str] = attrs.field(repr=False)
    secrets: frozenset[str]


def settings_of(context: ProviderContext, table: Table) -> InstanceSettings:
    """Read them.

    Raises:
        SettingsError: One is unknown, missing or not of its form.
    """
    said = {name: value for name, value in context.settings.items() if name not in ("gateway", "gateway_file")}
    read = attrs.evolve(context, settings=said).structure(_class_of(table))
    values = {name: str(getattr(read, name)) for name in table.settings}
    base_url: str = read.base_url or filled(table.base_url, values)  # type: ignore[attr-defined] # made below
    _see_that_sender_fits(table, values, context.instance)
    checked = check_base_url(
        base_url,
        key=f"providers.{context.instance}.base_url",
        allow_plain_http=read.allow_plain_http,  # type: ignore[attr-defined] # the same
    )
    secrets = frozenset(name for name, setting in table.settings.items() if setting.secret)
    return InstanceSettings(base_url=checked, values=values, secrets=secrets)


def _see_that_sender_fits(table: Table, values: Mapping[str, str], instance: str) -> None:
    """Refuse a sender that no host could name either: the gateway would refuse each message."""
    sender = values.get("sender", "")
    for request in table.send.values():
        if sender and request.sender and not re.fullmatch(request.sender, sender):
            raise SettingsError(
                f"providers.{instance}.sender: is no sender that {table.name} takes ({request.sender}): "
                f"{table.settings['sender'].meaning}"
            )


def _class_of(table: Table) -> type[object]:
    """A class with a field for each setting, as ``ProviderContext.structure`` wants it."""
    of_all: dict[str, Any] = {
        "base_url": attrs.field(type=str, default="", validator=_must_be_there(not table.base_url)),
        "allow_plain_http": attrs.field(type=bool, default=False),
    }
    in_headers = _names_in_headers(table)
    own = {name: _field(setting, in_header=name in in_headers) for name, setting in table.settings.items()}
    return attrs.make_class("GatewaySettings", {**of_all, **own}, frozen=True, kw_only=True)


def _names_in_headers(table: Table) -> frozenset[str]:
    """The settings that go out in a header as they are; Basic authentication writes them in Base64."""
    requests: list[Request | Account | Outcome] = [*table.send.values(), *table.outcomes.values()]
    requests += [table.account] if table.account is not None else []
    headers = (node for request in requests for node in Composer.of(request, table.auth).headers.values())
    return frozenset(name for node in headers for name in names_in(node))


def _field(setting: Setting, *, in_header: bool) -> Any:
    """One that must be given has a default too: what is missing is then told by the check, with its meaning."""
    checks = [_visible(in_header=in_header), _of_form(setting)]
    return attrs.field(type=str, default=setting.default, repr=not setting.secret, validator=checks)


def _visible(*, in_header: bool) -> Callable[[Any, attrs.Attribute[str], str], None]:
    """Refuses what no gateway has given out, and what a header cannot carry."""

    def check(_: Any, __: attrs.Attribute[str], value: str) -> None:
        if value.strip() and value != value.strip():
            raise ValueError(
                "begins or ends with a space or a line break, as a text read from a file often does. Fix: cut it off, "
                "and nothing else"
            )
        if not value.strip().isprintable():
            raise ValueError("holds a line break or a character that nobody sees. Fix: copy it again, in one line")
        if in_header and not value.isascii():
            raise ValueError("goes out in a header, which carries ASCII alone. Fix: copy it again from the gateway")

    return check


def _must_be_there(needed: bool) -> Callable[[Any, attrs.Attribute[str], str], None]:
    def check(_: Any, __: attrs.Attribute[str], value: str) -> None:
        if needed and not value:
            raise ValueError("is required: the URL that the gateway has given to the account")

    return check


def _of_form(setting: Setting) -> Callable[[Any, attrs.Attribute[str], str], None]:
    def check(_: Any, __: attrs.Attribute[str], value: str) -> None:
        if setting.must_be_given and not value.strip():
            raise ValueError(f"is required: {setting.meaning}")
        if value and setting.form and not re.fullmatch(setting.form, value):
            raise ValueError(f"is not of the form {setting.form}: {setting.meaning}")

    return check
