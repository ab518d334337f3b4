"""Health, readiness, metrics and the way to the documentation."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable

import httpx
import pytest

from loadingdock.core.model.files import State
from tests.acceptance.ways import WAYS, Dock
from tests.service import Service
from tests.unit.fake_clamd import fake_clamd, finding


def test_alive_and_ready(service: Service) -> None:
    with service.client() as anybody:
        assert anybody.get("/healthz").json() == {"status": "alive"}
        ready = anybody.get("/readyz")
        assert ready.status_code == 200
        assert ready.json() == {
            "status": "ready",
            "checks": {name: {"status": "up"} for name in ("database", "store", "scanner", "queue")},
        }
        assert anybody.head("/healthz").status_code == 200


@pytest.mark.slow
def test_what_is_down_is_named_with_its_time(make_service: Callable[..., Service]) -> None:
    service = make_service(scanner_url="clamd://127.0.0.1:1").start_unready()
    with service.client() as anybody:
        first = anybody.get("/readyz")
        assert first.status_code == 503
        assert first.json()["checks"]["database"] == {"status": "up"}
        scanner = first.json()["checks"]["scanner"]
        assert scanner["status"] == "down"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", scanner["since"])
        assert "127.0.0.1" not in scanner["reason"]
        assert anybody.get("/readyz").json()["checks"]["scanner"]["since"] == scanner["since"]
        assert anybody.get("/healthz").status_code == 200
        assert 'loadingdock_ready{dependency="scanner"} 0.0' in anybody.get("/metrics").text


async def test_one_scanner_that_answers_is_enough(make_service: Callable[..., Service]) -> None:
    nobody = "clamd://127.0.0.1:1"
    async with fake_clamd(finding(b"a virus")) as address:
        service = await asyncio.to_thread(make_service(scanner_url=f"{nobody},{address}").start)
        dock = Dock(service)
        assert (await asyncio.to_thread(WAYS[0].send, dock, b"hello", "hello.txt")).is_success
        (file,) = await asyncio.to_thread(dock.settled)
        assert file.state is State.READY
        async with httpx.AsyncClient(base_url=service.url) as anybody:
            ready = await anybody.get("/readyz")
            shown = (await anybody.get("/metrics")).text
    assert ready.status_code == 200
    scanner = ready.json()["checks"]["scanner"]
    assert scanner["status"] == "up"
    assert scanner["engines"][address] == {"status": "up"}
    assert scanner["engines"][nobody] == {"status": "down", "reason": "no connection (ConnectionRefusedError)"}
    assert f'loadingdock_scan_seconds_count{{address="{address}"}} 1.0' in shown
    for each in (address, nobody):
        state = f'address="{each}",loadingdock_scanner_circuit="closed"'
        assert f"loadingdock_scanner_circuit{{{state}}} 1.0" in shown


def test_what_is_scanned_and_stored_is_timed(own_service: Service) -> None:
    dock = Dock(own_service)
    assert WAYS[0].send(dock, b"hello", "hello.txt").is_success
    dock.settled()
    with own_service.client() as anybody:
        shown = anybody.get("/metrics").text
    if "store_url" not in own_service.chosen:
        for action in ("commit", "read"):
            assert re.search(rf'loadingdock_store_seconds_count{{action="{action}"}} [1-9]', shown), action
        assert re.search(r"loadingdock_store_free_bytes [1-9]", shown)
    else:  # what nobody knows is not 0, which would mean that the disk is full
        assert "loadingdock_store_free_bytes NaN" in shown
    assert 'loadingdock_scan_seconds_count{address="local"} 1.0' in shown
    if "database_url" in own_service.chosen:
        assert re.search(r"loadingdock_database_connections_most [1-9]", shown)
        assert re.search(r'loadingdock_database_connections{state="idle"} [1-9]', shown)
        assert "loadingdock_database_waiting 0.0" in shown
    else:
        assert "loadingdock_database_connections{" not in shown


def test_metrics_have_names_of_ours_alone(service: Service) -> None:
    with service.client() as anybody:
        anybody.get("/no-such-path-" + os.urandom(4).hex())
        anybody.request("BREW", "/healthz")
        shown = anybody.get("/metrics")
    assert shown.headers["content-type"].startswith("text/plain")
    assert "no-such-path" not in shown.text
    assert "BREW" not in shown.text
    for name in ("jobs_waiting", "jobs_dead", "store_free_bytes", "ready", "requests_total", "request_seconds_bucket"):
        assert f"\nloadingdock_{name}" in shown.text, name
    if "store_url" not in service.chosen:  # an S3 store has no end that it tells
        assert re.search(r"loadingdock_store_free_bytes [1-9]", shown.text)


@pytest.mark.security(26)
def test_nothing_that_anybody_may_read_holds_a_secret(service: Service) -> None:
    company = service.desk.company("secretive")
    key = service.desk.key(company, "admin")
    with service.client() as anybody:
        anybody.get("/api/v1/files", headers={"api-key": key})
        for path in ("/metrics", "/readyz", "/docs", "/docs/management", "/docs/management/openapi.json"):
            text = anybody.get(path).text
            assert key not in text
            assert company.code not in text
            assert str(service.data) not in text


def test_other_paths_are_problems(service: Service) -> None:
    with service.client(follow_redirects=False) as anybody:
        assert anybody.get("/").headers["location"] == "/docs"
        for path in ("/nothing", "/api", "/api/v2/files", "/docs/nothing", "/%00", "/docs/management/x"):
            answer = anybody.get(path)
            assert answer.status_code == 404, path
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["type"] == "/docs/errors#not_found"
        assert anybody.post("/healthz").status_code == 405
