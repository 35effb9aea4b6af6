"""What people would build retries on: one task that sends a code and is tried again, in Celery and in procrastinate.

The worker's process reads from its environment where the broker is and how the provider behaves. The provider is away while
a file is there; what it takes is noted in another one.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import celery
import procrastinate

LATENCY = float(os.environ["BENCH_LATENCY"])  # seconds of one call of the provider
PLACE = Path(os.environ["BENCH_PLACE"])
AWAY, TAKEN = PLACE / "away", PLACE / "taken"
FIRST, MOST, TRIES = 1, 30, 20  # seconds before the first retry, before any, and how many there are

celery_app = celery.Celery("bench", broker=os.environ["BENCH_REDIS"])
celery_app.conf.update(task_ignore_result=True, worker_hijack_root_logger=False)
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=os.environ["BENCH_DATABASE"]))


class Doubling(procrastinate.BaseRetryStrategy):
    """Celery's backoff: 1, 2, 4 … seconds, at most 30."""

    def get_retry_decision(self, *, exception: BaseException, job: Any) -> procrastinate.RetryDecision | None:  # noqa: ARG002 - its signature
        if job.attempts >= TRIES:
            return None
        return procrastinate.RetryDecision(retry_in={"seconds": min(FIRST * 2**job.attempts, MOST)})


@celery_app.task(
    autoretry_for=(ConnectionError,), retry_backoff=FIRST, retry_backoff_max=MOST, retry_jitter=False, max_retries=TRIES
)
def send_with_celery(number: int) -> None:
    away = AWAY.exists()
    time.sleep(LATENCY)
    _answered(number, away=away)


@app.task(name="send", retry=Doubling())
async def send_with_procrastinate(number: int) -> None:
    away = AWAY.exists()
    await asyncio.sleep(LATENCY)
    _answered(number, away=away)


def _answered(number: int, *, away: bool) -> None:
    if away:
        raise ConnectionError("the provider is away")
    with TAKEN.open("a", encoding="ascii") as noted:
        noted.write(f"{number} {time.time()}\n")
