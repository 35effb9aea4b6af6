"""What must be true after every step, whatever happened before; each check returns what is wrong, or nothing.

They look at the store itself (``before`` and ``after`` are its challenges by id) and at what only the test can know: what
the person received, what lives at the vendors, whose processes died. The model decides nothing here.
"""

from __future__ import annotations

from otpcore.models import ChallengeState, Outcome
from otpcore.service.asking_vendors import checks_of
from otpcore.stores.commands import ChallengeView
from otpcore.stores.lifecycle import BEGUN, IN_DOUBT, NOT_SENT, OVER, TRANSITIONS, is_living, is_spent
from otpcore.stores.records import DeliveryRecord

from .seeing import Views
from .sides import at
from .world import World

SENDING, SENT, UNDELIVERED, QUEUED = (
    ChallengeState.SENDING,
    ChallengeState.SENT,
    ChallengeState.UNDELIVERED,
    ChallengeState.QUEUED,
)
IN_ONE_STEP = {state: {UNDELIVERED} if state in (SENDING, QUEUED) else set() for state in TRANSITIONS}
"""What two writes of one step come to: a receipt came before the acceptance."""


def living(world: World, views: Views) -> list[ChallengeView]:
    return [view for view in views.values() if is_living(view.challenge, world.sides.now)]


def delivered_codes_verify(world: World, before: Views, after: Views) -> str:
    """Promise 1: what was delivered while the challenge lives can be checked, as far as the vendor keeps it.

    But for what it had sent before it lost the vendor's account, at a time when it did not live.
    """
    for view in living(world, after):
        marked = world.model.marked(view.challenge.id)
        checks = {(one.scope, one.reference) for one in checks_of(view.deliveries, marked)}
        sent = {d.id for d in view.deliveries if d.id in world.memory.codes} - world.memory.displaced
        for code in {world.memory.codes[one] for one in sent}:
            verification = world.verification(code)
            if verification is None:
                if not view.challenge.core_recorded:
                    return f"{code} was delivered, but the core's code is not compared"
                continue
            scope = code.partition(" ")[0]
            current = world.vendors[scope].all[-1] is verification and verification.expires_at > world.true_now
            if verification.stale or not current:
                continue
            if verification.ended == "cancelled":
                return f"{code} was delivered to a living challenge, and we cancelled it"
            if not verification.ended and not checks & {(scope, ""), (scope, verification.reference)}:
                return f"{code} was delivered and lives, but nothing asks the vendor"
    return ""


def one_success_of_its_own_purpose(world: World, before: Views, after: Views) -> str:
    """Promise 3: a code is accepted once, and for nothing else."""
    if any(count > 1 for count in world.memory.successes.values()):
        return "accepted twice"
    return world.memory.crossed and f"{world.memory.crossed} verified another purpose"


def attempts_are_exact(world: World, before: Views, after: Views) -> str:
    """Promise 3: every reserved attempt is counted, unless it was given back, and none is left for more guesses."""
    for one, view in after.items():
        challenge = view.challenge
        if challenge.attempts + challenge.givebacks != world.memory.reserved.get(one, 0):
            return f"{challenge.attempts} attempts and {challenge.givebacks} given back are not those reserved"
        if world.memory.answered.get(one, 0) > challenge.max_attempts or challenge.givebacks > world.rules.givebacks:
            return "more answers than attempts"
    return ""


def nothing_useless_is_recorded(world: World, before: Views, after: Views) -> str:
    """Promise 2: no delivery for what is over, spent or, in a retry, too short-lived."""
    for one, view in after.items():
        known = {d.id for d in before[one].deliveries} if one in before else set()
        for delivery in (d for d in view.deliveries if d.id not in known):
            if not is_living(view.challenge, world.sides.now) or is_spent(view.challenge):
                return "recorded for a challenge that is over or has no attempts left"
            if delivery.is_retry and at(view.challenge.expires_at) - world.model.now < world.rules.useful_life:
                return "a retry recorded with too little life left"
    return ""


def repeats_are_bounded(world: World, before: Views, after: Views) -> str:
    """One more message at most for each answer that was lost, each lease that ran out and each receipt."""
    for view in after.values():
        for send in {d.send_id for d in view.deliveries}:
            mine = [d for d in view.deliveries if d.send_id == send]
            excuses = world.memory.leases_lost.get(send, 0) + sum(d.outcome is Outcome.AMBIGUOUS for d in mine)
            excuses += sum(world.memory.reported.get(told, 0) for told in {send, *(d.reference for d in mine)} - {""})
            if sum(d.id in world.memory.codes for d in mine) > 1 + excuses:
                return f"{send}: more messages than asked for"
            for instance in {d.instance for d in mine}:
                if sum(d.instance == instance and d.outcome in IN_DOUBT for d in mine) > 2:
                    return f"{send}: more than one repeat at {instance}"
    return ""


def somebody_will_move_it(world: World, before: Views, after: Views) -> str:
    """A living challenge has a schedule row exactly while its sending is under way."""
    for view in living(world, after):
        if bool(view.schedule) != (view.challenge.state in (SENDING, UNDELIVERED, QUEUED)):
            return f"{view.challenge.id} is {view.challenge.state} with {len(view.schedule)} schedule rows"
    return ""


