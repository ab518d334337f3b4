"""Delivers callbacks: one attempt a run of the job, until the receiver has taken it or its time is over.

Signed as Standard Webhooks says (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
A receiver may get a callback more than once, as when the worker dies between the receiver's answer and our commit; it
knows it again by its `webhook-id`, which is the same in every attempt.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from loadingdock.core.audit import entry
from loadingdock.core.callbacks import masked
from loadingdock.core.model.callbacks import Attempt, Callback, CallbackSecret, CallbackState
from loadingdock.core.model.companies import Company
from loadingdock.core.model.identity import Principal, PrincipalKind
from loadingdock.core.model.jobs import Job
from loadingdock.core.ports.callbacks import Answer, CallbackSender
from loadingdock.core.ports.clock import Clock
from loadingdock.core.ports.records import Records, Unit
from loadingdock.core.processing import Delayed, Lost, backoff

log = logging.getLogger(__name__)

LONGEST = timedelta(hours=6)  # between two attempts, also where the receiver asks for more
_FIRST = 5.0  # seconds
_GONE = 410
_ASKS_FOR_TIME = frozenset({429, 503})


def sign(secret: bytes, id: str, at: datetime, body: bytes) -> str:
    """One signature: `v1,` and HMAC-SHA256 of id, seconds since 1970 and the exact bytes, with dots between."""
    signed = f"{id}.{int(at.timestamp())}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()


def headers(callback: Callback, secrets: Sequence[CallbackSecret], at: datetime) -> dict[str, str]:
    """A signature for each secret that is valid, newest first: a receiver looks for one that it can verify."""
    return {
        "content-type": "application/json",
        "webhook-id": callback.id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(sign(each.secret, callback.id, at, callback.body) for each in secrets),
    }


def pause(tries: int, jitter: float, asked: timedelta | None = None) -> timedelta:
    """What lies between the attempt of that number, counted from 1, and the next: up to 5 s, 10 s, 20 s and so on to 6
    hours, half of it at least; or what the receiver asked for, if that is longer, but 6 hours at most."""
    ours = backoff(tries - 1, jitter, base=_FIRST, cap=LONGEST.total_seconds())
    return ours if asked is None else max(ours, min(asked, LONGEST))


class Delivery:
    """`told` hears of each attempt what came of it, in a word, and how many seconds it took."""

    def __init__(
        self,
        records: Records,
        sender: CallbackSender,
        clock: Clock,
        told: Callable[[str, float], None],
    ) -> None:
        self._records = records
        self._sender = sender
        self._clock = clock
        self._told = told

    async def run(self, job: Job) -> None:
        """Raises Delayed until the next attempt, or Lost."""
        owed = await self._owed(job)
        if owed is None:  # forgotten, delivered by an attempt whose last word was lost, or being sent anew
            return
        callback, secrets, company = owed
        at = self._clock.now()
        if callback.next_at is not None and at < callback.next_at:
            raise Delayed("its next attempt is later", until=callback.next_at)
        signing = [secret for secret in secrets if secret.valid(at)]
        answer = await self._sender.post(callback.url, headers(callback, signing, at), callback.body)
        outcome = _outcome(answer)
        self._told(outcome, answer.took.total_seconds())
        attempt = Attempt(callback.attempts + 1, at, answer.took, answer.status, _error(outcome, answer))
        log.info(
            "callback %s, attempt %d: %s %s to %s",
            callback.id,
            attempt.number,
            outcome,
            "-" if answer.status is None else answer.status,
            masked(callback.url),
        )
        state, next_at = self._judge(callback, answer, outcome)
        if await self._write(job, company, attempt, state, next_at) and next_at is not None:
            raise Delayed(attempt.error or outcome, until=next_at)

    async def _owed(self, job: Job) -> tuple[Callback, tuple[CallbackSecret, ...], Company] | None:
        async def work(unit: Unit) -> tuple[Callback | None, tuple[CallbackSecret, ...], Company | None]:
            found = await unit.callbacks.get(job.subject)
            return found, await unit.callbacks.secrets(), await unit.companies.by_id(job.company_id)

        callback, secrets, company = await self._records.read(job.company_id, work)
        if callback is None or company is None or not _of_round(callback, job):
            return None
        return callback, secrets, company

    def _judge(self, callback: Callback, answer: Answer, outcome: str) -> tuple[CallbackState, datetime | None]:
        """(the state from now on, the time of the next attempt)"""
        if outcome == "delivered":
            return CallbackState.DELIVERED, None
        if outcome == "gone":
            return CallbackState.GONE, None
        now = self._clock.now()
        if now >= callback.give_up_at:
            return CallbackState.FAILED, None
        asked = answer.retry_after if answer.status in _ASKS_FOR_TIME else None
        next_at = now + pause(callback.tries + 1, random.random(), asked)  # noqa: S311 - jitter
        return CallbackState.PENDING, min(next_at, callback.give_up_at)

    async def _write(
        self, job: Job, company: Company, attempt: Attempt, state: CallbackState, next_at: datetime | None
    ) -> bool:
        """Whether this round is still the one under way. An attempt of one that was replaced meanwhile happened all the
        same."""
        now = self._clock.now()

        async def work(unit: Unit) -> bool:
            if not await unit.jobs.holds(job):
                raise Lost
            callback = await unit.callbacks.get(job.subject)
            if callback is None:
                return False
            numbered = replace(attempt, number=callback.attempts + 1)
            if not _of_round(callback, job):
                await unit.callbacks.save(replace(callback, attempts=numbered.number), numbered)
                return False
            ended = state is not CallbackState.PENDING
            await unit.callbacks.save(
                replace(
                    callback,
                    state=state,
                    tries=callback.tries + 1,
                    attempts=numbered.number,
                    next_at=next_at,
                    ended_at=now if ended else None,
                ),
                numbered,
            )
            if ended:
                await _tell(unit, company, callback, state, numbered, now)
            return True

        return await self._records.write(company.id, work)


def _of_round(callback: Callback, job: Job) -> bool:
    return callback.state is CallbackState.PENDING and callback.round == job.payload.get("round")


def _outcome(answer: Answer) -> str:
    match answer.status:
        case None:
            return answer.fault or "unreachable"
        case status if 200 <= status < 300:
            return "delivered"
        case status if 300 <= status < 400:
            return "redirect"
        case status if status == _GONE:
            return "gone"
        case _:
            return "status"


def _error(outcome: str, answer: Answer) -> str | None:
    match outcome:
        case "delivered":
            return None
        case "redirect":
            return f"The receiver answered {answer.status}: redirects are not followed, so give the URL itself."
        case "gone":
            return "The receiver answered 410: it does not want it any more."
        case "status":
            return f"The receiver answered {answer.status}; any 2xx takes it."
        case _:
            return answer.error


async def _tell(
    unit: Unit, company: Company, callback: Callback, state: CallbackState, last: Attempt, now: datetime
) -> None:
    data = {"event": callback.event, "subject": callback.subject, "attempts": last.number}
    await unit.events.add(now, f"callback.{state.value}", callback.id, data)
    worker = Principal(company, PrincipalKind.SYSTEM, "worker", frozenset())
    detail = f"{callback.event} {callback.subject}, {last.number} attempts"
    await unit.audit.add(entry(worker, "callback", callback.id, state.value, now, detail))
