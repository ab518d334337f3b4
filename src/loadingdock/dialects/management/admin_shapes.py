"""What the management API shows to administrators, each shape made from its noun of the core."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from loadingdock.core.model.companies import Company, CompanySetting
from loadingdock.core.model.identity import ApiKey, OAuthClient, User
from loadingdock.core.model.jobs import Job, JobState
from loadingdock.core.model.journal import AuditEntry
from loadingdock.dialects.management.wire import Shown, Time


class CompanyShape(Shown):
    code: str
    number: int
    name: str
    created_at: Time
    settings: Annotated[dict[str, Any], Field(description="All that can be set, as they are in force.")]

    @classmethod
    def of(cls, company: Company, known: Mapping[str, CompanySetting[Any]]) -> CompanyShape:
        return cls(
            code=company.code,
            number=company.number,
            name=company.name,
            created_at=company.created_at,
            settings={key: company.get(setting) for key, setting in sorted(known.items())},
        )


class UserShape(Shown):
    name: str
    login: Annotated[str, Field(description="What goes into Basic credentials.", examples=["anna@acme"])]
    grants: list[str]
    created_at: Time
    disabled_at: Time | None

    @classmethod
    def of(cls, user: User, company: Company) -> UserShape:
        return cls(
            name=user.name,
            login=f"{user.name}@{company.code}",
            grants=sorted(user.permissions),
            created_at=user.created_at,
            disabled_at=user.disabled_at,
        )


class KeyShape(Shown):
    id: str
    label: str
    grants: list[str]
    created_at: Time
    revoked_at: Time | None

    @classmethod
    def of(cls, key: ApiKey) -> KeyShape:
        return cls(
            id=key.id,
            label=key.label,
            grants=sorted(key.permissions),
            created_at=key.created_at,
            revoked_at=key.revoked_at,
        )


class CreatedKey(Shown):
    key: KeyShape
    api_key: Annotated[str, Field(description="Shown this once.")]


class ClientShape(Shown):
    id: str
    grants: list[str]
    ttl: Annotated[int, Field(description="Seconds for which its tokens live.")]
    created_at: Time
    revoked_at: Time | None

    @classmethod
    def of(cls, client: OAuthClient) -> ClientShape:
        return cls(
            id=client.id,
            grants=sorted(client.permissions),
            ttl=int(client.token_ttl.total_seconds()),
            created_at=client.created_at,
            revoked_at=client.revoked_at,
        )


class CreatedClient(Shown):
    client: ClientShape
    client_id: str
    client_secret: Annotated[str, Field(description="Shown this once.")]
    organization_id: Annotated[str, Field(description="The company, as token requests name it.")]


class AuditShape(Shown):
    seq: int
    at: Time
    actor: Annotated[str, Field(examples=["user:anna"])]
    action: Annotated[str, Field(examples=["download"])]
    subject: str
    outcome: str
    address: str | None
    trace_id: str | None
    detail: str | None

    @classmethod
    def of(cls, entry: AuditEntry) -> AuditShape:
        return cls(
            seq=entry.seq,
            at=entry.at,
            actor=entry.actor,
            action=entry.action,
            subject=entry.subject,
            outcome=entry.outcome,
            address=entry.address,
            trace_id=entry.trace_id,
            detail=entry.detail,
        )


class JobShape(Shown):
    id: str
    kind: str
    subject: str
    state: JobState
    attempts: int
    run_at: Time
    created_at: Time
    finished_at: Time | None
    last_error: str | None

    @classmethod
    def of(cls, job: Job) -> JobShape:
        return cls(
            id=job.id,
            kind=job.kind,
            subject=job.subject,
            state=job.state,
            attempts=job.attempts,
            run_at=job.run_at,
            created_at=job.created_at,
            finished_at=job.finished_at,
            last_error=job.last_error,
        )
