"""Callbacks from their submission to their end: real records, real HTTP to a receiver on loopback, time set by hand."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from loadingdock.adapters.outbound import HttpSender, Rules
from loadingdock.adapters.records.sqlite import SqliteRecords
from loadingdock.core.administration import operator
from loadingdock.core.callbacks import JOB, KEPT, LIFE, OVERLAP, Callbacks, masked, payload
from loadingdock.core.delivery import LONGEST, Delivery, headers, pause, sign
from loadingdock.core.errors import Forbidden, InvalidInput, NotFound
from loadingdock.core.model.callbacks import Attempt, Callback, CallbackSecret, CallbackState
from loadingdock.core.model.companies import Company
from loadingdock.core.model.identity import Principal, PrincipalKind
from loadingdock.core.model.jobs import Job
from loadingdock.core.ports.records import Unit
from loadingdock.core.processing import Delayed, Lost
from loadingdock.testing.clock import SetClock
from loadingdock.testing.records.store import HOUR, MINUTE, SECOND
from tests import sqlite
from tests.receiver import Received, Receiver, hangs, resets, says, sends

BODY = payload({"fileName": "s3://contactsfile/3233/Cöntacts.csv", "result": "FINISHED", "lineCount": 7832})


class Desk:
    """An installation with one company, and a worker whose time is the test's."""

    def __init__(self, records: SqliteRecords, company: Company, timeout: float = 30.0) -> None:
        # By the true time, which receivers compare timestamps with.
        self.clock = SetClock(datetime.now(UTC))
        self.records = records
        self.company = company
        self.sender = HttpSender(Rules.of(["127.0.0.1/32"], ["443"]), self.clock, timeout=timeout)
        self.callbacks = Callbacks(records, self.sender, self.clock)
        self.outcomes: list[str] = []
        self.delivery = Delivery(records, self.sender, self.clock, lambda outcome, _: self.outcomes.append(outcome))
        self.by = operator(company)

    async def submit(self, url: str, **fields: Any) -> Callback:
        async def work(unit: Unit) -> Callback:
            return await self.callbacks.submit(unit, self.company, url, "import.finished", BODY, "9876")

        return await self.records.write(self.company.id, work)

    async def claim(self, worker: str = "worker", lease: timedelta = HOUR) -> Job | None:
        now = self.clock.now()
        jobs = await self.records.jobs.claim(worker, lease=lease, limit=1, cap=9, now=now, kinds=[JOB])
        return jobs[0] if jobs else None

    async def work(self) -> int:
        """Whatever is due, as a worker does it; how many jobs."""
        count = 0
        while job := await self.claim():
            count += 1
            if (until := await self.attempt(job)) is None:
                assert await self.records.jobs.finish(job, self.clock.now())
            else:
                assert await self.records.jobs.retry(job, run_at=until, error="", counts=False)
        return count

    async def attempt(self, job: Job) -> datetime | None:
        """When the job wants to be run again."""
        try:
            await self.delivery.run(job)
        except Delayed as delay:
            return delay.until
        return None

    async def get(self, callback: Callback) -> tuple[Callback, tuple[Attempt, ...]]:
        return await self.callbacks.get(self.by, callback.id)

    async def to_the_end(self, callback: Callback) -> tuple[Callback, tuple[Attempt, ...]]:
        """Each attempt as soon as it is due."""
        await self.work()
        while (found := (await self.get(callback))[0]).state is CallbackState.PENDING:
            assert found.next_at is not None
            self.clock.advance(found.next_at - self.clock.now())
            assert await self.work() == 1
        return await self.get(callback)

    async def told(self) -> list[str]:
        events = await self.records.read(self.company.id, lambda unit: unit.events.after(0, limit=100))
        return [event.kind for event in events]

    async def audited(self) -> list[tuple[str, str]]:
        page = await self.records.read(self.company.id, lambda unit: unit.audit.list(limit=100))
        return [(entry.action, entry.outcome) for entry in page.items]

    async def secret(self) -> str:
        return (await self.callbacks.rotate_secret(self.by)).text


