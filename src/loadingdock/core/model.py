"""The nouns, and the transitions their states may take.

Times are aware UTC `datetime`s, sizes are bytes, digests are lower-case hex unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Generic, TypeVar

T = TypeVar("T")

NOTHING: Mapping[str, Any] = MappingProxyType({})


def nothing() -> Mapping[str, Any]:
    return NOTHING  # not hashable before Python 3.12, so a dataclass takes it from a factory only


# --- companies and who acts for them -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CompanySetting(Generic[T]):
    """One thing an operator may set for a company: `loadingdock company set CODE KEY=VALUE`.

    `core` and every dialect declare their own; `bootstrap` gathers them. `parse` turns the operator's text into
    the value and raises ValueError with a sentence when it cannot; `spell` turns a value into a text that it reads.
    """

    key: str
    default: T
    meaning: str
    parse: Any  # Callable[[str], T]; a dataclass field of Callable type would be taken for a method
    spell: Any = str  # Callable[[T], str]


@dataclass(frozen=True, slots=True)
class Company:
    """A tenant. `number` is its public decimal number; `code` is what its people type."""

    id: int
    code: str
    number: int
    name: str
    created_at: datetime
    disabled_at: datetime | None = None
    settings: Mapping[str, Any] = field(default_factory=nothing)

    def get(self, setting: CompanySetting[T]) -> T:
        value: T = self.settings.get(setting.key, setting.default)
        return value


class PrincipalKind(StrEnum):
    USER = "user"
    KEY = "key"
    CLIENT = "client"
    TOKEN = "token"
    LINK = "link"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: a company, a subject in it and what it may do. The first argument of every use case.

    `subject` names the user, key id or client id; `address` is the client's network address and `trace_id` the
    request's W3C trace id, both for the audit row alone.
    """

    company: Company
    kind: PrincipalKind
    subject: str
    permissions: frozenset[str]
    address: str | None = None
    trace_id: str | None = None

    def at(self, *, address: str | None, trace_id: str | None) -> Principal:
        return replace(self, address=address, trace_id=trace_id)


@dataclass(frozen=True, slots=True)
class User:
    company_id: int
    name: str
    password_hash: str
    permissions: frozenset[str]
    created_at: datetime
    disabled_at: datetime | None = None
    md5_hash: str | None = None  # argon2 of the password's MD5 hex, kept only where the company's setting asks for it


@dataclass(frozen=True, slots=True)
class ApiKey:
    """`digest` is the SHA-256 of the key, which has 256 random bits and is shown once."""

    id: str
    company_id: int
    digest: str
    label: str
    permissions: frozenset[str]
    created_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """`company_ids` are the companies it may ask tokens for; the first is its home."""

    id: str
    company_ids: tuple[int, ...]
    secret_digest: str
    permissions: frozenset[str]
    token_ttl: timedelta
    created_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An ES256 key of the token endpoint. Retired keys still verify until the last token they signed has expired."""

    id: str
    private_pem: str = field(repr=False)
    created_at: datetime = field()
    retired_at: datetime | None = None


# --- files ---------------------------------------------------------------------------------------


class State(StrEnum):
    AWAITING_UPLOAD = "awaiting_upload"
    RECEIVED = "received"
    PROCESSING = "processing"
    READY = "ready"
    INFECTED = "infected"
    REJECTED = "rejected"
    EXPIRED = "expired"
    DELETED = "deleted"


_ENDS = frozenset({State.EXPIRED, State.DELETED})
TRANSITIONS: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        # To rejected at once: bytes that a client put into the store broke a rule before they were received.
        State.AWAITING_UPLOAD: frozenset({State.RECEIVED, State.REJECTED}) | _ENDS,
        # To rejected from anywhere with bytes: an inspection found them missing or altered.
        State.RECEIVED: frozenset({State.PROCESSING, State.REJECTED}) | _ENDS,
        # Back to received: a lost worker's attempt is taken up again from its last finished step.
        State.PROCESSING: frozenset({State.READY, State.INFECTED, State.REJECTED, State.RECEIVED}) | _ENDS,
        State.READY: frozenset({State.REJECTED}) | _ENDS,
        State.INFECTED: _ENDS,
        State.REJECTED: _ENDS,
        State.EXPIRED: frozenset({State.DELETED}),
        State.DELETED: frozenset(),
    }
)


def may_become(old: State, new: State) -> bool:
    return new in TRANSITIONS[old]


class Acl(StrEnum):
    PRIVATE = "PRIVATE"
    PUBLIC_READ = "PUBLIC_READ"


@dataclass(frozen=True, slots=True)
class Digest:
    """A digest claimed by a client. `algorithm` is hashlib's name: sha256, sha512, md5; `value` the raw bytes."""

    algorithm: str
    value: bytes


@dataclass(frozen=True, slots=True)
class BlobRef:
    key: str
    size: int
    sha256: str
    digests: Mapping[str, bytes] = field(default_factory=nothing, compare=False)  # the further algorithms asked for


