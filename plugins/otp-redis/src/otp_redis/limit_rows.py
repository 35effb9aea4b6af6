"""What limits senders and guessers: slots, counters, failures, budgets, phones that verified, refusals, breakers.

Counters, failures and budgets are hashes by the first part of their key: all counters of a phone are one hash.
"""

from __future__ import annotations

import functools
import heapq
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from otp_redis.packing import microseconds, moment, pack
from otp_redis.schedule_rows import ScheduleRows
from otpcore.stores import (
    CLOCK_SLACK,
    BreakerRecord,
    BudgetRecord,
    Charge,
    Charged,
    CounterRecord,
    FailureRecord,
    RefusalRecord,
    SlotRecord,
    Wanted,
    changed,
    overdrawn,
)

__all__ = ["LimitRows", "first_part"]

_EVER = datetime(1, 1, 1, tzinfo=UTC)
_BREAKERS = "breakers"
_SLACKS = (1000, 100, 10, 1, 0)
"""So far a budget may lie from where it was guessed, if the same is decided upon it."""


class LimitRows(ScheduleRows):
    """The part of ``Rows`` about limits."""

    # Vendor slots.

    def slot(self, scope: str, phone_key: str) -> SlotRecord | None:
        key = f"sl:{phone_key}"
        text = self._unit.hash(key).get(scope)
        self._unit.guard(key, scope)
        return None if text is None else self._unit.parsed(SlotRecord, text)

    def take_slot(self, slot: SlotRecord, held_by: str | None) -> bool:
        current = self.slot(slot.scope, slot.phone_key)
        if (None if current is None else current.holder) != held_by:
            return False
        key, member = f"sl:{slot.phone_key}", f"{slot.phone_key} {slot.scope}"
        self._unit.put(key, slot.scope, self._unit.packed(slot))
        if slot.holder:
            self._unit.call("ZREM", "ix:free", member)
        else:
            self._unit.call("ZADD", "ix:free", "0" if slot.mark is None else "1", member)
        self._unit.keep(key, self._milliseconds(self._unit.clock, self._keeping.of_slot))
        return True

    def purge_slots(self, limit: int) -> int:
        free = [slot for slot in self._free(limit, "0") if not slot.holder and slot.mark is None]
        for slot in free:
            self.delete_slot(slot.scope, slot.phone_key)
        return len(free)

    def free_slots(self, limit: int) -> Sequence[SlotRecord]:
        return [slot for slot in self._free(limit, "1") if not slot.holder]

    def delete_slot(self, scope: str, phone_key: str) -> None:
        self._unit.hash(f"sl:{phone_key}")
        self._unit.guard(f"sl:{phone_key}", scope)
        self._unit.remove(f"sl:{phone_key}", scope)
        self._unit.call("ZREM", "ix:free", f"{phone_key} {scope}")

    def _free(self, limit: int, most: str) -> Sequence[SlotRecord]:
        """Slots that nobody holds; ``most`` 1: marked ones too."""
        (reply,) = self._unit.ask(("scored", "ix:free", "0", most, "0", str(limit)))
        members = [member.split(" ", 1) for member in reply[::2]]
        self._unit.load(*(f"sl:{phone_key}" for phone_key, _ in members))
        found = []
        for phone_key, scope in members:
            slot = self.slot(scope, phone_key)
            if slot is None:
                self._unit.call("ZREM", "ix:free", f"{phone_key} {scope}")
            else:
                found.append(slot)
        return found

    # Counters.

    def charge(self, charges: Sequence[Charge], now: datetime) -> Sequence[Charged]:
        self._unit.load(*(_place("ct", one.key)[0] for one in charges))
        done = []
        for one in charges:
            tally = self._unit.tally(*_place("ct", one.key))
            if tally.take(one.limit):
                if not tally.end:
                    tally.new_end = str(microseconds(now + one.window))
                done.append(Charged(key=one.key, window_ends_at=moment(tally.end)))
        return done

    def refund(self, charged: Charged) -> None:
        place, ends = _place("ct", charged.key), str(microseconds(charged.window_ends_at))
        tally = self._unit.tallied(*place)
        if tally is None:
            self._unit.change("refund", *place, ends)
        elif tally.end == ends:
            tally.give_back()

    def counters(self, prefix: str, now: datetime) -> Sequence[CounterRecord]:
        found = []
        for key, text in self._beginning("ct", prefix):
            count, _, ends = text.partition(":")
            tally = self._unit.tallied(*_place("ct", key))
            used = int(count) + (tally.delta if tally is not None else 0)
            if moment(ends) > now:
                found.append(CounterRecord(key=key, count=used, window_ends_at=moment(ends)))
        return found

    def failure_counters(self, prefix: str) -> Sequence[FailureRecord]:
        return [_failures(key, text) for key, text in self._beginning("fl", prefix)]

    def reset_counters(self, prefix: str) -> int:
        removed = 0
        for key, _ in self._beginning("ct", prefix):
            self._unit.remove(*_place("ct", key))
            self._unit.forget_tally(*_place("ct", key))
            self._unit.call("ZREM", "ix:counters", key)
            removed += 1
        failed = [key for key, _ in self._beginning("fl", prefix)]
        self._clear_failures(failed)
        return removed + len(failed)

    # Failures in a row.

    def peek_failures(self, keys: tuple[str, str]) -> Sequence[FailureRecord]:
        found = []
        for key in keys:
            place, field = _place("fl", key)
            text = self._unit.hash(place).get(field)
            if text is not None:
                found.append(_failures(key, text))
        return found

    def failures(self, keys: tuple[str, str]) -> Sequence[FailureRecord]:
        for key in keys:
            self._unit.guard(*_place("fl", key))
        return self.peek_failures(keys)

    def count_failure(self, key: str) -> int:
        place, field = _place("fl", key)
        text = self._unit.hash(place).get(field)
        before = _failures(key, text) if text is not None else FailureRecord(key=key, failures=0)
        self.put_failures(changed(before, failures=before.failures + 1))
        return before.failures + 1

    def put_failures(self, record: FailureRecord) -> None:
        place, field = _place("fl", record.key)
        self._unit.hash(place)
        self._unit.guard(place, field)
        until = "" if record.locked_until is None else microseconds(record.locked_until)
        self._unit.put(place, field, f"{record.failures}:{until}")
        self._unit.call("SADD", "ix:fl", place.partition(":")[2])

    def clear_failures(self, keys: tuple[str, str]) -> None:
        self._clear_failures(keys)

    def _clear_failures(self, keys: Iterable[str]) -> None:
        for key in keys:
            place, field = _place("fl", key)
            if field in self._unit.hash(place):
                self._unit.guard_size(place)
                self._unit.remove(place, field)
                if not self._unit.hash(place):
                    self._unit.call("SREM", "ix:fl", place.partition(":")[2])

    # Budgets.

    def budgets(self, prefix: str) -> Sequence[BudgetRecord]:
        found = []
        for key, text in self._beginning("bd", prefix):
            used, verified, base, ends = map(int, text.split(":"))
            record = BudgetRecord(key=key, used=used, verified=verified, base=base, window_ends_at=moment(ends))
            found.append(record)
        if self._wanted is not None and prefix == f"{self._wanted.budget}/":
            self._loosen_budgets(self._wanted, found)
        return found

    def _loosen_budgets(self, wanted: Wanted, found: Sequence[BudgetRecord]) -> None:
        """What was guessed need not be exactly so, only near enough that the same is decided."""
        decide = functools.partial(overdrawn, wanted.budget_rule, wanted.budget, now=self._unit.clock)
        decided = decide(records=found)
        for slack in _SLACKS:
            fewer = [changed(one, used=max(one.used - slack, 0), verified=one.verified + slack) for one in found]
            more = [changed(one, used=one.used + slack, verified=max(one.verified - slack, 0)) for one in found]
            if decide(records=fewer) == decide(records=more) == decided:
                break
        bounds = [
            ("budget", *_place("bd", one.key), str(one.base), str(microseconds(one.window_ends_at)), *around)
            for one in found
            for around in [[str(number + by) for number in (one.used, one.verified) for by in (-slack, slack)]]
        ]
        self._unit.loosen(_place("bd", f"{wanted.budget}/")[0], *bounds)

    def move_budget(self, key: str, used: int, verified: int, now: datetime, ends_at: datetime) -> None:
        self.now(now)
        self._unit.change("budget", *_place("bd", key), str(used), str(verified), str(microseconds(ends_at)))

    # Phones that verified.

    def verified(self, phone_key: str) -> datetime | None:
        text = self._unit.hash(f"vf:{phone_key}").get("t")
        return None if text is None else moment(text.partition(":")[0])

    def note_verified(self, phone_key: str, now: datetime, counted_before: datetime) -> bool:
        key = f"vf:{phone_key}"
        text = self._unit.hash(key).get("t")
        self._unit.guard(key, "t")
        counted_at = moment(text.partition(":")[2]) if text is not None else _EVER
        is_counted = counted_at <= counted_before
        self._unit.put(key, "t", f"{microseconds(now)}:{microseconds(now if is_counted else counted_at)}")
        self._unit.call("ZADD", "ix:verified", str(microseconds(now)), phone_key)
        self._unit.keep(key, self._milliseconds(now, self._keeping.of_verified))
        return is_counted

    # Refusals.

    def count_refusal(self, key: str, now: datetime) -> bool:
        place = f"rx:{key}"
        if "r" not in self._unit.hash(place):
            self._unit.guard(place, "r")
            return False
        self._unit.guard(place, "r")  # all that never changes; the count may, and nothing depends on it
        self._unit.count(place, "n")
        self._unit.put(place, "t", str(microseconds(now)))
        self._unit.call("ZADD", "ix:refusals", str(microseconds(now)), key)
        return True

    def put_refusal(self, refusal: RefusalRecord) -> None:
        if self.count_refusal(refusal.key, refusal.last_at):
            return
        place, last_at = f"rx:{refusal.key}", str(microseconds(refusal.last_at))
        self._unit.put(place, "r", pack(refusal))
        self._unit.put(place, "n", str(refusal.count))
        self._unit.put(place, "t", last_at)
        self._unit.call("ZADD", "ix:refusals", last_at, refusal.key)
        kept = self._milliseconds(refusal.last_at, self._keeping.of_delivery)
        self._unit.keep(place, kept)
        if refusal.phone_key:
            self._unit.call("SADD", f"xp:{refusal.phone_key}", refusal.key)
            self._unit.keep(f"xp:{refusal.phone_key}", kept)

    def refusals(self, phone_key: str | None, limit: int) -> Sequence[RefusalRecord]:
        if phone_key is None:
            (keys,) = self._unit.ask(("newest", "ix:refusals", str(limit)))
        else:
            (keys,) = self._unit.ask(("members", f"xp:{phone_key}"))
        return heapq.nlargest(limit, self._refusals(keys), key=lambda refusal: (refusal.last_at, refusal.key))

    def _refusals(self, keys: Sequence[str]) -> Sequence[RefusalRecord]:
        self._unit.load(*(f"rx:{key}" for key in keys))
        found = []
        for key in keys:
            fields = self._unit.hash(f"rx:{key}")
            if "r" in fields:
                first = self._unit.parsed(RefusalRecord, fields["r"])
                found.append(changed(first, count=int(fields["n"]), last_at=moment(fields["t"])))
        return found

    def _remove_refusal(self, refusal: RefusalRecord) -> None:
        self._unit.clear(f"rx:{refusal.key}")
        self._unit.call("ZREM", "ix:refusals", refusal.key)
        if refusal.phone_key:
            self._unit.call("SREM", f"xp:{refusal.phone_key}", refusal.key)

    # Breakers: ``f:`` failures, ``p:`` when the next probe is due, ``o:`` since when it is open, ``m:`` since when it is
    # misconfigured, ``c:`` the vendor's last code, ``w:`` the provider's last words.

    def breakers(self, least: int) -> Sequence[BreakerRecord]:
        names = sorted({name[2:] for name in self._unit.hash(_BREAKERS) if name.startswith(("f:", "m:"))})
        found = (self._breaker(name) for name in names)
        return [one for one in found if one is not None and one.failures >= least]

    def count_breaker(self, instance: str, code: str, words: str) -> int:
        fields = self._unit.hash(_BREAKERS)
        self._unit.guard(_BREAKERS, f"o:{instance}")
        if f"o:{instance}" not in fields:  # one that is open already is only counted: nobody loses to anybody
            self._unit.guard(_BREAKERS, f"f:{instance}")
        self._keep_words(instance, code, words)
        return self._unit.count(_BREAKERS, f"f:{instance}")

    def open_breaker(self, instance: str, now: datetime, probe_at: datetime) -> None:
        self._unit.put(_BREAKERS, f"o:{instance}", str(microseconds(now)))
        self._unit.put(_BREAKERS, f"p:{instance}", str(microseconds(probe_at)))

    def note_misconfigured(self, instance: str, code: str, words: str, now: datetime) -> bool:
        self._unit.guard(_BREAKERS, f"m:{instance}")
        self._keep_words(instance, code, words)
        if f"m:{instance}" in self._unit.hash(_BREAKERS):
            return False
        self._unit.put(_BREAKERS, f"m:{instance}", str(microseconds(now)))
        return True

    def close_breaker(self, instance: str) -> BreakerRecord | None:
        breaker = self._breaker(instance)
        if breaker is None:
            return None
        self._unit.guard(_BREAKERS, f"o:{instance}")
        self._unit.guard(_BREAKERS, f"m:{instance}")
        for name in "fpomcw":
            self._unit.remove(_BREAKERS, f"{name}:{instance}")
        return breaker

    def win_probe(self, instance: str, now: datetime, next_probe: datetime) -> bool:
        breaker = self._breaker(instance)
        if breaker is None or now < breaker.probe_at <= next_probe + CLOCK_SLACK:
            return False
        self._unit.guard(_BREAKERS, f"p:{instance}")
        self._unit.put(_BREAKERS, f"p:{instance}", str(microseconds(next_probe)))
        return True

    def _breaker(self, instance: str) -> BreakerRecord | None:
        fields = self._unit.hash(_BREAKERS)
        if f"f:{instance}" not in fields and f"m:{instance}" not in fields:
            return None
        times = (fields.get(f"{name}:{instance}") for name in "pom")
        probe_at, opened_at, misconfigured_at = (None if at is None else moment(at) for at in times)
        return BreakerRecord(
            instance=instance,
            failures=int(fields.get(f"f:{instance}", "0")),
            probe_at=probe_at or _EVER,
            opened_at=opened_at,
            misconfigured_at=misconfigured_at,
            code=fields.get(f"c:{instance}", ""),
            words=fields.get(f"w:{instance}", ""),
        )

    def _keep_words(self, instance: str, code: str, words: str) -> None:
        fields = self._unit.hash(_BREAKERS)
        for name, said in (("c", code), ("w", words)):
            if fields.get(f"{name}:{instance}", "") != said:
                self._unit.put(_BREAKERS, f"{name}:{instance}", said)

    # Keys that begin so.

    def _beginning(self, kind: str, prefix: str) -> list[tuple[str, str]]:
        """Counters, failures or budgets whose key begins so, with their text, by key."""
        owner, slash, _ = prefix.partition("/")
        owners = [owner] if slash else self._owners(kind, prefix)
        self._unit.load(*(f"{kind}:{one}" for one in owners))
        keys = ((f"{one}{field}", text) for one in owners for field, text in self._unit.hash(f"{kind}:{one}").items())
        return sorted((key, text) for key, text in keys if key.startswith(prefix))

    def _owners(self, kind: str, prefix: str) -> list[str]:
        """Slow where there are many, and only for an operator's look."""
        if kind == "ct":
            (reply,) = self._unit.ask(("ranked", "ix:counters", "0", "-1"))
            found = {key.partition("/")[0] for key in reply[::2]}
        else:
            (reply,) = self._unit.ask(("members", "ix:fl" if kind == "fl" else "ix:budgets"))
            found = set(reply)
        return sorted(one for one in found if one.startswith(prefix))


def first_part(key: str) -> str:
    """Whose it is: a phone, a client, a prefix, a country, or all."""
    return key.partition("/")[0]


def _place(kind: str, key: str) -> tuple[str, str]:
    """Hash and field of a counter, failures or a budget."""
    owner = first_part(key)
    return f"{kind}:{owner}", key[len(owner) :]


def _failures(key: str, text: str) -> FailureRecord:
    failures, _, until = text.partition(":")
    return FailureRecord(key=key, failures=int(failures), locked_until=moment(until) if until else None)
