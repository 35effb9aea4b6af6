"""Bar charts as SVG, written by hand: no library is needed, and they read on light and dark pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

import attrs

from benchmarks.plan import Results
from benchmarks.tables import figure

__all__ = ["Plot", "bars", "plots"]

_WIDTH, _LABEL, _ROW, _TOP = 760, 300, 24, 44
_OURS, _OTHERS = "#1f77b4", "#9aa0a6"
_SHOWN = {
    "send": ("cpu", "CPU of one send, microseconds"),
    "verify": ("cpu", "CPU of one verification, microseconds"),
    "round_trip": ("cpu", "CPU of one send and verify, microseconds"),
}


@attrs.frozen(kw_only=True)
class Plot:
    """One picture."""

    name: str
    title: str
    svg: str


def plots(results: Results) -> Mapping[str, Sequence[Plot]]:
    """The pictures of each scenario."""
    drawn: dict[str, list[Plot]] = {}
    for scenario, (value, title) in _SHOWN.items():
        for setting in results.settings(scenario):
            found = ((name, results.value(scenario, setting, name, value)) for name in results.names(scenario, setting))
            rows = [(name, one) for name, one in found if one is not None]
            if len(rows) > 1:
                name = f"{scenario}-{setting}".replace(", ", "-").replace(" ", "-")
                drawn.setdefault(scenario, []).append(
                    Plot(name=name, title=f"{title}; {setting}", svg=bars(f"{title}; {setting}", rows))
                )
    return drawn


def bars(title: str, rows: Iterable[tuple[str, float]]) -> str:
    """One bar for each row, the least first; otpcore's stand out."""
    ordered = sorted(rows, key=lambda row: row[1])
    most = ordered[-1][1] or 1
    room = _WIDTH - _LABEL - 90
    parts = [f'<text x="12" y="24" font-size="15" font-weight="bold">{escape(title)}</text>']
    for index, (name, value) in enumerate(ordered):
        top = _TOP + index * _ROW
        long = max(value / most * room, 1)
        colour = _OURS if name.startswith("otpcore") else _OTHERS
        parts += [
            f'<text x="{_LABEL - 8}" y="{top + 13}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{_LABEL}" y="{top}" width="{long:.1f}" height="{_ROW - 7}" fill="{colour}"/>',
            f'<text x="{_LABEL + long + 6:.1f}" y="{top + 13}">{figure(value)}</text>',
        ]
    height = _TOP + len(ordered) * _ROW + 10
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="12">'
    return "\n".join((head, '<rect width="100%" height="100%" fill="#ffffff"/>', *parts, "</svg>")) + "\n"
