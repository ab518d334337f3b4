"""Uploads: promises of bytes."""

from __future__ import annotations

from datetime import datetime

from loadingdock.adapters.records.executor import Part
from loadingdock.adapters.records.filerows import upload_of
from loadingdock.adapters.records.values import list_to_json, micros, storable
from loadingdock.core.errors import AlreadyExists, NotFound
from loadingdock.core.model.files import Upload


class UploadRows(Part):
    __slots__ = ()

    async def get(self, id: str) -> Upload | None:
        row = await self._db.one("upload_get", company_id=self._company_id, id=id)
        return None if row is None else upload_of(row)

    async def of_file(self, file_id: str, version: int) -> Upload | None:
        """The newest, if there was more than one."""
        if not storable(version):
            return None
        row = await self._db.one("upload_of_file", company_id=self._company_id, file_id=file_id, version=version)
        return None if row is None else upload_of(row)

    async def add(self, upload: Upload) -> None:
        """Raises NotFound if the company has no such version."""
        company_id = self._own(upload.company_id)
        if not await self._db.one("version_get", company_id=company_id, file_id=upload.file_id, number=upload.version):
            raise NotFound("version")
        if not await self._db.run(
            "upload_add",
            id=upload.id,
            company_id=company_id,
            file_id=upload.file_id,
            version=upload.version,
            max_size=upload.max_size,
            created_at=micros(upload.created_at),
            expires_at=micros(upload.expires_at),
            size=upload.size,
            content_type=upload.content_type,
            sha256=upload.sha256,
            allowed_types=list_to_json(upload.allowed_types),
            received=upload.offset,
            staging_key=upload.staging_key,
            completed_at=micros(upload.completed_at),
            aborted_at=micros(upload.aborted_at),
            held_until=micros(upload.held_until),
        ):
            raise AlreadyExists(f"The upload {upload.id}")

    async def advance(self, upload: Upload, *, was: int) -> bool:
        return bool(
            await self._db.run(
                "upload_advance",
                company_id=self._own(upload.company_id),
                id=upload.id,
                received=upload.offset,
                staging_key=upload.staging_key,
                size=upload.size,
                was=was,
            )
        )

    async def hold(self, id: str, until: datetime | None) -> bool:
        return bool(await self._db.run("upload_hold", company_id=self._company_id, id=id, until=micros(until)))

    async def complete(self, id: str, at: datetime) -> bool:
        return bool(await self._db.run("upload_complete", company_id=self._company_id, id=id, at=micros(at)))

    async def abort(self, id: str, at: datetime) -> bool:
        return bool(await self._db.run("upload_abort", company_id=self._company_id, id=id, at=micros(at)))
