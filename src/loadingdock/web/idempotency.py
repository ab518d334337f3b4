"""Requests that may be repeated: `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07).

A key belongs to the company. It is held as soon as a request comes with it, before its body is read, so that of two
at once the second is told so (RequestInProgress) rather than worked on. Only when the body is there is it known
what the key stands for: for a stream the digest of its bytes, which cost a full receipt to find out. So an answered
key's repetition is received as well, and its bytes dropped, before it is answered again or refused (KeyReused);
that is what a repetition costs, and the reason why repeating an upload is safe.

Kept are successes. A failure lets the key go: nothing happened, so the repetition is worked on anew, and its client
may have put right what was wrong. A process that dies lets go of its keys when their hold has run out.

What is kept may hold a secret that is shown once, such as a new API key. It lies sealed under a key made of the
client's own, of which the records have only a digest: who has the database has not the answers, as long as clients
choose keys that cannot be guessed, as the draft asks of them.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from starlette.requests import Request
from starlette.responses import Response

from loadingdock.core.errors import InvalidInput, KeyReused, NotFound, RequestInProgress, Unavailable
from loadingdock.core.model.identity import Principal
from loadingdock.core.model.journal import StoredResponse
from loadingdock.core.ports.clock import Clock
from loadingdock.core.ports.records import Records, Unit
from loadingdock.web.services import Services

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
HOLD = timedelta(minutes=1)  # renewed while the request is worked on; what a dead process leaves behind ends with it

_KEY = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)
_KEPT_HEADERS = ("content-type", "location")
_DIGEST = hashlib.sha256().digest_size
_NONCE = 12  # bytes, as AES-GCM wants it


@dataclass(frozen=True, slots=True)
class _Slot:
    """Where a key's answer is kept, and what opens it."""

    name: str
    cipher: AESGCM

    @classmethod
    def of(cls, key: str) -> _Slot:
        raw = key.encode()
        opener = hashlib.sha256(b"loadingdock answer\0" + raw).digest()
        return cls(hashlib.sha256(b"loadingdock slot\0" + raw).hexdigest(), AESGCM(opener))

    def seal(self, content: bytes, body: bytes) -> bytes:
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self.cipher.encrypt(nonce, content + body, None)

    def unseal(self, sealed: bytes) -> tuple[bytes, bytes]:
        """(digest of the content it answers, body)"""
        opened = self.cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], None)
        return opened[:_DIGEST], opened[_DIGEST:]


class Attempt:
    """One request under a key, or under none: then nothing is held and nothing kept."""

    def __init__(self, records: Records, company_id: int, slot: _Slot | None, hold: str, stored: StoredResponse | None):
        self._records = records
        self._company_id = company_id
        self._slot = slot
        self._hold = hold
        self._stored = stored
        self._content = b""
        self._held = slot is not None and stored is None
        self._writing = asyncio.Lock()

    def replay(self, *content: bytes) -> Response | None:
        """The answer given before to the same content; None if this is the first time. Raises KeyReused if the key
        stands for other content. Call it once the content is known and before anything is done with it."""
        digest = hashlib.sha256()
        for piece in content:
            digest.update(len(piece).to_bytes(8, "big") + piece)
        self._content = digest.digest()
        if self._slot is None or self._stored is None:
            return None
        answered, body = self._slot.unseal(self._stored.body)
        if answered != self._content:
            raise KeyReused
        assert self._stored.status is not None
        return Response(body, self._stored.status, headers={**self._stored.headers, REPLAYED: "true"})

    async def keep(self, response: Response) -> Response:
        """Keeps a success for repetitions. The response is returned as it is."""
        if self._slot is None or not self._held or response.status_code >= 300:
            return response
        headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
        name, body = self._slot.name, self._slot.seal(self._content, bytes(response.body))
        async with self._writing:
            self._held = False
            answer = StoredResponse(self._hold, response.status_code, headers, body)

            async def work(unit: Unit) -> None:
                await unit.idempotency.finish(name, answer)

            # Without its hold (this process stood still for so long that another request has the key) or without
            # its records the deed is done all the same, and that is what the client has to hear.
            with suppress(NotFound, Unavailable):
                await self._records.write(self._company_id, work)
        return response

    async def renew(self, clock: Clock) -> None:
        """Keeps the hold for as long as the request is worked on, however long its body takes."""
        assert self._slot is not None
        name, target = self._slot.name, self._hold.split()[0]
        while self._held:
            await asyncio.sleep(HOLD.total_seconds() / 3)
            async with self._writing:
                if not self._held:
                    return
                now = clock.now()
                held, fresh = self._hold, _held(target, now)

                async def work(unit: Unit, held: str = held, fresh: str = fresh, now: datetime = now) -> bool:
                    found = await unit.idempotency.begin(name, fresh, now)
                    if found is None:
                        return True
                    if found.fingerprint != held:
                        return False
                    await unit.idempotency.release(name)
                    return await unit.idempotency.begin(name, fresh, now) is None

                with suppress(Unavailable):
                    self._held = await self._records.write(self._company_id, work)
                    self._hold = fresh

    async def let_go(self) -> None:
        if self._slot is None:
            return
        name = self._slot.name

        async def work(unit: Unit) -> None:
            await unit.idempotency.release(name)

        async with self._writing:
            if not self._held:
                return
            self._held = False
            with suppress(Unavailable):  # then it goes when its time is up
                await self._records.write(self._company_id, work)


