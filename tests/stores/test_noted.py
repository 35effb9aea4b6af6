"""What a unit noted stays true while it writes: whatever is said to be known is what the store holds."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otpcore.models import ChallengeState, Channel, CodeOwner, Outcome
from otpcore.rate_limits.admission import BudgetRecord
from otpcore.stores.records import DeliveryRecord, FailureRecord, ScheduleRecord
from otpcore.stores.sql.server.noted import Noted
from otpcore.testing.stores.contract import START

from .samples import CHALLENGE, LATER


def delivery(name, challenge_id="c"):
    return DeliveryRecord(
        id=name,
        challenge_id=challenge_id,
        send_id="s",
        instance="mada",
        channel=Channel.SMS,
        owner=CodeOwner.CORE,
        recorded_at=START,
        lease_until=LATER,
    )


def row(challenge_id, channel, token="first"):
    return ScheduleRecord(challenge_id=challenge_id, channel=channel, send_id="s", token=token, due_at=START)


def budget(key, used=1):
    return BudgetRecord(key=key, used=used, verified=0, base=0, window_ends_at=LATER)


def test_a_challenge_that_was_read_is_changed_as_its_row_is():
    noted = Noted(challenges={"c": CHALLENGE})
    expected = attrs.evolve(CHALLENGE, state=ChallengeState.SENT, attempts=1)
    assert noted.change_challenge("c", {"state": ChallengeState.SENT, "attempts": 1}) == expected
    assert noted.challenges == {"c": expected}


@pytest.mark.parametrize("known", [{}, {"c": None}])
def test_a_challenge_that_was_not_read_or_does_not_exist_does_not_begin_to(known):
    noted = Noted(challenges=dict(known))
    assert noted.change_challenge("c", {"attempts": 1}) is None
    assert noted.challenges == known


def test_a_delivery_is_found_by_its_id_and_changed_in_its_place():
    first, second, other = delivery("1"), delivery("2"), delivery("3", "another")
    noted = Noted(deliveries={"another": [other], "c": [first, second]})
    assert (noted.delivery("2"), noted.delivery("4")) == (second, None)
    noted.change_delivery(first, {"outcome": Outcome.ACCEPTED, "reference": "M1"})
    accepted = attrs.evolve(first, outcome=Outcome.ACCEPTED, reference="M1")
    assert noted.deliveries == {"another": [other], "c": [accepted, second]}


keys = st.tuples(st.sampled_from("ab"), st.sampled_from([Channel.SMS, Channel.CALL]))
writes = st.lists(st.tuples(st.sampled_from(["put", "remove", "end"]), keys, st.text("xyz", min_size=1)))


@given(st.sets(keys), st.sets(st.sampled_from("ab")), writes)
def test_a_schedule_row_that_is_said_to_be_known_is_the_one_that_is_stored(begins_with, read_whole, writes):
    """Of some challenges all rows were read, of the others each by itself."""
    stored = {key: row(*key) for key in begins_with}
    noted = Noted(
        schedules={one: [stored[key] for key in sorted(stored, reverse=True) if key[0] == one] for one in read_whole},
        rows={key: one for key, one in stored.items() if key[0] not in read_whole},
    )
    for verb, (challenge_id, channel), token in writes:
        if verb == "put":
            written = stored[challenge_id, channel] = row(challenge_id, channel, token)
            noted.put_schedule(written)
        elif verb == "remove":
            stored.pop((challenge_id, channel), None)
            noted.remove_schedule(challenge_id, channel)
        else:
            stored = {key: one for key, one in stored.items() if key[0] != challenge_id}
            noted.end_schedules(challenge_id)
        for key in [(name, channel) for name in "ab" for channel in (Channel.SMS, Channel.CALL)]:
            found, is_known = noted.schedule(*key)
            assert is_known or found is None
            assert is_known >= (key[0] in read_whole)
            if is_known:
                assert found == stored.get(key)
        for name in read_whole:
            assert noted.schedules[name] == [stored[key] for key in sorted(stored, reverse=True) if key[0] == name]


def test_a_row_that_was_not_read_is_unknown_and_not_absent():
    noted = Noted(rows={("c", Channel.SMS): row("c", Channel.SMS)})
    assert noted.schedule("c", Channel.SMS) == (row("c", Channel.SMS), True)
    assert noted.schedule("c", Channel.CALL) == (None, False)
    assert Noted(schedules={"c": []}).schedule("c", Channel.CALL) == (None, True)


def test_of_a_budget_that_is_moved_nothing_is_known_afterwards_and_the_others_are_still_handed_out_once():
    noted = Noted(budgets={"BG/": [budget("BG//3600"), budget("BG//86400", 5)], "DE/": [budget("DE//3600")]})
    assert noted.budget("BG//3600") == budget("BG//3600")
    assert set(noted.budgets) == {"DE/"}
    assert noted.budget("BG//3600") is None
    assert noted.budget("BG//86400") == budget("BG//86400", 5)
    assert noted.budget("BG//86400") is None
    assert noted.budget("FR//3600") is None


def test_failures_that_have_changed_are_forgotten_and_no_others():
    others = {"c": FailureRecord(key="c", failures=2)}
    noted = Noted(failures={"a": None, "b": FailureRecord(key="b", failures=1), **others})
    noted.forget_failures(["a", "b", "never read"])
    assert noted.failures == others