@pytest.fixture
async def records(tmp_path: Path) -> AsyncIterator[SqliteRecords]:
    opened = sqlite.opened(tmp_path / "records.sqlite3")
    yield opened
    await opened.close()


@pytest.fixture
async def desk(records: SqliteRecords) -> Desk:
    now = datetime.now(UTC)
    company = await records.write(None, lambda unit: unit.companies.add("acme", "Acme", 123456, now))
    return Desk(records, company)


# --- the signature ---


def verified(received: Received, secret: str) -> Any:
    """By the reference implementation; raises if it does not hold."""
    return Webhook(secret).verify(received.body, received.headers)


@pytest.mark.security(30)
async def test_the_reference_verifies_what_was_sent(desk: Desk) -> None:
    secret = await desk.secret()
    with Receiver() as receiver:
        callback = await desk.submit(receiver.url())
        await desk.work()
        (got,) = receiver.received
    assert got.body == BODY
    assert got.headers["content-type"] == "application/json"
    assert got.headers["webhook-id"] == callback.id
    assert verified(got, secret) == json.loads(BODY)
    for changed in (
        replace(got, body=got.body + b" "),
        replace(got, headers={**got.headers, "webhook-id": "another"}),
        replace(got, headers={**got.headers, "webhook-timestamp": str(int(got.headers["webhook-timestamp"]) + 1)}),
    ):
        with pytest.raises(WebhookVerificationError):
            verified(changed, secret)


@pytest.mark.security(30)
@given(st.binary(min_size=24, max_size=64), st.text(), st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)))
def test_signatures_are_those_of_the_reference(secret: bytes, text: str, at: datetime) -> None:
    body = text.encode("utf-8", "replace")
    reference = Webhook(secret).sign("msg_1", at.replace(tzinfo=UTC), body.decode())
    assert sign(secret, "msg_1", at.replace(tzinfo=UTC), body) == reference


@pytest.mark.security(30)
def test_signatures_are_those_of_the_specification() -> None:
    """The example in its text. https://www.standardwebhooks.com"""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    at = datetime.fromtimestamp(1614265330, UTC)
    signature = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.security(30)
async def test_two_secrets_are_valid_while_receivers_change(desk: Desk) -> None:
    first = await desk.secret()
    new = await desk.callbacks.rotate_secret(desk.by)
    assert new.others_until == desk.clock.now() + OVERLAP
    with Receiver() as receiver:
        await desk.submit(receiver.url())
        await desk.work()
        for secret in (first, new.text):
            verified(receiver.received[-1], secret)
        assert len(receiver.received[-1].headers["webhook-signature"].split()) == 2
        desk.clock.advance(OVERLAP)
        await desk.submit(receiver.url())
        await desk.work()
        assert len(receiver.received[-1].headers["webhook-signature"].split()) == 1
    assert [secret.id for secret in await desk.callbacks.secrets(desk.by)] == [new.secret.id]


async def test_callbacks_are_signed_before_anybody_asked_for_a_secret(desk: Desk) -> None:
    with Receiver() as receiver:
        for _ in range(2):
            await desk.submit(receiver.url())
        await desk.work()
        first = await desk.callbacks.secrets(desk.by)
        assert len(first) == 1
        callback = await desk.submit(receiver.url())
        known = await desk.secret()
        await desk.work()
        verified(receiver.received[-1], known)
    assert callback.id == receiver.received[-1].headers["webhook-id"]


@pytest.mark.security(26)
async def test_secrets_are_not_shown_by_accident(desk: Desk) -> None:
    new = await desk.callbacks.rotate_secret(desk.by)
    assert new.text not in repr(new.secret)
    assert repr(new.secret.secret) not in repr(await desk.callbacks.secrets(desk.by))
    assert "key=hidden" not in repr(await desk.submit("https://a.example/?key=hidden"))


