"""What is measured of the server, in the words of Prometheus: its requests, and how sending stands when it is asked."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from otpcore import Status

__all__ = ["Measures"]

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Measures:
    """Counters of one server, in a registry of its own."""

    def __init__(self) -> None:
        self._requests_of = CollectorRegistry()
        self._count = Counter(
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
        return generate_latest(self._requests_of) + generate_latest(_standing(status))


def _standing(status: Status) -> CollectorRegistry:
    registry = CollectorRegistry()
    ready = Gauge("otp_ready", "1: nothing stops everybody from being sent to.", registry=registry)
    ready.set(status.is_ready)
    obstacles = Gauge("otp_obstacles", "What is in the way of sending.", ["kind", "stops"], registry=registry)
    for one in status.obstacles:
        obstacles.labels(str(one.kind), str(one.stops)).inc()
    recent = Gauge(
        "otp_recent_deliveries", "Deliveries of the last hour.", ["instance", "prefix", "outcome"], registry=registry
    )
    verified = Gauge("otp_recent_verified", "Verified of the last hour.", ["instance", "prefix"], registry=registry)
    waiting = Gauge("otp_waiting", "Sends that wait for their next try.", ["instance", "prefix"], registry=registry)
    is_open = Gauge("otp_breaker_open", "1: the instance is left out for failing.", ["instance"], registry=registry)
    for route in status.routes:
        here = (route.instance, route.prefix)
        recent.labels(*here, "accepted").set(route.accepted)
        recent.labels(*here, "unanswered").set(route.unanswered)
        for kind, count in route.failed.items():
            recent.labels(*here, kind).set(count)
        verified.labels(*here).set(route.verified)
        waiting.labels(*here).set(route.queued)
        is_open.labels(route.instance).set(route.breaker.is_open)
    Gauge("otp_workers", "Processes that run retries.", registry=registry).set(len(status.workers))
    return registry
