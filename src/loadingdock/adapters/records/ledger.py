"""Bytes and files that a company holds."""

from __future__ import annotations

from loadingdock.adapters.records.executor import Part
from loadingdock.core.errors import NotFound, QuotaExceeded
from loadingdock.core.model.companies import Usage


class LedgerRow(Part):
    __slots__ = ()

    async def get(self) -> Usage:
        row = await self._db.one("ledger_get", company_id=self._company_id)
        return Usage(0, 0) if row is None else Usage(*row)

    async def charge(self, bytes: int, files: int, *, max_bytes: int | None, max_files: int | None) -> None:
        # A maximum binds only who takes: giving back must be possible when the maximum was lowered below what is held.
        if bytes <= 0:
            max_bytes = None
        if files <= 0:
            max_files = None
        # One conditional statement, so that no two can both take the last of it.
        if await self._db.run(
            "ledger_charge",
            company_id=self._company_id,
            bytes=bytes,
            files=files,
            max_bytes=max_bytes,
            max_files=max_files,
        ):
            return
        row = await self._db.one("ledger_get", company_id=self._company_id)
        if row is None:
            raise NotFound("company")
        for what, limit, used, wanted in (("bytes", max_bytes, row[0], bytes), ("files", max_files, row[1], files)):
            if limit is not None and used + wanted > limit:
                raise QuotaExceeded(what, limit=limit, used=used, wanted=wanted)
        raise AssertionError("a charge within its maxima was refused")
