"""The files that imports write: ordinary files of the service, looked into before anybody reads them."""

from __future__ import annotations

import asyncio
import os
import uuid
from dataclasses import replace
from datetime import datetime
from pathlib import Path, PurePath

from loadingdock.core import publication
from loadingdock.core.files import end_versions
from loadingdock.core.importqueue import system
from loadingdock.core.imports import API
from loadingdock.core.model.blobs import BlobRef
from loadingdock.core.model.companies import Company
from loadingdock.core.model.files import State
from loadingdock.core.model.imports import Import
from loadingdock.core.ports.blobs import BlobStore
from loadingdock.core.ports.records import Unit
from loadingdock.core.receiving import Declaration
from loadingdock.core.reported import IMPORT

_PIECE = 1 << 20
_TYPES = {".csv": "text/csv", ".ndjson": "application/x-ndjson"}


class Reports:
    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    async def store(self, path: Path | None) -> BlobRef | None:
        """Durable when it returns; None for none."""
        if path is None:
            return None
        with path.open("rb") as file:
            async with self._blobs.writer(length=os.fstat(file.fileno()).st_size) as writer:
                while piece := await asyncio.to_thread(file.read, _PIECE):
                    await writer.write([piece])
                return await writer.commit()

    async def publish(
        self, unit: Unit, company: Company, of: Import, blob: BlobRef | None, ending: str, now: datetime
    ) -> str | None:
        """The id of the file; it is kept as long as the one that was imported, and no quota refuses it."""
        if blob is None:
            return None
        source = await unit.files.get(of.file_id)
        keep = None if source is None or source.expires_at is None else source.expires_at - source.created_at
        name = f"{_stem(of.file_name)}.{ending}"
        declaration = Declaration(
            api=API,
            name=name,
            max_size=blob.size,
            content_type=_TYPES[PurePath(name).suffix],
            keep=keep,
            attributes={IMPORT: of.number},
        )
        file = publication.new_file(system(company), declaration, str(uuid.uuid4()), now, State.RECEIVED, blob)
        await unit.files.add(file)
        await publication.received(unit, system(company), declaration, file, now, within_quota=False)
        return file.id

    async def withdraw(self, unit: Unit, id: str | None, now: datetime) -> list[str]:
        """Of an attempt that came to nothing. Keys of blobs to remove after the commit."""
        file = None if id is None else await unit.files.get(id)
        if file is None or file.deleted_at is not None:
            return []
        await unit.files.save(replace(file, deleted_at=now))
        return await end_versions(unit, file, State.DELETED, now)


def _stem(name: str) -> str:
    """`contacts` of `contacts.csv.gz`; short enough for an ending."""
    path = PurePath(name)
    while path.suffix.lower() in {".gz", ".zst", ".csv", ".txt"}:
        path = path.with_suffix("")
    return path.name[:60]
