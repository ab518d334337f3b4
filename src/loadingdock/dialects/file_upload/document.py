"""What the OpenAPI document says of file-upload. Answers to errors are added from `wire.render`."""

from __future__ import annotations

from typing import Any

DESCRIPTION = """\
Speaks "POST /fileUpload": the upload of a file is initiated with its MIME type, and the answer says where to send the
bytes and which id the file has.

The token comes from `POST /oauth/token` (client credentials, RFC 6749 4.4) or from an issuer that the operator trusts,
and needs the permission `transactions:post`. It is taken with and without the word `Bearer`.

The bytes are sent as they are, with the Content-Type that was asked for:
`curl -T invoice.pdf -H 'Content-Type: application/pdf' "$uploadUrl"`. A `size` and a `sha256` given with the request
are bound into the URL and enforced. Errors there have the shape of S3's. The same URL accepts resumable uploads
(draft-ietf-httpbis-resumable-upload): `Upload-Complete: ?0` on the `PUT`.

Errors are problem documents (RFC 9457) with `traceId`, the trace id of the request, which every response also has in
the header `X-Trace-Id`; a `traceparent` that was sent is continued.
"""

_HEADERS = {
    "Access-Control-Allow-Origin": {
        "description": "The request's origin if the company allows it, else the first that it allows.",
        "schema": {"type": "string"},
    },
    "Access-Control-Allow-Credentials": {"schema": {"type": "string", "enum": ["true"]}},
    "X-Trace-Id": {
        "description": "The W3C trace id of the request.",
        "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    },
}

INITIATE: dict[str, Any] = {
    "operation_id": "initiateFileUpload",
    "summary": "Initiate the upload of a file",
    "responses": {
        200: {
            "description": "Attachment upload initiated successfully",
            "headers": _HEADERS,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["uploadMethod", "uploadUrl", "fileId"],
                        "properties": {
                            "uploadMethod": {
                                "type": "string",
                                "description": "HTTP method to use for uploading the file",
                            },
                            "uploadUrl": {
                                "type": "string",
                                "format": "uri",
                                "description": "Presigned URL to which the file should be uploaded, using "
                                "{uploadMethod} as HTTP method",
                            },
                            "fileId": {
                                "type": ["integer", "string"],
                                "description": "Identifier for the file to be uploaded in the system: a decimal "
                                "number, as a JSON number or, if the company's setting `file-upload.file-id-type` "
                                "says so, as a string.",
                            },
                        },
                    },
                    "example": {
                        "uploadMethod": "PUT",
                        "uploadUrl": "https://files.example.com/objects/100001/5f1c...?X-Amz-Algorithm=...",
                        "fileId": 67890,
                    },
                }
            },
        },
        400: {"description": "The input provided was invalid", "headers": _HEADERS},
        401: {"description": "Unauthorized - Bearer token missing or invalid", "headers": _HEADERS},
        403: {"description": "Forbidden - User does not have access to post transactions", "headers": _HEADERS},
    },
    "openapi_extra": {
        "security": [{"bearer": []}],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["contentType"],
                        "properties": {
                            "contentType": {
                                "type": "string",
                                "description": "content type (MIME type) of the file being uploaded",
                                "pattern": "^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*$",
                                "maxLength": 255,
                            },
                            "fileName": {
                                "type": ["string", "null"],
                                "description": "name of the file; without one, the fileId with the type's extension",
                                "minLength": 1,
                                "maxLength": 255,
                            },
                            "size": {
                                "type": ["integer", "null"],
                                "description": "bytes; other lengths are then refused",
                                "minimum": 0,
                                "maximum": 2**53 - 1,
                            },
                            "sha256": {
                                "type": ["string", "null"],
                                "description": "SHA-256 of the bytes in hexadecimal; other bytes are then refused",
                                "pattern": "^[0-9A-Fa-f]{64}$",
                            },
                        },
                    },
                    "example": {"contentType": "application/pdf"},
                }
            },
        },
    },
}
