"""Tables for the terminal and for the report."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from benchmarks.plan import Results

__all__ = ["Table", "figure", "missing_rows", "timings"]

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


def timings(results: Results, scenario: str, setting: str, *, floor: str, ratio_of: str) -> Table:
    """CPU, rate and latencies of all who ran in one setting, beside a floor of the same run."""
    rows = []
    for name in results.names(scenario, setting):
        row = results.row(scenario, setting, name)
        if row is None:
            continue
        cpu, rate = (results.ratio(scenario, setting, name, floor, one) for one in ("cpu", "rate"))
        times = [_milliseconds(row.get("p50")), _milliseconds(row.get("p99"))]
        errors = f"{row['errors']:g} {row.get('error', '')}"[:80].strip() if row.get("errors") else ""
        rows.append([name, figure(row["cpu"]), figure(cpu), figure(row["rate"]), figure(rate), *times, errors])
    rows += missing_rows(results, scenario, setting, columns=8)
    head = ["", "CPU us", f"x {ratio_of}", "per s", f"x {ratio_of}", "p50 ms", "p99 ms", "errors"]
    return Table(title=f"{scenario}: {setting}" if setting else scenario, head=head, rows=rows)


def missing_rows(results: Results, scenario: str, setting: str, *, columns: int) -> list[list[str]]:
    """Who was not measured, and why."""
    found = [one for one in results.missing if (one.scenario, one.setting) == (scenario, setting)]
    return [[one.name, f"not measured: {one.why}", *[""] * (columns - 2)] for one in found]


def _milliseconds(microseconds: float | None) -> str:
    return "" if microseconds is None else figure(microseconds / 1e3)


def _is_number(cell: str) -> bool:
    return not cell or cell[0].isdigit() or cell[0] in "-<"