# --- attempts ---


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_any_2xx_takes_it(desk: Desk, status: int) -> None:
    with Receiver(says(status)) as receiver:
        callback = await desk.submit(receiver.url())
        assert await desk.work() == 1
        assert await desk.work() == 0
    found, (attempt,) = await desk.get(callback)
    assert (found.state, found.attempts, found.next_at, found.ended_at) == (
        CallbackState.DELIVERED,
        1,
        None,
        desk.clock.now(),
    )
    assert (attempt.number, attempt.status, attempt.error) == (1, status, None)
    assert desk.outcomes == ["delivered"]
    assert await desk.told() == ["callback.delivered"]
    assert ("callback", "delivered") in await desk.audited()


FAULTS: dict[str, tuple[Callable[..., None], str, int | None]] = {
    "500": (says(500), "status", 500),
    "400": (says(400), "status", 400),
    "404": (says(404), "status", 404),
    "429": (says(429), "status", 429),
    "302": (says(302, "Location: /"), "redirect", 302),
    "reset": (resets, "unreachable", None),
    "nothing": (sends(b""), "protocol", None),
    "nonsense": (sends(b"nonsense\r\n\r\n"), "protocol", None),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_whatever_else_is_tried_again_with_the_same_id(desk: Desk, name: str) -> None:
    fault, outcome, status = FAULTS[name]
    secret = await desk.secret()
    with Receiver(fault, fault) as receiver:
        callback = await desk.submit(receiver.url())
        found, attempts = await desk.to_the_end(callback)
        for got in receiver.received[:1]:  # later ones are of a time that is not yet
            verified(got, secret)
        assert {got.headers["webhook-id"] for got in receiver.received} == {callback.id}
        stamps = [int(got.headers["webhook-timestamp"]) for got in receiver.received]
    assert found.state is CallbackState.DELIVERED
    assert [attempt.status for attempt in attempts] == [status, status, 204]
    assert [attempt.number for attempt in attempts] == [1, 2, 3]
    assert stamps == [int(attempt.at.timestamp()) for attempt in attempts]
    assert desk.outcomes == [outcome, outcome, "delivered"]
    assert all(attempt.error for attempt in attempts[:2])
    assert await desk.told() == ["callback.delivered"]


async def test_who_hangs_is_tried_again(records: SqliteRecords, desk: Desk) -> None:
    impatient = Desk(records, desk.company, timeout=0.5)
    with Receiver(hangs) as receiver:
        callback = await impatient.submit(receiver.url())
        found, attempts = await impatient.to_the_end(callback)
    assert found.state is CallbackState.DELIVERED
    assert [attempt.error for attempt in attempts] == ["There was no answer in time.", None]
    assert attempts[0].took >= timedelta(seconds=0.5)


async def test_gone_is_the_end(desk: Desk) -> None:
    with Receiver(says(410)) as receiver:
        callback = await desk.submit(receiver.url())
        assert await desk.work() == 1
        desk.clock.advance(LIFE)
        assert await desk.work() == 0
        assert len(receiver.received) == 1
    found, (attempt,) = await desk.get(callback)
    assert (found.state, found.next_at) == (CallbackState.GONE, None)
    assert attempt.error == "The receiver answered 410: it does not want it any more."
    assert await desk.told() == ["callback.gone"]


async def test_three_days_and_then_no_more(desk: Desk) -> None:
    begun = desk.clock.now()
    with Receiver(*[says(500)] * 100) as receiver:
        callback = await desk.submit(receiver.url())
        found, attempts = await desk.to_the_end(callback)
        assert len(receiver.received) == len(attempts) == found.attempts
    assert found.state is CallbackState.FAILED
    assert attempts[-1].at == begun + LIFE
    assert found.ended_at == desk.clock.now() == begun + LIFE
    waits = [later.at - earlier.at for earlier, later in itertools.pairwise(attempts)]
    assert waits[0] <= 5 * SECOND
    assert max(waits) <= LONGEST
    assert 20 <= len(attempts) <= 40
    assert await desk.told() == ["callback.failed"]
    assert ("callback", "failed") in await desk.audited()


@given(st.integers(1, 60), st.floats(0, 1, exclude_max=True), st.none() | st.timedeltas(timedelta(), 90 * LONGEST))
def test_pauses_grow_and_end(tries: int, jitter: float, asked: timedelta | None) -> None:
    ours = pause(tries, jitter)
    whole = min(LONGEST, 5 * SECOND * 2 ** min(tries - 1, 16))
    assert whole / 2 <= ours <= whole
    assert pause(tries, jitter, asked) == max(ours, min(asked or timedelta(), LONGEST))


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("asked", "given"), [(3600, HOUR), (10**6, LONGEST)])
async def test_who_asks_for_time_gets_it(desk: Desk, status: int, asked: int, given: timedelta) -> None:
    with Receiver(says(status, f"Retry-After: {asked}")) as receiver:
        callback = await desk.submit(receiver.url())
        await desk.work()
    found, _ = await desk.get(callback)
    assert found.next_at == desk.clock.now() + given


