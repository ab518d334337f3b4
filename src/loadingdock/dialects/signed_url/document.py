"""What the OpenAPI document says of signed-url. Answers to errors are added from `wire.render`."""

from __future__ import annotations

from typing import Any

from loadingdock.core import types
from loadingdock.dialects.signed_url.preferences import LONGEST

Operation = dict[str, Any]

DESCRIPTION = """\
Speaks "Files": ask for an upload URL, `PUT` the bytes there, ask for the status until processing is complete, then
use the `file_id`.

The key in the header `api-key` needs the permissions `files:read` and `files:write`. Every file belongs to the end
user whom the header `user-id` names; another user's file does not exist.

The upload URL takes the bytes as they are, without credentials: `curl -T report.pdf "$file_url"`. It can be used once,
until `expires_in` seconds have passed. Size and type are enforced while the bytes come; errors there have the shape of
S3's. The same URL accepts resumable uploads (draft-ietf-httpbis-resumable-upload): `Upload-Complete: ?0` on the `PUT`.
"""

_FILE_ID = "360d942f-d861-4611-b4b3-227278c9e709"
_USER = {
    "name": "user-id",
    "in": "header",
    "required": True,
    "description": "ID of the end user the file belongs to.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    "example": "497f6eca-6276-4993-bfeb-53cbbbba6f08",
}
_ID = {
    "name": "file_id",
    "in": "path",
    "required": True,
    "description": "The id that came with the upload URL.",
    "schema": {"type": "string", "format": "uuid"},
    "example": _FILE_ID,
}


def _operation(
    id: str, summary: str, description: str, responses: dict[int, dict[str, Any]], *parameters: dict[str, Any]
) -> Operation:
    return {
        "operation_id": id,
        "summary": summary,
        "description": description,
        "responses": responses,
        "openapi_extra": {"security": [{"api-key": []}], "parameters": [_USER, *parameters]},
    }


def _json(description: str, schema: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "required": list(example), "properties": schema}
    return {"description": description, "content": {"application/json": {"schema": schema, "example": example}}}


def _query(name: str, description: str, schema: dict[str, Any], *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": required, "description": description, "schema": schema}


_TYPES = ["text/csv", "text/plain", "application/pdf", types.DOCX, types.XLSX]

INITIATE = _operation(
    "requestUploadUrl",
    "Request an upload URL",
    "Returns a pre-signed URL and a `file_id`. Upload your file via HTTP PUT to the returned `file_url`. Then poll "
    "`GET /v1/files/{file_id}/status` until processing is complete, and attach the `file_id` to a message.",
    {
        200: _json(
            "The URL, and what may be sent there.",
            {
                "expires_in": {"type": "integer", "description": "Seconds in which the URL may be used."},
                "file_id": {"type": "string", "format": "uuid"},
                "file_limits": {
                    "type": "object",
                    "required": ["allowed_types", "max_size"],
                    "properties": {
                        "allowed_types": {"type": "array", "items": {"type": "string"}},
                        "max_size": {"type": "integer", "description": "Bytes."},
                    },
                },
                "file_url": {"type": "string", "format": "uri"},
            },
            {
                "expires_in": 600,
                "file_id": _FILE_ID,
                "file_limits": {"allowed_types": _TYPES, "max_size": 10485760},
                "file_url": "https://files.example.com/objects/100001/5f1c...?X-Amz-Algorithm=AWS4-HMAC-SHA256&...",
            },
        ),
        422: {"description": "The request's own URL cannot be read: broken percent-encoding, or not UTF-8."},
    },
    _query(
        "filename",
        "File name including its extension (e.g. report.pdf). Its type has to be an allowed one.",
        {"type": "string", "minLength": 1, "maxLength": 255},
        required=True,
    )
    | {"example": "report.pdf"},
    _query(
        "persist",
        "If true (default), the file is kept for reuse. If false, it is removed after 24h.",
        {"type": "boolean", "default": True},
    ),
)

STATUS = _operation(
    "getStatus",
    "The status of a file",
    "`AWAITING_UPLOAD` until the bytes came, then `PROCESSING`, then `PROCESSED`, or `FAILED` for a file that is "
    "infected or not of the type it claims. `EXPIRED`: its time is over, or its bytes never came. A step without "
    "`endedAt` is running.",
    {
        200: _json(
            "Where the file stands.",
            {
                "processing_status": {
                    "type": "string",
                    "enum": ["AWAITING_UPLOAD", "PROCESSING", "PROCESSED", "FAILED", "EXPIRED"],
                },
                "processing_steps": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["createdAt", "status"],
                        "properties": {
                            "createdAt": {"type": "string", "format": "date-time"},
                            "endedAt": {"type": "string", "format": "date-time"},
                            "status": {
                                "type": "string",
                                "enum": ["ANTIVIRUS_SCANNING", "TYPE_DETECTION", "TEXT_EXTRACTION"],
                            },
                        },
                    },
                },
                "warnings": {
                    "type": "object",
                    "required": ["empty", "infected", "length"],
                    "properties": {
                        "empty": {"type": "boolean", "description": "No text, or no bytes."},
                        "infected": {"type": "boolean", "description": "The scanner found something."},
                        "length": {"type": "boolean", "description": "The text was cut at the limit."},
                    },
                },
            },
            {
                "processing_status": "PROCESSING",
                "processing_steps": [
                    {
                        "createdAt": "2026-04-15T09:43:13.247Z",
                        "endedAt": "2026-04-15T09:43:14.204Z",
                        "status": "ANTIVIRUS_SCANNING",
                    }
                ],
                "warnings": {"empty": False, "infected": False, "length": False},
            },
        )
        | {
            "headers": {
                "Preference-Applied": {
                    "description": "The `wait` that was applied, where one was asked for.",
                    "schema": {"type": "string"},
                }
            }
        },
    },
    _ID,
    {
        "name": "Prefer",
        "in": "header",
        "required": False,
        "description": f"`wait=5` (RFC 7240): the answer waits that many seconds, at most {LONGEST}, for a change.",
        "schema": {"type": "string"},
        "example": "wait=5",
    },
)

