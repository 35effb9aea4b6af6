"""Threads that run blocking units of work for tasks of any event loop; a task that leaves is not waited for, and its unit is undone."""

from __future__ import annotations

import contextvars
import logging
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar, cast

import anyio
import attrs

from otpcore.errors import StoreError
from otpcore.events import fields
from otpcore.stores.waiting import Waiter, new_waiter, wake

__all__ = ["Crew", "UnwantedError", "still_wanted"]

T = TypeVar("T")
_logger = logging.getLogger("otpcore.stores")

_FOLLOWING = 4
"""So often more is tried what is to follow, each time for as long as the store is patient."""


class UnwantedError(Exception):
    """Nobody waits for this unit any more, and it need not take place."""


def still_wanted(is_wanted: Callable[[], bool]) -> None:
    """To be called before a unit is committed.

    Raises:
        UnwantedError: Undo it instead.
    """
    if not is_wanted():
        raise UnwantedError


@attrs.define(eq=False)
class _Job(Generic[T]):
    """One unit of work and whoever waits for it.

    Args:
        work: Gets a function that says whether it is still wanted, to be asked before it commits.
        otherwise: Follows, in the same thread, what failed or what nobody heard of; it gets the result, None: there is none.
    """

    work: Callable[[Callable[[], bool]], T]
    even_if_cancelled: bool
    otherwise: Callable[[T | None], None] | None
    context: contextvars.Context
    waiter: Waiter
    taken: bool = False
    abandoned: bool = False
    finished: bool = False
    result: T | None = None
    error: BaseException | None = None

    def is_wanted(self) -> bool:
        return self.even_if_cancelled or not self.abandoned

    def followed_by(self, work: Callable[[], None]) -> _Job[None]:
        """Another job after this one; in a context of its own, since this one's thread may not have left its context yet."""
        return _Job(lambda _: work(), True, None, self.context.copy(), self.waiter)


_crews: weakref.WeakSet[Crew] = weakref.WeakSet()


