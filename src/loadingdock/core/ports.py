"""What the core asks of the world. Each docstring is an obligation; `loadingdock.testing` holds adapters to it.

Every port may raise `Unavailable` naming its role when what it stands on cannot be reached, and `StorageFull` when
there is no room. No other engine error leaves an adapter.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar

from loadingdock.core.contactports import ContactTables
from loadingdock.core.importports import ImportRecords
from loadingdock.core.model import (
    ApiKey,
    Attachment,
    Attempt,
    AuditEntry,
    BlobRef,
    Callback,
    CallbackSecret,
    CallbackState,
    Company,
    Event,
    ExtractedText,
    File,
    Job,
    OAuthClient,
    Page,
    ScanResult,
    SigningKey,
    State,
    StoredResponse,
    Upload,
    Usage,
    User,
    Version,
)

T = TypeVar("T")


# --- records -------------------------------------------------------------------------------------


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


class Companies(Protocol):
    """Not bound to the unit's tenant: these are looked up before a tenant is known."""

    async def by_id(self, id: int) -> Company | None: ...
    async def by_code(self, code: str) -> Company | None: ...
    async def by_number(self, number: int) -> Company | None: ...
    async def list(self) -> tuple[Company, ...]: ...

    async def add(self, code: str, name: str, number: int, at: datetime) -> Company:
        """Raises AlreadyExists for a code or number that is taken. A usage row of zero is made with it."""
        ...

    async def save(self, company: Company) -> None:
        """Writes name, settings and disabled_at."""
        ...


class Users(Protocol):
    async def get(self, name: str) -> User | None: ...
    async def list(self) -> tuple[User, ...]: ...
    async def add(self, user: User) -> None:
        """Raises AlreadyExists."""
        ...

    async def save(self, user: User) -> None: ...


class ApiKeys(Protocol):
    async def by_digest(self, digest: str) -> ApiKey | None:
        """Looks through all companies: the digest of 256 random bits names the tenant."""
        ...

    async def get(self, id: str) -> ApiKey | None: ...
    async def list(self) -> tuple[ApiKey, ...]: ...
    async def add(self, key: ApiKey) -> None: ...
    async def revoke(self, id: str, at: datetime) -> bool:
        """False if there is no such living key."""
        ...


class Clients(Protocol):
    async def find(self, id: str) -> OAuthClient | None:
        """Looks through all companies: a client names itself before its tenant is known."""
        ...

    async def list(self) -> tuple[OAuthClient, ...]: ...
    async def add(self, client: OAuthClient) -> None: ...
    async def revoke(self, id: str, at: datetime) -> bool: ...


class Secrets(Protocol):
    """What the installation signs with. Not bound to a tenant."""

    async def signing_keys(self) -> tuple[SigningKey, ...]:
        """Newest first, retired ones included."""
        ...

    async def add_signing_key(self, key: SigningKey) -> None: ...
    async def retire_signing_key(self, id: str, at: datetime) -> None: ...
    async def remove_signing_key(self, id: str) -> None: ...

    async def installation_secret(self) -> bytes | None: ...

    async def set_installation_secret(self, secret: bytes) -> bytes:
        """Keeps the first one that is ever set, and returns the one kept."""
        ...


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


class JobRecords(Protocol):
    """The unit's side of the queue: jobs join the transaction of what they are about."""

    async def enqueue(
        self,
        kind: str,
        subject: str,
        payload: Mapping[str, Any] | None = None,
        *,
        at: datetime,
        run_at: datetime | None = None,
        dedupe_key: str | None = None,
    ) -> str | None:
        """The job's id; None if a job with that dedupe key is waiting or running already."""
        ...

    async def holds(self, job: Job) -> bool:
        """Whether the job is still running under this fence. A unit that writes a job's result asks first."""
        ...

    async def requeue(self, id: str, now: datetime) -> int | None:
        """A dead job becomes waiting again, its attempts forgotten, and workers are woken after the commit. The id of
        its company; None if there is no such dead job, or another with its dedupe key is waiting or running. A unit
        without a tenant may requeue any company's."""
        ...


