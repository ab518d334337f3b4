"""Files, uploads and what a company holds of them, as the records have them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from loadingdock.core.model.companies import Usage
from loadingdock.core.model.files import Attachment, File, State, Upload, Version
from loadingdock.core.model.pages import Page


@dataclass(frozen=True, slots=True)
class FileFilter:
    """What a list of files is narrowed to; None narrows nothing. Deleted files are left out unless `state` asks.

    `search` matches a part of the name, whatever its case. `expired=False` leaves expired files out too.
    """

    owner: str | None = None
    namespace: str | None = None
    api: str | None = None
    state: State | None = None
    search: str | None = None
    sha256: str | None = None
    expired: bool = True


class Files(Protocol):
    """Bound to the unit's tenant: another company's file is None, like one that never was."""

    async def get(self, id: str) -> File | None: ...
    async def by_alias(self, alias: str) -> File | None: ...
    async def by_name(self, namespace: str, name: str) -> File | None:
        """The living file of that name; NFC forms are compared."""
        ...

    async def list(self, filter: FileFilter, *, limit: int, cursor: str | None = None) -> Page[File]:
        """Newest first. Cursors are opaque; one that was not made here raises InvalidInput(field="cursor")."""
        ...

    async def list_offset(self, filter: FileFilter, *, limit: int, offset: int) -> Page[File]:
        """Newest first, with `total`: for wires that count pages."""
        ...

    async def add(self, file: File) -> None:
        """Adds the file and its version. Raises AlreadyExists if alias or namespaced name is taken."""
        ...

    async def save(self, file: File) -> None:
        """Writes name, owner, acl, expires_at, deleted_at and attributes; not the version. A deleted file gives its
        name and alias free."""
        ...

    async def version(self, id: str, number: int) -> Version | None: ...
    async def versions(self, id: str) -> tuple[Version, ...]:
        """Newest first, deleted ones included."""
        ...

    async def add_version(self, version: Version) -> None:
        """The file's latest version is now this one."""
        ...

    async def save_version(self, version: Version, *, was: State) -> bool:
        """Writes all of the version if it is still in state `was`; False, and nothing written, if it is not."""
        ...

    async def set_latest(self, id: str, number: int) -> None: ...


class Attachments(Protocol):
    async def add(self, attachment: Attachment) -> bool:
        """False if the reference is attached already. Keeps `File.attached` in step."""
        ...

    async def remove(self, file_id: str, reference: str) -> bool: ...
    async def list(self, file_id: str) -> tuple[Attachment, ...]: ...


class UploadRecords(Protocol):
    async def get(self, id: str) -> Upload | None: ...
    async def of_file(self, file_id: str, version: int) -> Upload | None: ...
    async def add(self, upload: Upload) -> None: ...

    async def advance(self, upload: Upload, *, was: int) -> bool:
        """Writes offset, staging_key and size if the offset is still `was` and the upload is open; else False."""
        ...

    async def hold(self, id: str, until: datetime | None) -> bool:
        """The upload is not abandoned before `until`, whatever its own time; None takes the hold back. False if there
        is no such upload."""
        ...

    async def complete(self, id: str, at: datetime) -> bool:
        """True for exactly one caller, ever; False if it was completed or aborted before."""
        ...

    async def abort(self, id: str, at: datetime) -> bool: ...


class Ledger(Protocol):
    """Bytes and files that a company holds; exact under concurrency. Every version that points at bytes is one file
    and its size."""

    async def get(self) -> Usage: ...

    async def charge(self, bytes: int, files: int, *, max_bytes: int | None, max_files: int | None) -> None:
        """Adds (or, negative, gives back). Raises QuotaExceeded, and adds nothing, if a maximum would be passed.
        Giving back never fails."""
        ...
