"""One server or cluster: the two scripts, and the patience with which they are asked for."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.resources import files
from typing import Any, TypeVar

import attrs
from redis.exceptions import MovedError, NoScriptError, RedisClusterException, RedisError

from otp_redis.address import Address
from otp_redis.connections import Connections, connect
from otp_redis.fitness import Fitness, warn
from otp_redis.recall import Recall, ServerClock
from otp_redis.trouble import REFUSED, UnknownServiceError, certainly_not_done, is_passing, told
from otp_redis.unit import Commit, Look, Unit
from otpcore.stores import OutrunError, StoreError, World, backoff

__all__ = ["Server"]

T = TypeVar("T")

_FORMAT = "1"
_FIRST_PAUSE = 0.001
_LONGEST_PAUSE = 0.25
_REMEMBERED = 60_000  # milliseconds; a lost answer is asked for again within the patience, which is less
_WAIT = 1000  # milliseconds for replicas

_UNTOLD = (*REFUSED, UnknownServiceError)
"""It was not even asked: what became of an earlier try stays unknown."""

_as_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@attrs.frozen
class _Script:
    """A Lua script, and the name that the server gives it."""

    text: str
    sha: str

    @classmethod
    def read(cls, *names: str) -> _Script:
        """Of several files, one after the other."""
        import hashlib  # noqa: PLC0415 - SHA-1 is Redis' name for it, nothing else

        text = "".join(files("otp_redis").joinpath("lua", name).read_text(encoding="utf-8") for name in names)
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


class Server:
    """Runs units of work; from any thread.

    Args:
        patience: Seconds that a unit waits at most: for a connection, for other units, for a server that is away.
    """

    def __init__(self, address: Address, *, patience: float) -> None:
        self._address = address
        self._patience = patience
        self._read = _Script.read("answers.lua", "read.lua")
        self._commit = _Script.read("answers.lua", "commit.lua")
        self._clock = ServerClock()
        self._recalls = {world: Recall(self._clock) for world in World}
        self._connections: Connections | None = None
        self._fitness = Fitness(self.place, self._on_node, may_fail_over=bool(address.sentinels))

    @property
    def place(self) -> str:
        """Without user and password."""
        return self._address.place

    @property
    def patience(self) -> float:
        """Seconds."""
        return self._patience

    def open(self) -> None:
        """Connect, and refuse a server that may lose data. Blocks.

        Raises:
            SettingsError: The server is not fit; with the fix.
            StoreError: It cannot be reached.
        """
        self._patiently(self._connect)
        self._patiently(self._fitness.check)
        self._patiently(self._check_format)

    def wipe(self) -> None:
        """Let what was removed be nowhere: not in this process' memory, and not in the server's append-only file. Blocks."""
        for recall in self._recalls.values():
            recall.forget()
        self._patiently(self._fitness.rewrite_log)

    def close(self) -> None:
        """Close all connections."""
        connections, self._connections = self._connections, None
        if connections is not None:
            connections.close()

    def write(self, unit: Callable[[Unit], T], world: World = World.REAL) -> T:
        """Run a unit of one world until what it decided upon is still so when it is committed.

        At first it runs on what is guessed, where that is known. What the server answers to a wrong guess is the look on which
        it is run again; so is whatever else comes of a guess that was not put to the server.
        """
        base, deadline = self._base(world), self._deadline()
        tries = itertools.count()

        def once() -> T:
            look: Look | None = None
            if next(tries) == 0:
                try:
                    return self._once(unit, world, base, deadline, guesses=True)
                except _WrongError as wrong:
                    look = wrong.look
            return self._once(unit, world, base, deadline, look=look)

        return self._patiently(once, deadline)

    def _once(
        self,
        unit: Callable[[Unit], T],
        world: World,
        base: str,
        deadline: float,
        *,
        guesses: bool = False,
        look: Look | None = None,
    ) -> T:
        recall = self._recalls[world]
        work = Unit(partial(self._ask, base), recall, self._address.base, guesses=guesses, looked=look)
        try:
            result = unit(work)
        except Exception as error:
            if work.questions:  # what it failed of may not be so
                raise _WrongError(None) from error
            raise
        commit = work.commit()
        if commit is None:
            work.note()
            return result
        answer = self._apply(commit, base, deadline)
        if not isinstance(answer, str):
            _, clock, *answers = answer
            if not answers:
                raise OutrunError("another unit was faster")
            self._clock.heard(clock, was_wrong=commit.now > clock)
            raise _WrongError((commit.questions, answers[0]))
        told = answer.split(" ")
        if len(told) > 1:  # else it took place before, and what it told then was lost
            self._clock.heard(int(told[1]))
            work.committed(commit, told[2:])
        return result

    def read(self, unit: Callable[[Unit], T], world: World = World.REAL) -> T:
        """Run a unit of one world that changes nothing."""
        ask = partial(self._ask, self._base(world))
        return self._patiently(lambda: unit(Unit(ask, self._recalls[world], self._address.base)))

    def facts(self) -> Mapping[str, str]:
        """For ``otp doctor``."""
        return {
            "place": self.place,
            **self._patiently(lambda: self._opened().facts()),
            **self._patiently(self._fitness.facts),
        }

    def _base(self, world: World) -> str:
        """What every key of a world begins with."""
        return self._address.base if world is World.REAL else f"{self._address.base}{world}:"

    def _ask(self, base: str, questions: Sequence[Sequence[str]]) -> Sequence[Any]:
        replies: Sequence[Any] = self._run(self._read, base, questions)
        return replies

    def _apply(self, commit: Commit, base: str, deadline: float) -> str | list[Any]:
        """Commit once, however often it has to be asked for; what the server answers."""
        asked = (commit.id, str(_REMEMBERED), str(commit.now), commit.guards, commit.changes, commit.questions)
        pauses, in_doubt = backoff(_FIRST_PAUSE, _LONGEST_PAUSE), False
        while True:
            try:
                answer: str | list[Any] = self._run(self._commit, base, asked, waits=True)
            except (*_UNTOLD, RedisError, RedisClusterException, OSError) as error:
                # Perhaps it took place: the server knows this commit by its id.
                in_doubt = in_doubt or (is_passing(error) and not certainly_not_done(error))
                pause = next(pauses)
                if not is_passing(error) or time.monotonic() + pause > deadline:
                    if in_doubt and (is_passing(error) or isinstance(error, _UNTOLD)):
                        raise _InDoubtError from error
                    raise
                time.sleep(pause)
            else:
                return answer

    def _run(self, script: _Script, base: str, asked: Sequence[Any], *, waits: bool = False) -> Any:
        asked_as_json = _as_json(asked)  # one argument: redis-py takes longer to pack a hundred than to do all the rest
        try:
            return self._evaluate(("EVALSHA", script.sha, 1, base, asked_as_json), waits=waits)
        except NoScriptError:  # the server was restarted, or is another one now
            return self._evaluate(("EVAL", script.text, 1, base, asked_as_json), waits=waits)

    def _evaluate(self, command: tuple[Any, ...], *, waits: bool) -> Any:
        wanted = self._address.wait_replicas
        if not (waits and wanted):
            (answer,) = self._opened().run(command)
            return answer
        answer, reached = self._opened().run(command, ("WAIT", wanted, _WAIT))
        if isinstance(answer, str) and reached < wanted:  # it took place
            warn(f"{self.place}: only {reached} of {wanted} replicas have the last change", "replicas")
        return answer

    def _opened(self) -> Connections:
        if self._connections is None:
            raise StoreError("the store is not open; start it")
        return self._connections

    # Connecting.

    def _connect(self) -> None:
        if self._connections is None:
            self._connections = connect(self._address, patience=self._patience)

    def _on_node(self, *command: str) -> Any:
        return self._opened().ask(*command)

    def _check_format(self) -> None:
        key = f"{self._address.base}format"
        self._on_node("SET", key, _FORMAT, "NX")
        found = self._on_node("GET", key)
        if found != _FORMAT:
            raise StoreError(
                f"{self.place}: the data under {self._address.base} are of format {found}, this version works with "
                f"{_FORMAT}; install the otp-redis that wrote them, or choose another tag"
            )

    # Patience.

    def _deadline(self) -> float:
        return time.monotonic() + self._patience

    def _patiently(self, work: Callable[[], T], deadline: float | None = None) -> T:
        """Run again what lost against another unit, or the server before anything was committed."""
        deadline = self._deadline() if deadline is None else deadline
        pauses = backoff(_FIRST_PAUSE, _LONGEST_PAUSE, growth=1.5)
        failure: Exception
        while True:
            try:
                return work()
            except OutrunError:
                failure = StoreError(f"{self.place}: others were faster for {self._patience:g} s")
            except _InDoubtError:
                failure = StoreError(
                    f"{self.place}: the connection was lost at a commit; nobody knows whether it took place"
                )
                break
            except REFUSED:
                failure = StoreError(f"{self.place} refused to let us in; are user and password right?")
                break
            except MovedError:
                failure = StoreError(
                    f"{self.place} is a node of a cluster; write {self._address.cluster_scheme}:// in storage.url"
                )
                break
            except UnknownServiceError as error:
                failure = StoreError(f"{self.place}: {error}")
                break
            except (RedisError, RedisClusterException, OSError, UnicodeError) as error:
                failure = StoreError(told(self.place, error))
                if not is_passing(error):
                    break
            pause = next(pauses)
            if time.monotonic() + pause > deadline:
                break
            time.sleep(pause)
        raise failure  # outside the handlers: a server's error may quote what it was sent


class _WrongError(Exception):
    """What a unit guessed was wrong, or what it came to may be; with a look that has been made, if there is one."""

    def __init__(self, look: Look | None) -> None:
        super().__init__()
        self.look = look


class _InDoubtError(Exception):
    """Nobody knows whether a commit took place."""
