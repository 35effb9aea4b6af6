"""Histories that once went wrong, step by step; `test_state_machine` may or may not meet them again."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from .kept import FOREVER
from .test_state_machine import BACKENDS, SERVERS, LifeCycle

# A unit on a server runs in a thread, whichever loop waits for it.
PLACES = [*itertools.product(("memory", "sql"), BACKENDS), *((server, "asyncio") for server in sorted(SERVERS))]

pytestmark = pytest.mark.parametrize(
    ("new_store", "history"), PLACES, indirect=True, ids=["-".join(place) for place in PLACES]
)


@pytest.fixture
def history(new_store, request) -> Iterator[LifeCycle]:
    """A person, a vendor that owns the code, and nothing retried."""
    machine = LifeCycle(new_store)
    machine.begin(sms=("verify",), call=("verify",), retries={}, roomy=True, backend=request.param)
    yield machine
    machine.teardown()


def start(history: LifeCycle, purpose: str, channel: str, until: str) -> None:
    """A send that stops before one of its steps."""
    history.send(purpose, channel, "")
    while history.world.tasks[-1].at != until:
        history.step(len(history.world.tasks) - 1, "ok" if history.world.tasks[-1].at == "call" else "")
        history.check()


def test_two_failovers_of_a_challenge_never_cancel_an_old_verification_by_recipient_side_by_side(history):
    history.send_at_once("login", "sms", "lost after delivery")
    history.decide("cancel", history.living()[0].id)
    start(history, "payment", "sms", "cancel old")
    history.send_at_once("payment", "call", "ok")
    assert len(history.world.memory.codes) == 1, "the call waits: the SMS would cancel what it starts"
    history.run(0, "ok")
    (payment,) = history.living()
    assert payment.state == "sent"
    history.world.tick(history.world.model.now + 1)
    history.send_at_once("payment", "call", "ok")
    history.check()
    assert len(history.world.memory.codes) == 3


def test_a_call_under_way_when_its_challenge_is_approved_is_still_cancelled_before_the_next(history):
    history.send_at_once("login", "sms", "lost after delivery")
    (code,) = history.world.memory.codes.values()
    start(history, "login", "call", "call")
    history.verify("login", code, "", "")
    history.run(1, "up")
    history.check()
    assert not history.living()
    history.run(0, "lost after delivery")  # the vendor starts a verification that nobody knows of
    start(history, "payment", "sms", "cancel old")


def test_a_check_by_recipient_settles_no_verification_that_is_heard_of_meanwhile(history):
    """The vendor approved what it had for the person, which may be another: the one of the receipt is cancelled before the next."""
    history.send_at_once("login", "sms", "lost after delivery")
    ((delivery, code),) = history.world.memory.codes.items()
    history.verify("login", code, "", "")
    while history.world.tasks[0].at != "approve":
        history.step(0, "up")
    history.receive(delivery, "delivered", "", "both")
    history.check()
    history.run(0, "ok")
    assert not history.living()
    assert history.world.model.deliveries[delivery].reference
    start(history, "payment", "sms", "cancel old")


def test_what_lives_again_as_the_clock_was_set_back_does_not_take_its_account_from_who_got_it_meanwhile(history):
    history.send_at_once("login", "sms", "ok")
    (login,) = history.living()
    history.world.tick(login.expires_at)
    history.send_at_once("payment", "sms", "ok")
    history.world.set_clock_back(5)
    history.check()
    assert {one.purpose for one in history.living()} == {"login", "payment"}
    assert history.world.memory.displaced
    history.send_at_once("login", "call", "ok")
    history.check()
    assert len(history.world.memory.codes) == 2, "no call: the account is the payment's"
    history.world.sweep()
    history.check()
    assert {one.purpose for one in history.living()} == {"login", "payment"}, "by this clock both live"


def test_what_was_cancelled_when_its_challenge_was_over_is_not_checked_once_that_lives_again(history):
    history.send_at_once("login", "sms", "ok")
    (login,) = history.living()
    ((delivery, code),) = history.world.memory.codes.items()
    history.world.tick(login.expires_at)
    start(history, "payment", "sms", "cancel old")
    history.step(0, "lost")
    history.world.crash("host")
    history.world.set_clock_back(5)
    history.check()
    assert login in history.living()
    assert history.world.verification(code).ended == "cancelled"
    assert history.world.memory.displaced == {delivery}


def test_what_was_accepted_while_a_clock_hid_its_challenge_changes_nothing_else(history):
    """Once the clock has come to where it began, it lives again, with its row; a sweep before that ends it."""
    history.begin(sms=("mada",), call=("mada",), retries={"sms": 2}, roomy=True, backend="trio")
    history.world.tick(500)
    start(history, "login", "sms", "record")
    history.world.set_clock_back(61)
    history.run(0, "ok")
    assert history.world.memory.unheeded
    assert not history.living()
    history.world.tick(500)
    history.check()
    (login,) = history.living()
    assert login.state == "sending"
    assert history.world.model.rows
    history.world.set_clock_back(61)
    history.world.sweep()
    history.check()
    assert login.state == "expired"
    assert not history.world.model.rows


def test_a_lock_that_only_an_operator_lifts_promises_no_end(history):
    history.begin(sms=("mada",), call=("mada",), retries={}, roomy=False, backend="trio")
    model = history.world.model
    for guess in range(model.rules.hard_limit):
        if guess % model.rules.attempts == 0:
            for challenge in history.living():
                history.decide("cancel", challenge.id)
            history.send_at_once("login", "sms", "ok")
        history.guess("login", ("up",))
        if model.now < model.locked_until("") < FOREVER:
            history.world.tick(model.locked_until(""))
    assert model.locked_until("") == FOREVER
    history.send_at_once("payment", "sms", "ok")  # refused by both, and neither says until when
    history.check()


def test_a_send_that_lost_a_race_leaves_the_probe_of_an_open_breaker_to_others(history):
    history.begin(sms=("mada",), call=("mada",), retries={}, roomy=False, backend="trio")
    start(history, "login", "sms", "begin")
    for number in range(history.world.rules.breaker_from):
        history.send_at_once(("payment", "login")[number // 2], "sms", "lost")
        history.world.tick(history.world.model.now + history.world.rules.cooldown)
    history.run(0, "ok")  # its first try finds a challenge, its second makes the probe
    assert len(history.world.memory.codes) == 1