async def test_others_do_not(desk: Desk) -> None:
    with Receiver(says(500, "Retry-After: 3600")) as receiver:
        callback = await desk.submit(receiver.url())
        await desk.work()
    found, _ = await desk.get(callback)
    assert found.next_at is not None
    assert found.next_at <= desk.clock.now() + 5 * SECOND


async def test_a_url_that_became_inner_is_not_reached(desk: Desk) -> None:
    with Receiver(host="127.0.0.2") as receiver:
        callback = await desk.submit(receiver.url())
        await desk.work()
        assert receiver.received == []
    found, (attempt,) = await desk.get(callback)
    assert found.state is CallbackState.PENDING
    assert attempt.error is not None
    assert attempt.error.startswith("The URL cannot be used: 127.0.0.2 is not public")


# --- workers that die, and those that are late ---


async def test_a_worker_that_dies_after_the_answer_delivers_again(desk: Desk) -> None:
    """Between the receiver's answer and our commit: at least once, under one id."""
    with Receiver() as receiver:
        callback = await desk.submit(receiver.url())
        job = await desk.claim(lease=MINUTE)
        assert job is not None
        answer = await desk.sender.post(callback.url, headers(callback, [], desk.clock.now()), callback.body)
        assert answer.status == 204
        desk.clock.advance(MINUTE)  # and nothing more is heard of it
        assert await desk.work() == 1
        assert [got.headers["webhook-id"] for got in receiver.received] == [callback.id] * 2
    found, attempts = await desk.get(callback)
    assert (found.state, len(attempts)) == (CallbackState.DELIVERED, 1)


async def test_a_worker_that_dies_after_the_commit_sends_no_more(desk: Desk) -> None:
    for answers, state in (([], CallbackState.DELIVERED), ([says(500)], CallbackState.PENDING)):
        with Receiver(*answers) as receiver:
            callback = await desk.submit(receiver.url())
            job = await desk.claim(lease=SECOND)
            assert job is not None
            due = await desk.attempt(job)
            desk.clock.advance(SECOND)
            assert await desk.work() == 1
            assert len(receiver.received) == 1
            assert (await desk.get(callback))[0].state is state
    assert due is not None
    assert due > desk.clock.now()


async def test_a_worker_past_its_lease_changes_nothing(desk: Desk) -> None:
    with Receiver(says(500), says(200)) as receiver:
        callback = await desk.submit(receiver.url())
        late = await desk.claim("late", lease=SECOND)
        assert late is not None
        desk.clock.advance(SECOND)
        job = await desk.claim("next")
        assert job is not None
        with pytest.raises(Lost):
            await desk.delivery.run(late)  # which gets the 500
        assert (await desk.get(callback))[1] == ()
        await desk.delivery.run(job)
        assert len(receiver.received) == 2
    found, attempts = await desk.get(callback)
    assert found.state is CallbackState.DELIVERED
    assert [attempt.status for attempt in attempts] == [200]


