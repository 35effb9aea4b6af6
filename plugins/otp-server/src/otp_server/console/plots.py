"""Charts as paths of SVG: lines stretch with the page, and text stands beside them."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

__all__ = ["Mark", "Plot", "plot", "spark"]

_WIDE, _HIGH = 1000.0, 100.0
_TOPS = (3, 6, 9, 12, 15, 24, 30, 45, 60, 75, 90)  # whole thirds, so that three lines lie at whole numbers
_LATE = 0.7  # from there on a mark is written to its left


@attrs.frozen(kw_only=True)
class Mark:
    """Something that happened.

    Args:
        place: From 0, the first moment, to 1.
        text: What, with its time.
    """

    place: float
    text: str

    @property
    def percent(self) -> str:
        """Its place from the left."""
        return f"{self.place:.2%}"

    @property
    def is_late(self) -> bool:
        """Its text would leave the chart on the right."""
        return self.place > _LATE


@attrs.frozen(kw_only=True)
class Plot:
    """A chart of two lines.

    Args:
        all: Path of what was accepted.
        good: Path of what was verified.
        area: Below that.
        open: Path over the last moments, which are not over yet; empty: there are none.
        ticks: Numbers at the left, from the top.
        labels: Times below, from the left.
        marks: What happened.
    """

    all: str
    good: str
    area: str
    open: str
    ticks: Sequence[str]
    labels: Sequence[str]
    marks: Sequence[Mark]


def plot(
    accepted: Sequence[int],
    verified: Sequence[int],
    *,
    open_from: float,
    labels: Sequence[str],
    marks: Sequence[Mark],
) -> Plot:
    """The chart of two series of equal length.

    Args:
        accepted: Messages that were taken, step by step.
        verified: Codes that came back.
        open_from: From which place on, 0 to 1, codes still live.
        labels: Times below.
        marks: What happened.
    """
    top = _top(max([*accepted, *verified, 1]))
    good = _path(verified, top)
    return Plot(
        all=_path(accepted, top),
        good=good,
        area=f"{good}L{_WIDE:.0f} {_HIGH:.0f}L0 {_HIGH:.0f}z",
        open=f"M{open_from * _WIDE:.0f} 0H{_WIDE:.0f}V{_HIGH:.0f}H{open_from * _WIDE:.0f}z" if open_from < 1 else "",
        ticks=[f"{top * third // 3:,}" for third in (3, 2, 1, 0)],
        labels=labels,
        marks=marks,
    )


def spark(values: Sequence[int]) -> str:
    """A small curve on a scale of its own, in a box of 100 by 20."""
    top = max([*values, 1])
    last = max(len(values) - 1, 1)
    steps = (f"{number * 100 / last:.1f} {19 - 17 * value / top:.1f}" for number, value in enumerate(values))
    return "M" + " L".join(steps)


def _path(values: Sequence[int], top: int) -> str:
    last = max(len(values) - 1, 1)
    steps = (f"{number * _WIDE / last:.0f} {_HIGH - _HIGH * value / top:.1f}" for number, value in enumerate(values))
    return "M" + "L".join(steps)


def _top(most: int) -> int:
    scale = 1
    while True:
        for one in _TOPS:
            if one * scale >= most:
                return one * scale
        scale *= 10
