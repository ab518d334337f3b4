"""What the management API shows of files and uploads, each shape made from its noun of the core."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from loadingdock.core.model.files import Acl, Attachment, File, State, StepName, Upload, Version
from loadingdock.dialects.management.wire import Shown, Time

Size = Annotated[int, Field(ge=0, description="Bytes.", examples=[51_200])]
MediaType = Annotated[
    str,
    Field(
        description="What the bytes are; before they were looked into, what they are said to be.",
        examples=["application/pdf"],
    ),
]
Sha256 = Annotated[
    str | None,
    Field(
        description="In hex; null before the bytes are there.",
        examples=["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
    ),
]


class FileShape(Shown):
    id: Annotated[str, Field(examples=["0b8b3b4c-5a5e-4a38-8f5e-8f1f6dbb0a0e"])]
    name: Annotated[str, Field(examples=["report.pdf"])]
    namespace: Annotated[str, Field(description="Where the name is unique; empty for most.", examples=[""])]
    api: Annotated[str, Field(description="The API that the file came by.", examples=["management"])]
    alias: Annotated[
        str | None,
        Field(description="The id that the API gave it, where that has ids of its own form.", examples=[None]),
    ]
    owner: Annotated[str | None, Field(description="The end user that it belongs to.", examples=["bob"])]
    acl: Acl
    state: Annotated[State, Field(examples=["ready"])]
    reason: Annotated[str | None, Field(description="Why it was rejected.", examples=[None])]
    version: Annotated[int, Field(ge=1, description="The number of the latest version.")]
    size: Size
    content_type: MediaType
    sha256: Sha256
    attachments: Annotated[int, Field(ge=0, description="References that keep it alive.", examples=[0])]
    created_at: Time
    updated_at: Time
    expires_at: Annotated[Time | None, Field(description="Null: it is kept until it is deleted.", examples=[None])]
    deleted_at: Annotated[Time | None, Field(examples=[None])]

    @classmethod
    def of(cls, file: File) -> FileShape:
        version = file.version
        return cls(
            id=file.id,
            name=file.name,
            namespace=file.namespace,
            api=file.api,
            alias=file.alias,
            owner=file.owner,
            acl=file.acl,
            state=version.state,
            reason=_reason(version),
            version=version.number,
            size=version.size,
            content_type=version.content_type,
            sha256=version.sha256,
            attachments=file.attached,
            created_at=file.created_at,
            updated_at=version.updated_at,
            expires_at=file.expires_at,
            deleted_at=file.deleted_at,
        )


def _reason(version: Version) -> str | None:
    """What a scanner called its find is not for clients."""
    return version.reason if version.state is State.REJECTED else None


class VersionShape(Shown):
    number: Annotated[int, Field(ge=1)]
    state: Annotated[State, Field(examples=["ready"])]
    reason: Annotated[str | None, Field(description="Why it was rejected.", examples=[None])]
    size: Size
    content_type: MediaType
    sha256: Sha256
    created_at: Time
    updated_at: Time

    @classmethod
    def of(cls, version: Version) -> VersionShape:
        return cls(
            number=version.number,
            state=version.state,
            reason=_reason(version),
            size=version.size,
            content_type=version.content_type,
            sha256=version.sha256,
            created_at=version.created_at,
            updated_at=version.updated_at,
        )


class VersionList(Shown):
    items: list[VersionShape]


class StepShape(Shown):
    name: StepName
    started_at: Time
    ended_at: Annotated[Time | None, Field(description="Null: it is running.")]
    outcome: str | None


class WarningsShape(Shown):
    empty: Annotated[bool, Field(description="No text, or no bytes.")]
    infected: bool
    length: Annotated[bool, Field(description="The text was cut at the limit.")]


class Metadata(Shown):
    """What was found out about the bytes of one version."""

    id: str
    version: int
    state: State
    declared_type: Annotated[str | None, Field(description="What the sender called it.")]
    detected_type: Annotated[str | None, Field(description="What the bytes are.")]
    has_text: Annotated[bool, Field(description="Whether text was extracted.")]
    steps: list[StepShape]
    warnings: WarningsShape

    @classmethod
    def of(cls, version: Version) -> Metadata:
        # The outcome of a scan may name the scanner's find.
        steps = [
            StepShape(
                name=step.name,
                started_at=step.started_at,
                ended_at=step.ended_at,
                outcome=None if step.name is StepName.SCAN else step.outcome,
            )
            for step in version.steps
        ]
        warnings = version.warnings
        return cls(
            id=version.file_id,
            version=version.number,
            state=version.state,
            declared_type=version.declared_type,
            detected_type=version.detected_type,
            has_text=version.text_key is not None,
            steps=steps,
            warnings=WarningsShape(empty=warnings.empty, infected=warnings.infected, length=warnings.length),
        )


class AttachmentShape(Shown):
    reference: Annotated[str, Field(examples=["message-4711"])]
    created_at: Time

    @classmethod
    def of(cls, attachment: Attachment) -> AttachmentShape:
        return cls(reference=attachment.reference, created_at=attachment.created_at)


class AttachmentList(Shown):
    items: list[AttachmentShape]


class UploadShape(Shown):
    id: str
    file_id: str
    state: Annotated[str, Field(pattern="^(open|completed|aborted|expired)$")]
    size: Annotated[int | None, Field(description="As promised; null: any, up to `max_size`.")]
    content_type: str | None
    sha256: str | None
    max_size: int
    offset: Annotated[int, Field(description="Bytes of a resumable upload that are there.")]
    created_at: Time
    expires_at: Time
    completed_at: Time | None

    @classmethod
    def of(cls, upload: Upload, now: datetime) -> UploadShape:
        if upload.completed_at is not None:
            state = "completed"
        elif upload.aborted_at is not None:
            state = "aborted"
        else:
            state = "open" if upload.expires_at > now else "expired"
        return cls(
            id=upload.id,
            file_id=upload.file_id,
            state=state,
            size=upload.size,
            content_type=upload.content_type,
            sha256=upload.sha256,
            max_size=upload.max_size,
            offset=upload.offset,
            created_at=upload.created_at,
            expires_at=upload.expires_at,
            completed_at=upload.completed_at,
        )


class Send(Shown):
    """The one request that the upload waits for; it needs no credentials."""

    method: Annotated[str, Field(pattern="^PUT$")]
    url: str
    headers: Annotated[dict[str, str], Field(description="They are signed: send exactly these.")]


class CreatedUpload(Shown):
    upload: UploadShape
    send: Send