async def test_what_is_not_committed_is_not_owed(desk: Desk) -> None:
    async def work(unit: Unit) -> None:
        await desk.callbacks.submit(unit, desk.company, "https://a.example/", "import.finished", BODY, "1")
        raise NotFound("table")

    with pytest.raises(NotFound):
        await desk.records.write(desk.company.id, work)
    assert (await desk.callbacks.list(desk.by, limit=9)).items == ()
    assert await desk.work() == 0


# --- replay ---


async def test_a_replay_has_the_same_id_and_three_more_days(desk: Desk) -> None:
    with Receiver(*[says(500)] * 100) as receiver:
        callback = await desk.submit(receiver.url())
        found, before = await desk.to_the_end(callback)
        assert found.state is CallbackState.FAILED
        desk.clock.advance(30 * LIFE)
        again = await desk.callbacks.replay(desk.by, callback.id)
        assert (again.state, again.give_up_at) == (CallbackState.PENDING, desk.clock.now() + LIFE)
        await desk.work()
        receiver.answers.clear()
        found, attempts = await desk.to_the_end(callback)
        assert {got.headers["webhook-id"] for got in receiver.received} == {callback.id}
    assert found.state is CallbackState.DELIVERED
    assert len(attempts) == len(before) + 2
    waits = attempts[-1].at - attempts[-2].at
    assert waits <= 5 * SECOND  # it begins anew
    assert await desk.told() == ["callback.failed", "callback.delivered"]
    assert ("callback.replay", "ok") in await desk.audited()


async def test_a_replay_does_not_wait_for_the_next_attempt(desk: Desk) -> None:
    with Receiver(says(503, "Retry-After: 9999")) as receiver:
        callback = await desk.submit(receiver.url())
        await desk.work()
        await desk.callbacks.replay(desk.by, callback.id)
        assert await desk.work() == 1
        assert (await desk.get(callback))[0].state is CallbackState.DELIVERED
        desk.clock.advance(LONGEST)
        assert await desk.work() == 1  # the round before, which finds that it is over
        assert len(receiver.received) == 2


async def test_a_replay_while_an_attempt_is_under_way(desk: Desk) -> None:
    """That attempt is noted, and decides nothing."""
    with Receiver(says(410), says(200)) as receiver:
        callback = await desk.submit(receiver.url())
        job = await desk.claim()
        assert job is not None
        post = desk.sender.post

        async def replayed_meanwhile(*given: Any) -> Any:
            answer = await post(*given)
            desk.sender.post = post  # type: ignore[method-assign]
            await desk.callbacks.replay(desk.by, callback.id)
            return answer

        desk.sender.post = replayed_meanwhile  # type: ignore[method-assign]
        await desk.delivery.run(job)
        found, attempts = await desk.get(callback)
        assert (found.state, [attempt.status for attempt in attempts]) == (CallbackState.PENDING, [410])
        await desk.work()
        assert len(receiver.received) == 2
    found, attempts = await desk.get(callback)
    assert (found.state, [attempt.status for attempt in attempts]) == (CallbackState.DELIVERED, [410, 200])
    assert [attempt.number for attempt in attempts] == [1, 2]


