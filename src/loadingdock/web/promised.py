"""The bytes that a signed link promises: all at once, or as a resumable upload.

A PUT with `Upload-Complete: ?0` begins one (draft-ietf-httpbis-resumable-upload). Its address admits PATCH, HEAD and
DELETE and is signed like the link it came by; it ends with the link's own time, whatever is still sent to it. The
server cannot send interim responses, so there is no 104: who wants to resume begins with `?0`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from loadingdock.core import types
from loadingdock.core.errors import (
    AlreadyUploaded,
    DigestMismatch,
    InvalidInput,
    NotFound,
    OffsetMismatch,
    QuotaExceeded,
    TypeRefused,
)
from loadingdock.core.links import Link, attempt
from loadingdock.core.model.blobs import Digest
from loadingdock.core.model.files import File, Upload
from loadingdock.core.receiving import Declaration
from loadingdock.core.settings import TYPE_POLICY
from loadingdock.web import resumable, s3
from loadingdock.web.body import Body
from loadingdock.web.digests import claimed_digests
from loadingdock.web.errors import UnsupportedMediaType
from loadingdock.web.resumable import Fields, length_of, limits
from loadingdock.web.services import Services

_NO_STORE = {"cache-control": "no-store"}
_SAYS_NOTHING = "application/x-www-form-urlencoded"  # what curl and axios send when nobody told them a type


class Promised:
    """What may be done at an upload's addresses, once the link has been verified."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._promises = services.promises
        self._appending = services.appending
        self._pace = services.limits.pace

    async def put(self, request: Request, link: Link, upload_id: str) -> Response:
        fields = Fields.of(request.headers)
        upload, file = await self._promises.find(link.principal.company.id, upload_id)
        upload = replace(upload, size=link.length)  # what an earlier attempt said of its length is over with it
        body = self._body(request)
        if fields.complete is False:
            return await self._begin(request, link, upload, file, body, fields)
        upload = replace(upload, size=length_of(upload, fields, offset=0, content=body.declared, last=True))
        declaration = self._declaration(
            link, upload, file, request.headers.get("content-type"), claimed_digests(request.headers)
        )
        with _marked(request, fields):
            file = await self._promises.fulfil(link.principal, upload, file, declaration, body.batches())
        return _completed(request, file, fields)

    async def _begin(
        self, request: Request, link: Link, upload: Upload, file: File, body: Body, fields: Fields
    ) -> Response:
        """Always anew: what an earlier attempt sent goes, and so does its address."""
        size = length_of(upload, fields, offset=0, content=body.declared, last=False)
        whole = claimed_digests(request.headers, of_content=False)
        declaration = self._declaration(link, replace(upload, size=size), file, request.headers.get("content-type"))
        upload = await self._appending.restart(upload)
        upload, _ = await self._appending.append(
            link.principal, upload, file, declaration, _part(request, body), offset=0, last=False
        )
        location = await self._services.links.append_url(
            link.principal, upload, permission=link.permission, digests=whole
        )
        return s3.answer(request, 201, {"location": location, **self._state(upload)})

    async def append(self, request: Request, link: Link, upload_id: str, name: str) -> Response:
        if types.canonical(request.headers.get("content-type", "")) != resumable.MEDIA_TYPE:
            raise UnsupportedMediaType(f"An append has the Content-Type {resumable.MEDIA_TYPE}.")
        fields = Fields.of(request.headers)
        if fields.complete is None:
            raise InvalidInput(
                "An append says Upload-Complete: ?1 if its bytes are the last ones, else ?0.", field="Upload-Complete"
            )
        if fields.offset is None:
            raise InvalidInput("An append says in Upload-Offset where its bytes begin.", field="Upload-Offset")
        upload, file = await self._attempt(link, upload_id, name)
        if upload.completed_at is not None:
            raise AlreadyUploaded
        if fields.offset != upload.offset:
            raise OffsetMismatch(current=upload.offset, claimed=fields.offset)
        body = self._body(request)
        size = length_of(upload, fields, offset=fields.offset, content=body.declared, last=fields.complete)
        whole = (*link.digests, *claimed_digests(request.headers, of_content=False)) if fields.complete else ()
        declaration = self._declaration(link, replace(upload, size=size), file, upload.content_type, whole)
        with _marked(request, fields):
            upload, file = await self._appending.append(
                link.principal,
                upload,
                file,
                declaration,
                _part(request, body),
                offset=fields.offset,
                last=fields.complete,
            )
        return _completed(request, file, fields) if fields.complete else s3.answer(request, 204, self._state(upload))

    async def progress(self, request: Request, link: Link, upload_id: str, name: str) -> Response:
        """Whoever asks has lost the connection that it sent on: an append still under way is ended, so that the
        offset is the one from which the next goes on."""
        upload, file = await self._attempt(link, upload_id, name)
        if upload.completed_at is None:
            await self._appending.interrupt(upload)
            upload, file = await self._attempt(link, upload_id, name)
        if upload.completed_at is None:
            return s3.answer(request, 204, {**self._state(upload), **_NO_STORE})
        version = await self._services.files.version(file, upload.version)
        size = str(version.size)
        state = {"upload-offset": size, "upload-complete": "?1", "upload-length": size, "etag": f'"{version.sha256}"'}
        return s3.answer(request, 204, {**state, **_NO_STORE})

    async def cancel(self, request: Request, link: Link, upload_id: str, name: str) -> Response:
        """The bytes sent so far go. The link that they came by promises as much as before."""
        upload, _ = await self._attempt(link, upload_id, name)
        await self._appending.restart(upload)
        return s3.answer(request, 204, _NO_STORE)

    async def _attempt(self, link: Link, upload_id: str, name: str) -> tuple[Upload, File]:
        upload, file = await self._promises.look(link.principal.company.id, upload_id)
        if upload.staging_key is None or attempt(upload) != name:
            raise NotFound("upload")
        return upload, file

    def _body(self, request: Request) -> Body:
        return Body(request, max_size=self._services.limits.max_body, pace=self._pace)

    def _state(self, upload: Upload) -> dict[str, str]:
        length = {} if upload.size is None else {"upload-length": str(upload.size)}
        return {
            "upload-offset": str(upload.offset),
            "upload-complete": "?0",
            **length,
            "upload-limit": limits(upload, self._services.clock.now()),
        }

    def _declaration(
        self, link: Link, upload: Upload, file: File, content_type: str | None, digests: Sequence[Digest] = ()
    ) -> Declaration:
        if upload.content_type is None and types.canonical(content_type or "") == _SAYS_NOTHING:
            content_type = None
        return self._promises.declaration_of(
            upload,
            file,
            content_type=content_type,
            digests=digests,
            strict_type=link.principal.company.get(TYPE_POLICY) == "strict",
        )


