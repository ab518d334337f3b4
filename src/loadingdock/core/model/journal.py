"""What is written down: the audit log, events, answers kept under idempotency keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from loadingdock.core.model.nothing import nothing


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
class StoredResponse:
    """What was answered under an idempotency key. `fingerprint` binds the key to the request's content."""

    fingerprint: str
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=nothing)
    body: bytes = b""
