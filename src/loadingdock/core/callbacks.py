"""Callbacks: what is owed to a URL that a client named, who may see it, and the secrets that sign it.

A callback joins the transaction of what it tells about, and so does the job that delivers it: `core.delivery`.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from loadingdock.core.audit import entry
from loadingdock.core.errors import NotFound
from loadingdock.core.model.callbacks import Attempt, Callback, CallbackSecret, CallbackState
from loadingdock.core.model.companies import Company
from loadingdock.core.model.identity import Principal
from loadingdock.core.model.pages import Page
from loadingdock.core.permissions import ADMIN, permit
from loadingdock.core.ports.callbacks import CallbackSender
from loadingdock.core.ports.clock import Clock
from loadingdock.core.ports.records import Records, Unit

JOB = "callback"
LIFE = timedelta(days=3)  # from the first attempt to the last
OVERLAP = timedelta(hours=24)  # for which a secret is still good once there is a newer one
KEPT = timedelta(days=90)  # after the end of a callback
READ, REPLAY = "contacts:read", "contacts:load"
SECRET_PREFIX = "whsec_"
_SECRET_BYTES = 32  # Standard Webhooks asks for 24 to 64
_USERINFO = re.compile(r"(?<=//)[^/?#]*@")


@dataclass(frozen=True, slots=True)
class NewSecret:
    """`text` is shown this once. `others_until`: receivers that know an older one have until then to change."""

    secret: CallbackSecret
    text: str
    others_until: datetime | None


def payload(message: Mapping[str, Any]) -> bytes:
    """JSON in the one form in which it is kept, signed and sent, its keys in their order."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def masked(url: str) -> str:
    """The URL without what may be secret in it: user and password, the values in its query."""
    base, mark, query = url.partition("#")[0].partition("?")
    base = _USERINFO.sub("***@", base)
    if not query:
        return base
    parts = (part.partition("=") for part in query.split("&"))
    return base + mark + "&".join(f"{name}=***" if equals else "***" for name, equals, _ in parts)


class Callbacks:
    def __init__(self, records: Records, sender: CallbackSender, clock: Clock) -> None:
        self._records = records
        self._sender = sender
        self._clock = clock

    async def check_url(self, url: str) -> str:
        """The URL as `submit` takes it. Raises InvalidInput(field="callback") with a sentence for one that callbacks
        cannot or may not reach. May ask a name server for some seconds, so it belongs before any unit of work."""
        return await self._sender.check(url)

    async def submit(self, unit: Unit, company: Company, url: str, event: str, body: bytes, subject: str) -> Callback:
        """Owed from the unit's commit on, in the unit of the company; `body` is JSON, and its bytes are what is signed.
        The URL is judged again at every connection."""
        now = self._clock.now()
        if not any(secret.valid(now) for secret in await unit.callbacks.secrets()):
            await unit.callbacks.add_secret(_fresh(company, now), others_until=now)
        callback = Callback(
            id=str(uuid.uuid4()),
            company_id=company.id,
            url=url,
            event=event,
            subject=subject,
            body=body,
            state=CallbackState.PENDING,
            created_at=now,
            give_up_at=now + LIFE,
            next_at=now,
        )
        await unit.callbacks.add(callback)
        await unit.jobs.enqueue(JOB, callback.id, {"round": callback.round}, at=now)
        return callback

    async def list(
        self,
        principal: Principal,
        *,
        limit: int,
        cursor: str | None = None,
        state: CallbackState | None = None,
        subject: str | None = None,
    ) -> Page[Callback]:
        """Newest first. Raises Forbidden, and InvalidInput for a cursor of another list."""
        permit(principal, READ)

        async def work(unit: Unit) -> Page[Callback]:
            return await unit.callbacks.list(limit=limit, cursor=cursor, state=state, subject=subject)

        return await self._records.read(principal.company.id, work)

    async def get(self, principal: Principal, id: str) -> tuple[Callback, tuple[Attempt, ...]]:
        """With its attempts, oldest first. Raises Forbidden, NotFound("callback")."""
        permit(principal, READ)

        async def work(unit: Unit) -> tuple[Callback | None, tuple[Attempt, ...]]:
            return await unit.callbacks.get(id), await unit.callbacks.attempts(id)

        callback, attempts = await self._records.read(principal.company.id, work)
        if callback is None:
            raise NotFound("callback")
        return callback, attempts

    async def replay(self, principal: Principal, id: str) -> Callback:
        """Sends it now, whatever became of it, under the id that it had, and for three more days if that fails. A round
        under way ends with its next attempt. Raises Forbidden, NotFound("callback")."""
        permit(principal, REPLAY)
        now = self._clock.now()

        async def work(unit: Unit) -> Callback:
            known = await unit.callbacks.get(id)
            if known is None:
                raise NotFound("callback")
            again = replace(
                known,
                state=CallbackState.PENDING,
                round=known.round + 1,
                tries=0,
                next_at=now,
                give_up_at=now + LIFE,
                ended_at=None,
            )
            await unit.callbacks.save(again)
            await unit.jobs.enqueue(JOB, id, {"round": again.round}, at=now)
            await unit.audit.add(entry(principal, "callback.replay", id, "ok", now))
            return again

        return await self._records.write(principal.company.id, work)

    # --- secrets ---------------------------------------------------------------------------------

    async def rotate_secret(self, principal: Principal) -> NewSecret:
        """A new secret of 256 random bits. For 24 hours callbacks are signed with the older one too. Raises
        Forbidden."""
        permit(principal, ADMIN)
        now = self._clock.now()
        fresh = _fresh(principal.company, now)

        async def work(unit: Unit) -> int:
            others = await unit.callbacks.add_secret(fresh, others_until=now + OVERLAP)
            await unit.audit.add(entry(principal, "callback.secret", fresh.id, "ok", now))
            return others

        others = await self._records.write(principal.company.id, work)
        text = SECRET_PREFIX + base64.b64encode(fresh.secret).decode()
        return NewSecret(fresh, text, now + OVERLAP if others else None)

    async def secrets(self, principal: Principal) -> tuple[CallbackSecret, ...]:
        """Those that sign now, newest first; not to be shown themselves. Raises Forbidden."""
        permit(principal, ADMIN)
        now = self._clock.now()

        async def work(unit: Unit) -> tuple[CallbackSecret, ...]:
            return await unit.callbacks.secrets()

        known = await self._records.read(principal.company.id, work)
        return tuple(secret for secret in known if secret.valid(now))

    # --- of the installation ---------------------------------------------------------------------

    async def backlog(self) -> tuple[int, float]:
        """(callbacks neither delivered nor given up, age of the oldest of them in seconds)"""

        async def work(unit: Unit) -> tuple[int, datetime | None]:
            return await unit.housekeeping.pending_callbacks()

        count, since = await self._records.read(None, work)
        return count, 0.0 if since is None else max(0.0, (self._clock.now() - since).total_seconds())

    async def forget(self) -> int:
        """Removes those that ended long ago, with their attempts."""
        before = self._clock.now() - KEPT

        async def work(unit: Unit) -> int:
            return await unit.housekeeping.forget_callbacks(before)

        count = 0
        while forgotten := await self._records.write(None, work):
            count += forgotten
        return count


def _fresh(company: Company, now: datetime) -> CallbackSecret:
    return CallbackSecret(secrets.token_hex(16), company.id, secrets.token_bytes(_SECRET_BYTES), now)
