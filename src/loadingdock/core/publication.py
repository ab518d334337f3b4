"""What belongs into the one commit by which bytes become a file: quota, record, job, audit row, event."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from loadingdock.core import settings
from loadingdock.core.audit import entry
from loadingdock.core.errors import Conflict, QuotaExceeded
from loadingdock.core.model.blobs import BlobRef
from loadingdock.core.model.files import File, State, Version
from loadingdock.core.model.identity import Principal
from loadingdock.core.ports.records import Unit
from loadingdock.core.receiving import Declaration


async def check_room(unit: Unit, principal: Principal, size: int) -> None:
    """Refuses a promise that could not be kept now. The quota is charged, exactly, when the bytes are there."""
    used = await unit.ledger.get()
    for what, limit, taken, wanted in (
        ("bytes", principal.company.get(settings.QUOTA_BYTES), used.bytes, size),
        ("files", principal.company.get(settings.QUOTA_FILES), used.files, 1),
    ):
        if limit is not None and taken + wanted > limit:
            raise QuotaExceeded(what, limit=limit, used=taken, wanted=wanted)


async def named(unit: Unit, declaration: Declaration) -> File | None:
    return await unit.files.by_name(declaration.namespace, declaration.name) if declaration.namespace else None


def new_file(
    principal: Principal, declaration: Declaration, id: str, now: datetime, state: State, blob: BlobRef | None
) -> File:
    return File(
        id=id,
        company_id=principal.company.id,
        api=declaration.api,
        name=declaration.name,
        created_at=now,
        version=_version(id, principal.company.id, 1, declaration, now, state, blob),
        namespace=declaration.namespace,
        alias=declaration.alias,
        owner=declaration.owner,
        acl=declaration.acl,
        expires_at=None if declaration.keep is None else now + declaration.keep,
        attributes=declaration.attributes,
    )


def _version(
    file_id: str,
    company_id: int,
    number: int,
    declaration: Declaration,
    now: datetime,
    state: State,
    blob: BlobRef | None,
) -> Version:
    return Version(
        file_id=file_id,
        number=number,
        company_id=company_id,
        state=state,
        created_at=now,
        updated_at=now,
        declared_type=declaration.content_type,
        size=blob.size if blob else 0,
        sha256=blob.sha256 if blob else None,
        blob_key=blob.key if blob else None,
        attributes=declaration.version_attributes,
    )


async def next_version(unit: Unit, file: File, declaration: Declaration, now: datetime, blob: BlobRef | None) -> File:
    """Fills the latest version if it is a placeholder, else counts on."""
    old = file.version
    state = State.AWAITING_UPLOAD if blob is None else State.RECEIVED
    if old.state is State.AWAITING_UPLOAD:
        filled = _version(file.id, file.company_id, old.number, declaration, now, state, blob)
        # What was said of the placeholder stays true: a client may have written it down.
        attributes = {**filled.attributes, **old.attributes}
        version = replace(filled, created_at=old.created_at, attributes=attributes)
        if not await unit.files.save_version(version, was=State.AWAITING_UPLOAD):
            raise Conflict("Another upload of this name came at the same moment; try again.")
    else:
        number = old.number + 1
        while await unit.files.version(file.id, number) is not None:
            number += 1  # a later version was deleted; its number is not given again
        version = _version(file.id, file.company_id, number, declaration, now, state, blob)
        await unit.files.add_version(version)
    return replace(file, version=version)


async def received(
    unit: Unit,
    principal: Principal,
    declaration: Declaration,
    file: File,
    now: datetime,
    *,
    within_quota: bool = True,
) -> None:
    """What follows from bytes being there: the job that looks into them, the audit row, the quota's charge, the event.
    Not `within_quota`: they are counted, and not refused, for they are ours.

    The charge comes late because all of a company's uploads wait for one another from there to the commit; the event
    after it, because events are numbered under that same lock.
    """
    company = principal.company
    payload: dict[str, Any] = {"version": file.version.number}
    if declaration.allowed_types:
        payload["allowed_types"] = list(declaration.allowed_types)
    if declaration.strict_type:
        payload["strict_type"] = True
    await unit.jobs.enqueue("process", file.id, payload, at=now)
    await unit.audit.add(entry(principal, "upload", file.id, "ok", now))
    most = (company.get(settings.QUOTA_BYTES), company.get(settings.QUOTA_FILES)) if within_quota else (None, None)
    await unit.ledger.charge(file.version.size, 1, max_bytes=most[0], max_files=most[1])
    await event(unit, file, now)


async def event(unit: Unit, file: File, now: datetime) -> None:
    await unit.events.add(
        now, f"file.{file.state.value}", file.id, {"version": file.version.number, "name": file.name, "api": file.api}
    )
