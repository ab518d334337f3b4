"""Files and their versions, and the attachments that keep them."""

from __future__ import annotations

from typing import Any

from loadingdock.adapters.records import cursors
from loadingdock.adapters.records.executor import Part
from loadingdock.adapters.records.filerows import file_of, version_of, version_params
from loadingdock.adapters.records.values import folded, micros, moment, nfc, storable, to_json
from loadingdock.core.errors import AlreadyExists, NotFound
from loadingdock.core.model.files import Attachment, File, State, Version
from loadingdock.core.model.pages import Page
from loadingdock.core.ports.files import FileFilter

_CURSOR = "files"


class FileRows(Part):
    __slots__ = ()

    async def get(self, id: str) -> File | None:
        return await self._locked("file_by_id", "file_lock", id=id)

    async def by_alias(self, alias: str) -> File | None:
        return await self._locked("file_by_alias", "file_lock_by_alias", alias=alias)

    async def by_name(self, namespace: str, name: str) -> File | None:
        """In the namespace "" names are not unique, so none is found there."""
        name = nfc(name)
        file = await self._locked("file_by_name", "file_lock_by_name", namespace=namespace, name=name)
        if file is None and namespace and not self._db.alone:
            await self._db.hold("file_name_turn", company_id=self._company_id, name=name)
            file = await self._locked("file_by_name", "file_lock_by_name", namespace=namespace, name=name)
        return file

    async def list(self, filter: FileFilter, *, limit: int, cursor: str | None = None) -> Page[File]:
        before, before_id = None, None
        if cursor is not None:
            before, before_id = cursors.decode(_CURSOR, self._company_id, cursor, (int, str))
        # One more than asked for tells whether there is a next page.
        rows = await self._db.all(
            "file_page", **self._narrowed(filter), before=before, before_id=before_id, limit=limit + 1
        )
        files = tuple(map(file_of, rows[:limit]))
        if len(rows) <= limit or not files:
            return Page(files)
        last = files[-1]
        return Page(files, cursors.encode(_CURSOR, self._company_id, (micros(last.created_at), last.id)))

    async def list_offset(self, filter: FileFilter, *, limit: int, offset: int) -> Page[File]:
        narrowed = self._narrowed(filter)
        count = await self._db.one("file_count", **narrowed)
        rows = await self._db.all("file_page_at", **narrowed, limit=limit, offset=offset)
        return Page(tuple(map(file_of, rows)), total=0 if count is None else count[0])

    def _narrowed(self, filter: FileFilter) -> dict[str, Any]:
        return {
            "company_id": self._company_id,
            "owner": filter.owner,
            "namespace": filter.namespace,
            "named": filter.namespace or None,
            "api": filter.api,
            "state": filter.state,
            "expired": filter.expired or None,
            "search": folded(filter.search) if filter.search else None,
            "sha256": filter.sha256,
        }

    async def add(self, file: File) -> None:
        if not await self._db.run(
            "file_add",
            company_id=self._own(file.company_id),
            id=file.id,
            api=file.api,
            namespace=file.namespace,
            name=file.name,
            name_nfc=nfc(file.name),
            name_folded=folded(file.name),
            alias=file.alias,
            owner=file.owner,
            acl=file.acl.value,
            created_at=micros(file.created_at),
            expires_at=micros(file.expires_at),
            deleted_at=micros(file.deleted_at),
            attributes=to_json(file.attributes),
            latest=file.version.number,
            state=(State.DELETED if file.deleted_at is not None else file.version.state).value,
        ):
            raise AlreadyExists(f"The file {file.name}")
        await self._db.add(  # a new file has no version of that number yet
            "version_add", **version_params(file.version), company_id=self._own(file.version.company_id)
        )

    async def save(self, file: File) -> None:
        """Raises AlreadyExists if another living file has the name by now."""
        self._own(file.company_id)
        if not await self._db.run(
            "file_save",
            company_id=self._company_id,
            id=file.id,
            name=file.name,
            name_nfc=nfc(file.name),
            name_folded=folded(file.name),
            owner=file.owner,
            acl=file.acl.value,
            expires_at=micros(file.expires_at),
            deleted_at=micros(file.deleted_at),
            attributes=to_json(file.attributes),
        ):
            await self._require(file.id)
            raise AlreadyExists(f"The file {file.name}")

    async def version(self, id: str, number: int) -> Version | None:
        if not storable(number):
            return None
        await self._hold(id)
        row = await self._db.one("version_get", company_id=self._company_id, file_id=id, number=number)
        return None if row is None else version_of(row)

    async def versions(self, id: str) -> tuple[Version, ...]:
        await self._hold(id)
        return tuple(map(version_of, await self._db.all("version_list", company_id=self._company_id, file_id=id)))

    async def add_version(self, version: Version) -> None:
        await self._hold(version.file_id)
        await self._require(version.file_id)
        await self._insert(version)
        await self.set_latest(version.file_id, version.number)

    async def save_version(self, version: Version, *, was: State) -> bool:
        params = version_params(version)
        if version.state is not was:
            await self._hold(version.file_id)  # before its version, as everybody does
        if not await self._db.run("version_save", **params, company_id=self._own(version.company_id), was=was.value):
            return False
        if version.state is not was:
            await self._db.run(
                "file_follow_version",
                company_id=self._company_id,
                file_id=version.file_id,
                number=version.number,
                state=version.state.value,
            )
        return True

    async def set_latest(self, id: str, number: int) -> None:
        if not await self._db.run("file_set_latest", company_id=self._company_id, id=id, number=number):
            raise NotFound("version")

    async def _locked(self, query: str, lock: str, **key: str) -> File | None:
        """The file as it is and stays until the unit ends."""
        while True:
            held = await self._db.hold(lock, company_id=self._company_id, **key)
            row = await self._db.one(query, company_id=self._company_id, **key)
            if row is None or held:  # else it came between the two statements
                return None if row is None else file_of(row)

    async def _hold(self, id: str) -> None:
        await self._db.hold("file_lock", company_id=self._company_id, id=id)

    async def _insert(self, version: Version) -> None:
        params = version_params(version)
        if not await self._db.run("version_add", **params, company_id=self._own(version.company_id)):
            raise AlreadyExists(f"Version {version.number} of the file")

    async def _require(self, id: str) -> None:
        if await self._db.one("file_exists", company_id=self._company_id, id=id) is None:
            raise NotFound


class AttachmentRows(Part):
    __slots__ = ()

    async def add(self, attachment: Attachment) -> bool:
        if not await self._count(attachment.file_id, 1):
            raise NotFound
        added = await self._db.run(
            "attachment_add",
            company_id=self._company_id,
            file_id=attachment.file_id,
            reference=attachment.reference,
            created_at=micros(attachment.created_at),
        )
        if not added:
            await self._count(attachment.file_id, -1)
        return bool(added)

    async def remove(self, file_id: str, reference: str) -> bool:
        await self._db.hold("file_lock", company_id=self._company_id, id=file_id)
        removed = await self._db.run(
            "attachment_remove", company_id=self._company_id, file_id=file_id, reference=reference
        )
        if removed:
            await self._count(file_id, -1)
        return bool(removed)

    async def list(self, file_id: str) -> tuple[Attachment, ...]:
        rows = await self._db.all("attachment_list", company_id=self._company_id, file_id=file_id)
        return tuple(Attachment(file_id, reference, moment(created_at)) for file_id, reference, created_at in rows)

    async def _count(self, file_id: str, change: int) -> int:
        """Counted first, so that two that attach at once wait for each other on the file's row."""
        return await self._db.run("attachment_count", company_id=self._company_id, file_id=file_id, change=change)