@asynccontextmanager
async def attempt(services: Services, principal: Principal, request: Request) -> AsyncIterator[Attempt]:
    """Holds the request's key for as long as the block runs, and lets it go at its end unless an answer was kept.
    Raises InvalidInput for what is no key, RequestInProgress, and KeyReused for one of another method, path or
    query."""
    key = _key(request)
    if key is None:
        yield Attempt(services.records, principal.company.id, None, "", None)
        return
    slot = _Slot.of(key)
    held, stored = await _hold(services.records, services.clock, principal.company.id, slot, _target(request))
    attempted = Attempt(services.records, principal.company.id, slot, held, stored)
    renewal = asyncio.create_task(attempted.renew(services.clock))
    try:
        yield attempted
    finally:
        await attempted.let_go()
        renewal.cancel()


async def once(
    services: Services, principal: Principal, request: Request, content: bytes, act: Callable[[], Awaitable[Response]]
) -> Response:
    """The whole of it for a request whose content is small enough to be there already."""
    async with attempt(services, principal, request) as attempted:
        return attempted.replay(content) or await attempted.keep(await act())


def _key(request: Request) -> str | None:
    values = request.headers.getlist(HEADER)
    if not values:
        return None
    # The draft makes it a structured field's string, in quotes; most clients send it bare. Both are the same key.
    key = values[0].strip()
    if len(key) > 2 and key.startswith('"') and key.endswith('"'):
        key = key[1:-1]
    if len(values) > 1 or not _KEY.fullmatch(key):
        raise InvalidInput(
            f"{HEADER} must be one value of 1 to 255 printable ASCII characters without spaces, such as a UUID.",
            field=HEADER,
        )
    return key


def _target(request: Request) -> str:
    scope = request.scope
    parts = (scope["method"].encode(), scope["path"].encode("utf-8", "surrogatepass"), scope["query_string"])
    return hashlib.sha256(b"\n".join(parts)).hexdigest()


async def _hold(
    records: Records, clock: Clock, company_id: int, slot: _Slot, target: str
) -> tuple[str, StoredResponse | None]:
    """(what the key is held as, None) or (..., what was answered)."""
    now = clock.now()
    held = _held(target, now)

    async def work(unit: Unit) -> StoredResponse | None:
        found = await unit.idempotency.begin(slot.name, held, now)
        if found is not None and found.status is None and _end(found.fingerprint) <= now:
            await unit.idempotency.release(slot.name)
            return await unit.idempotency.begin(slot.name, held, now)
        return found

    found = await records.write(company_id, work)
    if found is None:
        return held, None
    if found.fingerprint.split()[0] != target:
        raise KeyReused
    if found.status is None:
        raise RequestInProgress
    return found.fingerprint, found


def _held(target: str, now: datetime) -> str:
    """What a key is held as: the request's target, the hold's end, and a nonce, so that a late holder cannot answer
    for the next one."""
    return f"{target} {(now + HOLD).isoformat()} {secrets.token_hex(8)}"


def _end(held: str) -> datetime:
    return datetime.fromisoformat(held.split()[1])