def transitions_are_listed(world: World, before: Views, after: Views) -> str:
    """States follow one another as the life cycle lists."""
    for one, view in after.items():
        new = view.challenge
        if one not in before:
            if new.state not in BEGUN:
                return f"born {new.state}"
            continue
        old = before[one].challenge
        if old.state in OVER and new.state != old.state:
            return f"{old.state} -> {new.state}"
        resent = new.state in BEGUN and _sends(view) != _sends(before[one])
        if (
            new.state not in {old.state, *OVER, *TRANSITIONS.get(old.state, ()), *IN_ONE_STEP.get(old.state, ())}
            and not resent
        ):
            return f"{old.state} -> {new.state}"
        sooner = new.expires_at < old.expires_at and not world.set_back
        if new.first_sent_at != old.first_sent_at or sooner:
            return f"{one} began later, or ends sooner"
    return ""


def acceptance_ends_sending(world: World, before: Views, after: Views) -> str:
    """No schedule row of a send that a provider took while the challenge lived."""
    for view in living(world, after):
        accepted = {d.id: d.send_id for d in view.deliveries if d.outcome is Outcome.ACCEPTED}
        taken = {send for one, send in accepted.items() if one not in world.memory.unheeded}
        if any(row.send_id in taken for row in view.schedule):
            return "a schedule row whose send was accepted"
    return ""


def slots_belong_to_the_living(world: World, before: Views, after: Views) -> str:
    """Two living challenges never share a vendor's account, where either's message may have left.

    But for what one had sent before it lost the account, at a time when it did not live.
    """
    holders: dict[str, str] = {}
    for view in living(world, after):
        sent = [d for d in view.deliveries if d.outcome not in NOT_SENT and d.id not in world.memory.displaced]
        for scope in {d.scope for d in sent if d.scope}:
            if holders.setdefault(scope, view.challenge.id) != view.challenge.id:
                return f"{scope} is used by {view.challenge.id} and {holders[scope]}"
    return ""


def what_may_have_left_is_paid_for(world: World, before: Views, after: Views) -> str:
    """Limits hold: every send of a window counts, unless certainly nothing of it left."""
    counted = world.model.counters
    for window, (count, ends_at) in counted.items():
        if ends_at <= world.model.now:
            continue
        sends = {one for one, charges in world.memory.charged.items() if (window, ends_at) in charges}
        owed = {
            d.send_id for v in after.values() for d in v.deliveries if d.send_id in sends and _may_have_left(world, d)
        }
        if count < len(owed):
            return f"{len(owed)} sends of a window may have left, and {count} count"
    return ""


def barriers_hold(world: World, before: Views, after: Views) -> str:
    """Nothing that begins passes a pause or a denial."""
    return world.memory.behind and f"{world.memory.behind} was recorded behind a barrier"


def keys_are_kept_to(world: World, before: Views, after: Views) -> str:
    """A send is taken on only by who can read its code, and its challenge keeps its key."""
    if world.memory.keyless:
        return f"{world.memory.keyless} was taken without its key"
    for one, view in after.items():
        key = view.challenge.key_id
        if (one in before and before[one].challenge.key_id != key) or any(row.key_id != key for row in view.schedule):
            return f"{one} has another key"
    return ""


def nothing_secret_outlives_the_challenge(world: World, before: Views, after: Views) -> str:
    """The sealed code and its rows go with the life of the challenge."""
    for view in after.values():
        if view.challenge.state in OVER and (view.schedule or view.challenge.code_sealed is not None):
            return f"{view.challenge.id} is {view.challenge.state}, with rows or its sealed code"
    return ""


INVARIANTS = (
    delivered_codes_verify,
    one_success_of_its_own_purpose,
    attempts_are_exact,
    nothing_useless_is_recorded,
    repeats_are_bounded,
    somebody_will_move_it,
    transitions_are_listed,
    acceptance_ends_sending,
    slots_belong_to_the_living,
    what_may_have_left_is_paid_for,
    barriers_hold,
    keys_are_kept_to,
    nothing_secret_outlives_the_challenge,
)


def check(world: World, before: Views, after: Views) -> None:
    """All of them."""
    _note_what_happens_to_the_hidden(world, before, after)
    wrong = [f"{one.__name__}: {said}" for one in INVARIANTS if (said := one(world, before, after))]
    if wrong:
        raise AssertionError("; ".join(wrong))


def _note_what_happens_to_the_hidden(world: World, before: Views, after: Views) -> None:
    """What is not over and does not live, by the clock of this step, loses its account to who takes it, and its answers change no
    more than their delivery. Only a clock that is set back lets it live again."""
    known = {d.id: d for view in before.values() for d in view.deliveries}
    taken = {d.scope for view in after.values() for d in view.deliveries if d.scope and d.id not in known}
    for view in after.values():
        if view.challenge.state in OVER or is_living(view.challenge, world.sides.now):
            continue
        for one in (d for d in view.deliveries if d.id in known):
            if one.scope in taken:
                world.memory.displaced.add(one.id)
            if one.outcome is Outcome.ACCEPTED and known[one.id].outcome is not Outcome.ACCEPTED:
                world.memory.unheeded.add(one.id)


def _sends(view: ChallengeView) -> set[str]:
    return {row.send_id for row in view.schedule}


def _may_have_left(world: World, delivery: DeliveryRecord) -> bool:
    return delivery.id in world.memory.codes or delivery.outcome not in NOT_SENT
