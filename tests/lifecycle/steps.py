"""What a failover does next, as the model says it, and how a send ends.

As there, nothing is imported from otpcore.
"""

from __future__ import annotations

from .kept import (
    CLOCK_SLACK,
    IN_DOUBT,
    NOT_SENT,
    STOPS,
    Breaker,
    Challenge,
    Delivery,
    Failover,
    Kept,
    Row,
    Said,
    Slot,
    Windows,
)


class Steps(Kept):
    """As `Kept`, with what follows from an answer: another call, a wait, or the end."""

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

    def close(self, challenge: Challenge, state: str) -> None:
        challenge.state = state
        for key in [key for key in self.rows if key[0] == challenge.id]:
            self._end_send(self.rows.pop(key))

    def refund(self, charges: Windows) -> None:
        for window, ends_at in charges:
            count, current = self.counters.get(window, (0, 0))
            if current == ends_at and count:
                self.counters[window] = (count - 1, ends_at)

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