@pytest.mark.security(25)
async def test_who_may_see_and_replay(desk: Desk) -> None:
    callback = await desk.submit("https://a.example/")
    other = await desk.records.write(None, lambda unit: unit.companies.add("other", "Other", 654321, desk.clock.now()))

    def who(company: Company, *permissions: str) -> Principal:
        return Principal(company, PrincipalKind.KEY, "key", frozenset(permissions))

    reader, loader = who(desk.company, "contacts:read"), who(desk.company, "contacts:load")
    assert (await desk.callbacks.get(reader, callback.id))[0] == callback
    for deed in (
        desk.callbacks.replay(reader, callback.id),
        desk.callbacks.get(loader, callback.id),
        desk.callbacks.list(who(desk.company, "files:read"), limit=9),
        desk.callbacks.rotate_secret(loader),
        desk.callbacks.secrets(reader),
    ):
        with pytest.raises(Forbidden):
            await deed
    assert (await desk.callbacks.list(operator(other), limit=9)).items == ()
    for foreign in (
        desk.callbacks.get(operator(other), callback.id),
        desk.callbacks.replay(operator(other), callback.id),
    ):
        with pytest.raises(NotFound):
            await foreign
    assert (await desk.callbacks.replay(loader, callback.id)).round == 2


# --- the rest ---


async def test_the_backlog_and_its_end(desk: Desk) -> None:
    assert await desk.callbacks.backlog() == (0, 0.0)
    with Receiver(says(500)) as receiver:
        callback = await desk.submit(receiver.url())
        await desk.work()
        desk.clock.advance(MINUTE)
        assert await desk.callbacks.backlog() == (1, 60.0)
        await desk.work()
    assert await desk.callbacks.backlog() == (0, 0.0)
    desk.clock.advance(KEPT)
    assert await desk.callbacks.forget() == 0
    desk.clock.advance(SECOND)
    assert await desk.callbacks.forget() == 1
    with pytest.raises(NotFound):
        await desk.get(callback)


async def test_urls_are_checked_at_submission(desk: Desk) -> None:
    assert await desk.callbacks.check_url("HTTP://127.0.0.1:99") == "http://127.0.0.1:99/"
    with pytest.raises(InvalidInput, match=r"127\.0\.0\.2 is not public"):
        await desk.callbacks.check_url("http://127.0.0.2/")


@pytest.mark.security(30)
@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a.example/hook", "https://a.example/hook"),
        ("https://a.example/?key=s3&x", "https://a.example/?key=***&***"),
        ("https://a.example/?s3#s3", "https://a.example/?***"),
        ("https://a.example/?a=s3=s3&b=&=s3", "https://a.example/?a=***&b=***&=***"),
        ("https://u:s3@a.example/@x?", "https://***@a.example/@x"),
        ("https://s3@u:s3@a.example", "https://***@a.example"),
    ],
)
def test_secrets_in_urls_are_masked(url: str, shown: str) -> None:
    assert masked(url) == shown


@pytest.mark.security(30)
async def test_logs_show_no_secret_of_a_url(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    new = await desk.secret()
    with Receiver(says(500)) as receiver:
        await desk.submit(receiver.url("/hook?pass=hidden-value"))
        await desk.work()
        assert receiver.received[0].target == "/hook?pass=hidden-value"
        signature = receiver.received[0].headers["webhook-signature"]
    ours = "".join(record.getMessage() for record in caplog.records if record.name.startswith("loadingdock"))
    assert "/hook?pass=***" in ours
    for hidden in ("hidden-value", signature.partition(",")[2], new):
        assert hidden not in ours


async def test_deliveries_to_one_slow_receiver_go_side_by_side(desk: Desk) -> None:
    with Receiver() as receiver:
        callbacks = [await desk.submit(receiver.url()) for _ in range(20)]
        await asyncio.gather(*(desk.work() for _ in range(4)))
        assert sorted(got.headers["webhook-id"] for got in receiver.received) == sorted(one.id for one in callbacks)


def test_every_valid_secret_signs() -> None:
    now = datetime.now(UTC)
    secrets = [CallbackSecret(str(n), 1, bytes([n]) * 32, now) for n in range(2)]
    callback = Callback("id", 1, "https://a.example/", "e", "s", b"{}", CallbackState.PENDING, now, now)
    sent = headers(callback, secrets, now)
    assert sent["webhook-signature"].split() == [sign(each.secret, "id", now, b"{}") for each in secrets]
