"""The tree of commands: which words lead to which."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from otpcore.cli import commands as _commands
from otpcore.cli import lists as _lists
from otpcore.cli import operations as _operations
from otpcore.cli.exits import ExitCode

__all__ = ["COMMANDS", "GROUPS", "tree_of"]

Command = Callable[..., ExitCode]

COMMANDS: dict[str, Command] = {
    "init": _commands.init,
    "demo": _commands.demo,
    "send": _commands.send,
    "call": _commands.call,
    "verify": _commands.verify,
    "providers": _operations.providers,
    "status": _operations.status,
    "worker": _commands.worker,
    "pause": _operations.pause,
    "resume": _operations.resume,
    "purge": _operations.purge,
    "audit": _operations.audit,
    "series": _lists.series,
    "doctor": _commands.doctor,
    "sandbox": _commands.sandbox,
}

GROUPS: dict[str, tuple[str, dict[str, Command]]] = {
    "routes": (
        "Which provider serves which numbers.",
        {
            "check": _commands.check_routes,
            "explain": _commands.explain_routes,
            "preview": _commands.preview_routes,
            "show": _commands.show_routes,
            "set": _commands.set_routes,
            "history": _commands.history_of_routes,
            "restore": _commands.restore_routes,
        },
    ),
    "retries": (
        "Sends that wait for their next try.",
        {"list": _operations.list_retries, "requeue": _operations.requeue, "drop": _operations.drop},
    ),
    "instances": (
        "The provider instances, and taking one out of use.",
        {"status": _operations.status_of_instances, "drain": _operations.drain, "take-back": _operations.take_back},
    ),
    "challenges": (
        "Started verifications.",
        {
            "list": _lists.list_challenges,
            "show": _operations.show_challenges,
            "cancel": _operations.cancel_challenge,
        },
    ),
    "deliveries": ("What was handed to providers.", {"list": _lists.list_deliveries}),
    "limits": (
        "Who may send to whom, and how often.",
        {
            "show": _operations.show_limits,
            "reset": _operations.reset_limits,
            "deny": _operations.deny_prefix,
            "allow": _operations.allow_prefix,
            "refused": _operations.refused_limits,
        },
    ),
    "db": ("The tables of the database.", {"upgrade": _commands.upgrade, "current": _commands.current}),
    "keys": ("The keys that protect codes and numbers.", {"new": _commands.new_keys, "rotate": _commands.rotate_keys}),
}

MAY_TAKE_AN_ID: frozenset[Command] = frozenset(
    {
        _commands.verify,
        _operations.requeue,
        _operations.drop,
        _operations.show_challenges,
        _operations.cancel_challenge,
    }
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
