"""Files that are there: found, read, listed, shared, kept and removed.

Nothing hands out bytes but `open` and `text`, and both refuse whatever is not `ready`. Wires ask for permission first.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from loadingdock.core import settings
from loadingdock.core.audit import entry
from loadingdock.core.errors import (
    Conflict,
    Gone,
    Infected,
    InvalidInput,
    NotFound,
    Rejected,
    StillProcessing,
)
from loadingdock.core.model.files import Acl, Attachment, File, State, Version
from loadingdock.core.model.identity import Principal
from loadingdock.core.model.pages import Page
from loadingdock.core.names import safe_name
from loadingdock.core.pointing import remove
from loadingdock.core.ports.blobs import BlobStore
from loadingdock.core.ports.clock import Clock
from loadingdock.core.ports.files import FileFilter
from loadingdock.core.ports.records import Records, Unit
from loadingdock.core.reported import forget_rows

_SETTLED = frozenset({State.READY, State.INFECTED, State.REJECTED, State.EXPIRED, State.DELETED})


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes that may be read: of exactly this version, with exactly this digest."""

    file: File
    version: Version
    blob_key: str
    size: int
    content_type: str
    etag: str
    redirect: bool = False  # the company would rather have the store hand them out


def require_readable(version: Version) -> str:
    """The key of the version's bytes. Raises what stands in the way of reading them."""
    match version.state:
        case State.READY if version.blob_key is not None:
            return version.blob_key
        case State.AWAITING_UPLOAD:
            raise StillProcessing("The file's bytes have not been uploaded yet.")
        case State.RECEIVED | State.PROCESSING:
            raise StillProcessing
        case State.INFECTED:
            raise Infected
        case State.REJECTED:
            raise Rejected(version.reason or "The file was refused.")
        case State.EXPIRED:
            raise Gone
        case _:
            raise NotFound