def _completed(request: Request, file: File, fields: Fields) -> Response:
    sha256 = file.version.sha256 or ""
    headers = {"etag": f'"{sha256}"', "x-amz-checksum-sha256": base64.b64encode(bytes.fromhex(sha256)).decode()}
    if fields.complete:
        headers["upload-complete"] = "?1"
    return s3.answer(request, 200, headers)


@contextmanager
def _marked(request: Request, fields: Fields) -> Iterator[None]:
    """An error about bytes that have all come says so: to resume would not resolve it."""
    try:
        yield
    except (DigestMismatch, TypeRefused, QuotaExceeded):
        if fields.complete:
            s3.mark_complete(request)
        raise


async def _part(request: Request, body: Body) -> AsyncIterator[Sequence[bytes]]:
    """The body's batches. A digest claimed of this part is checked before its last bytes count (RFC 9530 2)."""
    own = Headers(raw=[(name, value) for name, value in request.headers.raw if name != b"repr-digest"])
    claimed = claimed_digests(own)
    hashes = {digest.algorithm: hashlib.new(digest.algorithm, usedforsecurity=False) for digest in claimed}
    async for batch in body.batches():
        for state in hashes.values():
            for piece in batch:
                await asyncio.to_thread(state.update, piece)
        yield batch
    for digest in claimed:
        received = hashes[digest.algorithm].digest()
        if received != digest.value:
            raise DigestMismatch(
                digest.algorithm,
                claimed=base64.b64encode(digest.value).decode(),
                received=base64.b64encode(received).decode(),
            )
