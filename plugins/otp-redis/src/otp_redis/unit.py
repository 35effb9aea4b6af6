"""One unit of work: what it has read, what must still be so when it is committed, and what it changes.

Everything that is read is read once. Changes are seen by the unit itself at once, and by others when the commit takes
place, all together, or not at all: a guard is what another unit may have changed meanwhile, of what this one decided upon.

What a unit would look at first it may guess, from what this process last knew. All that it then relies upon is guarded, and a
wrong guess is answered with what is there instead: a right one saves the look.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

import attrs

from otp_redis.packing import microseconds, moment, pack, unpack
from otp_redis.recall import Recall

__all__ = ["Commit", "Look", "Tally", "Unit"]

R = TypeVar("R")
Reader = Callable[[Sequence[Sequence[str]]], Sequence[Any]]
Entry = tuple[str, ...]
Look = tuple[Sequence[Entry], Sequence[Any]]
"""Questions, and the answers to them."""

_MILLISECOND = timedelta(milliseconds=1)
_SOON = 400_000
"""Microseconds after which a server takes no commit of a guess: whoever made it may have given up since. It says what is there
instead, and whoever is still there runs again."""
_GUESSED_CLOCK: Entry = ("clock", "10000", str(_SOON))
"""Microseconds by which a guessed time may be ahead of the server's and behind it."""
_TOLD = frozenset({"number", "tally", "budget"})
"""Changes of which the server tells what it made of them."""
_MUCH = 100
"""More hashes than a send, a verification or a claim touches."""
_NOTHING: Mapping[str, str] = {}


@attrs.frozen(kw_only=True)
class Commit:
    """What goes to the server: all guards hold and all changes take place, or none does.

    Args:
        id: By which the server knows it, and the version of every hash with a version that it changes.
        questions: To be answered where a guard does not hold.
    """

    id: str
    now: int
    guards: Sequence[Sequence[str]]
    changes: Sequence[Sequence[str]]
    questions: Sequence[Entry]


@attrs.define
class Tally:
    """One counter within a unit.

    What was decided upon it holds for every count from ``least`` to ``most``: senders that only count never lose to one
    another. ``ends`` is the end of the window that was read, empty where there is none; ``new_end`` that of a new one.
    """

    count: int
    ends: str
    new_end: str = ""
    delta: int = 0
    least: int = 0
    most: float = math.inf

    @property
    def end(self) -> str:
        """Of the window that is counted in."""
        return self.ends or self.new_end

    def take(self, limit: int) -> bool:
        """Count one more if there is room."""
        if self.count + self.delta < limit:
            self.most = min(self.most, limit - self.delta - 1)
            self.delta += 1
            return True
        self.least = max(self.least, limit - self.delta)
        return False

    def give_back(self) -> None:
        """One less."""
        if self.count + self.delta > 0:
            self.least = max(self.least, 1 - self.delta)
            self.delta -= 1
        else:
            self.most = min(self.most, -self.delta)


