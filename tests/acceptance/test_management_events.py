"""The company's events, followed by server-sent events."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from loadingdock.core.administration import operator
from tests import samples
from tests.acceptance.management import Office, client, office
from tests.service import Service


@pytest.fixture
def clerk(service: Service) -> Iterator[Office]:
    with office(service) as opened:
        yield opened


class Stream:
    """A stream as a browser reads it."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._lines = answer.iter_lines()

    def next(self) -> tuple[int, str, dict[str, Any]]:
        """(id, kind, data) of the next event; raises StopIteration at the end of the stream."""
        fields: dict[str, str] = {}
        while True:
            line = next(self._lines)
            if not line and "data" in fields:
                return int(fields["id"]), fields["event"], json.loads(fields["data"])
            name, _, value = line.partition(": ")
            fields[name] = value

    def rest(self) -> list[str]:
        return list(self._lines)


@contextmanager
def follow(office: httpx.Client, after: int | None = None, **headers: str) -> Iterator[Stream]:
    params = {} if after is None else {"after": after}
    with office.stream("GET", "/events", params=params, headers=headers, timeout=60) as answer:
        assert answer.status_code == 200
        yield Stream(answer)


def test_each_state_of_a_file_is_an_event(clerk: Office) -> None:
    with follow(clerk.client, after=0) as stream:
        assert stream.answer.headers["content-type"].startswith("text/event-stream")
        assert stream.answer.headers["cache-control"] == "no-store"
        with client(clerk.service, clerk.company) as other:
            clean = other.post("/files", files={"file": ("a.txt", b"hello")}).json()["id"]
            seen = [stream.next() for _ in range(3)]
            infected = other.post("/files", files={"file": ("b.txt", samples.eicar())}).json()["id"]
            seen += [stream.next() for _ in range(3)]
    kinds = [(kind, data["subject"]) for _, kind, data in seen]
    assert kinds == [
        ("file.received", clean),
        ("file.processing", clean),
        ("file.ready", clean),
        ("file.received", infected),
        ("file.processing", infected),
        ("file.infected", infected),
    ]
    ids = [id for id, _, _ in seen]
    assert ids == sorted(set(ids))
    assert seen[0][2]["name"] == "a.txt"
    assert seen[0][2]["version"] == 1


def test_who_comes_back_misses_nothing(clerk: Office) -> None:
    clerk.upload()
    with follow(clerk.client, after=0) as stream:
        first, _, _ = stream.next()
    with follow(clerk.client, **{"Last-Event-ID": str(first)}) as stream:
        assert stream.next()[1] == "file.processing"
    with follow(clerk.client, after=0, **{"Last-Event-ID": str(first)}) as stream:
        assert stream.next()[1] == "file.processing"  # the header is newer than the address
    with follow(clerk.client) as stream, client(clerk.service, clerk.company) as other:
        created = other.post("/uploads", json={"name": "new.txt"}).json()["upload"]["file_id"]
        assert stream.next()[2]["subject"] == created  # nothing of what was before


@pytest.mark.security(25)
def test_another_companys_events_are_not_heard(clerk: Office) -> None:
    with office(clerk.service) as other, follow(other.client, after=0) as stream:
        clerk.upload(b"theirs")
        with client(other.service, other.company) as sender:
            mine = sender.post("/files", files={"file": ("mine.txt", b"mine")}).json()["id"]
        assert {stream.next()[2]["subject"] for _ in range(3)} == {mine}


@pytest.mark.parametrize("after", ["-1", "x", "1e3", "9" * 30])
def test_what_is_no_event_id_is_refused(clerk: Office, after: str) -> None:
    answer = clerk.client.get("/events", params={"after": after})
    assert (answer.status_code, answer.json()["field"]) == (400, "after")


def test_hearing_needs_the_right_to_read(clerk: Office) -> None:
    with client(clerk.service, clerk.company, "files:write") as writer:
        assert writer.get("/events").status_code == 403


@pytest.mark.slow
def test_a_stream_ends_when_the_service_does(own_service: Service) -> None:
    with office(own_service) as clerk, follow(clerk.client, after=0) as stream:
        with client(own_service, clerk.company) as other:
            other.post("/uploads", json={"name": "a.txt"})
        stream.next()
        started = time.monotonic()
        own_service.process.terminate()
        stream.rest()
        assert own_service.process.wait(20) == 0
        assert time.monotonic() - started < 20  # the drain has 25


@pytest.mark.slow
def test_a_stream_ends_with_its_key(clerk: Office) -> None:
    [mine] = clerk.service.desk.ask(lambda s: s.administration.keys(operator(clerk.company)))
    with follow(clerk.client) as stream:
        clerk.service.desk.ask(lambda s: s.administration.revoke_key(operator(clerk.company), mine.id))
        started = time.monotonic()
        stream.rest()
    assert time.monotonic() - started < 60
