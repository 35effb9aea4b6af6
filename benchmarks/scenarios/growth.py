"""What operators and sends pay for a million rows: every command of a store with them, beside the same with a thousand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks import growth as program
from benchmarks.plan import Case, Missing, Results, World
from benchmarks.tables import Table, figure, missing_rows

__all__ = ["MEASURES", "NOTE", "SETTING", "STORES", "TITLE", "cases", "tables"]

TITLE = "A million rows"
NOTE = (
    "Two databases of a kind, one with a thousand rows in each table and one with many, used in turns, one operation at a time. "
    "A page is fifty deliveries or challenges, the newest first: of all, of an instance, of a person."
)
SETTING = ""
STORES = {"SQLite NORMAL": "SQLite", "PostgreSQL": "PostgreSQL"}  # as the world names them, and as the table does


def cases(world: World) -> Iterator[Case | Missing]:
    for store in world.stores:
        if store.name not in STORES:
            continue
        name = STORES[store.name]
        if store.absent:
            yield Missing(scenario="growth", setting=SETTING, name=name, why=store.absent)
            continue
        parameters = {"rows": world.sizes.rows, "turns": world.sizes.turns, "url": store.settings.get("url")}
        yield Case(
            scenario="growth", setting=SETTING, name=name, measure="growth.rows", parameters=parameters, once=True
        )


def rows(rows: int, turns: int, url: str | None) -> Mapping[str, Any]:
    """The ratio of all commands together, and of the page and the other command that grow most."""
    with program.databases(url) as places:
        found = asyncio.run(program.compare(places, rows, turns))
    grown = {name: many / few for name, (few, many) in found.items()}
    few, many = (sum(one[side] for one in found.values()) for side in (0, 1))
    page = max(program.PAGES, key=grown.__getitem__)
    dearest = max((name for name in found if name not in program.PAGES), key=grown.__getitem__)
    return {
        "rows": rows,
        "ratio": many / few,
        "page": grown[page],
        "page_ms": found[page][1] * 1e3,
        "page_name": page.replace("_", " "),
        "dearest": grown[dearest],
        "command": dearest.replace("_", " "),
        "errors": 0,
    }


MEASURES = {"growth.rows": rows}


def tables(results: Results) -> Iterator[Table]:
    rows = []
    for name in results.names("growth", SETTING):
        row = results.row("growth", SETTING, name)
        if row is not None:
            page, dearest = (
                f"{figure(row['page'])} ({row['page_name']})",
                f"{figure(row['dearest'])} ({row['command']})",
            )
            rows.append([name, f"{row['rows']:,.0f}", figure(row["ratio"]), page, figure(row["page_ms"]), dearest])
    rows += missing_rows(results, "growth", SETTING, columns=6)
    head = ["", "rows", "all commands", "the page that grows most", "ms", "the command that grows most"]
    yield Table(title="time of one operation with many rows, x that with 1,000", head=head, rows=rows)
