"""``otp limits``: switches and budgets, what has been used up and forgetting it, and what was refused."""

from __future__ import annotations

from typing import Any

from otpcore.cli.exits import ExitCode
from otpcore.cli.host import load_host, operate, operator_name
from otpcore.cli.layout import table
from otpcore.cli.options import Options
from otpcore.clock import when
from otpcore.operator.asynchronous import AsyncOperator
from otpcore.operator.results.limits import Budget, FailureCount, LimitsSeen, SwitchesSeen, SwitchState

__all__ = ["refused", "reset", "show"]


def show(options: Options, phone: str | None, client: str | None, prefix: str | None) -> ExitCode:
    """Switches and budgets; of a phone, client or prefix, everything that limits it."""
    host = load_host(options)
    if (phone, client, prefix) == (None, None, None):
        return _show_switches(options, *operate(host, _switches))
    return _show_target(
        options,
        operate(
            host,
            lambda operator: operator.limits.show(phone, client=client, prefix=prefix, reveal=options.reveal),
        ),
        is_phone=phone is not None,
    )


def reset(options: Options, phone: str | None, client: str | None, prefix: str | None, *, reason: str) -> ExitCode:
    """Remove every counter of the phone, client or prefix."""

    async def work(operator: AsyncOperator) -> tuple[LimitsSeen, int]:
        shown = await operator.limits.show(phone, client=client, prefix=prefix, reveal=options.reveal)
        count = await operator.limits.reset(phone, client=client, prefix=prefix, by=operator_name(), reason=reason)
        return shown, count

    shown, count = operate(load_host(options), work)
    about = "phone" if phone is not None else "client" if client is not None else "prefix"
    done = "; it may send and verify" if phone is not None else ""
    options.say({about: shown.target, "removed": count}, f"{count} counters removed{done}")
    return ExitCode.OK


def refused(options: Options, phone: str | None, limit: int) -> ExitCode:
    """The latest first."""
    rows = operate(load_host(options), lambda operator: operator.refusals(phone, limit=limit))
    columns = ("asked", "reason", "phone", "channel", "purpose", "enforced", "count")
    options.say(
        {"refused": [row.to_dict() for row in rows]},
        table(
            ("last", *columns),
            [(when(row.last_at), *(getattr(row, column) for column in columns)) for row in rows],
        )
        if rows
        else "nothing was refused",
        f"these are the last {limit}; --limit shows more" if len(rows) == limit else "",
    )
    return ExitCode.OK


async def _switches(operator: AsyncOperator) -> tuple[SwitchesSeen, tuple[Budget, ...]]:
    return await operator.sending.show(), await operator.budgets()


def _show_switches(options: Options, found: SwitchesSeen, budgets: tuple[Budget, ...]) -> ExitCode:
    listed = {
        name: ", ".join(prefixes) for name, prefixes in (("allow", found.allow), ("deny", found.deny)) if prefixes
    }
    options.say(
        {
            "paused": {"until": _iso(found.paused)} if found.paused else None,
            "prefixes": [{"prefix": one.prefix, "state": one.state, "until": _iso(one)} for one in found.prefixes],
            "allow": list(found.allow),
            "deny": list(found.deny),
            "none_at_all": list(found.none_at_all),
            "budgets": [one.to_dict() for one in budgets],
        },
        f"sending is paused{_end(found.paused)}" if found.paused else "sending is not paused",
        table(
            ("prefix", "switched", "until"),
            [(one.prefix, one.state, when(one.until) or "it is switched again") for one in found.prefixes],
        )
        if found.prefixes
        else "no prefix is switched",
        *(f"the settings {name} {prefixes}" for name, prefixes in listed.items()),
        f"nothing passes {', '.join(found.none_at_all)}" if found.none_at_all else "",
        _budget_table(budgets),
    )
    return ExitCode.OK


def _show_target(options: Options, found: LimitsSeen, *, is_phone: bool) -> ExitCode:
    document: dict[str, Any] = found.to_dict()
    target = document.pop("target")
    of_phone = (
        f"it verified last at {when(found.verified_at)}" if found.verified_at else "",
        table(
            ("wrong codes in a row", "client", "locked until"),
            [(one.failures, one.client, _until(one)) for one in found.failures],
        )
        if found.failures
        else "no wrong codes count",
        _budget_table(found.budgets),
    )
    options.say(
        {"phone" if is_phone else "target": target, **document},
        target + (f": nothing is sent to it: {found.barrier}" if found.barrier else ""),
        table(
            ("sends", "of", "by", "in seconds", "until"),
            [(one.count, one.limit, one.reason, one.window, when(one.window_ends_at)) for one in found.sends],
        )
        if found.sends
        else "no sends count",
        *(of_phone if is_phone else ()),
    )
    return ExitCode.OK


def _budget_table(budgets: tuple[Budget, ...]) -> Any:
    if not budgets:
        return "no unverified sends count"
    columns = ("country", "prefix", "used", "limit", "verified", "window")
    return table(
        ("country", "rule prefix", "unverified sends", "of", "verified phones", "in seconds", "until"),
        [(*(getattr(one, column) for column in columns), when(one.window_ends_at)) for one in budgets],
    )


def _iso(state: SwitchState) -> str | None:
    return state.until.isoformat() if state.until is not None else None


def _end(paused: SwitchState) -> str:
    return f" until {when(paused.until)}" if paused.until else ""


def _until(failure: FailureCount) -> str:
    if not failure.locked:
        return "not locked"
    return when(failure.locked_until) or "an operator resets it"
