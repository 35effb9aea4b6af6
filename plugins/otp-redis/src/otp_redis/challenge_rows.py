"""Challenges and their deliveries, and what is read in one look.

All that hangs on a challenge is one hash, ``ch:<id>``, so that one look reads it and one version guards it: ``c`` the challenge, ``p`` the look-up
of its phone, ``n`` its number, ``v`` the version, which is the id of the commit that last changed it: no two contents ever have the same, though a
server lost what it had; ``d:<id>`` a delivery with its number, ``s:<channel>`` a schedule row, ``r:<digest>`` a receipt.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from otp_redis.keeping import Keeping
from otp_redis.packing import microseconds
from otp_redis.unit import Unit
from otpcore.stores import (
    OVER,
    ChallengeRecord,
    DeliveryRecord,
    Wanted,
    changed,
)

__all__ = ["PAGE", "ChallengeRows", "delivery_indexes", "delivery_member", "digest", "doc_key"]

PAGE = 200
"""Rows that are looked at in one round trip."""


def digest(*parts: str) -> str:
    """A short name for parts of any length and any characters."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


class ChallengeRows:
    """The part of ``Rows`` about challenges and deliveries."""

    def __init__(self, unit: Unit, keeping: Keeping) -> None:
        self._unit = unit
        self._keeping = keeping
        self._newest: dict[str, str] = {}
        self._referred: dict[str, Sequence[Any]] = {}
        self._first_due: Sequence[str] | None = None
        self._holders: dict[str, str] = {}
        self._wanted: Wanted | None = None

    def now(self, now: datetime | None) -> datetime:
        if now is not None:
            self._unit.use_clock(now)
        return self._unit.clock

    # Challenges.

    def challenge(self, challenge_id: str) -> ChallengeRecord | None:
        found = self.peek(challenge_id)
        self._unit.guard(doc_key(challenge_id), "v")
        return found

    def peek(self, challenge_id: str) -> ChallengeRecord | None:
        text = self._doc(challenge_id).get("c")
        return None if text is None else self._unit.parsed(ChallengeRecord, text)

    def latest(self, subject: str) -> ChallengeRecord | None:
        newest = self._newest_of(subject)
        return self.challenge(newest) if newest else None

    def peek_latest(self, subject: str) -> ChallengeRecord | None:
        newest = self._newest_of(subject)
        return self.peek(newest) if newest else None

    def challenges_of(self, phone_key: str) -> Sequence[ChallengeRecord]:
        found = (self.challenge(challenge_id) for challenge_id in reversed(self._ids_of(phone_key)))
        return [challenge for challenge in found if challenge is not None]

    def insert_challenge(self, challenge: ChallengeRecord) -> bool:
        holder = self.latest(challenge.subject)
        if holder is not None and holder.state not in OVER:
            return False
        unit, key = self._unit, doc_key(challenge.id)
        unit.learn(key, ())  # its id is fresh
        unit.bump(key)
        unit.put(key, "p", challenge.phone_key)
        unit.put(key, "c", self._unit.packed(challenge))
        unit.put_numbered(key, "n", "")
        unit.call("ZADD", "ix:begun", str(microseconds(challenge.first_sent_at)), challenge.id)
        for index in (f"sj:{challenge.subject}", f"pc:{challenge.phone_key}"):
            unit.change("rank", index, challenge.id)
        self._newest[challenge.subject] = challenge.id
        unit.newest(challenge.subject, challenge.id)
        self._place(challenge)
        self._keep(challenge)
        return True

    def update_challenge(self, challenge_id: str, **changes: Any) -> None:
        before = self.peek(challenge_id)
        if before is None:
            return
        after = changed(before, **changes)
        self._unit.bump(doc_key(challenge_id))
        self._unit.put(doc_key(challenge_id), "c", self._unit.packed(after))
        if (after.state in OVER) != (before.state in OVER) or after.expires_at != before.expires_at:
            self._place(after)
        if after.expires_at > before.expires_at:
            self._keep(after)

    def expired(self, now: datetime, limit: int) -> Sequence[ChallengeRecord]:
        found = []
        for member in self._page("ix:open", "-inf", str(microseconds(now)), 0, limit):
            challenge = self.challenge(member)
            if challenge is None:
                for index in ("ix:open", "ix:begun"):
                    self._unit.call("ZREM", index, member)
            elif challenge.state not in OVER and challenge.expires_at <= now:
                found.append(challenge)
        return found

    def begun_after(self, moment: datetime, limit: int) -> Sequence[ChallengeRecord]:
        found = (self.peek(member) for member in self._pages("ix:open"))
        later = (one for one in found if one and one.state not in OVER and one.first_sent_at > moment)
        first = heapq.nsmallest(limit, later, key=lambda challenge: (challenge.expires_at, challenge.id))
        for challenge in first:
            self._unit.guard(doc_key(challenge.id), "v")
        return first

    # Deliveries.

    def deliveries(self, challenge_id: str) -> Sequence[DeliveryRecord]:
        numbered = [text.partition(":") for name, text in self._doc(challenge_id).items() if name.startswith("d:")]
        numbered.sort(key=lambda parts: int(parts[0]) if parts[0] else 1 << 62)  # this unit's own have none yet
        return [self._unit.parsed(DeliveryRecord, text) for _, _, text in numbered]

    def delivery(self, delivery_id: str) -> DeliveryRecord | None:
        challenge_id = self._holder_of(delivery_id)
        text = self._doc(challenge_id).get(f"d:{delivery_id}") if challenge_id else None
        return None if text is None else self._unit.parsed(DeliveryRecord, text.partition(":")[2])

    def delivery_by_reference(self, instance: str, reference: str) -> DeliveryRecord | None:
        name = digest(instance, reference)
        if name not in self._referred:
            (self._referred[name],) = self._unit.ask(("referred", name))
        reply = self._referred[name]
        self._unit.guard_top(f"rd:{name}", reply[0] if reply else "")
        if not reply:
            return None
        self.learn_person(reply[1])
        return self.delivery(reply[0])

    def insert_delivery(self, delivery: DeliveryRecord, phone_key: str) -> None:
        unit, key = self._unit, doc_key(delivery.challenge_id)
        doc = self._doc(delivery.challenge_id)
        unit.bump(key)
        if "p" not in doc:
            unit.put(key, "p", phone_key)
        unit.put_numbered(key, f"d:{delivery.id}", self._unit.packed(delivery))
        self._holders[delivery.id] = delivery.challenge_id
        kept = self._milliseconds(delivery.recorded_at, self._keeping.of_delivery)
        unit.call("SET", f"dl:{delivery.id}", delivery.challenge_id, "PX", str(kept))
        for index in delivery_indexes(delivery.instance):
            unit.call("ZADD", index, str(microseconds(delivery.recorded_at)), delivery_member(delivery))
        if delivery.reference:
            self._refer(None, delivery, "")
        if (challenge := self.peek(delivery.challenge_id)) is not None:
            self._keep(challenge)

    def answer_delivery(self, delivery_id: str, **answer: Any) -> bool:
        before = self.delivery(delivery_id)
        if before is None:
            return False
        unit, key, field = self._unit, doc_key(before.challenge_id), f"d:{delivery_id}"
        after = changed(before, **answer)
        unit.bump(key)
        number = self._doc(before.challenge_id)[field].partition(":")[0]
        if number:
            unit.put(key, field, f"{number}:{self._unit.packed(after)}")
        else:
            unit.put_numbered(key, field, self._unit.packed(after))
        if after.reference != before.reference:
            self._refer(before, after, number)
        return True

    # What is read together.

    def learn_due(self, reply: Sequence[Any]) -> None:
        """The earliest due rows, as the script ``due`` answers."""
        for member, doc in reply:
            self._learn_doc(member.split()[0], doc)
        self._first_due = [member for member, _ in reply]

    def learn_person(self, reply: Sequence[Any]) -> None:
        """A challenge, and what is about its phone, as the script ``person`` answers."""
        if not reply:
            return
        challenge_id, doc, *about = reply
        self._learn_doc(challenge_id, doc)
        if about:
            phone_key, failures, slots, verified = about
            self._unit.learn(f"fl:{phone_key}", failures)
            self._unit.learn(f"sl:{phone_key}", slots)
            self._unit.learn(f"vf:{phone_key}", verified)

    def learn_latest(self, subject: str, reply: Sequence[Any]) -> None:
        """The newest challenge of a subject, as the script ``latest`` answers."""
        newest = reply[0] if reply else ""
        self._learn_newest(subject, newest)
        self._unit.newest(subject, newest)
        self.learn_person(reply)

    def guess_person(self, challenge_id: str) -> bool:
        """A challenge, and what is about its phone, as far as this process knows them; False: it does not."""
        doc = self._unit.recall.hash(doc_key(challenge_id))
        if doc is None or "p" not in doc:
            return False
        self._unit.guess(doc_key(challenge_id), doc)
        self._note_holders(challenge_id)
        for kind in ("fl", "sl", "vf"):
            self.guess_hash(f"{kind}:{doc['p']}")
        return True

    def guess_latest(self, subject: str, *, is_begin: bool) -> bool:
        """The newest challenge of a subject; of one that nobody knows a send guesses that there is none."""
        newest = self._unit.recall.newest(subject)
        if newest is None and is_begin:
            newest = ""
        if newest is None or (newest and not self.guess_person(newest)):
            return False
        self._learn_newest(subject, newest)
        return True

    def guess_hash(self, key: str) -> None:
        """One that is read whole."""
        if not self._unit.knows(key):
            self._unit.guess(key, self._unit.recall.hash(key))

    def _learn_newest(self, subject: str, newest: str) -> None:
        self._unit.guard_top(f"sj:{subject}", newest)
        self._newest[subject] = newest

    def _learn_doc(self, challenge_id: str, reply: Sequence[str]) -> None:
        self._unit.learn(doc_key(challenge_id), reply)
        self._note_holders(challenge_id)

    def _note_holders(self, challenge_id: str) -> None:
        for name in self._unit.hash(doc_key(challenge_id)):
            if name.startswith("d:"):
                self._holders[name[2:]] = challenge_id

    def _doc(self, challenge_id: str) -> Mapping[str, str]:
        if not self._unit.knows(doc_key(challenge_id)):
            (reply,) = self._unit.ask(("person", challenge_id))
            self.learn_person(reply)
        return self._unit.hash(doc_key(challenge_id))

    def _holder_of(self, delivery_id: str) -> str:
        """The challenge of a delivery; empty: it is not known."""
        if delivery_id not in self._holders:
            (reply,) = self._unit.ask(("owner", delivery_id))
            self._holders[delivery_id] = reply[0] if reply else ""
            self.learn_person(reply)
        return self._holders[delivery_id]

    def _newest_of(self, subject: str) -> str:
        if subject not in self._newest:
            (reply,) = self._unit.ask(("latest", subject))
            self.learn_latest(subject, reply)
        return self._newest[subject]

    def _ids_of(self, phone_key: str) -> list[str]:
        """Of all challenges of a phone, the oldest first."""
        (reply,) = self._unit.ask(("ranked", f"pc:{phone_key}", "0", "-1"))
        ids: list[str] = list(reply[::2])
        self._load(ids)
        return ids

    def _load(self, ids: Sequence[str]) -> None:
        missing = [one for one in ids if not self._unit.knows(doc_key(one))]
        if missing:
            for reply in self._unit.ask(*(("person", one) for one in missing)):
                self.learn_person(reply)

    def _pages(self, index: str, least: str = "-inf", most: str = "+inf", *, page: int = PAGE) -> Iterator[str]:
        offset = 0
        if index == "due" and least == "-inf" and self._first_due is not None and most != "+inf":
            yield from self._first_due
            offset = len(self._first_due)
            if offset < page:
                return
        while members := self._page(index, least, most, offset, page):
            yield from members
            offset += len(members)
            if len(members) < page:
                return

    def _page(self, index: str, least: str, most: str, offset: int, count: int) -> Sequence[str]:
        """Members of an index, of which the first word names a challenge; those challenges are read with them."""
        (reply,) = self._unit.ask(("docs", index, least, most, str(offset), str(count)))
        for member, doc in reply:
            self._learn_doc(member.split()[0], doc)
        return [member for member, _ in reply]

    # Indexes and expiries.

    def _place(self, challenge: ChallengeRecord) -> None:
        """In the index of those that are open, or over, by when they expire."""
        here, there = ("ix:over", "ix:open") if challenge.state in OVER else ("ix:open", "ix:over")
        self._unit.call("ZADD", here, str(microseconds(challenge.expires_at)), challenge.id)
        if here == "ix:over":
            self._unit.call("ZREM", there, challenge.id)

    def _refer(self, before: DeliveryRecord | None, after: DeliveryRecord, number: str) -> None:
        """In the index of what vendors call it."""
        if before is not None and before.reference:
            self._unit.call("ZREM", f"rd:{digest(before.instance, before.reference)}", before.id)
        if after.reference:
            key = f"rd:{digest(after.instance, after.reference)}"
            if number:
                self._unit.call("ZADD", key, number, after.id)
            else:
                self._unit.change("rank", key, after.id)
            self._unit.keep(key, self._milliseconds(after.recorded_at, self._keeping.of_delivery))

    def _keep(self, challenge: ChallengeRecord) -> None:
        """It and its indexes stay until it is over and need not be kept any more."""
        kept = self._milliseconds(max(challenge.expires_at, self._unit.clock), self._keeping.of_challenge)
        for key in (doc_key(challenge.id), f"sj:{challenge.subject}", f"pc:{challenge.phone_key}"):
            self._unit.keep(key, kept)

    def _milliseconds(self, since: datetime, kept: timedelta) -> int:
        return max(self._unit.milliseconds_from_now(since + kept), 1)


def doc_key(challenge_id: str) -> str:
    """The hash of a challenge."""
    return f"ch:{challenge_id}"


def delivery_member(delivery: DeliveryRecord) -> str:
    """A delivery in the indexes by time: its instance says in which of them it stands."""
    return f"{delivery.challenge_id} {delivery.id} {delivery.instance}"


def delivery_indexes(instance: str) -> tuple[str, str]:
    """Those of all deliveries, and of one instance's."""
    return "ix:deliveries", f"ix:deliveries:{instance}"