class Unit:
    """Reads, guards and changes of one unit of work.

    Args:
        recall: What is noted once it is committed, and guessed from.
        shared: What the keys begin with that all worlds share.
        guesses: The first look may be guessed.
        looked: A look that has been made.
    """

    def __init__(
        self,
        read: Reader,
        recall: Recall,
        shared: str = "",
        *,
        guesses: bool = False,
        looked: Look | None = None,
    ) -> None:
        self._read = read
        self.recall = recall
        self.shared = shared
        self.guesses = guesses
        self._looked = looked
        self.questions: Sequence[Entry] = ()
        self._id = secrets.token_hex(12)
        self._hashes: dict[str, dict[str, str]] = {}
        self._original: dict[str, Mapping[str, str]] = {}
        self._guessed: set[str] = set()
        self._trusted: dict[str, Entry | None] = {}
        self._guards: dict[Entry, None] = {}
        self._changes: list[Sequence[str]] = []
        self._open: dict[str, list[str]] = {}
        self._kept: dict[str, int] = {}
        self._tallies: dict[tuple[str, str], Tally] = {}
        self._bumped: dict[str, None] = {}
        self._newest: dict[str, str] = {}
        self._parsed: dict[tuple[Any, str], Any] = {}
        self._now: datetime | None = None

    # The clock.

    @property
    def clock(self) -> datetime:
        """The unit's moment; the server's time where nobody said one."""
        if self._now is None:
            (reply,) = self.ask(("time",))
            self.set_clock(reply)
        assert self._now is not None  # noqa: S101 - for the type checker
        return self._now

    def use_clock(self, now: datetime) -> None:
        """The moment that the caller says."""
        self._now = now

    def set_clock(self, reply: int) -> None:
        """What the server said."""
        self.recall.clock.heard(reply)
        self._now = moment(reply)

    def guess_clock(self, microseconds: int) -> None:
        """What the server would say now, hardly later than this."""
        self._now = moment(microseconds)
        self._guards[_GUESSED_CLOCK] = None

    def hurry(self, microseconds: int) -> None:
        """It is of no use if it reaches the server long after this, which is what the server's clock says now."""
        self._guards["soon", str(microseconds + _SOON)] = None

    def milliseconds_from_now(self, until: datetime) -> int:
        """For an expiry: it counts from the unit's moment, whichever clock that is of."""
        return max((until - self.clock) // _MILLISECOND, 0)

    # Reading.

    def ask(self, *questions: Entry) -> Sequence[Any]:
        """One round trip, whatever the number of questions."""
        looked, self._looked = self._looked, None
        if looked is not None and looked[0] == questions:
            return looked[1]
        return self._read(questions)

    def knows(self, key: str) -> bool:
        """Whether a hash was read."""
        return key in self._hashes

    def hash(self, key: str) -> Mapping[str, str]:
        """A whole hash, with what this unit changed in it. One that was guessed must turn out to be as it was guessed."""
        if key not in self._hashes:
            self.load(key)
        elif key in self._guessed:
            self._trust(key)
        return self._hashes[key]

    def load(self, *keys: str) -> None:
        """Read those that were not read yet, in one round trip."""
        missing = [key for key in dict.fromkeys(keys) if key not in self._hashes]
        if missing:
            for key, reply in zip(missing, self.ask(*(("hash", key) for key in missing)), strict=True):
                self.learn(key, reply)

    def learn(self, key: str, reply: Sequence[str]) -> None:
        """What the server said is in a hash; what was read before stays as it was read."""
        if key not in self._hashes:
            self._original[key] = dict(zip(reply[::2], reply[1::2], strict=True))
            self._hashes[key] = dict(self._original[key])

    def guess(self, key: str, fields: Mapping[str, str] | None) -> None:
        """What a hash holds, as far as this process knows; None: it knows nothing, and so there is none."""
        self._guessed.add(key)
        self._original[key] = fields or _NOTHING
        self._hashes[key] = dict(fields or _NOTHING)

    def _trust(self, key: str) -> None:
        """From now on a guess is relied upon."""
        self._guessed.discard(key)
        fields = self._original[key]
        if "v" in fields and key.startswith("ch:"):
            guard: Entry = ("field", key, "v", fields["v"])
        else:
            guard = ("same", key, *(part for pair in fields.items() for part in pair))
        self._trusted[key] = guard
        self._guards[guard] = None

    def loosen(self, key: str, *bounds: Entry) -> None:
        """A guess that is relied upon need only lie within bounds; its fields are the same."""
        if key in self._trusted:
            guard, self._trusted[key] = self._trusted[key], None
            if guard is not None:
                del self._guards[guard]
            self.guard_size(key)
            self._guards.update(dict.fromkeys(bounds))

    # Guards.

    def guard(self, key: str, field: str) -> None:
        """A field must still be as it was read."""
        self.hash(key)
        if self._trusted.get(key) is None:  # else all of it is guarded
            self._guards["field", key, field, self._original[key].get(field, "")] = None

    def guard_text(self, key: str, field: str, text: str) -> None:
        """A field of a hash that is not read as a whole must still be this."""
        self._guards["field", key, field, text] = None

    def guard_size(self, key: str) -> None:
        """A hash must still have as many fields."""
        self.hash(key)
        self._guards["size", key, str(len(self._original[key]))] = None

    def guard_top(self, key: str, member: str) -> None:
        """The highest member of a sorted set must still be this one; empty: there must be none."""
        self._guards["top", key, member] = None

    def newest(self, subject: str, challenge_id: str) -> None:
        """Which challenge of a subject is the newest, to be recalled."""
        self._newest[subject] = challenge_id

    # Changes.

    def put(self, key: str, field: str, value: str) -> None:
        """Set a field."""
        self.hash(key)
        self._hashes[key][field] = value
        together = self._open.get(key)
        if together is None:
            together = self._open[key] = ["call", "HSET", key]
            self._changes.append(together)
        together += (field, value)

    def remove(self, key: str, field: str) -> None:
        """Remove a field, if it is there."""
        self.hash(key)
        if self._hashes[key].pop(field, None) is not None:
            self.call("HDEL", key, field)

    def count(self, key: str, field: str) -> int:
        """Add one to a field of a hash that was read; what it is then, if nobody else adds."""
        number = int(self._hashes[key].get(field, 0)) + 1
        self._hashes[key][field] = str(number)
        self.call("HINCRBY", key, field, "1")
        return number

    def put_numbered(self, key: str, field: str, value: str) -> None:
        """Set a field to a value with the next number before it, which the server gives."""
        self._hashes[key][field] = f":{value}"
        self._open.pop(key, None)
        self._changes.append(("number", key, field, value))

    def clear(self, key: str) -> None:
        """Remove a whole hash."""
        self._hashes[key] = {}
        self.call("DEL", key)

    def call(self, command: str, key: str, *arguments: str) -> None:
        """Any command that writes to one key."""
        self._open.pop(key, None)  # what is set later must be set after this
        self._changes.append(("call", command, key, *arguments))

    def change(self, name: str, *arguments: str) -> None:
        """A change that the commit script knows by name."""
        self._changes.append((name, *arguments))

    def keep(self, key: str, milliseconds: int) -> None:
        """Let a key live at least so long."""
        self._kept[key] = max(milliseconds, self._kept.get(key, 0))

    def bump(self, key: str) -> None:
        """The version of a hash changes with this commit, and must not have changed before it."""
        self.guard(key, "v")
        self._bumped[key] = None

    def tally(self, key: str, field: str) -> Tally:
        """A counter to decide upon."""
        tally = self._tallies.get((key, field))
        if tally is None:
            if key not in self._hashes:
                self.load(key)
            # A guess is not relied upon beyond what the tally's own guard says.
            count, _, ends = self._hashes[key].get(field, "0:0").partition(":")
            is_under_way = int(ends) > microseconds(self.clock)
            tally = self._tallies[key, field] = Tally(int(count), ends) if is_under_way else Tally(0, "")
        return tally

    def parsed(self, kind: type[R], text: str) -> R:
        """The record of a text, made once."""
        found = self._parsed.get((kind, text))
        if found is None:
            found = self.recall.record(kind, text) or unpack(kind, text)
            self._parsed[kind, text] = found
        record: R = found
        return record

    def packed(self, record: Any) -> str:
        """The text of a record, which is known from now on."""
        text = pack(record)
        self._parsed[type(record), text] = record
        return text

    def tallied(self, key: str, field: str) -> Tally | None:
        """A counter that this unit has decided upon."""
        return self._tallies.get((key, field))

    def forget_tally(self, key: str, field: str) -> None:
        """It is removed."""
        self._tallies.pop((key, field), None)

    def commit(self) -> Commit | None:
        """What is to be committed; None: nothing changes, and nothing that was decided upon was guessed."""
        for key in self._bumped:
            if self._hashes[key]:
                self.put(key, "v", self._id)
        changed = [(place, tally) for place, tally in self._tallies.items() if tally.delta or tally.new_end]
        if not (self._changes or changed or self.questions):
            return None
        guards: list[Sequence[str]] = list(self._guards)
        changes = list(self._changes)
        for (key, field), tally in self._tallies.items():
            most = "9e15" if tally.most == math.inf else str(tally.most)
            guards.append(("tally", key, field, tally.ends, str(tally.least), most))
        for (key, field), tally in changed:
            lives = self.milliseconds_from_now(moment(tally.end)) + _COUNTER_SLACK
            changes.append(("tally", key, field, str(tally.delta), tally.new_end, str(lives)))
        if self._kept:
            changes.append(("keep", *(part for key, lives in self._kept.items() for part in (key, str(lives)))))
        now = microseconds(self._now) if self._now is not None else 0
        return Commit(id=self._id, now=now, guards=guards, changes=changes, questions=self.questions)

    def committed(self, commit: Commit, told: Sequence[str]) -> None:
        """It took place, and the server told this of its changes."""
        values = iter(told)
        for change in commit.changes:
            if change[0] not in _TOLD:
                continue
            (_, key, field, text, *_), value = change, next(values)
            fields = self._hashes.get(key)
            if fields is None:
                self.recall.note_field(key, field, value)
            elif field in fields or change[0] != "number":
                fields[field] = f"{value}:{text}" if change[0] == "number" else value
                self._guessed.discard(key)
        self.note()

    def note(self) -> None:
        """What was read, or written, is what is guessed next; a unit that looks at very much is about the past."""
        if len(self._hashes) <= _MUCH:
            hashes = {key: fields for key, fields in self._hashes.items() if key not in self._guessed}
            self.recall.note(hashes, self._newest, self._parsed)


_COUNTER_SLACK = 86_400_000
"""Milliseconds that a counter outlives its window, so that a purge counts it and a clock set back finds it."""
