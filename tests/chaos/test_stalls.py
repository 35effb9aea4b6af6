"""A process stops for longer than its lease and goes on: what it did not finish is no longer its own."""

from __future__ import annotations

import pytest

from otpcore.models import ChallengeState
from otpcore.simulators.exchange import Fault

from .plant import LEASE, Plant
from .scenes import approved, new_phone
from .test_retries import queued

LIFE = 301.0
CLAIMED = ("store.claim/after#1", "store.begin_retry/before#1")
UNRECORDED = ("http.POST/after#1", "store.record/before#1")


def retry_in_vain(plant: Plant, settings: str) -> None:
    """Somebody else takes the send over, and it still waits for a vendor after that."""
    for vendor in plant.vendors.all().values():
        vendor.down()
    plant.clock.jump(LEASE)
    worker = plant.worker(settings)
    plant.wait_until(lambda: plant.leased() == 0)
    worker.stop()
    for vendor in plant.vendors.all().values():
        vendor.up()


@pytest.mark.parametrize("point", UNRECORDED)
def test_a_sender_that_lost_its_lease_calls_nobody_else(plant: Plant, point: str) -> None:
    settings, phone = plant.settings("twilio;mada"), new_phone()
    plant.vendors.twilio.fail(Fault.HTTP_503)
    host = plant.service(settings, stop_at=[point])
    host.wish("send_sms", phone)
    host.wait_until_stopped()
    retry_in_vain(plant, settings)
    seen = plant.vendors.hunter.seen
    host.go_on()
    assert host.wait_for("id") is not None
    host.end()
    assert plant.vendors.hunter.seen == seen
    assert plant.rows() == 1
    finish(plant, settings, phone)


@pytest.mark.parametrize("point", [*CLAIMED, *UNRECORDED])
def test_a_worker_that_lost_its_lease_calls_nobody(plant: Plant, point: str) -> None:
    settings = plant.settings("twilio;mada")
    (phone,) = queued(plant, settings, 1)
    plant.clock.jump(1.0)
    plant.vendors.twilio.fail(Fault.HTTP_503)
    worker = plant.worker(settings, stop_at=[point])
    worker.wait_until_stopped()
    plant.vendors.twilio.recover()
    retry_in_vain(plant, settings)
    seen = plant.vendors.hunter.seen
    worker.go_on()
    worker.stop()
    assert plant.vendors.hunter.seen == seen
    finish(plant, settings, phone)


def test_a_retry_that_stops_until_the_code_is_over_sends_nothing(plant: Plant) -> None:
    settings = plant.settings("mada")
    (phone,) = queued(plant, settings, 1)
    plant.clock.jump(1.0)
    worker = plant.worker(settings, stop_at=["store.claim/after#1"])
    worker.wait_until_stopped()
    plant.clock.jump(LIFE)
    worker.go_on()
    worker.stop()
    plant.settle(settings)
    assert plant.vendors.of(phone) == []
    (view,) = plant.look([phone])[phone]
    assert all(delivery.recorded_at < view.challenge.expires_at for delivery in view.deliveries)
    assert view.challenge.state is ChallengeState.EXPIRED


def test_what_nobody_retried_in_time_is_not_sent_any_more(plant: Plant) -> None:
    settings = plant.settings("mada")
    phones = queued(plant, settings, 3)
    plant.clock.jump(LIFE)
    plant.settle(settings)
    for phone, (view,) in plant.look(phones).items():
        assert plant.vendors.of(phone) == []
        assert len(view.deliveries) == 1
        assert view.challenge.state is ChallengeState.EXPIRED
        assert plant.charged(phone) == 0


def test_the_lease_is_renewed_with_each_delivery(plant: Plant) -> None:
    """The second call of a failover is under way when the lease of the first would be over: it is left alone."""
    settings, phone = plant.settings("twilio;mada"), new_phone()
    plant.vendors.twilio.fail(Fault.HTTP_503)
    host = plant.service(settings, stop_at=["http.POST/after#1", "http.POST/before#2"])
    host.wish("send_sms", phone)
    host.wait_until_stopped()
    plant.clock.jump(9.0)
    host.go_on()
    host.wait_until_stopped()
    plant.clock.jump(8.0)
    worker = plant.worker(settings, stop_at=["store.next_due/after#2"])
    worker.wait_until_stopped()  # it has looked
    worker.go_on()
    worker.stop()
    assert plant.vendors.of(phone) == []
    host.go_on()
    assert host.wait_for("id") is not None
    host.end()
    finish(plant, settings, phone)


def finish(plant: Plant, settings: str, phone: str) -> None:
    """One message comes of it, and its code verifies."""
    plant.settle(settings)
    (message,) = plant.vendors.of(phone)
    host = plant.service(settings)
    assert approved(host.do("verify", phone, message.code))
    host.end()
    (view,) = plant.look([phone])[phone]
    assert view.challenge.state is ChallengeState.APPROVED
    assert plant.charged(phone) == 1
