"""After the storm: what was lost, what was repeated, and every rule that was broken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import attrs

from otpcore.models import Challenge, ChallengeState, Outcome
from otpcore.stores.commands import ChallengeView
from otpcore.stores.lifecycle import IN_DOUBT, NOT_SENT, OVER
from otpcore.stores.records import DeliveryRecord

from .people import ROUTES, Story
from .plant import Plant
from .vendors import Received

WELL = timedelta(seconds=25)
"""A vendor that was up for so long has been tried meanwhile, whatever the leases and delays."""
OURS = "ours"
"""While a server of ours is away, nobody reaches any vendor."""
LOST, LATE, TWICE, COUNTED = "lost", "late", "twice without a reason", "counted wrong"
ACCEPTED, STRANGE, LEFT, REFUSED = "accepted or refused wrongly", "strange messages", "left over", "reports refused"
"""Rules that may be broken."""
NEVER = datetime.max.replace(tzinfo=UTC)


@attrs.define
class Weather:
    """When which vendor, or a server of ours, was away."""

    away: list[tuple[str, datetime, datetime]] = attrs.field(factory=list)

    def was_well(self, vendor: str, begin: datetime, end: datetime) -> bool:
        """It was up for ``WELL`` within these times."""
        moment = begin
        for name, left, back in sorted(self.away, key=lambda one: one[1]):
            if name not in (vendor, OURS) or back < begin or left > end:
                continue
            if left - moment >= WELL:
                return True
            moment = max(moment, back)
        return end - moment >= WELL


@attrs.define
class Counts:
    """What a run came to.

    Args:
        owed: Challenges for which a vendor was well for long enough.
        given_up: Those of them that ended without a message, and with a reason that the host and the operator see.
        late: Seconds after its time that each retry was begun.
        recovered: Seconds from the end of each outage of a server to the next message.
        broken: How often which rule was broken.
        wrong: The same in full.
    """

    sends: int = 0
    challenges: int = 0
    retries: int = 0
    delivered: int = 0
    messages: int = 0
    duplicates: int = 0
    verified: int = 0
    unconfirmed: int = 0
    ended: Counter[str] = attrs.field(factory=Counter)
    owed: int = 0
    given_up: Counter[str] = attrs.field(factory=Counter)
    reports: Counter[str] = attrs.field(factory=Counter)
    late: list[float] = attrs.field(factory=list)
    recovered: list[float] = attrs.field(factory=list)
    broken: Counter[str] = attrs.field(factory=Counter)
    wrong: list[str] = attrs.field(factory=list)

    def blame(self, rule: str, *wrong: str) -> None:
        """Each of these broke the rule."""
        self.broken[rule] += len(wrong)
        self.wrong += wrong


def audit(
    plant: Plant, stories: Sequence[Story], weather: Weather, heard: Mapping[str, datetime], *, retried: bool
) -> Counts:
    """Look at everything that is stored and everything that arrived. ``heard``: when a person's last report came in."""
    counts = Counts()
    views = plant.look({story.phone for story in stories})
    confirmed = plant.confirmed(view for of_phone in views.values() for view in of_phone)
    for story in stories:
        counts.sends += story.sends
        counts.blame(ACCEPTED, *story.wrong)
        own = [view for view in views[story.phone] if view.challenge.purpose == story.purpose]
        received = plant.vendors.of(story.phone)
        reported = heard.get(story.phone, NEVER) if plant.vendors.loses(story.phone) else None
        for view in own:
            messages = [one for one in received if plant.belongs(one, view, views[story.phone])]
            _one(counts, story, view, messages, weather, reported, retried=retried)
            _rules(counts, story, view, confirmed)
        _attempts(counts, story, own)
    for phone, of_phone in views.items():
        strangers = [
            one for one in plant.vendors.of(phone) if not any(plant.belongs(one, view, of_phone) for view in of_phone)
        ]
        if strangers:
            counts.blame(STRANGE, f"{phone}: {len(strangers)} messages that no challenge sent")
        unsure = sum(s.unsure for s in stories if s.phone == phone)
        _charges(plant, counts, phone, of_phone, unsure)
    if rows := plant.rows():
        counts.blame(LEFT, f"{rows} schedule rows are left")
    return counts


