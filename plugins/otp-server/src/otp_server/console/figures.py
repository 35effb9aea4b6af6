"""The figures of Now: what each instance did for each prefix, what came of it, and how it went over time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import attrs

from otp_server.console.desk import Desk
from otp_server.console.plots import Mark, Plot, plot, spark
from otp_server.console.words import percent
from otpcore import Obstacle, ObstacleKind, RouteStatus, Status
from otpcore.operator import SeriesStep

__all__ = ["WINDOWS", "Figures", "Period", "Row", "Window", "read"]

_SLOW = 15.0  # seconds until the right code came back, for half of them
_SLOWER = 2  # times what it is for all
_OFTEN = 0.2  # of the messages, that are not taken
_FEW = 5  # messages that say nothing about an instance
_UNCOUNTED = timedelta(minutes=2)  # what is younger may not be counted over time yet
_LABELS = 5

Route = tuple[str, str]


@attrs.frozen(kw_only=True)
class Window:
    """How far back is looked.

    Args:
        name: In the address.
        title: For people.
        lasts: How far.
        step: Of the chart.
        group: Of the table behind it.
        each: What a step is, for people.
    """

    name: str
    title: str
    lasts: timedelta
    step: timedelta
    group: timedelta
    each: str

    @property
    def has_days(self) -> bool:
        """Times are told with their day."""
        return self.lasts > timedelta(days=1)


WINDOWS = {
    one.name: one
    for one in (
        Window(
            name="hour",
            title="Last hour",
            lasts=timedelta(hours=1),
            step=timedelta(minutes=1),
            group=timedelta(minutes=5),
            each="a minute",
        ),
        Window(
            name="day",
            title="Last day",
            lasts=timedelta(days=1),
            step=timedelta(minutes=15),
            group=timedelta(hours=1),
            each="a quarter of an hour",
        ),
        Window(
            name="week",
            title="Last week",
            lasts=timedelta(days=7),
            step=timedelta(hours=1),
            group=timedelta(days=1),
            each="an hour",
        ),
    )
}
"""By their names in the address."""


@attrs.frozen(kw_only=True)
class Row:
    """One instance and prefix.

    Args:
        instance: Its name; empty: the sum of all.
        prefix: The rule prefix; empty: by default.
        state: A word of the macro ``state``.
        since: When that began; None: it is not known.
        accepted: Messages that were taken.
        failed: Those that were not.
        delivered: Those that arrived; None: this vendor sent no receipts.
        verified: Codes that came back.
        share: The share of them, as text; empty: no code could.
        p50: Seconds until the right code came back, for half of them; None: none did.
        p95: For 95 of 100.
        curve: Of accepted messages, a path.
        most: Of them in one step.
    """

    instance: str
    prefix: str = ""
    state: str = ""
    since: datetime | None = None
    accepted: int = 0
    failed: int = 0
    delivered: int | None = 0
    verified: int = 0
    share: str = ""
    p50: float | None = None
    p95: float | None = None
    curve: str = ""
    most: int = 0

    @property
    def is_bad(self) -> bool:
        """Its curve is drawn as something that needs somebody."""
        return self.state in ("Left out", "Misconfigured")


@attrs.frozen(kw_only=True)
class Period:
    """One row of the table behind the chart.

    Args:
        starts_at: Aware UTC.
        accepted: Messages that were taken.
        verified: Codes that came back.
        failed: Messages that were not.
    """

    starts_at: datetime
    accepted: int
    verified: int
    failed: int


@attrs.frozen(kw_only=True)
class Figures:
    """All figures of the page.

    Args:
        window: How far back.
        status: Of the service.
        rows: By instance and prefix.
        total: Of all rows.
        plot: The chart; None: nothing happened.
        periods: The table behind it.
    """

    window: Window
    status: Status
    rows: Sequence[Row]
    total: Row
    plot: Plot | None
    periods: Sequence[Period]


async def read(desk: Desk, window: Window) -> Figures:
    """The figures as they are now."""
    operator = desk.operator
    status = await operator.status(window=window.lasts.total_seconds())
    apart = ("instance", "prefix")
    since = _whole(status.now - window.lasts, min(timedelta(hours=1), window.group))
    whole = {_route(one): one for one in await operator.series(since, status.now, None, apart_by=apart)}
    steps = await operator.series(since, status.now, window.step.total_seconds(), apart_by=apart)
    sums = await operator.series(since, status.now, None)
    known = [one.instance for one in await operator.instances.status(window=60.0)]
    moments = _moments(since, status.now, window.step)
    made = _Making(status=status, whole=whole, curves=_curves(steps, moments), sum=sums[0] if sums else None)
    rows = made.rows(known)
    life = timedelta(seconds=desk.server.otp_settings.otp.life)
    return Figures(
        window=window,
        status=status,
        rows=rows,
        total=made.total(rows),
        plot=_plot(window, status, steps, moments, life) if steps else None,
        periods=_periods(window, steps),
    )


@attrs.frozen(kw_only=True)
class _Making:
    status: Status
    whole: Mapping[Route, SeriesStep]
    curves: Mapping[Route, Sequence[int]]
    sum: SeriesStep | None

    def rows(self, known: Sequence[str]) -> list[Row]:
        """What had messages, and the instances that had none."""
        told = [self._row(one) for one in self.status.routes if one.instance]
        busy = {one.instance for one in told}
        idle = [self._row(RouteStatus(instance=name)) for name in known if name not in busy]
        return [*told, *idle]

    def total(self, rows: Sequence[Row]) -> Row:
        """The sum of all rows."""
        routes = self.status.routes
        own, sum_ = [one.accepted - one.relayed for one in routes], self.sum
        receipts = [one.delivered for one in rows if one.delivered is not None]
        return Row(
            instance="",
            accepted=sum(one.accepted for one in rows),
            failed=sum(one.failed for one in rows),
            delivered=sum(receipts) if receipts else None,
            verified=sum(one.verified for one in rows),
            share=percent(min(sum(one.verified for one in routes), sum(own)), sum(own)),
            p50=sum_.verification_p50 if sum_ is not None else None,
            p95=sum_.verification_p95 if sum_ is not None else None,
        )

    def _row(self, route: RouteStatus) -> Row:
        whole, curve = (
            self.whole.get((route.instance, route.prefix)),
            self.curves.get((route.instance, route.prefix), ()),
        )
        has_receipts = any(one.delivered for (instance, _), one in self.whole.items() if instance == route.instance)
        codes = route.accepted - route.relayed
        state, since = self._state(route, whole)
        return Row(
            instance=route.instance,
            prefix=route.prefix,
            state=state,
            since=since,
            accepted=route.accepted,
            failed=sum(route.failed.values()),
            delivered=whole.delivered if whole is not None and has_receipts else None,
            verified=route.verified,
            share=percent(min(route.verified, codes), codes),
            p50=whole.verification_p50 if whole is not None else None,
            p95=whole.verification_p95 if whole is not None else None,
            curve=spark(curve) if curve else "",
            most=max(curve, default=0),
        )

    def _state(self, route: RouteStatus, whole: SeriesStep | None) -> tuple[str, datetime | None]:
        for kind, word in _STATES.items():
            for one in self.status.obstacles:
                if one.kind is kind and one.instance == route.instance:
                    return word, one.since
        failed = sum(route.failed.values())
        if failed >= _FEW and failed > _OFTEN * (failed + route.accepted):
            return "Fails often", None
        if whole is not None and whole.verified >= _FEW and self._is_slow(whole.verification_p50):
            return "Slow", None
        return ("Working" if route.accepted else "Ready"), None

    def _is_slow(self, p50: float | None) -> bool:
        usual = self.sum.verification_p50 if self.sum is not None else None
        return p50 is not None and usual is not None and p50 > max(_SLOW, _SLOWER * usual)


_STATES = {
    ObstacleKind.DRAINED: "Drained",
    ObstacleKind.MISCONFIGURED: "Misconfigured",
    ObstacleKind.BREAKER_OPEN: "Left out",
}


def _plot(
    window: Window, status: Status, steps: Sequence[SeriesStep], moments: Sequence[datetime], life: timedelta
) -> Plot:
    accepted, verified = (_summed(steps, moments, name) for name in ("accepted", "verified"))
    first, last = moments[0], moments[-1]
    span = max((last - first).total_seconds(), 1.0)
    marks = [
        Mark(place=(one.since - first).total_seconds() / span, text=f"{one.since:%H:%M} {_what(one)}")
        for one in status.obstacles
        if one.since is not None and first <= one.since <= last and one.kind in _MARKED
    ]
    places = [round(number * (len(moments) - 1) / (_LABELS - 1)) for number in range(_LABELS)]
    labels = [_label(moments[place], window) for place in places]
    live = max(0.0, (status.now - life - first).total_seconds() / span)
    return plot(accepted, verified, open_from=min(live, 1.0), labels=labels, marks=marks)


_MARKED = (ObstacleKind.MISCONFIGURED, ObstacleKind.BREAKER_OPEN, ObstacleKind.PAUSED)


def _what(obstacle: Obstacle) -> str:
    return "paused" if obstacle.kind is ObstacleKind.PAUSED else f"{obstacle.instance} left out"


def _label(moment: datetime, window: Window) -> str:
    return f"{moment.day} {moment:%b}" if window.has_days else f"{moment:%H:%M}"


def _periods(window: Window, steps: Sequence[SeriesStep]) -> list[Period]:
    groups: defaultdict[datetime, list[SeriesStep]] = defaultdict(list)
    for one in steps:
        groups[_whole(one.starts_at, window.group)].append(one)
    return [
        Period(
            starts_at=starts_at,
            accepted=sum(one.accepted for one in found),
            verified=sum(one.verified for one in found),
            failed=sum(sum(one.failed.values()) for one in found),
        )
        for starts_at, found in sorted(groups.items())
    ]


def _curves(steps: Sequence[SeriesStep], moments: Sequence[datetime]) -> dict[Route, list[int]]:
    routes: defaultdict[Route, list[SeriesStep]] = defaultdict(list)
    for one in steps:
        routes[_route(one)].append(one)
    return {route: _summed(found, moments, "accepted") for route, found in routes.items()}


def _summed(steps: Sequence[SeriesStep], moments: Sequence[datetime], name: str) -> list[int]:
    sums: defaultdict[datetime, int] = defaultdict(int)
    for one in steps:
        sums[one.starts_at] += getattr(one, name)
    return [sums[moment] for moment in moments]


def _moments(since: datetime, now: datetime, step: timedelta) -> list[datetime]:
    """Where steps begin, but for those that may not be counted yet."""
    first = _whole(since, step)
    count = max(2, (now - _UNCOUNTED - first) // step + (1 if step > _UNCOUNTED else 0))
    return [first + number * step for number in range(count)]


def _route(step: SeriesStep) -> Route:
    return step.instance or "", step.prefix or ""


def _whole(moment: datetime, step: timedelta) -> datetime:
    """The beginning of the step since 1970 in which a moment lies."""
    epoch = moment.replace(year=1970, month=1, day=1, hour=0, minute=0, second=0, microsecond=0)
    return moment - (moment - epoch) % step
