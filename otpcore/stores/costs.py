"""What deliveries cost: exact sums of what vendors said, currencies apart; no I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, date
from decimal import Context, Decimal
from typing import NamedTuple

import attrs

from otpcore.errors import InvalidArgument
from otpcore.models import Outcome
from otpcore.stores.records import DeliveryRecord

__all__ = ["COST_DIMENSIONS", "Cost", "CostSums", "Costs"]

COST_DIMENSIONS = ("day", "instance", "prefix", "channel")
"""By what costs may be told apart; days are of UTC."""

_EXACT = Context(prec=200)  # no sum of prices has nearly so many digits
_MAY_HAVE_LEFT = frozenset({Outcome.OPEN, Outcome.ACCEPTED, Outcome.UNDELIVERED, Outcome.AMBIGUOUS})


@attrs.frozen(kw_only=True)
class Cost:
    """What some deliveries cost.

    Args:
        day: On which they were recorded, in UTC; None: not told apart by it.
        instance: Likewise.
        prefix: The rule prefix, likewise.
        channel: Likewise.
        sums: By currency, what their vendors charge, exactly.
        priced: How many of them are in the sums.
        unpriced: How many left, or may have, while their vendors said no price.
    """

    day: date | None = None
    instance: str | None = None
    prefix: str | None = None
    channel: str | None = None
    sums: Mapping[str, Decimal] = attrs.field(factory=dict, hash=False)
    priced: int = 0
    unpriced: int = 0


@attrs.frozen(kw_only=True)
class Costs:
    """What a filter found.

    Args:
        items: In the order of what they are told apart by; none: nothing left.
        is_whole: False: older deliveries were not looked at.
    """

    items: tuple[Cost, ...]
    is_whole: bool


class _Apart(NamedTuple):
    day: date | None
    instance: str | None
    prefix: str | None
    channel: str | None


class CostSums:
    """Sums that grow; as large as what they are told apart by, however many deliveries are added.

    Args:
        apart_by: Some of ``COST_DIMENSIONS``.

    Raises:
        InvalidArgument: It names something else.
    """

    def __init__(self, apart_by: Collection[str] = ()) -> None:
        if any(one not in COST_DIMENSIONS for one in apart_by):
            raise InvalidArgument(f"apart_by: may name {', '.join(COST_DIMENSIONS)} and nothing else")
        self._apart_by = frozenset(apart_by)
        self._found: dict[_Apart, Cost] = {}

    def add(self, deliveries: Iterable[DeliveryRecord]) -> None:
        """Add what has a price, or should have one; what certainly did not leave is not counted."""
        for one in deliveries:
            if one.price is None and one.outcome not in _MAY_HAVE_LEFT:
                continue
            key = self._key(one)
            self._found[key] = _with(self._found.get(key) or Cost(**key._asdict()), one)

    def items(self) -> tuple[Cost, ...]:
        """In the order of what they are told apart by."""
        return tuple(self._found[key] for key in sorted(self._found))

    def _key(self, one: DeliveryRecord) -> _Apart:
        told = {
            "day": one.recorded_at.astimezone(UTC).date(),
            "instance": one.instance,
            "prefix": one.prefix,
            "channel": str(one.channel),
        }
        return _Apart(**{name: value if name in self._apart_by else None for name, value in told.items()})  # type: ignore[arg-type] # each by its name


def _with(cost: Cost, one: DeliveryRecord) -> Cost:
    if one.price is None:
        return attrs.evolve(cost, unpriced=cost.unpriced + 1)
    currency = one.price.currency
    total = _EXACT.add(cost.sums.get(currency, Decimal()), one.price.amount)
    sums = {**cost.sums, currency: total}
    return attrs.evolve(cost, sums=dict(sorted(sums.items())), priced=cost.priced + 1)