class Files:
    """The use cases of files that exist."""

    def __init__(
        self,
        records: Records,
        blobs: BlobStore,
        clock: Clock,
        asked_after: Callable[[File], Awaitable[None]] | None = None,
    ) -> None:
        self._records = records
        self._blobs = blobs
        self._clock = clock
        self._asked_after = asked_after  # told of each file that is found, for it may have arrived unnoticed

    # --- finding ---

    async def get(self, principal: Principal, file_id: str, *, deleted: bool = False) -> File:
        """Raises NotFound for an id that is unknown, foreign or deleted."""
        return await self._find(principal, lambda unit: unit.files.get(file_id), deleted=deleted)

    async def by_alias(self, principal: Principal, alias: str) -> File:
        return await self._find(principal, lambda unit: unit.files.by_alias(alias))

    async def by_name(self, principal: Principal, namespace: str, name: str) -> File:
        return await self._find(principal, lambda unit: unit.files.by_name(namespace, name))

    async def _find(
        self, principal: Principal, look: Callable[[Unit], Awaitable[File | None]], *, deleted: bool = False
    ) -> File:
        file = await self._records.read(principal.company.id, look)
        if file is None or (file.deleted_at is not None and not deleted):
            raise NotFound
        if self._asked_after is not None:
            await self._asked_after(file)
        return file

    async def version(self, file: File, number: int | None) -> Version:
        """The version of that number; the latest for None."""
        if number is None or number == file.version.number:
            return file.version

        async def work(unit: Unit) -> Version | None:
            return await unit.files.version(file.id, number)

        version = await self._records.read(file.company_id, work)
        if version is None or version.state is State.DELETED:
            raise NotFound("version")
        return version

    async def versions(self, file: File) -> tuple[Version, ...]:
        """Newest first, without deleted ones."""

        async def work(unit: Unit) -> tuple[Version, ...]:
            return await unit.files.versions(file.id)

        return tuple(v for v in await self._records.read(file.company_id, work) if v.state is not State.DELETED)

    async def list(
        self, principal: Principal, filter: FileFilter, *, limit: int, cursor: str | None = None
    ) -> Page[File]:
        async def work(unit: Unit) -> Page[File]:
            return await unit.files.list(filter, limit=limit, cursor=cursor)

        return await self._records.read(principal.company.id, work)

    async def list_page(self, principal: Principal, filter: FileFilter, *, page: int, limit: int) -> Page[File]:
        """Pages counted from 1, with the total: for wires that count."""

        async def work(unit: Unit) -> Page[File]:
            return await unit.files.list_offset(filter, limit=limit, offset=(page - 1) * limit)

        return await self._records.read(principal.company.id, work)

    async def wait(self, file: File, patience: timedelta) -> File:
        """The file as soon as it changes from what is given; as it is when the time is up."""
        deadline = self._clock.now() + patience

        async def work(unit: Unit) -> tuple[int, File | None]:
            return await unit.events.last(), await unit.files.get(file.id)

        while True:
            seen, now = await self._records.read(file.company_id, work)
            left = deadline - self._clock.now()
            if now is None or now.version != file.version or left <= timedelta(0):
                return now or file
            await self._records.watch(file.company_id, seen, left)

    # --- reading ---

    async def open(self, principal: Principal, file: File, number: int | None = None) -> Content:
        """Raises StillProcessing, Infected, Rejected, Gone or NotFound unless the version is ready."""
        version = await self.version(file, number)
        key = require_readable(version)
        await self._audit(principal, "download", file.id)
        redirect = principal.company.get(settings.DOWNLOADS) == "redirect"
        return Content(file, version, key, version.size, version.content_type, f'"{version.sha256}"', redirect)

    async def text(self, principal: Principal, file: File) -> bytes:
        """The text that was extracted, UTF-8; empty where the file has none."""
        require_readable(file.version)
        await self._audit(principal, "download.text", file.id)
        if file.version.text_key is None:
            return b""
        return b"".join([piece async for piece in self._blobs.read(file.version.text_key)])

    # --- changing ---

    async def rename(self, principal: Principal, file: File, name: str) -> File:
        if file.namespace:
            raise InvalidInput("A file in a namespace is found by its name and keeps it.", field="name")
        kept = safe_name(name)
        return await self._change(principal, file, "file.rename", lambda now: replace(now, name=kept))

    async def set_acl(self, principal: Principal, file: File, acl: Acl) -> File:
        return await self._change(principal, file, "file.acl", lambda now: replace(now, acl=acl), acl.value)

    async def extend(self, principal: Principal, file: File, until: datetime | None) -> File:
        """A new end of life; None keeps the file for good. Raises InvalidInput for a time that is past, Gone for a
        file that has expired."""
        if until is not None and until <= self._clock.now():
            raise InvalidInput("The new expiry is in the past; delete the file instead.", field="expires_at")

        def extended(now: File) -> File:
            if now.state is State.EXPIRED:
                raise Gone
            return replace(now, expires_at=until)

        detail = "for good" if until is None else until.isoformat()
        return await self._change(principal, file, "file.extend", extended, detail)

    async def _change(
        self, principal: Principal, file: File, action: str, change: Callable[[File], File], detail: str | None = None
    ) -> File:
        """Changes the file as it is by then: what else happened to it since it was read stays."""
        now = self._clock.now()

        async def work(unit: Unit) -> File:
            changed = change(await _living(unit, file.id))
            await unit.files.save(changed)
            await unit.audit.add(entry(principal, action, file.id, "ok", now, detail))
            return changed

        return await self._records.write(file.company_id, work)

    async def attach(self, principal: Principal, file: File, reference: str) -> Attachment:
        """Keeps the file alive for `reference`; the attachment that is there if there is one. Raises StillProcessing,
        Infected, Rejected or Gone for what nobody may read."""
        now = self._clock.now()
        attachment = Attachment(file.id, _reference(reference), now)

        async def work(unit: Unit) -> Attachment:
            current = await _living(unit, file.id)
            require_readable(current.version)
            if not await unit.attachments.add(attachment):
                there = await unit.attachments.list(file.id)
                return next(one for one in there if one.reference == attachment.reference)
            await unit.audit.add(entry(principal, "file.attach", file.id, "ok", now, attachment.reference))
            await unit.events.add(now, "file.attached", file.id, {"reference": attachment.reference})
            return attachment

        return await self._records.write(file.company_id, work)

    async def attachments(self, file: File) -> tuple[Attachment, ...]:
        async def work(unit: Unit) -> tuple[Attachment, ...]:
            return await unit.attachments.list(file.id)

        return await self._records.read(file.company_id, work)

    async def open_attached(self, principal: Principal, file: File, reference: str) -> Content:
        """The latest version, for who attached the file, also after it was deleted. Raises NotFound for a reference
        under which it is not attached."""
        if _reference(reference) not in {attachment.reference for attachment in await self.attachments(file)}:
            raise NotFound("attachment")
        return await self.open(principal, file)

    async def detach(self, principal: Principal, file: File, reference: str) -> None:
        """The last detachment of a file that was deleted meanwhile takes its bytes."""
        now = self._clock.now()
        kept = _reference(reference)

        async def work(unit: Unit) -> list[str]:
            if not await unit.attachments.remove(file.id, kept):
                raise NotFound("attachment")
            await unit.audit.add(entry(principal, "file.detach", file.id, "ok", now, kept))
            await unit.events.add(now, "file.detached", file.id, {"reference": kept})
            current = await unit.files.get(file.id)
            if current is not None and current.deleted_at is not None and not current.attached:
                return await end_versions(unit, current, State.DELETED, now)
            return []

        await remove(self._blobs, await self._records.write(file.company_id, work))

    async def delete(self, principal: Principal, file: File, number: int | None = None) -> None:
        """The file, or one version of it; the file too if that was its only one. An attached file is gone for its
        owner at once; its bytes stay for those who attached it until the last of them detaches it."""
        now = self._clock.now()

        async def work(unit: Unit) -> list[str]:
            current = await _living(unit, file.id)
            keys = None if number is None else await _delete_version(unit, current, number, now)
            if keys is None:
                await unit.files.save(replace(current, deleted_at=now))
                await forget_rows(unit, current)
                keys = [] if current.attached else await end_versions(unit, current, State.DELETED, now)
                await unit.events.add(now, "file.deleted", file.id, {"name": current.name, "api": current.api})
            else:
                await unit.events.add(now, "file.version_deleted", file.id, {"version": number, "name": current.name})
            detail = None if number is None else f"version {number}"
            await unit.audit.add(entry(principal, "file.delete", file.id, "ok", now, detail))
            return keys

        await remove(self._blobs, await self._records.write(file.company_id, work))

    async def _audit(self, principal: Principal, action: str, subject: str) -> None:
        now = self._clock.now()

        async def work(unit: Unit) -> None:
            await unit.audit.add(entry(principal, action, subject, "ok", now))

        await self._records.write(principal.company.id, work)


