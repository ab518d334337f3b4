"""Where bytes live, and where clients put them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from loadingdock.core.model.blobs import BlobRef
from loadingdock.core.ports.examination import Examination


class BlobWriter(Protocol):
    """Takes the bytes of one blob, hashing as they come. One batch is under way while the next is gathered."""

    key: str
    size: int

    async def write(self, batch: Sequence[bytes]) -> None:
        """Takes ownership of the pieces. Raises what an earlier batch ran into."""
        ...

    async def commit(self) -> BlobRef:
        """Durable when it returns: bytes, name and folder. Only after it may a record point at the key."""
        ...

    async def suspend(self) -> int:
        """Makes what came so far durable without publishing it, to be resumed under `key`; returns the size."""
        ...


class BlobStore(Protocol):
    """Bytes under keys of the store's own making: 128 random bits at least, never a client's name.

    Local law: file fsync, rename, folder fsync. An fsync error is raised as Unavailable("store"), never retried,
    and `ping` fails from then on.
    """

    def writer(
        self, *, length: int | None = None, digests: Iterable[str] = (), key: str | None = None
    ) -> AbstractAsyncContextManager[BlobWriter]:
        """A fresh blob. Leaving the context without `commit` or `suspend` leaves nothing behind. `length` is what
        is expected and may be reserved; `digests` are hashlib names to compute besides SHA-256. `key` is that of a
        blob of another store, for a copy under the same name; NotFound for one that no store would have made."""
        ...

    def resume(self, key: str, offset: int, *, digests: Iterable[str] = ()) -> AbstractAsyncContextManager[BlobWriter]:
        """Continues a suspended blob at `offset`, dropping what lies behind it: where the last `suspend` left it, or
        the one before, which a crash can make the last that anybody knows of. Leaving without `commit` keeps the bytes
        up to the last `suspend`, or up to `offset` once some were written.

        While one lasts, another of the same key raises Conflict. Nothing is dropped before the first write: inside
        the context a caller can still find that its record has moved on, and leave. Fewer bytes than `offset` raise
        OffsetMismatch, an unknown key NotFound("blob")."""
        ...

    def read(self, key: str, start: int = 0, length: int | None = None) -> AsyncGenerator[bytes, None]:
        """Pieces of at most 1 MiB. A missing key raises NotFound("blob") at the first piece. Who stops before the end
        closes it."""
        ...

    def local_path(self, key: str) -> Path | None:
        """Where the bytes lie as a plain file that nobody changes any more, for sendfile; None for other stores."""
        ...

    async def download_url(self, key: str, *, expires_in: timedelta, content_type: str, disposition: str) -> str | None:
        """A URL at which the store itself hands the bytes to whoever asks, under exactly these headers; None for a
        store that clients do not reach."""
        ...

    async def head(self, key: str) -> int | None:
        """The size, None if there is no such blob."""
        ...

    async def delete(self, *keys: str) -> None:
        """Missing keys are no error. Suspended bytes go as well."""
        ...

    def list(self, *, before: datetime) -> AsyncIterator[str]:
        """Keys (suspended ones too) written before that time, in no order."""
        ...

    async def free_bytes(self) -> int | None: ...
    async def ping(self) -> None: ...
    async def examine(self) -> Examination:
        """Has the store do once all that the service will ask of it. Leaves nothing behind."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Arrived:
    """What the store says of an object that a client put there. Nothing of it is taken for granted."""

    size: int
    content_type: str | None


class Inbox(Protocol):
    """Where clients put bytes straight into the store, each under a name of ours. They may put them again while their
    URL holds, so what lies there is nobody's file."""

    async def upload_url(
        self,
        name: str,
        *,
        expires_in: timedelta,
        content_type: str | None = None,
        size: int | None = None,
        sha256: str | None = None,
    ) -> str:
        """A URL for one PUT, bound to what is given as far as the store enforces it."""
        ...

    async def arrived(self, name: str) -> Arrived | None: ...
    def read(self, name: str) -> AsyncGenerator[bytes, None]:
        """As `BlobStore.read`."""
        ...

    def list(self) -> AsyncIterator[tuple[str, datetime]]:
        """(name, time of arrival), in no order."""
        ...

    async def remove(self, name: str) -> None: ...
    async def examine(self) -> Examination:
        """A put and a read as clients make them, with URLs alone, where clients are sent."""
        ...

    async def admits(self, origin: str) -> bool:
        """Whether a browser would let pages of that web origin put into it."""
        ...
