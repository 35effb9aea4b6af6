"""``otp challenges list``, ``otp deliveries list``, ``otp deliveries cost`` and ``otp series``: what happened, by time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from otpcore.cli.exits import ExitCode
from otpcore.cli.host import load_host, operate
from otpcore.cli.layout import table
from otpcore.cli.options import Options, parse_span
from otpcore.operator.results.lists import CostSeen, SeriesStep

__all__ = ["PageRequest", "challenges", "cost", "deliveries", "series"]


@attrs.frozen
class PageRequest:
    """Of which time rows are listed, and where the page begins; times as a person writes them."""

    since: str | None
    until: str | None
    after: str | None
    limit: int

    def arguments(self) -> dict[str, Any]:
        """For a method that lists.

        Raises:
            CommandError: A time is written otherwise.
        """
        return {
            "since": _ago(self.since, "--since"),
            "until": _ago(self.until, "--until"),
            "after": self.after,
            "limit": self.limit,
        }


def challenges(options: Options, request: PageRequest, wanted: Mapping[str, Any]) -> ExitCode:
    """A page of challenges."""
    arguments = {**request.arguments(), **wanted, "reveal": options.reveal}
    page = operate(load_host(options), lambda operator: operator.challenges.list(**arguments))
    options.say(
        {"challenges": [one.to_dict() for one in page.items], "cursor": page.cursor},
        table(
            ("first sent", "id", "phone", "purpose", "state", "provider"),
            [(one.first_sent_at, one.id, one.phone, one.purpose, one.state, one.provider) for one in page.items],
            spare=("purpose", "provider"),
        )
        if page.items
        else _nothing(page.cursor),
        _more(page.cursor),
    )
    return ExitCode.OK


def deliveries(options: Options, request: PageRequest, wanted: Mapping[str, Any]) -> ExitCode:
    """A page of deliveries."""
    arguments = {**request.arguments(), **wanted}
    page = operate(load_host(options), lambda operator: operator.deliveries.list(**arguments))
    is_priced = any(one.price is not None for one in page.items)  # most vendors say no price, and columns are dear
    options.say(
        {"deliveries": [one.to_dict() for one in page.items], "cursor": page.cursor},
        table(
            (
                *("recorded", "challenge", "instance", "rule prefix", "channel", "came to", "vendor's code"),
                *(("price",) if is_priced else ()),
            ),
            [
                (
                    one.recorded_at,
                    *(one.challenge_id, one.provider, one.prefix, one.channel, one.outcome, one.provider_code),
                    *((one.price,) if is_priced else ()),
                )
                for one in page.items
            ],
            spare=("rule prefix", "channel", "vendor's code"),
        )
        if page.items
        else _nothing(page.cursor),
        _more(page.cursor),
    )
    return ExitCode.OK


def cost(
    options: Options, since: str | None, until: str | None, wanted: Mapping[str, Any], by: Sequence[str]
) -> ExitCode:
    """Sums of what vendors charge."""
    arguments = {**wanted, "since": _ago(since, "--since"), "until": _ago(until, "--until"), "apart_by": tuple(by)}
    found = operate(load_host(options), lambda operator: operator.deliveries.cost(**arguments))
    options.say(
        {"costs": [one.to_dict() for one in found.items]},
        table(
            (*by, "with a price", "without one", "cost"),
            [(*(getattr(one, name) for name in by), one.priced, one.unpriced, _sums(one)) for one in found.items],
        )
        if found.items
        else "nothing left",
    )
    return ExitCode.OK


def _sums(cost: CostSeen) -> str:
    return ", ".join(f"{amount:f} {currency}" for currency, amount in cost.sums.items())


def series(options: Options, since: str, until: str | None, step: str, by: Sequence[str]) -> ExitCode:
    """Steps of time in which something happened."""
    first, last, seconds = _before(since, "--since"), _ago(until, "--until"), parse_span(step, "--step", "5m")
    found = operate(load_host(options), lambda operator: operator.series(first, last, seconds, apart_by=tuple(by)))
    waits = () if by else ("arrive, s", "verify, s")  # 80 columns have no room for more
    options.say(
        {"steps": [one.to_dict() for one in found]},
        table(
            ("from, UTC", *by, "accepted", "failed", "delivered", "verified", *waits),
            [_cells(one, by) for one in found],
        )
        if found
        else "nothing happened; what did is counted within a minute by a worker, or by `otp purge`",
    )
    return ExitCode.OK


def _cells(step: SeriesStep, by: Sequence[str]) -> tuple[Any, ...]:
    waits = (
        () if by else (_wait(step.delivery_p50, step.delivery_p95), _wait(step.verification_p50, step.verification_p95))
    )
    failed = sum(step.failed.values())
    told = (getattr(step, name) for name in by)
    return (f"{step.starts_at:%m-%d %H:%M}", *told, step.accepted, failed, step.delivered, step.verified, *waits)


def _wait(half: float | None, most: float | None) -> str:
    """What half of them took, and 95 of 100."""
    return "" if half is None or most is None else f"{_seconds(half)}/{_seconds(most)}"


def _seconds(wait: float) -> str:
    return f"{wait:.1f}" if wait < 10 else f"{wait:.0f}"  # noqa: PLR2004 - as exact as they are known


def _ago(given: str | None, option: str) -> datetime | None:
    return None if given is None else _before(given, option)


def _before(given: str, option: str) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=parse_span(given, option))


def _nothing(cursor: str | None) -> str:
    return "there is none" if cursor is None else "there is none among those that were looked at"


def _more(cursor: str | None) -> str:
    return "" if cursor is None else f"--after {cursor} shows those before"
