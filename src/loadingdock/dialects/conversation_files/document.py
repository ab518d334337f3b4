"""What the OpenAPI document says of conversation-files. Answers to errors are added from `wire.render`."""

from __future__ import annotations

from typing import Any

DESCRIPTION = """\
Speaks "API REST - File Upload (1.0)". A file that is sent here is kept for 7 days, or as long as the company's setting
`retention.conversation-files` says; while it is attached to something it is kept until it is detached.

The user needs the permission `files:upload`. Errors have the shape
`{"error": {"code": "...", "message": "..."}, "idCompany": "..."}`, with `requestID` where `X-DEBUG: 1` asks for it;
`idCompany` is null where the login names no company. Every response carries the header `X-Request-Id`.
"""

_REQUEST_ID = {"type": "string", "format": "uuid"}

UPLOAD: dict[str, Any] = {
    "operation_id": "uploadFile",
    "summary": "Upload one file",
    "description": "The file has the name of its part; the part's Content-Type, its extension and its bytes have "
    "to agree unless the company's `type-policy` is lenient.",
    "openapi_extra": {
        "security": [{"basic": []}],
        "parameters": [
            {
                "name": "X-DEBUG",
                "in": "header",
                "required": False,
                "description": "1: every response has `requestID`. 0 or absent: none has.",
                "schema": {"type": "integer", "format": "int32", "enum": [0, 1]},
                "example": 1,
            }
        ],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["file"],
                        "properties": {
                            "file": {
                                "type": "string",
                                "format": "binary",
                                "description": "The file, with its file name.",
                            }
                        },
                    }
                }
            },
        },
    },
    "responses": {
        200: {
            "description": "The file is durable and has its id.",
            "headers": {"X-Request-Id": {"schema": _REQUEST_ID, "description": "The request's id, always."}},
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["fileID", "fileName", "idCompany"],
                        "properties": {
                            "fileID": {
                                "type": "string",
                                "pattern": "^s3://[A-Za-z0-9_-]+/[0-9]{4}/[0-9]{1,2}/[0-9a-f]{32}$",
                            },
                            "fileName": {"type": "string"},
                            "idCompany": {"type": "string"},
                            "requestID": _REQUEST_ID,
                        },
                    },
                    "example": {
                        "fileID": "s3://WS/2021/6/fc205897b3001fef760d1ac1965ecc64",
                        "fileName": "FileTest.pdf",
                        "idCompany": "companycode",
                        "requestID": "52bcb58a-4ba8-46b1-a162-34f5c7de7192",
                    },
                }
            },
        },
        415: {"description": "The body is encoded (Content-Encoding); send it as it is."},
    },
}
