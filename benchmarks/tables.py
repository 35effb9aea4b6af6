"""Tables for the terminal and for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from benchmarks.plan import Results

__all__ = ["Table", "callers", "costs", "figure", "missing_rows"]

_LONG = "not measured"  # a cell that runs over the columns after it


@attrs.frozen(kw_only=True)
class Table:
    """Rows of text below a head."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def text(self) -> str:
        """For a terminal: the first column to the left, the others to the right."""
        whole = [self.head, *self.rows]
        cells = [row for row in whole if not any(cell.startswith(_LONG) for cell in row)]
        widths = [max(len(row[column]) for row in cells) for column in range(len(self.head))]
        widths[0] = max(len(row[0]) for row in whole)
        lines = [
            "  ".join(
                cell.ljust(width) if column == 0 or not _is_number(cell) else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=False))
            ).rstrip()
            for row in whole
        ]
        return "\n".join((self.title, "-" * len(self.title), *lines, ""))

    def markdown(self) -> str:
        lines = [self.head, ["---"] * len(self.head), *self.rows]
        table = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in lines)
        return f"**{self.title}**\n\n{table}\n"


def figure(value: float | None, digits: int = 3) -> str:
    """So many significant digits, thousands apart; nothing where there is nothing."""
    if value is None:
        return ""
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def callers(in_flight: int) -> str:
    """The setting of so many callers at once."""
    return "alone" if in_flight == 1 else f"{in_flight} callers"


def costs(results: Results, scenario: str) -> Table:
    """CPU and the longest waits of all who ran, one row for each, with columns for each number of callers."""
    settings = results.settings(scenario)
    names = list(dict.fromkeys(name for one in settings for name in results.names(scenario, one)))
    rows = []
    for name in names:
        cells = [_cost(results.row(scenario, one, name)) for one in settings]
        if any(cells):
            rows.append([name, *cells])
    missing = {one.name: one.why for one in results.missing if one.scenario == scenario}
    rows += [[name, f"not measured: {why}", *[""] * (len(settings) - 1)] for name, why in missing.items()]
    head = ["CPU us (p50, p99 ms)", *settings]
    return Table(
        title=f"{scenario.replace('_', ' ')}: CPU of the client for one, and how long a caller waits",
        head=head,
        rows=rows,
    )


def _cost(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return ""
    errors = f" {row['errors']:g} errors: {row.get('error', '')}"[:60] if row.get("errors") else ""
    return f"{figure(row['cpu'])} ({_milliseconds(row.get('p50'))}, {_milliseconds(row.get('p99'))}){errors}"


def missing_rows(results: Results, scenario: str, setting: str, *, columns: int) -> list[list[str]]:
    """Who was not measured, and why."""
    found = [one for one in results.missing if (one.scenario, one.setting) == (scenario, setting)]
    return [[one.name, f"not measured: {one.why}", *[""] * (columns - 2)] for one in found]


def _milliseconds(microseconds: float | None) -> str:
    return "" if microseconds is None else figure(microseconds / 1e3)


def _is_number(cell: str) -> bool:
    return not cell or cell[0].isdigit() or cell[0] in "-<"
