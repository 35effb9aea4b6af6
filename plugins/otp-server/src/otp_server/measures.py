"""What is measured of the server, in the words of Prometheus: its requests, and how sending stands when it is asked."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import prometheus_client
from prometheus_client import CollectorRegistry, Histogram, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from otpcore import Status

__all__ = ["Measures", "measured_together"]

_TOGETHER = "PROMETHEUS_MULTIPROC_DIR"  # where prometheus_client keeps what several processes count

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Measures:
    """Counters of one server, in a registry of its own."""

    def __init__(self) -> None:
        self._requests_of = CollectorRegistry()
        self._count = prometheus_client.Counter(
            "otp_http_requests_total",
            "Requests that were answered.",
            ["method", "route", "status"],
            registry=self._requests_of,
        )
        self._seconds = Histogram(
            "otp_http_request_seconds",
            "Seconds from a request's head to its answer.",
            ["route"],
            registry=self._requests_of,
            buckets=_BUCKETS,
        )

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request was answered; status 0: it was not."""
        known = method if method in ("GET", "POST", "HEAD") else "other"
        self._count.labels(known, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self, status: Status) -> bytes:
        """Everything, in Prometheus' text format."""
        counted = self._requests_of
        if _TOGETHER in os.environ:
            counted = CollectorRegistry()
            MultiProcessCollector(counted)  # type: ignore[no-untyped-call] # it has no types
        standing = CollectorRegistry()
        standing.register(_Standing(status))
        return generate_latest(counted) + generate_latest(standing)


@contextlib.contextmanager
def measured_together() -> Iterator[None]:
    """Processes that are begun in here count together: each tells of all, those that are gone too."""
    with tempfile.TemporaryDirectory(prefix="otp-server-") as directory:
        os.environ[_TOGETHER] = directory
        try:
            yield
        finally:
            del os.environ[_TOGETHER]


class _Standing(Collector):
    """How sending stands now; nothing of it is kept."""

    def __init__(self, status: Status) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        """All of it."""
        status = self._status
        ready = 1.0 if status.is_ready else 0.0
        yield GaugeMetricFamily("otp_ready", "1: nothing stops everybody from being sent to.", ready)
        found = Counter((str(one.kind), str(one.stops)) for one in status.obstacles)
        yield _gauge("otp_obstacles", "What is in the way of sending.", ("kind", "stops"), found.items())
        yield from _of_routes(status)
        yield GaugeMetricFamily("otp_workers", "Processes that run retries.", len(status.workers))


def _of_routes(status: Status) -> Iterator[Metric]:
    recent: dict[tuple[str, ...], float] = {}
    for one in status.routes:
        here = (one.instance, one.prefix)
        recent |= {(*here, "accepted"): one.accepted, (*here, "unanswered"): one.unanswered}
        recent |= {(*here, str(kind)): count for kind, count in one.failed.items()}
    place = ("instance", "prefix")
    verified = {(one.instance, one.prefix): one.verified for one in status.routes}
    waiting = {(one.instance, one.prefix): one.queued for one in status.routes}
    is_open = {(one.instance,): one.breaker.is_open for one in status.routes}
    yield _gauge("otp_recent_deliveries", "Deliveries of the last hour.", (*place, "outcome"), recent.items())
    yield _gauge("otp_recent_verified", "Verified of the last hour.", place, verified.items())
    yield _gauge("otp_waiting", "Sends that wait for their next try.", place, waiting.items())
    yield _gauge("otp_breaker_open", "1: the instance is left out for failing.", ("instance",), is_open.items())


def _gauge(
    name: str, text: str, labels: Sequence[str], values: Iterable[tuple[Sequence[str], float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for of, value in values:
        family.add_metric(of, float(value))
    return family