LIST = _operation(
    "listFiles",
    "The user's files",
    "Newest first.",
    {
        200: _json(
            "One page of them.",
            {
                "files": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["file_id", "file_name"],
                        "properties": {
                            "file_id": {"type": "string", "format": "uuid"},
                            "file_name": {"type": "string"},
                        },
                    },
                },
                "limit": {"type": "integer"},
                "page": {"type": "integer"},
                "total": {"type": "integer", "description": "Files on all pages."},
            },
            {"files": [{"file_id": _FILE_ID, "file_name": "report.pdf"}], "limit": 30, "page": 1, "total": 1},
        )
    },
    _query("page", "Counted from 1.", {"type": "integer", "minimum": 1, "maximum": 10**9, "default": 1}),
    _query("limit", "Files on a page.", {"type": "integer", "minimum": 1, "maximum": 100, "default": 30}),
)

TEXT = _operation(
    "getText",
    "The text of a file",
    "What was extracted from PDF, DOCX, XLSX, CSV and TXT; empty for a file without text.",
    {
        200: {"description": "The text, UTF-8.", "content": {"text/plain": {"schema": {"type": "string"}}}},
        409: {},
    },
    _ID,
)

_BYTES = {"schema": {"type": "string", "format": "binary"}}
CONTENT = _operation(
    "getContent",
    "The bytes of a file",
    "With `Range`, `If-None-Match` and the other conditions of RFC 9110.",
    {
        200: {"description": "The bytes.", "content": {"application/octet-stream": _BYTES}},
        206: {"description": "The range that was asked for.", "content": {"application/octet-stream": _BYTES}},
        304: {"description": "Not changed."},
        409: {},
        412: {"description": "A condition does not hold."},
        416: {"description": "No byte of the range is there."},
    },
    _ID,
)
CONTENT_HEAD = CONTENT | {"operation_id": "headContent", "summary": "The headers of a file's bytes"}

DELETE = _operation(
    "deleteFile",
    "Delete a file",
    "A file that is attached somewhere stays readable there until it is detached.",
    {204: {"description": "The file is gone."}},
    _ID,
)