def _one(
    counts: Counts,
    story: Story,
    view: ChallengeView,
    messages: list[Received],
    weather: Weather,
    reported: datetime | None,
    *,
    retried: bool,
) -> None:
    challenge, name = view.challenge, f"{story.phone} ({story.purpose})"
    counts.challenges += 1
    counts.delivered += bool(messages)
    counts.messages += len(messages)
    counts.retries += sum(delivery.is_retry for delivery in view.deliveries)
    counts.verified += challenge.state is ChallengeState.APPROVED
    sends = {delivery.send_id for delivery in view.deliveries}
    counts.duplicates += max(len(messages) - len(sends), 0)
    may_have_left = [delivery for delivery in view.deliveries if delivery.outcome not in NOT_SENT]
    if len(messages) > len(may_have_left):
        counts.blame(TWICE, f"{name}: {len(messages)} messages of {len(may_have_left)} deliveries")
    owed = retried and _is_owed(story, challenge, weather, reported)
    counts.owed += owed
    if not messages:
        accepted = any(delivery.outcome is Outcome.ACCEPTED for delivery in view.deliveries)
        unresolved = [delivery for delivery in view.deliveries if delivery.outcome in IN_DOUBT]
        left = "in doubt" if unresolved else "undelivered" if may_have_left else "nobody took it"
        counts.ended[f"{challenge.state} ({challenge.reason or left})"] += 1
        if accepted:
            counts.blame(LOST, f"{name}: accepted, and nothing arrived")
        elif owed and challenge.state is ChallengeState.EXPIRED and not challenge.reason and not unresolved:
            counts.blame(LOST, f"{name}: lost, though a vendor was well; {view}")
        elif owed and challenge.reason and not unresolved:
            counts.given_up[challenge.reason] += 1


def _is_owed(story: Story, challenge: Challenge, weather: Weather, reported: datetime | None) -> bool:
    """Whether a vendor of the person's route was well for long enough."""
    vendors = {{"texter": "twilio", "reporter": "twilio"}.get(one, one) for one in ROUTES.get(story.phone[:7], ())}
    begin, end = challenge.first_sent_at, challenge.expires_at - timedelta(seconds=10)
    if reported is not None:  # what comes after all, comes by another vendor, and after the report
        vendors.discard("twilio")
        begin = max(begin, reported)
    return any(weather.was_well(one, begin, end) for one in vendors)


def _rules(counts: Counts, story: Story, view: ChallengeView, confirmed: Mapping[str, datetime]) -> None:
    challenge, name = view.challenge, f"{story.phone} ({story.purpose})"
    approvals = [at for one, at in story.approvals if one == challenge.id]
    if len(approvals) > 1:
        counts.blame(ACCEPTED, f"{name}: accepted {len(approvals)} times")
    if approvals and challenge.state is not ChallengeState.APPROVED:
        counts.blame(ACCEPTED, f"{name}: accepted, and {challenge.state}")
    if challenge.state is ChallengeState.APPROVED and not approvals and not story.died:
        counts.blame(ACCEPTED, f"{name}: approved, and nobody was told")
    for delivery in view.deliveries:
        if delivery.recorded_at >= challenge.expires_at:
            counts.blame(LATE, f"{name}: a delivery recorded after the end of the code's life")
        if approvals and delivery.recorded_at.timestamp() > approvals[0]:
            counts.blame(LATE, f"{name}: a delivery recorded after the person was verified")
    for send in {delivery.send_id for delivery in view.deliveries}:
        _repeats(counts, name, [one for one in view.deliveries if one.send_id == send], confirmed)
    if challenge.state not in OVER or challenge.code_sealed is not None or view.schedule:
        counts.blame(LEFT, f"{name}: in the end {challenge.state}, {len(view.schedule)} rows")


def _repeats(counts: Counts, name: str, send: Sequence[DeliveryRecord], confirmed: Mapping[str, datetime]) -> None:
    """A further delivery needs a reason: the one before certainly did not leave, or nobody knew in time.

    Where a receipt said that it arrived, it may have been in doubt until then.
    """
    for number, delivery in enumerate(send):
        for earlier in send[:number]:
            in_time = earlier.lease_until > delivery.recorded_at
            if earlier.id in confirmed:
                in_time = confirmed[earlier.id] < delivery.recorded_at
            known = earlier.outcome is Outcome.ACCEPTED and in_time
            if known:
                counts.blame(TWICE, f"{name}: sent again, though {earlier.instance} had taken it")
    doubts = Counter(delivery.instance for delivery in send if delivery.outcome in IN_DOUBT)
    if any(count > 2 for count in doubts.values()):
        counts.blame(TWICE, f"{name}: more than one repeat in doubt: {dict(doubts)}")


def _attempts(counts: Counts, story: Story, own: Sequence[ChallengeView]) -> None:
    used = sum(view.challenge.attempts + view.challenge.givebacks for view in own)
    if not story.counted <= used <= story.asked:
        counts.blame(COUNTED, f"{story.phone}: {used} attempts, answered {story.counted}, asked {story.asked}")


def _charges(plant: Plant, counts: Counts, phone: str, views: Sequence[ChallengeView], unsure: int) -> None:
    """What may have left counts; what certainly did not was given back, but for what a process died over."""
    left = {d.send_id for view in views for d in view.deliveries if d.outcome not in NOT_SENT}
    charged = plant.charged(phone)
    if not len(left) <= charged <= len(left) + unsure:
        counts.blame(
            COUNTED, f"{phone}: {charged} sends count; {len(left)} may have left, {unsure} were interrupted; {views}"
        )
