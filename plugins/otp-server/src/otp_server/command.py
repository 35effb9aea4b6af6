"""The commands that this distribution brings: ``otp serve``, ``otp keys api`` and ``otp console user``."""
# ruff: noqa: PLC0415 - `otp --help` must not wait for a web framework

from __future__ import annotations

import enum
from typing import Annotated

import typer

from otpcore.cli import ExitCode, Options

__all__ = [
    "add_person",
    "list_keys",
    "list_people",
    "new_key",
    "remove_person",
    "reset_person",
    "revoke_key",
    "serve",
    "widget",
]


Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; it is kept in the audit trail, with your name.")]


Person = Annotated[str, typer.Argument(metavar="NAME", help="Of the person, such as ann or ann@example.com.")]


class RoleName(enum.StrEnum):
    """What a person may do in the console."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


class KindName(enum.StrEnum):
    """Kinds of keys."""

    TEST = "test"
    LIVE = "live"


class ScopeName(enum.StrEnum):
    """What a key may be used for."""

    VERIFY = "verify"
    READ = "read"
    RELAY = "relay"
    MANAGE = "manage"


def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Where to listen; not given: as set.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="On which port; 0: a free one; not given: as set.")
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, max=256, help="How many processes serve; one that dies is replaced.")
    ] = 1,
) -> ExitCode:
    """Serve the HTTP API until SIGTERM or Ctrl-C; without any settings as a sandbox on this machine."""
    from otp_server import serving

    return serving.serve(_options(context), host, port, workers)


def new_key(
    context: typer.Context,
    app: Annotated[
        str, typer.Argument(metavar="[APP]", help="A name below server.apps; none where there are none.")
    ] = "",
    kind: Annotated[KindName, typer.Option(help="Test keys reach nobody: they work with the sandbox.")] = KindName.TEST,
    scope: Annotated[list[ScopeName] | None, typer.Option(help="What it may do; not given: verify and read.")] = None,
    note: Annotated[str, typer.Option(metavar="TEXT", help="For people.")] = "",
    reason: Reason = "",
    lasts: Annotated[
        int | None, typer.Option("--days", min=1, max=3_660, help="Not given: until it is revoked.")
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option("--from", metavar="NETWORK", help="From where it is taken; not given: everywhere."),
    ] = None,
) -> ExitCode:
    """Make a key for the HTTP API, and show it this once."""
    from otp_server import key_commands as _keys

    scopes = [str(one) for one in scope or (ScopeName.VERIFY, ScopeName.READ)]
    asked = _keys.NewKeyAsked(
        app=app, kind=str(kind), scopes=scopes, note=note, reason=reason, days=lasts, networks=tuple(network or ())
    )
    return _keys.new_key(_options(context), asked)


def list_keys(context: typer.Context) -> ExitCode:
    """List the keys of the HTTP API; none of it lets anybody in."""
    from otp_server import key_commands as _keys

    return _keys.list_keys(_options(context))


def revoke_key(
    context: typer.Context,
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `otp keys api list` shows it.")],
    reason: Reason = "",
) -> ExitCode:
    """Take a key no more, from now on."""
    from otp_server import key_commands as _keys

    return _keys.revoke_key(_options(context), key_id, reason)


def widget(context: typer.Context) -> ExitCode:
    """Print the script element that loads the widget, with what a browser holds it against."""
    from otp_server import widget as _widget
    from otp_server.settings import read_settings
    from otpcore.cli import settings_for

    options = _options(context)
    own = read_settings(settings_for(options).server)
    url = own.public_url or f"http://{own.host}:{own.port}"
    document = {"tag": _widget.tag(url), "file": _widget.versioned(), "integrity": _widget.integrity()}
    options.say(document, document["tag"])
    return ExitCode.OK


def add_person(
    context: typer.Context,
    name: Person,
    role: Annotated[RoleName, typer.Option(help="Viewers look, operators change, admins let others in too.")] = (
        RoleName.VIEWER
    ),
    may_reveal: Annotated[bool, typer.Option("--may-reveal", help="May see whole numbers, each for a reason.")] = False,
    by_proxy: Annotated[
        bool, typer.Option("--by-proxy", help="No password: the trusted proxy says who it is.")
    ] = False,
    reason: Reason = "",
) -> ExitCode:
    """Let a person into the console; password and digits are shown this once."""
    from otp_server import people_commands as _people

    asked = _people.AccountAsked(name=name, role=str(role), may_reveal=may_reveal, by_proxy=by_proxy, reason=reason)
    return _people.add_person(_options(context), asked)


def reset_person(
    context: typer.Context,
    name: Person,
    role: Annotated[RoleName | None, typer.Option(help="Another role; not given: as it is.")] = None,
    may_reveal: Annotated[
        bool | None, typer.Option("--may-reveal/--no-reveal", help="May see whole numbers; not given: as it is.")
    ] = None,
    reason: Reason = "",
) -> ExitCode:
    """Give a person another password and other digits, and end what is open in the console."""
    from otp_server import people_commands as _people

    asked = _people.AccountAsked(
        name=name, role=None if role is None else str(role), may_reveal=may_reveal, reason=reason
    )
    return _people.reset_person(_options(context), asked)


def list_people(context: typer.Context) -> ExitCode:
    """List who may look at the console, and as what."""
    from otp_server import people_commands as _people

    return _people.list_people(_options(context))


def remove_person(context: typer.Context, name: Person, reason: Reason = "") -> ExitCode:
    """Let a person into the console no more, from now on."""
    from otp_server import people_commands as _people

    return _people.remove_person(_options(context), name, reason)


def _options(context: typer.Context) -> Options:
    options: Options = context.obj
    return options
