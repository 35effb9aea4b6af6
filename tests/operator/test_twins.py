"""The two operators, and the two services that hand them out, have the same methods; every command of ``otp`` has one."""

from __future__ import annotations

import inspect

import pytest

from otpcore import AsyncOperator, AsyncOTPService, Operator
from otpcore.cli.tree import COMMANDS, GROUPS

GROUPS_OF_METHODS = ("sending", "limits", "routes", "challenges", "deliveries", "retries", "instances")

SET_UP = {"init", "demo", "new-provider", "simulate", "worker", "db upgrade", "db current", "keys new", "keys rotate"}

METHODS = {
    "send": "AsyncOTPService.send_sms",
    "call": "AsyncOTPService.call",
    "verify": "AsyncOTPService.verify",
    "providers": "instances.list",
    "status": "status",
    "pause": "sending.pause",
    "resume": "sending.resume",
    "purge": "erase",
    "audit": "audit",
    "series": "series",
    "doctor": "findings",
    "sandbox": "inbox",
    "routes check": "routes.validate",
    "routes explain": "routes.explain",
    "routes preview": "routes.preview",
    "routes show": "routes.show",
    "routes set": "routes.set",
    "routes history": "routes.history",
    "routes restore": "routes.restore",
    "retries list": "retries.list",
    "retries requeue": "retries.requeue",
    "retries drop": "retries.drop",
    "instances status": "instances.status",
    "instances drain": "instances.drain",
    "instances take-back": "instances.take_back",
    "instances test": "instances.test",
    "challenges list": "challenges.list",
    "challenges show": "challenges.show",
    "challenges cancel": "challenges.cancel",
    "deliveries list": "deliveries.list",
    "deliveries cost": "deliveries.cost",
    "limits show": "limits.show",
    "limits reset": "limits.reset",
    "limits deny": "sending.deny",
    "limits allow": "sending.allow",
    "limits refused": "refusals",
}
"""Whatever the command line can do, a host can do in Python. A new command is one more line."""


def methods(cls: type) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(member)
        for name, member in inspect.getmembers(cls)
        if not name.startswith("_") and callable(member)
    }


def group(cls: type, name: str) -> type:
    hints = inspect.get_annotations(vars(cls)[name].fget, eval_str=True)
    return hints["return"]


def test_both_operators_have_the_same_methods() -> None:
    assert methods(Operator) == methods(AsyncOperator)
    assert inspect.signature(Operator.__init__) == inspect.signature(AsyncOperator.__init__)


@pytest.mark.parametrize("name", GROUPS_OF_METHODS)
def test_both_have_the_same_methods_in_each_group(name: str) -> None:
    found = methods(group(AsyncOperator, name))
    assert found
    assert methods(group(Operator, name)) == found


def test_no_group_is_left_out() -> None:
    for cls, besides in ((AsyncOperator, {"store"}), (Operator, set())):  # a store is asynchronous
        assert {name for name, one in vars(cls).items() if isinstance(one, property) and not name.startswith("_")} == {
            *GROUPS_OF_METHODS,
            *besides,
        }


def test_every_change_names_who_makes_it_and_may_say_why() -> None:
    changes = {"pause", "resume", "deny", "allow", "clear", "reset", "set", "restore", "cancel", "requeue", "drop"}
    changes |= {"drain", "take_back", "test", "purge", "erase"}
    every = [methods(AsyncOperator), *(methods(group(AsyncOperator, name)) for name in GROUPS_OF_METHODS)]
    found = {name: signature for one in every for name, signature in one.items() if "by" in signature.parameters}
    assert found.keys() == changes
    for signature in found.values():
        by, reason = signature.parameters["by"], signature.parameters["reason"]
        assert (by.kind, by.default) == (by.KEYWORD_ONLY, by.empty)
        assert (reason.kind, reason.default) == (reason.KEYWORD_ONLY, "")


def test_every_command_but_those_that_set_up_has_its_method() -> None:
    commands = {*COMMANDS, *(f"{name} {own}" for name, (_, inner) in GROUPS.items() for own in inner)}
    assert METHODS.keys() | SET_UP == commands
    assert not METHODS.keys() & SET_UP
    for path in METHODS.values():
        first, _, last = path.rpartition(".")
        cls = AsyncOTPService if first == "AsyncOTPService" else group(AsyncOperator, first) if first else AsyncOperator
        assert inspect.iscoroutinefunction(getattr(cls, last)), path
