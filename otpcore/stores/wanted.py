"""What a unit of work says that it will look at, before it does; frozen values, no I/O."""

from __future__ import annotations

import attrs

from otpcore.models import Channel
from otpcore.rate_limits.admission import UNCOUNTED, BudgetRule

__all__ = ["Wanted"]


@attrs.frozen(kw_only=True)
class Wanted:
    """What a unit of work will surely look at. A wrong guess costs a little traffic, a missing one a round trip.

    Args:
        challenge_id: A challenge with all that hangs on it, and what is about its phone.
        subject: The newest challenge of it, with the same.
        phone_key: What is about this phone: failures, slots, and that it verified.
        reference: What came under it.
        instance: With ``reference``: the delivery of this instance to which the vendor gave it.
        due: So many of the earliest claimable rows, with their challenges.
        counters: Keys of send counters.
        budget: A budget, in all its windows.
        budget_rule: By what ``overdrawn`` decides upon it, and nothing else does: a budget by which it decides the same will do.
        breakers: All of them.
        client: Who verifies: what is about the challenge's phone too, its failures with this client and when it verified.
            None: nobody does. Empty: a client without a name.
        failures: Keys of failure counters, to be looked at only.
        delivery_id: With ``reference``: receipts of this delivery.
        channels: With ``due``: of these only, and of these keys.
    """

    challenge_id: str = ""
    subject: str = ""
    phone_key: str = ""
    reference: str = ""
    instance: str = ""
    due: int = 0
    counters: tuple[str, ...] = ()
    budget: str = ""
    budget_rule: BudgetRule = UNCOUNTED
    breakers: bool = False
    client: str | None = None
    failures: tuple[str, str] | tuple[()] = ()
    delivery_id: str = ""
    channels: tuple[Channel, ...] = ()
    key_ids: tuple[str, ...] = ()
