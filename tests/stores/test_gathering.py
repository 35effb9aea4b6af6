"""How long the writer of an SQLite file waits for others before it begins a transaction."""

from __future__ import annotations

import pytest

from otpcore.stores.sql.sqlite import writer as _writer


class Arrivals:
    """The writer's clock and sleep: so many more units have come whenever it wakes up."""

    def __init__(self, writer, *more):
        self.writer, self.more, self.slept = writer, iter(more), []

    def monotonic(self):
        return sum(self.slept)

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.writer._waiting.extend([object()] * next(self.more, 0))


@pytest.fixture
def idle(monkeypatch):
    """A writer without its thread, for which one unit waits."""

    def made(*more):
        writer = _writer.GroupWriter(link=None, gate=None, patience=5.0)
        writer._waiting.append(object())
        arrivals = Arrivals(writer, *more)
        monkeypatch.setattr(_writer, "time", arrivals)
        return writer, arrivals

    return made


class TestGathering:
    def test_where_few_write_nobody_is_waited_for(self, idle):
        writer, arrivals = idle(9, 9)
        assert len(writer._next_batch(gathering=0.0)) == 1
        assert not arrivals.slept

    def test_where_many_write_it_waits_for_as_long_as_others_keep_coming(self, idle):
        writer, arrivals = idle(3, 2, 0, 9)
        assert len(writer._next_batch(gathering=1.0)) == 1 + 3 + 2
        assert len(arrivals.slept) == 3

    def test_but_no_longer_than_it_may(self, idle):
        writer, arrivals = idle(*[1] * 1000)
        gathered = writer._next_batch(gathering=0.01)
        assert 0.01 <= sum(arrivals.slept) < 0.011
        assert len(gathered) == 1 + len(arrivals.slept)

    def test_and_not_for_more_than_one_transaction_takes(self, idle):
        writer, arrivals = idle(*[200] * 1000)
        assert len(writer._next_batch(gathering=1.0)) == 256
        assert len(arrivals.slept) == 2
