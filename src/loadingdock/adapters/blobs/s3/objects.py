"""Whole objects: put, read, looked at, listed and deleted, through obstore."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any

import obstore
from obstore.store import S3Store

from loadingdock.adapters.blobs.observing import Observe
from loadingdock.adapters.blobs.s3.place import Place, Provider
from loadingdock.adapters.blobs.s3.troubles import NoSuchRange, store_errors
from loadingdock.core.errors import NotFound, Unavailable

PIECE = 1 << 20
_AHEAD = 16 << 20  # bytes that all readers together are given at once
_LEAST = 64 << 10
_RESUMED = 3  # times that a read goes on where a broken connection left it
_RENEWED = timedelta(minutes=5)
_LISTED = 1000  # as many as S3 puts on a page
_PATIENT = "24h"  # for the whole of a request: a reader may be as slow as its client; silence is what `timeout` ends


class Objects:
    """Names are those behind the place's prefix."""

    def __init__(self, place: Place, keys: Provider, observe: Observe) -> None:
        self._place = place
        self._keys = keys
        self._observe = observe
        self._store = _store(place, keys)
        self._readers = 0

    async def put(self, name: str, data: bytes) -> None:
        started = time.perf_counter()
        with store_errors(self._place, "s3:PutObject"):
            await obstore.put_async(self._store, name, data, use_multipart=False)
        self._observe("s3:PutObject", time.perf_counter() - started)

    async def head(self, name: str) -> int | None:
        started = time.perf_counter()
        try:
            with store_errors(self._place, "s3:GetObject"):
                return (await obstore.head_async(self._store, name))["size"]
        except NotFound:
            return None
        finally:
            self._observe("s3:HeadObject", time.perf_counter() - started)

    async def read(self, name: str, start: int, length: int | None) -> AsyncGenerator[bytes, None]:
        """Goes on by itself where the connection broke: a slow reader outlives many of them."""
        at, end = start, None if length is None else start + length
        broken = 0
        self._readers += 1
        try:
            while True:
                before = at
                try:
                    async with aclosing(self._stream(name, at, end)) as pieces:
                        async for piece in pieces:
                            at += len(piece)
                            yield piece
                    return
                except NoSuchRange:
                    if await self.head(name) is None:
                        raise NotFound("blob") from None
                    return
                except Unavailable:
                    broken = 1 if at > before else broken + 1
                    if broken > _RESUMED:
                        raise
        finally:
            self._readers -= 1

    async def _stream(self, name: str, start: int, end: int | None) -> AsyncGenerator[bytes, None]:
        if end is not None and end <= start:
            raise NoSuchRange
        started = time.perf_counter()
        part: dict[str, Any] = (
            {} if (start, end) == (0, None) else {"range": (start, end) if end else {"offset": start}}
        )
        with store_errors(self._place, "s3:GetObject"):
            answer = await obstore.get_async(self._store, name, options=part or None)  # type: ignore[arg-type]  # a TypedDict's key
        self._observe("s3:GetObject", time.perf_counter() - started)
        # Pieces of slow readers wait in memory; the more there are, the smaller they get.
        stream = answer.stream(min_chunk_size=max(_LEAST, min(PIECE, _AHEAD // self._readers)))
        with store_errors(self._place, "s3:GetObject"):
            async for found in stream:
                for at in range(0, len(found), PIECE):
                    yield found if len(found) <= PIECE else found[at : at + PIECE]

    async def list(self, folder: str) -> AsyncIterator[tuple[str, datetime]]:
        """(name, time of its last write)."""
        pages = obstore.list(self._store, folder, chunk_size=_LISTED)
        with store_errors(self._place, "s3:ListBucket"):
            async for page in pages:
                for found in page:
                    yield found["path"], found["last_modified"]

    async def delete(self, names: Sequence[str]) -> None:
        """Missing ones are no error."""
        if names:
            started = time.perf_counter()
            try:
                with store_errors(self._place, "s3:DeleteObject"):
                    await obstore.delete_async(self._store, names)
            except NotFound:
                pass
            self._observe("s3:DeleteObject", time.perf_counter() - started)


def _store(place: Place, keys: Provider) -> S3Store:
    def credential() -> Any:  # obstore's own type is for type checkers only
        now = keys()
        return {
            "access_key_id": now.access_key,
            "secret_access_key": now.secret_key,
            "token": now.token,
            "expires_at": datetime.now().astimezone() + _RENEWED,
        }

    config: dict[str, Any] = {
        "bucket": place.bucket,
        "region": place.region,
        "endpoint": place.base if place.virtual_hosted else place.endpoint,
        "virtual_hosted_style_request": place.virtual_hosted,
        "skip_signature": False,  # whatever the environment says
        "unsigned_payload": place.endpoint.startswith("https://"),  # TLS protects it on its way already
    }
    if place.encryption is not None:
        config["server_side_encryption"] = place.encryption
    if place.kms_key is not None:
        config["sse_kms_key_id"] = place.kms_key
    options: dict[str, Any] = {
        "allow_http": place.endpoint.startswith("http://"),
        "connect_timeout": place.timeout,
        "read_timeout": place.timeout,
        "timeout": _PATIENT,
    }
    if place.ca is not None:
        options["root_certificate"] = place.ca.read_bytes()
    return S3Store(
        prefix=place.prefix or None,
        config=config,  # type: ignore[arg-type]  # a TypedDict's keys, chosen above
        client_options=options,  # type: ignore[arg-type]  # likewise
        retry_config={
            "max_retries": place.retries,
            "retry_timeout": place.timeout * (place.retries + 1),
        },
        credential_provider=credential,
    )