class CallbackRecords(Protocol):
    """Callbacks of the unit's tenant, their attempts, and the secrets that sign them."""

    async def get(self, id: str) -> Callback | None:
        """In a unit that writes, nobody else changes it before the unit's end."""
        ...

    async def list(
        self,
        *,
        limit: int,
        cursor: str | None = None,
        state: CallbackState | None = None,
        subject: str | None = None,
    ) -> Page[Callback]:
        """Newest first, narrowed to that state or subject."""
        ...

    async def add(self, callback: Callback) -> None: ...
    async def save(self, callback: Callback, attempt: Attempt | None = None) -> None:
        """Writes what delivering changes, and the attempt if there was one. Raises NotFound("callback")."""
        ...

    async def attempts(self, id: str) -> tuple[Attempt, ...]:
        """Oldest first."""
        ...

    async def secrets(self) -> tuple[CallbackSecret, ...]:
        """Newest first, those whose time is over as long as they are kept."""
        ...

    async def add_secret(self, secret: CallbackSecret, *, others_until: datetime) -> int:
        """From now on those that had no end are valid until that time; says how many. Those over are removed."""
        ...


class AuditLog(Protocol):
    """Append-only: there is no way to change or remove a row. A unit without a tenant may add a row of any company,
    or of company 0: a deed of the installation itself."""

    async def add(self, entry: AuditEntry) -> None: ...
    async def list(
        self, *, limit: int, cursor: str | None = None, action: str | None = None, subject: str | None = None
    ) -> Page[AuditEntry]:
        """Newest first, narrowed to exactly that action or subject."""
        ...


class Events(Protocol):
    async def add(self, at: datetime, kind: str, subject: str, data: Mapping[str, Any]) -> None: ...
    async def after(self, seq: int, *, limit: int) -> tuple[Event, ...]: ...
    async def last(self) -> int: ...


class Idempotency(Protocol):
    """Answers kept under a client's key, in the unit's company alone."""

    async def begin(self, key: str, fingerprint: str, at: datetime) -> StoredResponse | None:
        """None: the key is new and now held by this caller. Otherwise what is stored; without a status it is held
        by a request still under way."""
        ...

    async def finish(self, key: str, response: StoredResponse) -> None: ...
    async def release(self, key: str) -> None: ...


class Housekeeping(Protocol):
    """What the sweeps ask across all tenants. Each returns at most `limit` rows and is repeated until empty."""

    async def expired_files(self, now: datetime, limit: int) -> tuple[File, ...]:
        """Living, unattached files past expires_at."""
        ...

    async def abandoned_uploads(self, now: datetime, limit: int) -> tuple[Upload, ...]:
        """Open uploads past expires_at."""
        ...

    async def deleted_with_bytes(self, limit: int) -> tuple[Version, ...]:
        """Unattached deleted or expired versions that still point at bytes."""
        ...

    async def known_blobs(self, keys: Sequence[str]) -> frozenset[str]:
        """Which of the keys some version, text or open upload points at."""
        ...

    async def versions_with_bytes(self, limit: int, cursor: str | None = None) -> Page[Version]:
        """Every version that points at bytes, in a stable order: for fsck and the scrub."""
        ...

    async def ledger_drift(self) -> tuple[tuple[int, Usage, Usage], ...]:
        """(company id, as recorded, as counted) wherever the two differ."""
        ...

    async def pending_callbacks(self) -> tuple[int, datetime | None]:
        """How many are not delivered and not given up, and since when the oldest of them is owed."""
        ...

    async def forget_callbacks(self, before: datetime) -> int:
        """Removes callbacks that ended before, with their attempts, a bounded number at once; says how many."""
        ...

    async def forget(self, *, idempotency_before: datetime, events_before: datetime, jobs_before: datetime) -> int:
        """Removes stored answers, events and done jobs older than that, so many at once that no other write waits
        long; says how many rows, 0 when none are left. Dead jobs stay for the operator, and the newest event stays."""
        ...


class Unit(Protocol):
    """One transaction, born with a tenant. What it reads is consistent; what it writes is there whole or not at all.

    An engine may send what is only added (audit rows, events, jobs) with what follows it; what is wrong with it is then
    raised there, or by the end of the work.
    """

    companies: Companies
    users: Users
    keys: ApiKeys
    clients: Clients
    secrets: Secrets
    files: Files
    attachments: Attachments
    uploads: UploadRecords
    ledger: Ledger
    jobs: JobRecords
    callbacks: CallbackRecords
    tables: ContactTables
    imports: ImportRecords
    audit: AuditLog
    events: Events
    idempotency: Idempotency
    housekeeping: Housekeeping


@dataclass(frozen=True, slots=True)
class Examination:
    """What an engine says of itself. `engine` is its name, and its version, mode or place; `problems` are sentences
    that say what to change, none if it is sound. `remarks` are about what works, but
    could be better."""

    engine: str
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Connections:
    """Those of this process to a database's server: how many there are and may be, how many of them are at work, and
    how many callers wait for one."""

    most: int
    open: int
    in_use: int
    waiting: int


