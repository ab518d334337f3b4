"""Signed links: who answers for one, what it opens, and when it is dead.

A link is dead with its time, with its signer and with the permission that it was made under, whichever ends first.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import quote

from loadingdock.core.access import Access, permit
from loadingdock.core.audit import entry
from loadingdock.core.errors import Forbidden
from loadingdock.core.model import File, Principal, Upload, Version
from loadingdock.core.ports import Clock, Presigner, Records, SignedRequest, Unit

PREFIX = "/objects"
PUBLIC_PREFIX = "/public"
_PERMISSION = "X-Dock-Permission"
MAX_SIZE = "X-Dock-Max-Size"
SHA256 = "x-amz-checksum-sha256"


class Links:
    """Makes and verifies them. `public_url` is how clients reach the service."""

    def __init__(self, records: Records, presigner: Presigner, access: Access, clock: Clock, public_url: str) -> None:
        self._records = records
        self._presigner = presigner
        self._access = access
        self._clock = clock
        self.public_url = public_url.rstrip("/")

    async def upload_url(self, principal: Principal, upload: Upload, *, permission: str) -> str:
        """A PUT of the promised bytes. What was promised of type and length has to be sent as signed headers; the
        digest and the size limit are bound as parameters."""
        headers: dict[str, str] = {}
        query = {_PERMISSION: permission, MAX_SIZE: str(upload.max_size)}
        if upload.content_type is not None:
            headers["content-type"] = upload.content_type
        if upload.size is not None:
            headers["content-length"] = str(upload.size)
        if upload.sha256 is not None:
            query[SHA256] = upload.sha256
        now = self._clock.now()
        return self._presigner.url(
            "PUT",
            f"{PREFIX}/{principal.company.number}/{upload.id}",
            signer=await self._access.signer(principal),
            expires_in=upload.expires_at - now,
            now=now,
            headers=headers,
            query=query,
        )

    async def download_url(
        self, principal: Principal, file: File, version: Version, *, permission: str, expires_in: timedelta
    ) -> str:
        """A GET of exactly this version."""
        now = self._clock.now()

        async def work(unit: Unit) -> None:
            await unit.audit.add(entry(principal, "link", file.id, "ok", now, f"version {version.number}"))

        await self._records.write(principal.company.id, work)
        return self._presigner.url(
            "GET",
            f"{PREFIX}/{principal.company.number}/{file.id}/{version.number}/{file.name}",
            signer=await self._access.signer(principal),
            expires_in=expires_in,
            now=now,
            query={_PERMISSION: permission},
        )

    def public_read_url(self, principal: Principal, file: File) -> str:
        """The stable address of a file that everybody may read."""
        path = f"{PUBLIC_PREFIX}/{principal.company.number}/{file.namespace}/{file.name}"
        return self.public_url + quote(path)

    async def verify(
        self,
        method: str,
        raw_path: bytes,
        raw_query: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        *,
        address: str | None,
        trace_id: str | None,
    ) -> tuple[Principal, SignedRequest]:
        """Who answers for the link, as of now. Raises Forbidden or LinkExpired."""
        signed = self._presigner.verify(method, raw_path, raw_query, headers, now=self._clock.now())
        principal = (await self._access.principal_of_signer(signed.signer)).at(address=address, trace_id=trace_id)
        number = signed.path.removeprefix(PREFIX).split("/")[1]
        if number != str(principal.company.number):
            raise Forbidden("link")
        permission, _, namespace = signed.query.get(_PERMISSION, "").partition("/")
        permit(principal, permission, namespace or None)
        return principal, signed
