"""``otp purge`` and ``otp audit``: what is too old to keep, and who changed what."""

from __future__ import annotations

import json

from otpcore.cli.exits import ExitCode
from otpcore.cli.host import load_host, operate, operator_name
from otpcore.cli.layout import table
from otpcore.cli.options import Options
from otpcore.clock import when
from otpcore.operator.asynchronous import AsyncOperator
from otpcore.operator.results.upkeep import Change, Erased
from otpcore.operator.words import setting_in_words

__all__ = ["audit", "purge"]


def purge(options: Options, phone: str | None, *, confirmed: bool, reason: str) -> ExitCode:
    """Remove what is old, or one person, once somebody has said yes."""
    host = load_host(options)
    if phone is not None:
        found = operate(host, lambda operator: operator.limits.show(phone, reveal=options.reveal))
        options.confirm(
            f"Erase everything about {found.target}? Its codes stop verifying, and nothing brings it back.",
            f"everything about {found.target} would be erased",
            confirmed=confirmed,
        )

    async def remove(operator: AsyncOperator) -> Erased:
        if phone is not None:
            return await operator.erase(phone, by=operator_name(), reason=reason)
        return await operator.purge(by=operator_name(), reason=reason)

    with options.progress("purging"):
        count = operate(host, remove)
    options.say(
        count.to_dict(),
        f"removed {count.challenges} challenges, {count.deliveries} deliveries, {count.receipts} receipts, "
        f"{count.counters} counters, {count.refusals} refusals, {count.verified} phones that verified, "
        f"{count.audits} records of changes, {count.records} sealed records, {count.series} counts over time, "
        f"{count.changes} entries of the outbox",
    )
    return ExitCode.OK


def audit(options: Options, limit: int, below: int | None, action: str | None) -> ExitCode:
    """Who changed what, the latest first."""
    found = operate(load_host(options), lambda operator: operator.audit(limit, below=below, action=action or ""))
    options.say(
        {"changes": [one.to_dict() for one in found]},
        table(
            ("number", "when", "by", "action", "target", "reason", "detail"),
            [(one.number, when(one.at), one.by, one.action, one.target, one.reason, _detail(one)) for one in found],
        )
        if found
        else "no change was made",
        f"these are the last {limit}; --before {found[-1].number} shows those before" if len(found) == limit else "",
    )
    return ExitCode.OK


def _detail(change: Change) -> str:
    """What was before and is now, where a setting was changed; else what was found out."""
    told = dict(change.detail)
    words = []
    if "setting" in told:
        name = told.pop("setting")
        before, after = (setting_in_words(name, told.pop(one, None), when) for one in ("before", "after"))
        words.append(f"{name}: {before} -> {after}")
    return ", ".join([*words, *(f"{name}: {_value(value)}" for name, value in sorted(told.items()))])


def _value(value: object) -> str:
    """As people read it: times to the second, in the words of every other time."""
    if value is None or isinstance(value, str):
        return setting_in_words("", value, when)
    return json.dumps(value)