class Records(Protocol):
    """The database.

    `work` awaits nothing but its unit's own methods: one engine steps it on its writer thread without a loop. It
    may be run again from its beginning after a serialisation failure, so it changes nothing outside its unit.
    """

    async def write(self, company_id: int | None, work: Callable[[Unit], Awaitable[T]]) -> T:
        """Runs `work` in one transaction of that tenant (None: of the installation, where the tenant-bound parts
        find nothing) and returns once it is durable. An exception from `work` leaves nothing behind and is raised
        here."""
        ...

    async def read(self, company_id: int | None, work: Callable[[Unit], Awaitable[T]]) -> T:
        """The same without writing; sees everything that any acknowledged write wrote."""
        ...

    async def watch(self, company_id: int, after: int, timeout: timedelta) -> tuple[Event, ...]:
        """The company's events behind `after`, as soon as there is one; empty when the time is up. Sees events of
        other processes too."""
        ...

    async def ping(self) -> None: ...
    async def migrate(self) -> tuple[int, int]:
        """Brings the schema up to date; (from, to) version. Safe with several processes starting at once."""
        ...

    def connections(self) -> Connections | None:
        """As they are now; None where there is no server."""
        ...

    async def schema_version(self) -> tuple[int, int]:
        """(version of the database, version this program knows)."""
        ...

    async def sealed(self) -> str:
        """Where the installation is being moved to, or has been: then every change raises Sealed, but for rows of the
        audit log. Empty if changes are taken."""
        ...

    async def examine(self) -> Examination:
        """Has the engine check itself: whether its pages are sound and whether it runs as durability needs it to.
        May take long on a large database; holds up nobody."""
        ...

    async def close(self) -> None: ...


class JobQueue(Protocol):
    """The worker's side of the jobs table.

    A job is claimed by at most one worker at a time; a lease that ran out is claimable again with a higher fence.
    Claims are fair between companies: no company gets a second job while another one waits for its first, and no
    company has more running than its setting `job-cap` says, `cap` where it has none.
    """

    async def claim(
        self, worker: str, *, lease: timedelta, limit: int, cap: int, now: datetime, kinds: Sequence[str] | None = None
    ) -> tuple[Job, ...]: ...

    async def heartbeat(self, job: Job, *, lease: timedelta, now: datetime) -> bool:
        """Extends the lease; False if the job is no longer ours."""
        ...

    async def remember(self, job: Job, memo: Mapping[str, Any]) -> bool:
        """Stores the results of the finished steps; False, and nothing stored, if the job is no longer ours."""
        ...

    async def finish(self, job: Job, now: datetime) -> bool: ...
    async def retry(self, job: Job, *, run_at: datetime, error: str, counts: bool = True) -> bool:
        """Back to waiting. `counts=False`: the attempt is not counted (the scanner was down, not the job wrong)."""
        ...

    async def bury(self, job: Job, *, error: str, now: datetime) -> bool: ...
    async def list(
        self, *, state: str | None = None, company_id: int | None = None, limit: int = 100
    ) -> tuple[Job, ...]:
        """Newest first; of one company, or of all of them."""
        ...

    async def depth(self, now: datetime) -> tuple[int, int, int, float]:
        """(waiting and due, running, dead, age in seconds of the oldest due)."""
        ...

    async def due(self, name: str, every: timedelta, now: datetime) -> bool:
        """True for one caller in the installation each time the schedule `name` has come round."""
        ...

    async def wait(self, timeout: timedelta) -> None:
        """Returns when a job may have become claimable, or when the time is up."""
        ...


