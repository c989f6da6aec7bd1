"""Prometheus metrics, named in one place."""

from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

EVENTS_RECEIVED = Counter(
    "okaeri_events_received", "Webhook events taken in, with duplicates", registry=REGISTRY
)
EVENTS_HANDLED = Counter(
    "okaeri_events_handled", "Webhook events by what became of them", ["state"], registry=REGISTRY
)
EVENT_LAG = Histogram(
    "okaeri_event_lag_seconds",
    "From LINE's request to the event being handled",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 5, 15, 60, 300),
    registry=REGISTRY,
)
WEBHOOKS = Counter(
    "okaeri_webhook_requests", "Webhook requests by answered status", ["status"], registry=REGISTRY
)
DELIVERIES = Counter(
    "okaeri_deliveries", "Deliveries by the state they came to", ["state"], registry=REGISTRY
)
LINE_CALLS = Counter(
    "okaeri_line_calls",
    "Calls to LINE by endpoint and status",
    ["endpoint", "status"],
    registry=REGISTRY,
)
LINE_SECONDS = Histogram(
    "okaeri_line_call_seconds", "How long LINE took to answer", ["endpoint"], registry=REGISTRY
)
JOB_RUNS = Counter(
    "okaeri_job_runs", "Runs of timetable jobs by result", ["job", "result"], registry=REGISTRY
)
BELT_ROWS = Counter(
    "okaeri_belt_rows", "Rows that each belt has worked off", ["belt"], registry=REGISTRY
)
BELT_FAILURES = Counter("okaeri_belt_failures", "Batches that failed", ["belt"], registry=REGISTRY)
BACKLOG = Gauge("okaeri_backlog", "Rows due and not yet worked off", ["belt"], registry=REGISTRY)
OLDEST = Gauge(
    "okaeri_oldest_due_seconds", "Age of the oldest row that is due", ["belt"], registry=REGISTRY
)
WAKE_FAILURES = Counter(
    "okaeri_wake_failures",
    "Wake-ups that the queue did not take; the sweep covers them",
    registry=REGISTRY,
)
POINTS_DIFFERING = Gauge(
    "okaeri_points_differing_customers",
    "Customers whose points did not add up when they were proved last; anything but 0 is an error",
    registry=REGISTRY,
)
COUPON_POOL_FREE = Gauge(
    "okaeri_coupon_pool_free", "Codes left in a coupon's pool", ["coupon"], registry=REGISTRY
)
HTTP_REQUESTS = Counter(
    "okaeri_http_requests", "Admin API requests", ["method", "route", "status"], registry=REGISTRY
)


def webhook(status: int) -> None:
    """Count one webhook request by the status it was answered with."""
    _of_webhook(status).inc()


@cache
def _of_webhook(status: int) -> Counter:
    return WEBHOOKS.labels(str(status))


def line_call(endpoint: str, status: int | None, seconds: float) -> None:
    """Count one call to LINE; `None` is no answer."""
    calls, duration = _of_line(endpoint, status)
    calls.inc()
    duration.observe(seconds)


@cache
def _of_line(endpoint: str, status: int | None) -> tuple[Counter, Histogram]:
    # To look a counter up by its labels costs more than to count.
    return LINE_CALLS.labels(endpoint, str(status or "none")), LINE_SECONDS.labels(endpoint)
