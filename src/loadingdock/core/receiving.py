"""Bytes on their way in: what was declared of them, and whether they keep it. Limits act while they come."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from loadingdock.core import types
from loadingdock.core.errors import DigestMismatch, LengthMismatch, TooLarge, TypeRefused
from loadingdock.core.model.blobs import BlobRef, Digest
from loadingdock.core.model.files import Acl
from loadingdock.core.model.nothing import nothing
from loadingdock.core.ports.blobs import BlobStore, BlobWriter
from loadingdock.core.ports.processing import TypeDetector

# Lists of pieces as they come; none of them waits for the next one longer than a second.
Batches = AsyncIterable[Sequence[bytes]]

_HEAD = 8192  # as many first bytes as TypeDetector asks for


@dataclass(frozen=True, slots=True)
class Declaration:
    """What is known of a file before its bytes come.

    `keep` is its life from the moment it is received, None for good. `allowed_types` empty: any type. `strict_type`:
    extension, declared type and bytes must agree. `namespace` other than "": names are unique there, and a name that
    is taken gets a new version.
    """

    api: str
    name: str
    max_size: int
    content_type: str | None = None
    size: int | None = None
    digests: tuple[Digest, ...] = ()
    allowed_types: tuple[str, ...] = ()
    strict_type: bool = False
    namespace: str = ""
    owner: str | None = None
    alias: str | None = None
    acl: Acl = Acl.PRIVATE
    keep: timedelta | None = None
    attributes: Mapping[str, Any] = field(default_factory=nothing)
    version_attributes: Mapping[str, Any] = field(default_factory=nothing)

    @property
    def algorithms(self) -> frozenset[str]:
        """The digests that a store does not compute anyway."""
        return frozenset(digest.algorithm for digest in self.digests if digest.algorithm != "sha256")


class Receiver:
    """The bytes of one file on their way in, from their beginning or, of a resumed upload, from where it stands."""

    def __init__(self, declaration: Declaration, writer: BlobWriter, blobs: BlobStore, detector: TypeDetector) -> None:
        self._declaration = declaration
        self._writer = writer
        self._blobs = blobs
        self._detector = detector
        self._limit = declaration.max_size if declaration.size is None else min(declaration.max_size, declaration.size)
        # Detecting a type may cost more than taking a small file in, so it is done here only where the answer can
        # matter. Every file's type is detected again, from all of its bytes, before anybody may read it.
        self._picky = bool(declaration.allowed_types) or (
            declaration.strict_type and types.comparable(declaration.name, declaration.content_type)
        )
        self._head: bytearray | None = bytearray() if self._picky and writer.size == 0 else None
        self._resumed = writer.size > 0
        self._received = writer.size

    @property
    def received(self) -> int:
        return self._received

    async def write(self, batch: Sequence[bytes]) -> None:
        self._received += sum(map(len, batch))
        if self._received > self._limit:
            size = self._declaration.size
            if size is not None and self._received > size:
                raise LengthMismatch(declared=size, received=self._received)
            raise TooLarge(limit=self._declaration.max_size, received=self._received)
        if self._head is not None:
            for piece in batch:
                self._head += piece[: _HEAD - len(self._head)]
            if len(self._head) >= _HEAD:
                await self._check_head()
        await self._writer.write(batch)

    async def finish(self) -> BlobRef:
        """The bytes are durable when it returns. Raises what the client claimed and did not keep; the blob is gone
        then."""
        declared = self._declaration.size
        if declared is not None and declared != self._received:
            raise LengthMismatch(declared=declared, received=self._received)
        if self._head is not None:
            await self._check_head()
        blob = await self._writer.commit()
        try:
            self._check_digests(blob)
            if self._picky and self._resumed:  # its first bytes came with another request
                head = b"".join([piece async for piece in self._blobs.read(blob.key, 0, _HEAD)])
                await self._check_type_of(head)
        except (DigestMismatch, TypeRefused):
            await self._blobs.delete(blob.key)
            raise
        return blob

    async def suspend(self) -> int:
        return await self._writer.suspend()

    def _check_digests(self, blob: BlobRef) -> None:
        for digest in self._declaration.digests:
            received = bytes.fromhex(blob.sha256) if digest.algorithm == "sha256" else blob.digests[digest.algorithm]
            if received != digest.value:
                claimed = base64.b64encode(digest.value).decode()
                raise DigestMismatch(digest.algorithm, claimed=claimed, received=base64.b64encode(received).decode())

    async def _check_head(self) -> None:
        head, self._head = self._head, None
        await self._check_type_of(bytes(head or b""))

    async def _check_type_of(self, head: bytes) -> None:
        if head:
            check_type(self._declaration, await self._detector.detect(head, self._declaration.name))


def check_type(declaration: Declaration, detected: str, *, opened: bool = False) -> None:
    """Raises TypeRefused if bytes of type `detected` may not come under this declaration. `opened`: containers were
    looked into."""
    allowed = declaration.allowed_types
    seen = types.canonical(detected)
    if allowed and not any(types.accepts(types.canonical(one), seen, opened=opened) for one in allowed):
        raise TypeRefused(
            f"The file's bytes are {detected}; allowed are {', '.join(allowed)}.", detected=detected, allowed=allowed
        )
    if declaration.strict_type and (
        problem := types.agrees(declaration.name, declaration.content_type, detected, opened=opened)
    ):
        raise TypeRefused(problem, declared=declaration.content_type, detected=detected)


def check_declared(declaration: Declaration, by_name: str | None) -> None:
    """Raises TypeRefused or TooLarge for what the declaration alone makes impossible."""
    if declaration.size is not None and declaration.size > declaration.max_size:
        raise TooLarge(limit=declaration.max_size, received=declaration.size)
    if declaration.strict_type and (problem := types.agrees(declaration.name, declaration.content_type, None)):
        raise TypeRefused(problem, declared=declaration.content_type)
    allowed = declaration.allowed_types
    if allowed and (by_name is None or types.canonical(by_name) not in map(types.canonical, allowed)):
        raise TypeRefused(
            f"The file name {declaration.name!r} stands for {by_name or 'an unknown type'};"
            f" allowed are {', '.join(allowed)}.",
            declared=by_name,
            allowed=allowed,
        )
