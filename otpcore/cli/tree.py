"""The tree of commands: which words lead to which."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from otpcore.cli import commands as _commands
from otpcore.cli.exits import ExitCode

__all__ = ["COMMANDS", "GROUPS", "tree_of"]

Command = Callable[..., ExitCode]

COMMANDS: dict[str, Command] = {
    "init": _commands.init,
    "demo": _commands.demo,
    "send": _commands.send,
    "call": _commands.call,
    "verify": _commands.verify,
    "providers": _commands.providers,
    "status": _commands.status,
    "worker": _commands.worker,
    "pause": _commands.pause,
    "resume": _commands.resume,
    "purge": _commands.purge,
    "doctor": _commands.doctor,
    "sandbox": _commands.sandbox,
}

GROUPS: dict[str, tuple[str, dict[str, Command]]] = {
    "routes": (
        "Which provider serves which numbers.",
        {
            "check": _commands.check_routes,
            "explain": _commands.explain_routes,
            "show": _commands.show_routes,
            "set": _commands.set_routes,
        },
    ),
    "retries": (
        "Sends that wait for their next try.",
        {"list": _commands.list_retries, "requeue": _commands.requeue, "drop": _commands.drop},
    ),
    "challenges": ("Started verifications.", {"show": _commands.show_challenges}),
    "limits": (
        "Who may send to whom, and how often.",
        {
            "show": _commands.show_limits,
            "reset": _commands.reset_limits,
            "deny": _commands.deny_prefix,
            "allow": _commands.allow_prefix,
            "refused": _commands.refused_limits,
        },
    ),
    "db": ("The tables of the database.", {"upgrade": _commands.upgrade, "current": _commands.current}),
    "keys": ("The keys that protect codes and numbers.", {"new": _commands.new_keys, "rotate": _commands.rotate_keys}),
}

MAY_TAKE_AN_ID: frozenset[Command] = frozenset(
    {_commands.verify, _commands.requeue, _commands.drop, _commands.show_challenges}
)
"""A challenge's id may begin with a hyphen, and is no option then."""


class _NoTypeOfFlags:
    """Typer's help says "<bool>" behind a flag, as if it took a value; it takes none."""

    def get_params(self, context: Any) -> list[Any]:
        """All of them, ``--help`` too."""
        params: list[Any] = super().get_params(context)  # type: ignore[misc] # of the class that it stands before
        for one in params:
            if getattr(one, "is_flag", False):
                one.metavar = ""
        return params


class _Command(_NoTypeOfFlags, TyperCommand):
    """One command."""


class _Group(_NoTypeOfFlags, TyperGroup):
    """The root, or a group."""


def tree_of(asked: Sequence[str], root: Callable[..., None], *, epilog: str) -> typer.Typer:
    """The commands that may be meant: typer takes longer to prepare all of them than most take to run."""
    name = asked[0] if asked else ""
    meant = {name} if name in (*COMMANDS, *GROUPS) else set() if name == "--version" else {*COMMANDS, *GROUPS}
    tree = typer.Typer(cls=_Group, add_completion=False, pretty_exceptions_enable=False)
    tree.callback(epilog=epilog)(root)
    for own, command in COMMANDS.items():
        if own in meant:
            _add(tree, own, command)
    for own, (meaning, commands) in GROUPS.items():
        if own in meant:
            group = typer.Typer(cls=_Group, help=meaning)
            for inner, command in commands.items():
                _add(group, inner, command)
            tree.add_typer(group, name=own)
    return tree


def _add(tree: typer.Typer, name: str, command: Command) -> None:
    # A challenge's id may begin with a hyphen, and is no option then.
    settings = {"ignore_unknown_options": True} if command in MAY_TAKE_AN_ID else None
    tree.command(name, cls=_Command, context_settings=settings)(command)
