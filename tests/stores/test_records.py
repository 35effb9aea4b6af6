"""Records are copied and made from slot to slot: the same as attrs would make."""

from __future__ import annotations

import attrs
import pytest

from otpcore.models import Channel, CodeOwner, ReceiptStatus
from otpcore.retrying import RetryPolicy
from otpcore.stores import records
from otpcore.stores.records import changed, made, names_of, values_of
from otpcore.stores.steps import Candidate, FailoverPlan
from otpcore.testing.stores.contract import START

from .samples import CHALLENGE, LATER

SAMPLES = [
    CHALLENGE,
    records.DeliveryRecord(
        id="d",
        challenge_id="c",
        send_id="s",
        instance="mada",
        channel=Channel.SMS,
        owner=CodeOwner.CORE,
        recorded_at=START,
        lease_until=LATER,
    ),
    records.Charged(key="k", window_ends_at=LATER),
    records.ScheduleRecord(challenge_id="c", channel=Channel.CALL, send_id="s", token="t", due_at=START),
    records.Mark(scope="twilio", challenge_id="c", delivery_id="d", channel=Channel.SMS),
    records.SlotRecord(scope="twilio", phone_key="p", holder="c"),
    records.FailureRecord(key="k", failures=2),
    records.BreakerRecord(instance="mada", failures=1, probe_at=START),
    records.CounterRecord(key="k", count=1, window_ends_at=LATER),
    records.ReceiptRecord(
        instance="mada", reference="r", delivery_id="d", status=ReceiptStatus.DELIVERED, received_at=START, applied=True
    ),
    records.AuditRecord(at=START, by="ann", action="sending.pause"),
    records.WorkerRecord(name="worker-1", kind="worker", started_at=START, seen_at=START),
    FailoverPlan(
        delivery_id="d",
        route=(Candidate(instance="mada"),),
        untried=(),
        retry=RetryPolicy(max_retries=1, first_delay=1.0, max_delay=2.0, jitter=0.0),
    ),
    Candidate(instance="mada"),
]


def test_there_is_a_sample_of_every_record():
    kinds = {kind for name in records.__all__ if attrs.has(kind := getattr(records, name))}
    assert kinds <= {type(sample) for sample in SAMPLES}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: type(sample).__name__)
def test_a_changed_copy_is_the_one_that_attrs_makes(sample):
    new = object()
    for name in names_of(type(sample)):
        copy = changed(sample, **{name: new})
        assert copy == attrs.evolve(sample, **{name: new})
        assert getattr(copy, name) is new
    everything = dict.fromkeys(names_of(type(sample)), new)
    assert changed(sample, **everything) == attrs.evolve(sample, **everything)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: type(sample).__name__)
def test_a_record_is_made_of_the_values_of_all_its_fields(sample):
    values = values_of(sample)
    assert tuple(values) == names_of(type(sample))
    again = made(type(sample), values.values())
    assert again == sample
    assert again is not sample
    with pytest.raises(ValueError, match="zip"):
        made(type(sample), list(values.values())[1:])


def test_a_field_that_is_none_is_a_mistake():
    with pytest.raises(KeyError):
        changed(SAMPLES[0], phone="+359")
