"""The tree of commands: which words lead to which."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from otpcore.cli import commands as _commands
from otpcore.cli import developing as _developing
from otpcore.cli import lists as _lists
from otpcore.cli import operations as _operations
from otpcore.cli.exits import ExitCode
from otpcore.cli.others import commands_of_others

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
    "new-provider": _developing.new_provider,
    "simulate": _developing.simulate,
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
        {
            "status": _operations.status_of_instances,
            "drain": _operations.drain,
            "take-back": _operations.take_back,
            "test": _operations.send_test,
        },
    ),
    "challenges": (
        "Started verifications.",
        {
            "list": _lists.list_challenges,
            "show": _operations.show_challenges,
            "cancel": _operations.cancel_challenge,
        },
    ),
    "deliveries": (
        "What was handed to providers.",
        {"list": _lists.list_deliveries, "cost": _lists.cost_of_deliveries},
    ),
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


TAKES_ANYTHING = {"ignore_unknown_options": True, "allow_extra_args": True}
"""Of a command that cannot be loaded: why it cannot is worth more than what is wrong with its arguments."""


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
    groups: dict[tuple[str, ...], typer.Typer] = {(): tree}
    for own, command in COMMANDS.items():
        if own in meant:
            _add(tree, own, command)
    for own, (meaning, commands) in GROUPS.items():
        if own in meant:
            group = groups[own,] = _add_group(tree, own, meaning)
            for inner, command in commands.items():
                _add(group, inner, command)
    if name not in COMMANDS and meant:
        _add_others(groups, asked)
    return tree


def _add_others(groups: dict[tuple[str, ...], typer.Typer], asked: Sequence[str]) -> None:
    """The commands of other distributions that may be meant, below ours and beside them."""
    own = [(name,) for name in COMMANDS] + [(name, inner) for name, (_, inside) in GROUPS.items() for inner in inside]
    for other in commands_of_others(asked, own, [(name,) for name in GROUPS]):
        *above, name = other.words
        for depth in range(1, len(above) + 1):
            words = tuple(above[:depth])
            if words not in groups:
                groups[words] = _add_group(groups[words[:-1]], words[-1], f"Commands of {other.origin}.")
        _add(groups[tuple(above)], name, other.run, TAKES_ANYTHING if other.is_broken else None)


def _add_group(tree: typer.Typer, name: str, meaning: str) -> typer.Typer:
    group = typer.Typer(cls=_Group, help=meaning)
    tree.add_typer(group, name=name)
    return group


def _add(tree: typer.Typer, name: str, command: Callable[..., Any], settings: dict[str, Any] | None = None) -> None:
    # A challenge's id may begin with a hyphen, and is no option then.
    settings = {"ignore_unknown_options": True} if command in MAY_TAKE_AN_ID else settings
    tree.command(name, cls=_Command, context_settings=settings)(command)
