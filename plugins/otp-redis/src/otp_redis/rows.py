"""The rows of one unit of work: receipts, what people watch, settings, and what is removed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from otp_redis.audit_rows import AuditRows
from otp_redis.challenge_rows import PAGE, delivery_indexes, delivery_member, digest
from otp_redis.change_rows import ChangeRows
from otp_redis.limit_rows import first_part
from otp_redis.list_rows import ListRows
from otp_redis.packing import microseconds, pack
from otp_redis.sealed_rows import SealedRows
from otp_redis.series_rows import SeriesRows
from otpcore.stores import (
    OVER,
    ChallengeRecord,
    DeliveryRecord,
    DerivedRows,
    ReceiptRecord,
    ScheduleRecord,
    Wanted,
    WorkerRecord,
    changed,
)

__all__ = ["RedisRows"]

_NOBODY = "-"


class RedisRows(ListRows, SealedRows, SeriesRows, ChangeRows, AuditRows, DerivedRows):
    """``otpcore.stores.rows.Rows`` over one unit of work."""

    def prefetch(self, wanted: Wanted, now: datetime | None) -> None:
        unit, questions = self._unit, tuple(_questions(wanted, now))
        if not questions:
            return
        if unit.guesses and not (wanted.instance or wanted.due) and self._guess(wanted, now):
            unit.questions, self._wanted = questions, wanted
            return
        for question, reply in zip(questions, unit.ask(*questions), strict=True):
            self._learn_answer(question, reply)

    def _learn_answer(self, question: tuple[str, ...], reply: Any) -> None:
        match question:
            case ("hash", key):
                self._unit.learn(key, reply)
            case ("time",):
                self._unit.set_clock(reply)
            case ("person", _):
                self.learn_person(reply)
            case ("latest", subject):
                self.learn_latest(subject, reply)
            case ("referred", name):
                self._referred[name] = reply
            case ("due", *_):
                self.learn_due(reply)

    def _guess(self, wanted: Wanted, now: datetime | None) -> bool:
        """Do without the look; False: too little is known, and nothing is guessed."""
        here = self._unit.recall.clock.now()
        if here is None:
            return False
        if wanted.challenge_id and not self.guess_person(wanted.challenge_id):
            return False
        if wanted.subject and not self.guess_latest(wanted.subject, is_begin=bool(wanted.phone_key)):
            return False
        if now is None:
            self._unit.guess_clock(here)
        else:
            self._unit.hurry(here)
        for key in _hashes(wanted):
            self.guess_hash(key)
        return True

    # Receipts: with the challenge of their delivery where that is known, and under their reference where they have one.

    def insert_receipt(self, receipt: ReceiptRecord) -> bool:
        places = self._places(receipt)
        for key, field in places:
            self._unit.guard(key, field)
            if field in self._unit.hash(key):
                return False
        self._put_receipt(receipt)
        return True

    def receipts_of(self, delivery_id: str, reference: str) -> Sequence[ReceiptRecord]:
        holder = self._holder_of(delivery_id)
        doc = self._doc(holder) if holder else {}
        found = {name[2:]: self._unit.parsed(ReceiptRecord, doc[name]) for name in doc if name.startswith("r:")}
        found = {name: one for name, one in found.items() if one.delivery_id == delivery_id}
        if reference:
            key = f"rf:{digest(reference)}"
            self._unit.hash(key)
            self._unit.guard_size(key)  # one that comes meanwhile is heard when this unit runs again
            for name, text in self._unit.hash(key).items():
                found[name] = self._unit.parsed(ReceiptRecord, text)
        return sorted(found.values(), key=lambda one: (one.received_at, *_parts(one)))

    def apply_receipt(self, receipt: ReceiptRecord, delivery_id: str) -> None:
        self._remove_receipt(receipt)
        self._put_receipt(changed(receipt, delivery_id=delivery_id, applied=True))

    def _places(self, receipt: ReceiptRecord) -> list[tuple[str, str]]:
        """Hashes and fields of a receipt; those of its challenge exist only while that is kept."""
        name, places = digest(*_parts(receipt)), []
        if receipt.reference or not receipt.delivery_id:
            places.append((f"rf:{digest(receipt.reference)}", name))
        holder = self._holder_of(receipt.delivery_id) if receipt.delivery_id else ""
        if holder:
            self._doc(holder)
            places.append((f"ch:{holder}", f"r:{name}"))
        return places

    def _put_receipt(self, receipt: ReceiptRecord) -> None:
        kept = self._milliseconds(receipt.received_at, self._keeping.of_delivery)
        for key, field in self._places(receipt):
            if key.startswith("ch:"):
                self._unit.bump(key)
            self._unit.hash(key)
            self._unit.put(key, field, pack(receipt))
            self._unit.keep(key, kept)
        self._unit.call("ZADD", "ix:receipts", str(microseconds(receipt.received_at)), self._receipt_member(receipt))

    def _remove_receipt(self, receipt: ReceiptRecord) -> None:
        self._unit.call("ZREM", "ix:receipts", self._receipt_member(receipt))
        for key, field in self._places(receipt):
            if key.startswith("ch:"):
                self._unit.bump(key)
            self._unit.remove(key, field)

    def _receipt_member(self, receipt: ReceiptRecord) -> str:
        holder = self._holder_of(receipt.delivery_id) if receipt.delivery_id else ""
        under = digest(receipt.reference) if receipt.reference or not receipt.delivery_id else _NOBODY
        return f"{holder or _NOBODY} {digest(*_parts(receipt))} {under}"

    # Watching.

    def put_worker(self, worker: WorkerRecord) -> None:
        self._unit.hash("workers")
        self._unit.put("workers", worker.name, pack(worker))
        self._unit.keep("workers", self._milliseconds(worker.seen_at, self._keeping.of_worker))

    def remove_worker(self, name: str) -> None:
        self._unit.call("HDEL", "workers", name)

    def remove_stale_workers(self, before: datetime) -> Sequence[WorkerRecord]:
        stale = [worker for worker in self.workers() if worker.seen_at < before]
        for worker in stale:
            self._unit.guard("workers", worker.name)
            self._unit.remove("workers", worker.name)
        return stale

    def workers(self) -> Sequence[WorkerRecord]:
        fields = self._unit.hash("workers")
        return [self._unit.parsed(WorkerRecord, fields[name]) for name in sorted(fields)]

    def _kept(self) -> Iterator[ChallengeRecord]:
        for index in ("ix:open", "ix:over"):
            for member in self._pages(index):
                if (challenge := self.peek(member)) is not None:
                    yield challenge

    def _scheduled(self) -> Iterator[ScheduleRecord]:
        return self._rows("-inf", "+inf")

    def _recorded(self, since: datetime, until: datetime | None = None) -> Iterator[DeliveryRecord]:
        most = "+inf" if until is None else f"({microseconds(until)}"
        for member in self._pages("ix:deliveries", str(microseconds(since)), most):
            delivery = self.delivery(member.split()[1])
            if delivery is not None:
                yield delivery

    def _received(self, since: datetime, until: datetime) -> Iterator[ReceiptRecord]:
        for member in self._pages("ix:receipts", str(microseconds(since)), f"({microseconds(until)}"):
            holder, name, _ = member.split()
            text = self._doc(holder).get(f"r:{name}") if holder != _NOBODY else None  # else no delivery is known by it
            if text is not None:
                yield self._unit.parsed(ReceiptRecord, text)

    def _verified_since(self, since: datetime) -> Iterator[str]:
        least, offset = str(microseconds(since)), 0
        while True:
            (reply,) = self._unit.ask(("scored", "ix:verified", least, "+inf", str(offset), str(PAGE)))
            yield from reply[::2]
            offset += PAGE
            if len(reply) < 2 * PAGE:
                return

    # Settings and upkeep.

    def settings(self) -> dict[str, str]:
        return dict(self._unit.hash("settings"))

    def setting(self, name: str) -> str | None:
        value = self._unit.hash("settings").get(name)
        self._unit.guard("settings", name)
        return value

    def put_setting(self, name: str, value: str | None) -> None:
        if value is None:
            self._unit.call("HDEL", "settings", name)
        else:
            self._unit.call("HSET", "settings", name, value)

    def insert_setting(self, name: str, value: str) -> bool:
        if self.setting(name) is not None:
            return False
        self.put_setting(name, value)
        return True

    def purge_challenges(self, before: datetime, limit: int) -> int:
        members = self._page("ix:over", "-inf", f"({microseconds(before)}", 0, limit)
        old = []
        for member in members:
            challenge = self.peek(member)
            if challenge is None:
                for index in ("ix:over", "ix:begun"):
                    self._unit.call("ZREM", index, member)
            elif challenge.state in OVER and challenge.expires_at < before:
                old.append(challenge)
        self._remove_challenges(old)
        return len(old)

    def purge_deliveries(self, before: datetime, limit: int) -> int:
        removed = 0
        for member in self._page("ix:deliveries", "-inf", f"({microseconds(before)}", 0, limit):
            _, delivery_id, instance = member.split(" ", 2)
            delivery = self.delivery(delivery_id)
            if delivery is None:
                for index in delivery_indexes(instance):
                    self._unit.call("ZREM", index, member)
            else:
                self._remove_delivery(delivery)
                removed += 1
        return removed

    def purge_receipts(self, before: datetime, limit: int) -> int:
        members = self._page("ix:receipts", "-inf", f"({microseconds(before)}", 0, limit)
        parts = [member.split() for member in members]
        self._unit.load(*(f"rf:{under}" for _, _, under in parts if under != _NOBODY))
        for holder, name, under in parts:
            if holder != _NOBODY:
                self._unit.bump(f"ch:{holder}")
                self._unit.remove(f"ch:{holder}", f"r:{name}")
                self._tidy(holder)
            if under != _NOBODY:
                self._unit.remove(f"rf:{under}", name)
        if members:
            self._unit.call("ZREM", "ix:receipts", *members)
        return len(members)

    def purge_counters(self, now: datetime, limit: int) -> int:
        self.now(now)
        (reply,) = self._unit.ask(("scored", "ix:counters", "-inf", str(microseconds(now)), "0", str(limit)))
        for key in reply[::2]:
            owner = key.partition("/")[0]
            self._unit.change("uncount", f"ct:{owner}", key[len(owner) :])
        return len(reply) // 2

    def purge_refusals(self, before: datetime, limit: int) -> int:
        (reply,) = self._unit.ask(("scored", "ix:refusals", "-inf", f"({microseconds(before)}", "0", str(limit)))
        keys = reply[::2]
        old = self._refusals(keys)
        for refusal in old:
            self._remove_refusal(refusal)
        for key in set(keys) - {refusal.key for refusal in old}:
            self._unit.call("ZREM", "ix:refusals", key)
        return len(old)

    def purge_verified(self, before: datetime, limit: int) -> int:
        (reply,) = self._unit.ask(("scored", "ix:verified", "-inf", f"({microseconds(before)}", "0", str(limit)))
        phones = reply[::2]
        self._unit.load(*(f"vf:{phone_key}" for phone_key in phones))
        for phone_key in phones:
            self._unit.guard(f"vf:{phone_key}", "t")
            self._unverify(phone_key)
        return len(phones)

    def forget(self, phone_key: str) -> tuple[int, int]:
        (keys,) = self._unit.ask(("members", f"xp:{phone_key}"))
        refused = self._refusals(keys)
        for refusal in refused:
            self._remove_refusal(refusal)
        verified = int(self.verified(phone_key) is not None)
        self._unverify(phone_key)
        if keys:
            self._unit.call("SREM", f"xp:{phone_key}", *keys)
        return len(refused), verified

    def erase(self, phone_key: str) -> tuple[int, int]:
        ids = self._ids_of(phone_key)
        challenges = self.challenges_of(phone_key)
        deliveries = [delivery for one in ids for delivery in self.deliveries(one)]
        for one in ids:
            doc = self._doc(one)
            for receipt in [self._unit.parsed(ReceiptRecord, doc[name]) for name in doc if name.startswith("r:")]:
                self._remove_receipt(receipt)
        self._remove_challenges(challenges)
        for delivery in deliveries:
            self._remove_delivery(delivery)
        for scope in list(self._unit.hash(f"sl:{phone_key}")):
            self.delete_slot(scope, phone_key)
        return len(challenges), len(deliveries)

    def _remove_challenges(self, gone: Sequence[ChallengeRecord]) -> None:
        self._unit.load(*(f"sl:{challenge.phone_key}" for challenge in gone))
        for challenge in gone:
            self._unit.bump(f"ch:{challenge.id}")
            self.end_schedules(challenge.id)
            self._unit.remove(f"ch:{challenge.id}", "c")
            for index in ("ix:open", "ix:over", "ix:begun", f"sj:{challenge.subject}"):
                self._unit.call("ZREM", index, challenge.id)
            for scope in list(self._unit.hash(f"sl:{challenge.phone_key}")):
                slot = self.slot(scope, challenge.phone_key)
                if slot is not None and slot.holder == challenge.id:
                    self.delete_slot(scope, challenge.phone_key)
            self._tidy(challenge.id)

    def _remove_delivery(self, delivery: DeliveryRecord) -> None:
        self._unit.bump(f"ch:{delivery.challenge_id}")
        self._unit.remove(f"ch:{delivery.challenge_id}", f"d:{delivery.id}")
        self._unit.call("DEL", f"dl:{delivery.id}")
        for index in delivery_indexes(delivery.instance):
            self._unit.call("ZREM", index, delivery_member(delivery))
        if delivery.reference:
            self._unit.call("ZREM", f"rd:{digest(delivery.instance, delivery.reference)}", delivery.id)
        self._tidy(delivery.challenge_id)

    def _tidy(self, challenge_id: str) -> None:
        """What is left of a challenge goes once it holds neither deliveries nor receipts."""
        doc = self._doc(challenge_id)
        if doc and not any(name == "c" or name[:2] in ("d:", "r:") for name in doc):
            if "p" in doc:
                self._unit.call("ZREM", f"pc:{doc['p']}", challenge_id)
            self._unit.clear(f"ch:{challenge_id}")

    def _unverify(self, phone_key: str) -> None:
        self._unit.clear(f"vf:{phone_key}")
        self._unit.call("ZREM", "ix:verified", phone_key)


def _parts(receipt: ReceiptRecord) -> tuple[str, str, str, str]:
    """What makes two receipts the same one."""
    return receipt.reference, receipt.instance, receipt.delivery_id, receipt.status


def _questions(wanted: Wanted, now: datetime | None) -> Iterator[tuple[str, ...]]:
    """What a look asks."""
    if now is None:
        yield ("time",)
    if wanted.challenge_id:
        yield "person", wanted.challenge_id
    if wanted.subject:
        yield "latest", wanted.subject
    if wanted.instance:
        yield "referred", digest(wanted.instance, wanted.reference)
    if wanted.due:
        yield "due", "now" if now is None else str(microseconds(now)), str(wanted.due)
    for key in _hashes(wanted):
        yield "hash", key


def _hashes(wanted: Wanted) -> Iterable[str]:
    """Those that are read whole, each once."""
    phone_key, reference = wanted.phone_key, wanted.reference
    names = [f"ct:{first_part(key)}" for key in wanted.counters]
    if wanted.breakers:
        names.append("breakers")
    if phone_key:
        names += (f"fl:{phone_key}", f"sl:{phone_key}", f"vf:{phone_key}")
    if reference:
        names.append(f"rf:{digest(reference)}")
    if wanted.budget:
        names.append(f"bd:{first_part(wanted.budget)}")
    return dict.fromkeys(names)
