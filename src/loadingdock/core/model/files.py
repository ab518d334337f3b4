"""Files, their versions and promises of them, and the transitions that their states may take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from loadingdock.core.model.nothing import nothing


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