class StepName(StrEnum):
    SCAN = "scan"
    TYPE = "type"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of processing; without `ended_at` it is running."""

    name: StepName
    started_at: datetime
    ended_at: datetime | None = None
    outcome: str | None = None


@dataclass(frozen=True, slots=True)
class Warnings:
    """`empty`: no text or no bytes. `infected`: the scanner said so. `length`: the text was cut at the limit."""

    empty: bool = False
    infected: bool = False
    length: bool = False


@dataclass(frozen=True, slots=True)
class Version:
    """An immutable content of a file. `blob` is None until the bytes are there, and again when they are gone.

    A version in `awaiting_upload` has a number but no bytes: a presigned upload that was not used yet, or a
    placeholder. `size` and `sha256` stay known after the bytes went.
    """

    file_id: str
    number: int
    company_id: int
    state: State
    created_at: datetime
    updated_at: datetime
    declared_type: str | None = None
    detected_type: str | None = None
    size: int = 0
    sha256: str | None = None
    blob_key: str | None = None
    text_key: str | None = None
    steps: tuple[Step, ...] = ()
    warnings: Warnings = Warnings()
    reason: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=nothing)

    @property
    def content_type(self) -> str:
        return self.detected_type or self.declared_type or "application/octet-stream"


@dataclass(frozen=True, slots=True)
class File:
    """A name that clients know, pointing at its latest version.

    `api` is the dialect it came by. `alias` is the id which that wire gave it where the wire has ids of its own
    form, unique within the company. `owner` is the end user it belongs to, where the wire knows one. `attributes`
    are the wire's private data. In a namespace other than "" the name is unique among the living.
    """

    id: str
    company_id: int
    api: str
    name: str
    created_at: datetime
    version: Version
    namespace: str = ""
    alias: str | None = None
    owner: str | None = None
    acl: Acl = Acl.PRIVATE
    expires_at: datetime | None = None
    deleted_at: datetime | None = None
    attached: int = 0
    attributes: Mapping[str, Any] = field(default_factory=nothing)

    @property
    def state(self) -> State:
        return self.version.state


@dataclass(frozen=True, slots=True)
class Namespace:
    """Where file names are unique. `allowed_types` and `extensions` empty: any."""

    name: str
    allowed_types: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    max_size: int | None = None
    acl: Acl = Acl.PRIVATE


@dataclass(frozen=True, slots=True)
class Attachment:
    """A reference from elsewhere; while one exists the file neither expires nor loses its bytes."""

    file_id: str
    reference: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Upload:
    """A promise of bytes for one version: what may come, until when. It succeeds once.

    `size`, `content_type` and `sha256`, where given, are enforced exactly. `offset` counts the bytes of a
    resumable upload that are durable in `staging_key`. `held_until`: a request under way may last until then.
    """

    id: str
    company_id: int
    file_id: str
    version: int
    max_size: int
    created_at: datetime
    expires_at: datetime
    size: int | None = None
    content_type: str | None = None
    sha256: str | None = None
    allowed_types: tuple[str, ...] = ()
    offset: int = 0
    staging_key: str | None = None
    completed_at: datetime | None = None
    aborted_at: datetime | None = None
    held_until: datetime | None = None


# --- processing ----------------------------------------------------------------------------------


class Verdict(StrEnum):
    CLEAN = "clean"
    INFECTED = "infected"
    UNSCANNABLE = "unscannable"
    SCANNER_DOWN = "scanner_down"


@dataclass(frozen=True, slots=True)
class ScanResult:
    """`detail`: the signature's name, or why it could not be scanned. Never shown to a client as it is."""

    verdict: Verdict
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ExtractedText:
    """`text` is None where the type has no text to extract. `cut`: the limit on output was reached."""

    text: str | None
    cut: bool = False
    problem: str | None = None


class JobState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of work that outlives the process. `fence` grows with every claim: a write that carries an older one
    is refused, so a worker that was stopped past its lease cannot change anything. `memo` holds the results of
    finished steps."""

    id: str
    company_id: int
    kind: str
    subject: str
    payload: Mapping[str, Any]
    state: JobState
    attempts: int
    run_at: datetime
    created_at: datetime
    fence: int = 0
    lease_until: datetime | None = None
    worker: str | None = None
    memo: Mapping[str, Any] = field(default_factory=nothing)
    dedupe_key: str | None = None
    last_error: str | None = None
    finished_at: datetime | None = None


# --- callbacks -----------------------------------------------------------------------------------


class CallbackState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    GONE = "gone"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Callback:
    """A message owed to a URL that a client named. `id` goes with every attempt, so that a receiver knows it again.

    A replay begins a new `round`; `tries` counts the attempts of this one, `attempts` those of all. `event` says what
    happened and `subject` to what. URLs and bodies may hold secrets.
    """

    id: str
    company_id: int
    url: str = field(repr=False)
    event: str = field()
    subject: str = field()
    body: bytes = field(repr=False)
    state: CallbackState = field()
    created_at: datetime = field()
    give_up_at: datetime = field()
    round: int = 1
    tries: int = 0
    attempts: int = 0
    next_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to deliver. `status` is None where there was no answer, `error` where it was delivered: a sentence
    of ours, never what the receiver said. `took` in whole milliseconds."""

    number: int
    at: datetime
    took: timedelta
    status: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class CallbackSecret:
    """What signs a company's callbacks. Two are valid while receivers change from one to the other."""

    id: str
    company_id: int
    secret: bytes = field(repr=False)
    created_at: datetime = field()
    expires_at: datetime | None = None

    def valid(self, now: datetime) -> bool:
        return self.expires_at is None or now < self.expires_at


# --- what is written down ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AuditEntry:
    at: datetime
    company_id: int
    actor: str
    action: str
    subject: str
    outcome: str
    address: str | None = None
    trace_id: str | None = None
    detail: str | None = None
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """A state change that clients may follow; `seq` grows within the installation."""

    at: datetime
    company_id: int
    kind: str
    subject: str
    data: Mapping[str, Any]
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    bytes: int
    files: int


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """What was answered under an idempotency key. `fingerprint` binds the key to the request's content."""

    fingerprint: str
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=nothing)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of a list. `cursor` continues behind the last item; None at the end."""

    items: tuple[T, ...]
    cursor: str | None = None
    total: int | None = None
