"""The life cycle of challenges in plain Python: what every store must do.

One person, several purposes. Nothing is imported from otpcore, so that a mistake there is not repeated here.
"""

from __future__ import annotations

from collections.abc import Collection

from .kept import (
    CLOCK_SLACK,
    FOREVER,
    IN_DOUBT,
    NOT_SENT,
    OVER,
    PAUSED,
    STOPS,
    Breaker,
    Challenge,
    Delivery,
    Failover,
    Failures,
    Kept,
    Reserved,
    Row,
    Said,
    Slot,
    Windows,
)


class Model(Kept):
    """The store as the design wants it; one method for each command."""

    # Sending.

    def charge(
        self, purpose: str, channel: str, client: str, barrier: str
    ) -> tuple[Windows, Windows] | set[float | None]:
        """What was charged, to be refunded or for good; else how long the refusal may last.

        A barrier charges nothing. What a living challenge's cooldown spares is not refused: it lasts as long as that.
        """
        living = self.of(purpose)
        cooldown = living.cooldown.get(channel, 0) if living is not None and self.lives(living) else 0
        spared = {cooldown - self.now} if cooldown > self.now else None
        if self.stands(barrier):
            return spared or {None}
        limits = {str(window): (limit, window) for limit, window in self.rules.limits}
        if client:
            limits[f"toll-{client}"] = self.rules.toll
        windows = {name: self.counters.get(name, (0, 0)) for name in limits}
        for name, (_, ends_at) in windows.items():
            if ends_at <= self.now:
                windows[name] = (0, self.now + limits[name][1])
        full = {windows[name][1] - self.now for name, (limit, _) in limits.items() if windows[name][0] >= limit}
        charged = {name: (count + (not full), ends_at) for name, (count, ends_at) in windows.items()}
        self.counters |= charged  # what is refused may begin a window too, with nothing in it
        if full:
            return spared or {max(full)}
        made = [(name, ends_at) for name, (_, ends_at) in charged.items()]
        return tuple(one for one in made if one[0].isdecimal()), tuple(one for one in made if not one[0].isdecimal())

    def refund(self, charges: Windows) -> None:
        for window, ends_at in charges:
            count, current = self.counters.get(window, (0, 0))
            if current == ends_at and count:
                self.counters[window] = (count - 1, ends_at)

    def begin(
        self,
        failover: Failover,
        purpose: str,
        *,
        is_resend: bool,
        charges: Windows,
        tolls: Windows,
        client: str,
        delivery: str,
        key: str,
    ) -> Said:
        said = self._begin(failover, purpose, is_resend, charges, client, delivery, key)
        if said.kind == "refused":
            self.refund(charges)
        if said.reason in ("cooldown", "conflict"):
            self.refund(tolls)
        return said

    def record(
        self,
        failover: Failover,
        delivery: str,
        outcome: str,
        reference: str,
        retry_after: float,
        following: str,
        *,
        go_on: bool,
    ) -> Said:
        done, challenge = self.deliveries.get(delivery), self.challenges.get(failover.challenge)
        said, opened, closed = Said("stopped"), None, None
        if done and challenge:
            opened, closed = self._note(done.instance, outcome)
            done.outcome, done.reference = outcome, reference
            done.not_before = self.now + retry_after if retry_after else 0
            kinds = self._heed(done)
            if outcome == "accepted" != done.outcome and self.lives(challenge):
                self._take_back(challenge, done)
            stops = not STOPS.isdisjoint(kinds)
            said = self._recorded(failover, challenge, done, following, go_on=go_on, stops=stops)
        return Said(**{**vars(said), "opened": opened, "closed": closed})

    def clear_mark(self, failover: Failover, scope: str) -> bool:
        if self._own(failover) is None or self.slots[scope].holder != failover.challenge:
            return False
        self.slots[scope].mark = None
        return True

    def claim(self, key: tuple[str, str], owner: str) -> Failover | None:
        """Claim one due row, which gets the new owner; None: its send is over now."""
        challenge, row, rules = self.challenges[key[0]], self.rows[key], self.rules
        if not self.lives(challenge):
            self.close(challenge, "expired")
        elif self.spent(challenge):
            self._stop(challenge, key[1], "max_attempts")
        elif challenge.expires_at - self.now < rules.useful_life:
            self._stop(challenge, key[1], "expired")
        elif row.attempts >= rules.retries[key[1]]:
            self._stop(challenge, key[1], "max_retries")
        else:
            row.owner, row.lease_until, row.attempts = owner, self.now + rules.lease, row.attempts + 1
            return Failover(challenge.id, key[1], owner, row.send, is_retry=True)
        return None

    def due(self, keys: Collection[str]) -> list[tuple[str, str]]:
        """Rows that a process with these keys may claim, the earliest first."""
        found = [
            (row.claimable_at, key)
            for key, row in self.rows.items()
            if row.claimable_at <= self.now and key[1] in self.rules.retries and self.challenges[key[0]].key in keys
        ]
        return [key for _, key in sorted(found)]

    def begin_retry(self, failover: Failover, delivery: str) -> Said:
        challenge, row = self.challenges.get(failover.challenge), self._own(failover)
        if challenge is None or row is None:
            return Said("stopped")
        if self.spent(challenge):
            return self._stop(challenge, failover.channel, "max_attempts")
        if challenge.expires_at - self.now < self.rules.useful_life:
            return self._stop(challenge, failover.channel, "expired")
        if self.denied(failover):
            return self._stop(challenge, failover.channel, "denied")
        if failover.barrier == PAUSED:
            free_at = [self.now + self.rules.hold]
        else:
            instance, free_at, _ = self._pick(challenge, failover)
            if instance:
                return self._deliver(challenge, row, failover, instance, delivery)
        if not free_at:
            return self._stop(challenge, failover.channel, self._refused_by(failover.send))
        if challenge.expires_at - min(free_at) >= self.rules.useful_life:
            row.attempts -= 1
        return self._queue(challenge, row, failover, min(free_at))

    def denied(self, failover: Failover) -> bool:
        """Nothing more goes to this number."""
        return failover.barrier != PAUSED and self.stands(failover.barrier)

    # Verifying.

    def reserve(self, purpose: str, challenge_id: str, client: str) -> Reserved:
        challenge = self.challenges.get(challenge_id) if challenge_id else self.of(purpose)
        if challenge is None or challenge.purpose != purpose or challenge.state in ("approved", "cancelled"):
            return Reserved("not_found")
        if not self.lives(challenge):
            return Reserved("expired", challenge.id)
        if self.locked_until(client) > self.now:
            return Reserved("locked", challenge.id)
        if self.spent(challenge):
            return Reserved("max_attempts", challenge.id)
        challenge.attempts += 1
        self.reservations += 1
        for key in (client, "*"):
            self.failures.setdefault(key, Failures()).count += 1
        mine, everybody = self.failures[client], self.failures["*"]
        if everybody.count >= self.rules.hard_limit:
            everybody.locked_until, everybody.locked_by = FOREVER, self.reservations
        elif mine.count >= self.rules.lock_from:
            wait = min(self.rules.first_wait * 2 ** (mine.count - self.rules.lock_from), self.rules.max_wait)
            mine.locked_until, mine.locked_by = self.now + wait, self.reservations
        known = frozenset(d.id for d in self.sent(challenge=challenge.id) if d.reference)
        return Reserved("reserved", challenge.id, self.reservations, self.marked(challenge.id), known)

    def settle(self, reserved: Reserved, client: str, *, give_back: bool, gone: set[str]) -> None:
        challenge = self.challenges.get(reserved.challenge)
        if challenge is None:
            return
        self._mark_gone(gone)
        if give_back and self.lives(challenge) and challenge.givebacks < self.rules.givebacks and challenge.attempts:
            challenge.attempts, challenge.givebacks = challenge.attempts - 1, challenge.givebacks + 1
            for failed in (self.failures[key] for key in (client, "*") if key in self.failures):
                failed.count = max(0, failed.count - 1)
                if failed.locked_by == reserved.number:
                    failed.locked_until = 0

    def approve(self, reserved: Reserved, client: str, settled: set[str]) -> bool:
        challenge = self.challenges.get(reserved.challenge)
        if challenge is None or not self.lives(challenge):
            return False
        self.close(challenge, "approved")
        self._mark_gone(settled & reserved.known)
        for key in (client, "*"):
            self.failures.pop(key, None)
        self.verified = True
        return True

    def _mark_gone(self, deliveries: set[str]) -> None:
        for one in deliveries & self.deliveries.keys():
            self.deliveries[one].gone = True

    # Upkeep.

    def cancel(self, challenge: Challenge) -> bool:
        if challenge.state in OVER:
            return False
        lived = self.lives(challenge)
        self.close(challenge, "cancelled" if lived else "expired")
        return lived

    def sweep(self, *, set_back: bool) -> None:
        for challenge in self.to_expire(set_back=set_back):
            self.close(challenge, "expired")
        overdue = [(row.claimable_at, key) for key, row in self.rows.items() if row.claimable_at <= self.now]
        for _, (challenge_id, channel) in sorted(overdue):
            if channel not in self.rules.retries and self.lives(self.challenges[challenge_id]):
                self._stop(self.challenges[challenge_id], channel, "interrupted")

    def to_expire(self, *, set_back: bool) -> list[Challenge]:
        """Over, and not called so; those that begin in the future are only looked for after the clock was set back."""
        candidates = [c for c in self.challenges.values() if c.state not in OVER]
        return [c for c in candidates if c.expires_at <= self.now or (set_back and self.begins_later(c))]

    def drop(self, challenge: Challenge) -> None:
        for channel in ("sms", "call"):
            if self.lives(challenge) and (challenge.id, channel) in self.rows:
                self._stop(challenge, channel, "failed")

    def requeue(self, challenge: Challenge) -> None:
        for key, row in self.rows.items():
            if key[0] == challenge.id and row.lease_until is None:
                row.due_at = self.now

    def purge(self, challenges_before: float, deliveries_before: float) -> None:
        gone = {c.id for c in self.challenges.values() if c.state in OVER and c.expires_at < challenges_before}
        self.challenges = {one: c for one, c in self.challenges.items() if one not in gone}
        self.slots = {scope: slot for scope, slot in self.slots.items() if slot.holder not in gone}
        for slot in self.slots.values():
            if not slot.holder and slot.left_by not in self.challenges:  # what it was to cancel is long over
                slot.mark = None
        self.deliveries = {d.id: d for d in self.deliveries.values() if d.recorded_at >= deliveries_before}
        self.counters = {window: counter for window, counter in self.counters.items() if counter[1] > self.now}

    def erase(self) -> None:
        """Everything of the person."""
        for kept in (self.challenges, self.deliveries, self.rows, self.slots, self.counters, self.failures):
            kept.clear()
        self.verified = False

    def close(self, challenge: Challenge, state: str) -> None:
        challenge.state = state
        for key in [key for key in self.rows if key[0] == challenge.id]:
            self._end_send(self.rows.pop(key))

    # Parts of commands.

    def _begin(
        self,
        failover: Failover,
        purpose: str,
        is_resend: bool,
        charges: Windows,
        client: str,
        delivery: str,
        key: str,
    ) -> Said:
        rules, now, holder = self.rules, self.now, self.of(purpose)
        if is_resend:
            challenge = self.challenges.get(failover.challenge)
            if challenge is None or not self.lives(challenge):
                return Said("refused", reason="conflict")
            expires_at = min(now + rules.life, challenge.began_at + rules.cap)
            if refused := self._not_again(challenge, failover.channel, expires_at):
                return refused
        else:
            if self.lives(holder):
                return Said("refused", reason="conflict")
            expires_at = now + rules.life
            challenge = Challenge(failover.challenge, purpose, now, expires_at, key)
        if (locked := self.locked_until(client)) >= expires_at:
            return Said("refused", reason="locked", at=None if locked == FOREVER else locked - now)
        instance, free_at, breaker_open = self._pick(challenge, failover)
        if not instance and not breaker_open:
            return Said("refused", reason="provider_busy", at=min(free_at) - now)
        if not instance and failover.channel not in rules.retries:
            return Said("refused", reason="breaker_open", at=min(free_at) - now)
        self._make_way(challenge, holder, failover.channel)
        self.challenges[challenge.id] = challenge
        challenge.state, challenge.confirmed, challenge.reason, challenge.expires_at = "sending", False, "", expires_at
        row = self.rows[challenge.id, failover.channel] = Row(
            failover.send, failover.owner, now, now + rules.lease, charges=charges
        )
        if instance:
            return self._deliver(challenge, row, failover, instance, delivery)
        row.due_at, row.lease_until, challenge.state = now + rules.probe_every, None, "queued"
        return Said("queued", at=row.due_at)

    def _not_again(self, challenge: Challenge, channel: str, expires_at: float) -> Said | None:
        """Why a living challenge is not sent again."""
        lasts = challenge.expires_at - self.now
        if self.spent(challenge):
            return Said("refused", reason="max_attempts", at=lasts)
        if (until := challenge.cooldown.get(channel, 0)) > self.now:
            return Said("refused", reason="cooldown", at=until - self.now)
        return Said("refused", reason="renewal", at=lasts) if expires_at - self.now < self.rules.renewal else None

    def _make_way(self, challenge: Challenge, holder: Challenge | None, channel: str) -> None:
        """End what a send takes the place of: an expired challenge, or the older send of the channel."""
        if holder is not None and holder.state not in OVER and holder is not challenge:
            self.close(holder, "expired")
        if older := self.rows.pop((challenge.id, channel), None):
            self._end_send(older)

    def _heed(self, done: Delivery) -> set[str]:
        """What receipts told about the delivery before its answer, by their kinds; they overrule it."""
        raise NotImplementedError

    def _take_back(self, challenge: Challenge, done: Delivery) -> None:
        """An acceptance that came to nothing."""
        raise NotImplementedError

    def _recorded(
        self,
        failover: Failover,
        challenge: Challenge,
        done: Delivery,
        following: str,
        *,
        go_on: bool,
        stops: bool = False,
    ) -> Said:
        """The answer is written; what follows from it."""
        scope = self.rules.scopes.get(done.instance, "")
        slot = self.slots.get(scope)
        holds = slot is not None and slot.holder == challenge.id
        if slot and holds and all(d.outcome in NOT_SENT for d in self.at_vendor(scope, challenge.id)):
            slot.holder = ""
        if not self.lives(challenge):
            took = done.outcome not in NOT_SENT and done.reference
            return Said("cancel_late", done.id, done.instance) if took and holds else Said("stopped")
        if done.outcome == "accepted":
            challenge.state, challenge.confirmed, challenge.reason = "sent", True, ""
            challenge.provider = done.instance
            for channel in ("sms", "call"):
                if row := self.rows.pop((challenge.id, channel), None):
                    self._end_send(row)
            return Said("accepted", done.id, done.instance)
        own = self._own(failover)
        if own is None:
            return Said("stopped")
        if done.outcome in STOPS or stops:
            return self._stop(challenge, failover.channel, "permanent")
        return self._failover_on(challenge, own, failover, following, go_on=go_on)

    def _failover_on(self, challenge: Challenge, row: Row, failover: Failover, following: str, *, go_on: bool) -> Said:
        rules = self.rules
        if self.spent(challenge):
            return self._stop(challenge, failover.channel, "max_attempts")
        useful = challenge.expires_at - self.now >= rules.useful_life
        if go_on and (useful or not failover.is_retry):
            instance, _, _ = self._pick(challenge, failover)
            if instance:
                return self._deliver(challenge, row, failover, instance, following)
        again = [i for i in failover.route if not self.left_out(i, row.send)]
        if not again:
            return self._stop(challenge, failover.channel, self._refused_by(failover.send))
        if failover.channel not in rules.retries:
            return self._stop(challenge, failover.channel, "failed")
        if row.attempts >= rules.retries[failover.channel]:
            return self._stop(challenge, failover.channel, "max_retries")
        backoff = self.now + rules.delay(row.attempts)
        return self._queue(challenge, row, failover, min(max(backoff, self._asked_to_wait(i, row.send)) for i in again))

    def _refused_by(self, send: str) -> str:
        """Why nobody may try again: the person only where a provider said so, else the last word of each instance."""
        said = [(d.instance, self._kinds(d) or {d.outcome}) for d in self.sent(send=send)]
        if any(STOPS & kinds for _, kinds in said):
            return "permanent"
        last = set().union(*dict(said).values())
        if last - {"misconfigured", "limit_reached"}:
            return "failed"
        return "limit_reached" if "limit_reached" in last else "misconfigured"

    def _kinds(self, done: Delivery) -> set[str]:
        """Why receipts said that it was not delivered."""
        raise NotImplementedError

    def _pick(self, challenge: Challenge, failover: Failover) -> tuple[str, list[float], bool]:
        """The instance to call now; else when others come free, and whether a breaker kept one back."""
        free_at: list[float] = []
        breaker_open = False
        for instance in failover.route:
            if instance in failover.tried or self.left_out(instance, failover.send):
                continue
            if (until := self._asked_to_wait(instance, failover.send)) > self.now:
                free_at.append(until)
            elif until := self._held_until(self.rules.scopes.get(instance, ""), challenge):
                free_at.append(max(until, self.now + self.rules.call_lease))
            elif self._shut(instance):
                breaker_open = True
                free_at.append(self.now + self.rules.probe_every)
            else:
                return instance, [], False
        return "", free_at, breaker_open

    def _asked_to_wait(self, instance: str, send: str) -> float:
        mine = self.sent(send=send, instance=instance)
        return mine[-1].not_before if mine else 0

    def _held_until(self, scope: str, challenge: Challenge) -> float:
        """Until when the slot is somebody else's, or is cleared for another failover of this challenge; 0: it is free."""
        slot = self.slots.get(scope, Slot())
        holder = self.challenges.get(slot.holder)
        if slot.holder == challenge.id:
            if slot.mark != "":  # whoever clears it by recipient, twice, could end what it has just started
                return 0
        elif holder is not None and self.lives(holder):
            return holder.expires_at
        calls = [d.lease_until for d in self.at_vendor(scope, slot.holder) if d.outcome == "open"]
        return max((until for until in calls if until > self.now), default=0)

    def _shut(self, instance: str) -> bool:
        """The breaker is open, and this is not the failover that may probe."""
        breaker = self.breakers.get(instance, Breaker())
        if breaker.failures < self.rules.breaker_from:
            return False
        if (
            self.now < breaker.probe_at <= self.now + self.rules.probe_every + CLOCK_SLACK
        ):  # later: the clock was set back
            return True
        breaker.probe_at = self.now + self.rules.probe_every
        return False

    def _note(self, instance: str, outcome: str) -> tuple[str | None, str | None]:
        """Count failures in a row; the instance whose breaker opened, and the one whose closed."""
        if outcome == "accepted":
            was_open = self.breakers.pop(instance, Breaker()).failures >= self.rules.breaker_from
            return None, instance if was_open else None
        if outcome not in ("unavailable", "ambiguous"):
            return None, None
        breaker = self.breakers.setdefault(instance, Breaker())
        breaker.failures += 1
        if breaker.failures != self.rules.breaker_from:
            return None, None
        breaker.probe_at = self.now + self.rules.probe_every
        return instance, None

    def _deliver(self, challenge: Challenge, row: Row, failover: Failover, instance: str, delivery: str) -> Said:
        rules, scope = self.rules, self.rules.scopes.get(instance, "")
        unresolved = [d.id for d in self.sent(send=row.send, instance=instance) if d.outcome in IN_DOUBT]
        row.lease_until = self.now + rules.call_lease
        challenge.cooldown[failover.channel] = self.now + rules.cooldown
        challenge.provider = instance
        challenge.core_sent |= not scope
        mark = self._take(scope, challenge) if scope else None
        self.deliveries[delivery] = Delivery(
            delivery, challenge.id, row.send, instance, failover.channel, failover.is_retry, self.now, row.lease_until
        )
        return Said("call", delivery, instance, mark, unresolved[-1] if unresolved else "")

    def _take(self, scope: str, challenge: Challenge) -> str | None:
        """Take the slot; what is to be cancelled before a start."""
        slot = self.slots.setdefault(scope, Slot())
        if slot.holder != challenge.id:
            started = [d for d in self.at_vendor(scope, slot.holder) if d.outcome not in NOT_SENT and not d.gone]
            if slot.mark is None and started:
                slot.mark = "" if any(not d.reference for d in started) else started[-1].reference
                slot.left_by = slot.holder
            slot.holder = challenge.id
        return slot.mark

    def _queue(self, challenge: Challenge, row: Row, failover: Failover, due_at: float) -> Said:
        if challenge.expires_at - due_at < self.rules.useful_life:
            return self._stop(challenge, failover.channel, "expired")
        row.due_at, row.lease_until, challenge.state = due_at, None, "queued"
        self._forget_cooldown(challenge, failover.channel, row.send)
        return Said("queued", at=due_at)

    def _stop(self, challenge: Challenge, channel: str, reason: str) -> Said:
        row = self.rows.pop((challenge.id, channel))
        in_doubt = any(d.outcome in IN_DOUBT for d in self.sent(send=row.send))
        challenge.confirmed, challenge.reason = False, ""
        if any(key[0] == challenge.id for key in self.rows):
            challenge.state = "queued"
        elif in_doubt and reason != "interrupted":
            challenge.state = "sent"
        else:
            challenge.state, challenge.reason = "unsendable", reason
        self._forget_cooldown(challenge, channel, row.send)
        self._end_send(row)
        return Said("ended")

    def _forget_cooldown(self, challenge: Challenge, channel: str, send: str) -> None:
        if self.nothing_left(send):
            challenge.cooldown.pop(channel, None)

    def _end_send(self, row: Row) -> None:
        if self.nothing_left(row.send):
            self.refund(row.charges)

    def _own(self, failover: Failover) -> Row | None:
        """The row, while this failover owns it and the challenge lives."""
        row = self.rows.get((failover.challenge, failover.channel))
        living = self.lives(self.challenges.get(failover.challenge))
        return row if row is not None and living and row.owner == failover.owner else None