class Crew:
    """At most ``size`` threads, started when they are needed.

    Who waits for more than ``patience`` seconds in the queue is told so, and its unit does not take place. What begins something
    (``last``) waits behind everything else: in a burst that is larger than the crew, what has begun is finished first.

    Args:
        place: What the threads work on, for people.
    """

    def __init__(self, place: str, *, size: int, patience: float) -> None:
        self._place = place
        self._size = size
        self._patience = patience
        self._begin_anew()
        _crews.add(self)

    def _begin_anew(self) -> None:
        """Without a thread; in the child of a fork those of the parent are not there."""
        self._arrival = threading.Condition()
        self._queues: tuple[deque[_Job[Any]], deque[_Job[Any]]] = (deque(), deque())
        self._threads = 0
        self._idle = 0
        self._end: Waiter | None = None

    async def run(
        self,
        work: Callable[[Callable[[], bool]], T],
        *,
        even_if_cancelled: bool = False,
        otherwise: Callable[[T | None], None] | None = None,
        last: bool = False,
    ) -> T:
        """Run it in a thread and return its result. Whoever is cancelled leaves at once.

        Args:
            even_if_cancelled: It takes place, whether or not the caller still waits.
            otherwise: What follows, in the same thread, where it failed or nobody heard of its result.

        Raises:
            StoreError: No thread was free in time.
        """
        job = _Job(work, even_if_cancelled, otherwise, contextvars.copy_context(), new_waiter())
        with self._arrival:
            if self._end is not None:
                raise StoreError("the store is closed")
            self._queues[last].append(job)
            self._call_a_thread()
        try:
            with anyio.move_on_after(self._patience):
                await job.waiter.wait()
            if (until := self._take_back(job)) is not None:
                await until.wait()
        except BaseException:
            self._abandon(job)
            raise
        if job.error is not None:
            raise job.error
        return cast("T", job.result)

    async def aclose(self) -> None:
        """Finish what waits; the threads end. They are started again when they are needed."""
        with self._arrival:
            end = self._end = new_waiter()
            nobody = not self._threads
            self._arrival.notify_all()
        if not nobody:
            with anyio.CancelScope(shield=True):
                await end.wait()
        self._end = None

    def _call_a_thread(self) -> None:
        """The lock is held."""
        if self._idle >= sum(map(len, self._queues)) or self._threads == self._size:
            self._arrival.notify()
            return
        self._threads += 1
        try:
            threading.Thread(target=self._serve, name="otpcore-store", daemon=True).start()
        except RuntimeError:  # the interpreter is shutting down
            self._threads -= 1
            if not self._threads:
                self._queues[0].clear()
                self._queues[1].clear()
                raise StoreError(f"{self._place}: this process is ending, and starts no more threads") from None

    def _take_back(self, job: _Job[Any]) -> Waiter | None:
        """One that waited too long, and that no thread has taken, does not take place; what to wait for, if it was taken."""
        with self._arrival:
            if job.finished:
                return None
            if job.taken:
                job.waiter = new_waiter()
                return job.waiter
            job.error = StoreError(
                f"{self._place}: all {self._size} connections were busy for {self._patience:g} s; "
                "the database is slow, or something holds a lock on it"
            )
            job.even_if_cancelled, job.abandoned = False, True
            return None

    def _abandon(self, job: _Job[Any]) -> None:
        """Nobody waits any more. One that is finished, though nobody heard of it, is followed by what was to follow."""
        with self._arrival:
            job.abandoned = True
            if job.finished and job.error is None and job.otherwise is not None and self._end is None:
                self._queues[0].append(job.followed_by(partial(self._follow, job.otherwise, job.result, job)))
                self._call_a_thread()

    def _serve(self) -> None:
        try:
            while (job := self._next()) is not None:
                job.context.run(self._do, job)
                del job
        finally:
            with self._arrival:
                self._threads -= 1
                end = self._end if not self._threads else None
            if end is not None:
                wake([end])

    def _next(self) -> _Job[Any] | None:
        with self._arrival:
            self._idle += 1
            while not any(self._queues) and self._end is None:
                self._arrival.wait()
            self._idle -= 1
            queue = next(filter(None, self._queues), None)
            if queue is None:
                return None
            job = queue.popleft()
            job.taken = True
            return job

    def _do(self, job: _Job[Any]) -> None:
        result, error = None, None
        try:
            still_wanted(job.is_wanted)
            result = job.work(job.is_wanted)
        except BaseException as caught:  # noqa: BLE001 - whoever waits is told; the thread goes on
            error = caught
        with self._arrival:
            follows = (error is not None or job.abandoned) and job.otherwise is not None
            if not follows:
                self._finish(job, result, error)
        if follows and job.otherwise is not None:
            self._follow(job.otherwise, result, job)
            with self._arrival:
                self._finish(job, result, error)
        wake([job.waiter])

    def _follow(self, otherwise: Callable[[Any], None], result: Any, job: _Job[Any], tries: int = _FOLLOWING) -> None:
        """What was to follow; where the store does not let it, once more after all that waits, a few times."""
        try:
            otherwise(result)
        except Exception as error:  # noqa: BLE001 - nobody waits for it
            if tries:
                again = job.followed_by(partial(self._follow, otherwise, result, job, tries - 1))
                with self._arrival:
                    self._queues[True].append(again)
                    self._arrival.notify()
                return
            _logger.warning(
                "%s: what a send that did not take place was charged could not be given back: %s",
                self._place,
                error if isinstance(error, StoreError) else type(error).__name__,
                extra=fields("not_given_back", reason=type(error).__name__),
            )

    @staticmethod
    def _finish(job: _Job[Any], result: Any, error: BaseException | None) -> None:
        """The lock is held."""
        job.result, job.error, job.finished = result, job.error or error, True


def _after_fork() -> None:
    for crew in list(_crews):
        crew._begin_anew()  # noqa: SLF001 - of this module


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_after_fork)