async def _living(unit: Unit, id: str) -> File:
    """The file as it is now."""
    file = await unit.files.get(id)
    if file is None or file.deleted_at is not None:
        raise NotFound
    return file


def _reference(text: str) -> str:
    """The reference as it is kept: NFC, so that it is the same however it was typed."""
    kept = unicodedata.normalize("NFC", text)
    if not kept.isprintable() or not 1 <= len(kept.encode()) <= 255:
        raise InvalidInput("A reference has between 1 and 255 bytes of printable characters.", field="reference")
    return kept


async def _delete_version(unit: Unit, file: File, number: int, now: datetime) -> list[str] | None:
    """The blob keys to remove; None if it was the file's last version, so that the file itself has to go."""
    versions = [v for v in await unit.files.versions(file.id) if v.state is not State.DELETED]
    gone = next((v for v in versions if v.number == number), None)
    if gone is None:
        raise NotFound("version")
    if len(versions) == 1:
        return None
    if file.attached and gone.number == file.version.number:
        raise Conflict("The file's latest version is attached; detach it first.")
    if gone.number == file.version.number:
        await unit.files.set_latest(file.id, max(v.number for v in versions if v.number != number))
    return await end_version(unit, gone, State.DELETED, now)


async def end_versions(unit: Unit, file: File, state: State, now: datetime) -> list[str]:
    """Takes the bytes of every version; returns the keys to remove once this is committed."""
    keys: list[str] = []
    for version in await unit.files.versions(file.id):
        if version.state not in {State.EXPIRED, State.DELETED}:
            keys += await end_version(unit, version, state, now)
    return keys


async def end_version(unit: Unit, version: Version, state: State, now: datetime) -> list[str]:
    """A version without bytes from now on, in `state`; its size is given back to the quota."""
    ended = replace(version, state=state, updated_at=now, blob_key=None, text_key=None)
    if not await unit.files.save_version(ended, was=version.state):
        raise Conflict("The file was changed at the same moment; try again.")
    if version.blob_key is not None:
        await unit.ledger.charge(-version.size, -1, max_bytes=None, max_files=None)
    return [key for key in (version.blob_key, version.text_key) if key is not None]


def settled(version: Version) -> bool:
    """Whether nothing more will happen to the version by itself."""
    return version.state in _SETTLED
