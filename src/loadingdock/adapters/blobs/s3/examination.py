"""Whether the bucket, the keys and the store do all that the service asks of them. What fails is said with what to
change."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from loadingdock.adapters.blobs.s3.writer import Workshop
from loadingdock.core.errors import DockError, Unavailable
from loadingdock.core.ports.examination import Examination

_FOLDER = "examination/"
_SKEW = 60.0  # seconds; at 900 S3 refuses every request
_BYTES = b"loadingdock"


async def examine(shop: Workshop) -> Examination:
    """Under a name of its own: several processes may ask at once."""
    name = f"{_FOLDER}{secrets.token_hex(8)}"
    problems = [problem async for problem in _problems(shop, name)]
    return Examination(str(shop.wire.place), tuple(dict.fromkeys(problems)))


async def _problems(shop: Workshop, name: str) -> AsyncIterator[str]:
    objects, multipart = shop.objects, shop.multipart

    async def clock() -> None:
        answer = await shop.ask(shop.wire.request, "GET", name, doing="s3:GetObject", passed=frozenset({403, 404}))
        if "date" not in answer.headers:
            return
        skew = (datetime.now(UTC) - parsedate_to_datetime(answer.headers["date"])).total_seconds()
        if abs(skew) > _SKEW:
            raise _wrong(shop, f"this machine's clock is {skew:+.0f} s away from the store's; set both with NTP")

    async def put() -> None:
        await objects.put(name, _BYTES)
        found = b"".join([piece async for piece in objects.read(name, 0, None)])
        if found != _BYTES:
            raise _wrong(shop, "it gave other bytes than it was given; use another store")

    async def encrypted() -> None:
        asked = shop.wire.place.encryption
        if asked is None:
            return
        answer = await shop.ask(shop.wire.request, "HEAD", name, doing="s3:GetObject")
        if answer.headers.get("x-amz-server-side-encryption") != asked:
            raise _wrong(shop, f"it does not encrypt with {asked}; change store_encryption, or use another store")

    async def conditions() -> None:
        headers = {**shop.wire.place.encrypted(), "if-none-match": "*"}
        answer = await shop.ask(
            shop.wire.request,
            "PUT",
            name,
            headers=headers,
            body=_BYTES,
            doing="s3:PutObject",
            passed=frozenset({409, 412}),
        )
        if answer.status not in {409, 412}:
            raise _wrong(shop, "it knows no conditional puts (If-None-Match); resumable uploads need a newer release")

    async def parts() -> None:
        upload = await shop.ask(multipart.begin, name)
        try:
            found = await shop.ask(lambda: {one.upload for one in multipart.unfinished(name)})
        finally:
            await shop.ask(multipart.abort, name, upload)
        if upload not in found:
            raise _wrong(shop, "it does not list unfinished uploads; add a lifecycle rule that aborts them")

    async def listed() -> None:
        if name not in [one async for one, _ in objects.list(_FOLDER)]:
            raise _wrong(shop, "it does not list what was just put; what is orphaned will not be found")

    async def delete() -> None:
        await objects.delete([name])
        if await objects.head(name) is not None:
            raise _wrong(shop, "what was deleted is still there; allow s3:DeleteObject, and look at object locks")

    for step in (clock, put, encrypted, conditions, parts, listed, delete):
        try:
            async with asyncio.timeout(2 * shop.wire.place.timeout.total_seconds()):
                await step()
            continue
        except Unavailable as error:
            yield error.why
        except (DockError, TimeoutError) as error:
            yield f"{shop.wire.place}: {error or 'no answer in time'}"
        if step in {clock, put}:
            return  # all else would only follow from that


def _wrong(shop: Workshop, sentence: str) -> Unavailable:
    return Unavailable("store", why=f"{shop.wire.place}: {sentence}")
