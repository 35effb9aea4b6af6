"""Who switched what, and why, as the audit trail knows it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from otpcore import AsyncOperator
from otpcore.operator import Change

__all__ = ["latest"]

_LOOKED_AT = 200  # changes of each kind; what is switched for longer than that has no name beside it


async def latest(operator: AsyncOperator, actions: Collection[str]) -> Mapping[str, Change]:
    """The latest of these changes of each target, by target.

    Args:
        operator: That lists them.
        actions: Such as ``sending.deny``.
    """
    found: dict[str, Change] = {}
    for action in actions:
        for one in await operator.audit(_LOOKED_AT, action=action):
            if one.target not in found or found[one.target].number < one.number:
                found[one.target] = one
    return found
