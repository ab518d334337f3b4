"""What Prometheus may ask. Labels are names of ours or of the settings: nothing that a client sends becomes one."""

from __future__ import annotations

import math
from dataclasses import asdict
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram, generate_latest

from loadingdock.core.loading import Counts
from loadingdock.core.ports.records import Connections

registry = CollectorRegistry(auto_describe=True)

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

requests = Counter("loadingdock_requests_total", "Requests answered.", ["api", "method", "status"], registry=registry)
seconds = Histogram(
    "loadingdock_request_seconds",
    "From the request's head to the end of its answer.",
    ["api"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600),
    registry=registry,
)
in_flight = Gauge("loadingdock_requests_in_flight", "Requests being answered.", registry=registry)
connections = Gauge(
    "loadingdock_database_connections",
    "Connections of this process to PostgreSQL, by their state: in_use, idle.",
    ["state"],
    registry=registry,
)
connections_most = Gauge("loadingdock_database_connections_most", "How many of them there may be.", registry=registry)
connections_waiting = Gauge(
    "loadingdock_database_waiting",
    "Callers in this process that wait for a connection to PostgreSQL.",
    registry=registry,
)
jobs_waiting = Gauge("loadingdock_jobs_waiting", "Jobs that are due and not running.", registry=registry)
jobs_running = Gauge("loadingdock_jobs_running", "Jobs under way.", registry=registry)
jobs_dead = Gauge("loadingdock_jobs_dead", "Jobs given up; requeue them once their cause is gone.", registry=registry)
job_age = Gauge("loadingdock_jobs_oldest_seconds", "How long the oldest due job has waited.", registry=registry)
store_free = Gauge(
    "loadingdock_store_free_bytes",
    "Room left for bytes in a folder; NaN in an S3 store, which does not say.",
    registry=registry,
)
store_free.set(math.nan)  # not 0, which would have everybody out of bed
store_seconds = Histogram(
    "loadingdock_store_seconds",
    "From a request to the store to the end of its answer, of reads to its beginning, by the action of S3. Of a"
    " folder: commit (until the disk has it), suspend, read and delete.",
    ["action"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
    registry=registry,
)
scan_seconds = Histogram(
    "loadingdock_scan_seconds",
    "Until a verdict, by the address of the clamd that gave it; `local` are the built-in rules.",
    ["address"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
    registry=registry,
)
scanner_circuit = Enum(
    "loadingdock_scanner_circuit",
    "1 of the state: closed, it gets its share of the work; open, it failed and gets none; half_open, it is probed.",
    ["address"],
    states=["closed", "open", "half_open"],
    registry=registry,
)
callback_seconds = Histogram(
    "loadingdock_callback_seconds",
    "An attempt to deliver a callback, by what came of it: delivered; gone, redirect, status (any other); refused,"
    " timeout, unreachable, tls, protocol where there was no answer.",
    ["outcome"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30),
    registry=registry,
)
import_seconds = Histogram(
    "loadingdock_import_seconds",
    "From an import's first beginning to its end, by its result: finished, finished_with_errors, rejected, failed,"
    " cancelled.",
    ["result"],
    buckets=(0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600),
    registry=registry,
)
import_records = Counter(
    "loadingdock_import_records_total",
    "Records of imports that have ended, by what became of them: inserted, updated, unchanged, skipped, rejected.",
    ["outcome"],
    registry=registry,
)
callbacks_pending = Gauge(
    "loadingdock_callbacks_pending", "Callbacks neither delivered nor given up.", registry=registry
)
callback_age = Gauge(
    "loadingdock_callbacks_oldest_seconds", "How long the oldest of them has been owed.", registry=registry
)
ready = Gauge("loadingdock_ready", "1 if the dependency answers.", ["dependency"], registry=registry)


def request(api: str, method: str, status: int, took: float) -> None:
    counted, timed = _of(api, method if method in _METHODS else "other", status)
    counted.inc()
    timed.observe(took)


def store(action: str, took: float) -> None:
    _store_of(action).observe(took)


def scan(address: str, took: float) -> None:
    scan_seconds.labels(address).observe(took)


def imported(result: str, took: float, counts: Counts) -> None:
    import_seconds.labels(result).observe(took)
    for outcome, records in asdict(counts).items():
        import_records.labels(outcome).inc(records)


def callback(outcome: str, took: float) -> None:
    callback_seconds.labels(outcome).observe(took)


def circuit(address: str, state: str) -> None:
    scanner_circuit.labels(address).state(state)


@cache
def _store_of(action: str) -> Histogram:
    return store_seconds.labels(action)


@cache  # of few: names, methods and statuses are ours. Finding a labelled child costs more than counting with it
def _of(api: str, method: str, status: int) -> tuple[Counter, Histogram]:
    return requests.labels(api, method, str(status)), seconds.labels(api)


def pool(found: Connections) -> None:
    connections_most.set(found.most)
    connections.labels("in_use").set(found.in_use)
    connections.labels("idle").set(found.open - found.in_use)
    connections_waiting.set(found.waiting)


def exposition() -> bytes:
    return generate_latest(registry)
