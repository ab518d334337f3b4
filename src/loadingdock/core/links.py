"""Signed links: who answers for one, what it opens, and when it is dead.

A link is dead with its time, with its signer and with the permission that it was made under, whichever ends first.

A signature holds for one method of one path, with two exceptions that give nothing away: whoever may GET a version may
ask for its HEAD, and whoever may append to an upload (PATCH) may ask how far it is (HEAD) and drop what they sent
(DELETE) at the same address, for a client has only that one address.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote

from loadingdock.core.access import Access
from loadingdock.core.audit import entry
from loadingdock.core.errors import Forbidden
from loadingdock.core.model.blobs import Digest
from loadingdock.core.model.companies import Company
from loadingdock.core.model.files import File, Upload, Version
from loadingdock.core.model.identity import Principal
from loadingdock.core.ports.blobs import Inbox
from loadingdock.core.ports.clock import Clock
from loadingdock.core.ports.presigning import Presigner
from loadingdock.core.ports.records import Records, Unit

PREFIX = "/objects"
PUBLIC_PREFIX = "/public"

_PERMISSION = "X-Dock-Permission"
_MAX_SIZE = "X-Dock-Max-Size"
_LENGTH = "X-Dock-Length"
_DIGESTS = "X-Dock-Digests"
_SHA256 = "x-amz-checksum-sha256"  # S3's own name for it, and its base64

# Slashes in the path of a download (`/objects/{number}/{file}/{version}/{name}`) and of the append to an upload
# (`/objects/{number}/{upload}/{attempt}`).
_DOWNLOAD, _APPEND = 5, 4


@dataclass(frozen=True, slots=True)
class Link:
    """A link that holds: who answers for it, under which permission, and the segments of its path behind the company's
    number; the length that was promised, and the digests that were claimed of the whole when the link was made."""

    principal: Principal
    permission: str
    path: tuple[str, ...]
    length: int | None = None
    digests: tuple[Digest, ...] = ()


class Links:
    """Makes and verifies them. `public_url` is how clients reach the service."""

    def __init__(
        self,
        records: Records,
        presigner: Presigner,
        access: Access,
        clock: Clock,
        public_url: str,
        inbox: Inbox | None = None,
    ) -> None:
        """With an `inbox` bytes are sent straight to the store."""
        self._inbox = inbox
        self._records = records
        self._presigner = presigner
        self._access = access
        self._clock = clock
        self.public_url = public_url.rstrip("/")

    async def upload_url(self, principal: Principal, upload: Upload, *, permission: str) -> str:
        """A PUT of the promised bytes: to the store where it takes them itself, else to us. A promised type has to be
        sent as a signed header. Length, digest and limit are signed as parameters: a header of them would be that of
        the request, which a resumable upload divides into several."""
        now = self._clock.now()
        if self._inbox is not None:
            return await self._inbox.upload_url(
                f"{upload.company_id}/{upload.id}",
                expires_in=upload.expires_at - now,
                content_type=upload.content_type,
                size=upload.size,
                sha256=upload.sha256,
            )
        headers = {} if upload.content_type is None else {"content-type": upload.content_type}
        query = {_PERMISSION: permission, _MAX_SIZE: str(upload.max_size)}
        if upload.size is not None:
            query[_LENGTH] = str(upload.size)
        if upload.sha256 is not None:
            query[_SHA256] = base64.b64encode(bytes.fromhex(upload.sha256)).decode()
        return self._presigner.url(
            "PUT",
            f"{PREFIX}/{principal.company.number}/{upload.id}",
            signer=await self._access.signer(principal),
            expires_in=upload.expires_at - now,
            now=now,
            headers=headers,
            query=query,
        )

    async def append_url(
        self, principal: Principal, upload: Upload, *, permission: str, digests: Sequence[Digest] = ()
    ) -> str:
        """The address of an upload that has begun: PATCH, HEAD and DELETE. It ends with the upload's time, and with
        this attempt: once its bytes were dropped, the address is unknown. `digests` are to be checked at its end."""
        now = self._clock.now()
        query = {_PERMISSION: permission}
        if digests:
            query[_DIGESTS] = ",".join(f"{digest.algorithm}:{digest.value.hex()}" for digest in digests)
        return self._presigner.url(
            "PATCH",
            f"{PREFIX}/{principal.company.number}/{upload.id}/{attempt(upload)}",
            signer=await self._access.signer(principal),
            expires_in=upload.expires_at - now,
            now=now,
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
        signer = await self._access.signer(principal)
        return self.signed(principal.company, signer, file, version, permission=permission, expires_in=expires_in)

    def signed(
        self,
        company: Company,
        signer: str,
        file: File,
        version: Version,
        *,
        permission: str,
        expires_in: timedelta,
    ) -> str:
        """The same in the name of `signer`, and without the audit row, which the caller writes in a unit of its own."""
        return self._presigner.url(
            "GET",
            f"{PREFIX}/{company.number}/{file.id}/{version.number}/{file.name}",
            signer=signer,
            expires_in=expires_in,
            now=self._clock.now(),
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
    ) -> Link:
        """Raises LinkExpired, or Forbidden for every other reason not to let the request in."""
        signed = self._presigner.verify(
            _signed_method(method, raw_path), raw_path, raw_query, headers, now=self._clock.now()
        )
        principal = (await self._access.principal_of_signer(signed.signer)).at(address=address, trace_id=trace_id)
        number, *path = signed.path.removeprefix(f"{PREFIX}/").split("/")
        if number != str(principal.company.number):
            raise Forbidden("link")
        granted = signed.query.get(_PERMISSION, "")
        permission, _, namespace = granted.partition("/")
        self._access.demand(principal, permission, namespace or None)
        length = signed.query.get(_LENGTH)
        return Link(
            principal,
            granted,
            tuple(path),
            None if length is None else int(length),
            _digests(signed.query.get(_DIGESTS, "")),
        )


def _digests(text: str) -> tuple[Digest, ...]:
    pairs = [one.split(":") for one in text.split(",") if one]
    return tuple(Digest(algorithm, bytes.fromhex(value)) for algorithm, value in pairs)


def attempt(upload: Upload) -> str:
    """The name of the bytes appended so far. Dropping them ends it; the key itself is the store's and stays here."""
    return hashlib.sha256(f"{upload.id}/{upload.staging_key}".encode()).hexdigest()[:32]


def _signed_method(method: str, raw_path: bytes) -> str:
    slashes = raw_path.count(b"/") - raw_path.partition(PREFIX.encode())[0].count(b"/")
    if method == "HEAD" and slashes == _DOWNLOAD:
        return "GET"
    if method in {"HEAD", "DELETE"} and slashes == _APPEND:
        return "PATCH"
    return method
