"""``otp limits deny|allow``, ``otp pause`` and ``otp resume``: switches that every process obeys within seconds."""

from __future__ import annotations

from otpcore.cli.exits import CommandError, ExitCode
from otpcore.cli.host import load_host, operate, operator_name
from otpcore.cli.options import Options, lasting
from otpcore.clock import when
from otpcore.operator.asynchronous import AsyncOperator
from otpcore.operator.results.limits import SwitchState

__all__ = ["pause", "resume", "switch_prefix"]


def switch_prefix(
    options: Options, prefix: str, lasts: str | None, *, allows: bool, clear: bool, reason: str
) -> ExitCode:
    """Deny or allow a prefix or a region, or with ``clear`` leave it to the settings again."""
    if clear and lasts is not None:
        raise CommandError("--clear and --for say different things", "give one of them", ExitCode.USAGE)
    for_ = lasting(lasts)

    async def switch(operator: AsyncOperator) -> SwitchState:
        by = operator_name()
        if clear:
            return await operator.sending.clear(prefix, by=by, reason=reason)
        change = operator.sending.allow if allows else operator.sending.deny
        return await change(prefix, for_=for_, by=by, reason=reason)

    state = operate(load_host(options), switch)
    options.say(
        {"prefix": state.prefix, "state": state.state, "until": _iso(state)},
        f"{state.prefix} is {state.state or 'left to the settings'}{_until(state)}, {_everywhere(state)}",
    )
    return ExitCode.OK


def pause(options: Options, lasts: str | None, *, reason: str) -> ExitCode:
    """Stop all sending; verifying goes on."""
    for_ = lasting(lasts)
    state = operate(
        load_host(options),
        lambda operator: operator.sending.pause(for_=for_, by=operator_name(), reason=reason),
    )
    options.say(
        {"paused": True, "until": _iso(state)},
        f"sending is paused{_until(state)}, {_everywhere(state)}; codes are still verified",
    )
    return ExitCode.OK


def resume(options: Options, *, reason: str) -> ExitCode:
    """End the pause."""
    state = operate(load_host(options), lambda operator: operator.sending.resume(by=operator_name(), reason=reason))
    options.say({"paused": False}, f"sending goes on, {_everywhere(state)}")
    return ExitCode.OK


def _everywhere(state: SwitchState) -> str:
    return f"in every process within {state.within:g} s"


def _iso(state: SwitchState) -> str | None:
    return state.until.isoformat() if state.until is not None else None


def _until(state: SwitchState) -> str:
    return f" until {when(state.until)}" if state.until is not None else ""
