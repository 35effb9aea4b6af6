"""What a store of rows keeps that no command tells: compared with the memory store beside what the commands tell."""

from __future__ import annotations

import functools

PHONES = ("phone-1", "phone-2")


class KeptInRows:
    """For contract suites of stores of rows, before ``StoreContract``."""

    async def kept(self, store, now):
        told = await super().kept(store, now)
        return {**told, **await store._read(functools.partial(_everything, now=now))}


def _everything(rows, now):
    """Read in one go."""
    challenges = [challenge for phone in PHONES for challenge in rows.challenges_of(phone)]
    return {
        "rows": [(one, list(rows.deliveries(one.id)), list(rows.schedules(one.id))) for one in challenges],
        "slots": [rows.slot(scope, phone) for scope in ("twilio:VA1", "sinch:app") for phone in PHONES],
        "all counters": (list(rows.counters("", now)), list(rows.failure_counters(""))),
        "receipts": [
            list(rows.receipts_of(delivery.id, "")) for one in challenges for delivery in rows.deliveries(one.id)
        ]
        + [list(rows.receipts_of("", reference)) for reference in ("VE1", "VE2", "VE3")],
        "all breakers": list(rows.breakers(0)),
        "workers": list(rows.workers()),
    }