# --- bytes ---------------------------------------------------------------------------------------


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


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What a presigned URL allows, after its signature has been verified."""

    method: str
    path: str
    signer: str
    expires_at: datetime
    query: Mapping[str, str]
    signed_headers: frozenset[str]


class Presigner(Protocol):
    """AWS Signature Version 4, query form. `signer` names who answers for the link and is bound into it."""

    def url(
        self,
        method: str,
        path: str,
        *,
        signer: str,
        expires_in: timedelta,
        now: datetime,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> str:
        """`headers` must then be sent exactly so by the client; `host` is always bound. `path` is unencoded."""
        ...

    def verify(
        self,
        method: str,
        raw_path: bytes,
        raw_query: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        *,
        now: datetime,
    ) -> SignedRequest:
        """Verifies the request as it came, once, without normalising anything. Raises Forbidden("link") for every
        deviation and LinkExpired for a valid link past its time."""
        ...


# --- looking into files --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Engine:
    """One of several behind a port. `why` it gets no work, in words that anybody may read; empty if it gets its
    share. `version` is empty if it did not say it."""

    address: str
    version: str
    why: str


class Scanner(Protocol):
    """Four verdicts, never an exception: what it cannot reach is `scanner_down`, what it cannot look into whole is
    `unscannable`. `name` says what scanned, for people; `antivirus` whether it deserves that name."""

    name: str
    antivirus: bool

    async def scan(self, body: AsyncIterator[bytes], size: int, path: Path | None = None) -> ScanResult:
        """`path` is the same bytes as a plain file, where the store has one. `body` is read at most once."""
        ...

    async def ping(self) -> str:
        """Its version; raises Unavailable("scanner"). Where there are several engines, one that answers is enough."""
        ...

    def engines(self) -> tuple[Engine, ...]:
        """Those that share the work, as they answered the last ping; none if it is done here. Idle ones are given
        scans in turn."""
        ...

    async def examine(self) -> Examination:
        """Whether those that answer keep what the settings promise of them. Takes as long as the largest file does."""
        ...

    async def close(self) -> None: ...


class TypeDetector(Protocol):
    """MIME types from bytes. Never an exception: unknown bytes are application/octet-stream, none at all
    application/x-empty."""

    async def detect(self, head: bytes, name: str) -> str:
        """From the first bytes (8 KiB are enough to be asked with) and, where bytes alone cannot tell (CSV from
        plain text), the name."""
        ...

    async def detect_file(self, path: Path, name: str) -> str:
        """From the whole file: containers (DOCX, XLSX) are looked into."""
        ...

    def of_name(self, name: str) -> str | None:
        """By the extension alone; None if it says nothing."""
        ...

    async def pixels(self, path: Path, content_type: str) -> int | None:
        """Width times height of an image of that type, by its headers and without decoding it; the largest of several
        pictures in one file. None for what is no raster image or whose headers cannot be read."""
        ...


class TextExtractor(Protocol):
    """Text from PDF, DOCX, XLSX, CSV and TXT, in a child process with limits on memory, time and output. A hostile
    file costs that child, nothing else: the result then names the problem."""

    async def extract(self, path: Path, content_type: str) -> ExtractedText: ...
    async def close(self) -> None: ...


# --- identity ------------------------------------------------------------------------------------


class Passwords(Protocol):
    """argon2id, in threads, a bounded number at once."""

    async def hash(self, password: str) -> str: ...
    async def verify(self, password: str, hash: str | None) -> bool:
        """With None it does the same work against a hash of nobody: an unknown user takes as long as a wrong
        password."""
        ...


@dataclass(frozen=True, slots=True)
class TokenClaims:
    issuer: str
    subject: str
    company: str | None
    permissions: frozenset[str]
    expires_at: datetime


class Tokens(Protocol):
    """ES256 JWTs of our own and those of trusted outside issuers."""

    async def issue(self, *, subject: str, company: str, permissions: Iterable[str], ttl: timedelta) -> str: ...
    async def verify(self, token: str) -> TokenClaims:
        """Raises Unauthenticated for a wrong signature, algorithm, type, audience, issuer or time."""
        ...

    async def jwks(self) -> Mapping[str, Any]: ...
    async def rotate(self) -> str:
        """A new key signs from now on; the old one verifies until its last token has expired. Its id."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one request. Without a `status` there was no answer: `fault` is a word for why (refused, timeout,
    unreachable, tls, protocol) and `error` a sentence, both ours."""

    took: timedelta
    status: int | None = None
    fault: str | None = None
    error: str | None = None
    retry_after: timedelta | None = None


class CallbackSender(Protocol):
    """HTTP to URLs that clients name. It reaches public addresses on a few ports and what the operator allows besides,
    follows no redirect, uses no proxy, and keeps nothing of an answer's body."""

    async def check(self, url: str) -> str:
        """The URL in its plain form. Raises InvalidInput(field="callback") with a sentence for one that may not be
        reached: its form, scheme or port is refused, or its host is or has an address inside. A name that is not
        resolved now is taken."""
        ...

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Judges the URL and its addresses anew, and connects to an address that was judged. Whatever the other side
        does becomes an Answer, in bounded time and memory."""
        ...


class RateLimiter(Protocol):
    """Counts hits by key; in memory or shared."""

    async def hit(self, limit: str, *key: str, cost: int = 1) -> int:
        """`limit` such as "600/minute". 0 if allowed, else the seconds to wait."""
        ...

    async def peek(self, limit: str, *key: str) -> int:
        """Like hit, without counting."""
        ...

    async def reset(self, limit: str, *key: str) -> None: ...
    async def ping(self) -> None:
        """Raises Unavailable("rate limiter")."""
        ...


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware, UTC."""
        ...
