"""What the OpenAPI document says of file-service. Answers to errors are added from `wire.render`."""

from __future__ import annotations

from typing import Any

DESCRIPTION = """\
Speaks "Upload images to file service". A file lies under a name in a namespace, and each upload of the name is its
next version. The namespace `rewards` takes images and is always there; the company's setting
`file-service.namespaces` makes others.

A POST without a body, or with a form in which no file was chosen, makes a placeholder: a version with a number and no
bytes, which the next upload of the name fills.

Credentials are Basic, or a token from `/v3/oauth/token/generate` in `X-CAP-API-OAUTH-TOKEN` or as Bearer. Reading
needs `files:read` on the namespace, all else `files:write`. Errors have the shape
`{"code": 401, "status": "false", "message": "...", "errors": [{"code": "...", "message": "..."}]}`, where `code` is the
HTTP status.
"""

_TEXT = {"type": "string"}
_SECURITY: list[dict[str, list[str]]] = [{"basic": []}, {"bearer": []}]
_NAMESPACE = {
    "name": "namespace",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,62}$"},
    "example": "rewards",
}
_FILENAME = {
    "name": "filename",
    "in": "path",
    "required": True,
    "description": "Name and extension.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "example": "test.png",
}
_VERSION = {
    "name": "version",
    "in": "query",
    "required": False,
    "description": "One version; the latest (DELETE: all of them) without it.",
    "schema": {"type": "integer", "minimum": 1, "maximum": 999_999_999},
}
_SAMPLE = {
    "name": "test.png",
    "namespace": "rewards",
    "version": 2,
    "acl": "PRIVATE",
    "fileSize": "51",
    "file_handle": "73e78929-1e07-4cc5-a738-b54470a7dc8c",
    "content_type": "image/png",
    "s3_token": "rewards/100606/b21f3aea-ad38-4634-82a4-db2aaa0b76e1.png",
    "latest_version": 2,
    "last_modified": "2024-05-08 09:10:59",
    "s3_url": "s3://loadingdock/rewards/100606/b21f3aea-ad38-4634-82a4-db2aaa0b76e1.png",
}
_FILE = {
    "type": "object",
    "required": list(_SAMPLE),
    "properties": {
        **dict.fromkeys(_SAMPLE, _TEXT),
        "version": {"type": "integer", "minimum": 1},
        "latest_version": {"type": "integer", "minimum": 1},
        "acl": {"type": "string", "enum": ["PRIVATE", "PUBLIC_READ"]},
        "fileSize": {"type": "string", "pattern": "^[0-9]+$", "description": "Bytes; 0 for a placeholder."},
        "file_handle": {"type": "string", "format": "uuid", "description": "The same for all versions of a name."},
        "last_modified": {
            "type": "string",
            "pattern": r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$",
            "description": "UTC; when this version's bytes came.",
        },
    },
}


def _answer(
    description: str, sample: dict[str, Any], properties: dict[str, Any], *, optional: tuple[str, ...] = ()
) -> dict[int | str, dict[str, Any]]:
    shape = {
        "code": {"type": "integer", "enum": [200]},
        "status": {"type": "string", "enum": ["true"]},
        "message": _TEXT,
        **properties,
    }
    return {
        200: {
            "description": description,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": [key for key in shape if key not in optional],
                        "properties": shape,
                    },
                    "example": {"code": 200, "status": "true", **sample},
                }
            },
        }
    }


def _one(message: str) -> dict[int | str, dict[str, Any]]:
    return _answer(
        "The version and a link to it.",
        {
            "message": message,
            "file": _SAMPLE,
            "secureFilePath": "https://files.example.com/objects/100606/73e78929-1e07-4cc5-a738-b54470a7dc8c/2/test.png"
            "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=...&X-Amz-Date=20240508T034059Z&X-Amz-Expires=3600"
            "&X-Amz-SignedHeaders=host&X-Amz-Signature=...",
        },
        {
            "file": _FILE,
            "secureFilePath": {
                "type": "string",
                "format": "uri",
                "description": "A presigned GET of exactly this version, good for an hour. Answers 409 until the file "
                "has been scanned, 403 if it is infected.",
            },
            "publicFilePath": {
                "type": "string",
                "format": "uri",
                "description": "The stable address of a PUBLIC_READ file.",
            },
        },
        optional=("publicFilePath",),
    )


def _operation(
    name: str,
    summary: str,
    responses: dict[int | str, dict[str, Any]],
    *parameters: dict[str, Any],
    body: dict[str, Any] | None = None,
    description: str = "",
    secured: bool = True,
) -> dict[str, Any]:
    extra: dict[str, Any] = {"parameters": list(parameters)} if parameters else {}
    if secured:
        extra["security"] = _SECURITY
    if body is not None:
        extra["requestBody"] = body
    return {
        "operation_id": name,
        "summary": summary,
        "description": description,
        "openapi_extra": extra,
        "responses": responses,
    }


UPLOAD = _operation(
    "uploadFile",
    "Upload the next version of a file",
    _one("Successfully uploaded file"),
    _NAMESPACE,
    _FILENAME,
    description="The file is the part named `file` of a form, or the form's only file, or the raw body. Its extension, "
    "its declared type and its bytes have to agree.",
    body={
        "required": False,
        "content": {
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
            },
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "image/png": {"schema": {"type": "string", "format": "binary"}},
        },
    },
)
METADATA = _operation("getFile", "A file's metadata", _one("Successfully found file"), _NAMESPACE, _FILENAME, _VERSION)
DELETE = _operation(
    "deleteFile",
    "Delete a version, or the whole file",
    _answer("It is gone.", {"message": "Successfully deleted file"}, {}),
    _NAMESPACE,
    _FILENAME,
    _VERSION,
)
_BYTES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The bytes.",
        "headers": {"ETag": {"schema": _TEXT, "description": "The SHA-256 of the bytes, in quotes."}},
        "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
    },
    206: {
        "description": "The range asked for.",
        "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
    },
    304: {"description": "If-None-Match names these bytes."},
    403: {"description": "The file is infected or was refused, or the permission is missing."},
    409: {"description": "The file has not been scanned yet, or is a placeholder."},
    410: {"description": "The file has expired."},
    416: {"description": "No byte of the file is in the range."},
}
CONTENT = _operation("getContent", "A file's bytes", _BYTES, _NAMESPACE, _FILENAME, _VERSION)
CONTENT_HEAD = _operation(
    "headContent",
    "What a GET of the bytes would say",
    {status: {key: value for key, value in answer.items() if key != "content"} for status, answer in _BYTES.items()},
    _NAMESPACE,
    _FILENAME,
    _VERSION,
)
VERSIONS = _operation(
    "listVersions",
    "All versions of a file, newest first",
    _answer(
        "The versions.",
        {"message": "Successfully listed versions", "versions": [_SAMPLE]},
        {"versions": {"type": "array", "items": _FILE}},
    ),
    _NAMESPACE,
    _FILENAME,
)
ACL = _operation(
    "setAcl",
    "Say who may read a file",
    _one("Successfully updated file"),
    _NAMESPACE,
    _FILENAME,
    body={
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["acl"],
                    "properties": {"acl": {"type": "string", "enum": ["PRIVATE", "PUBLIC_READ"]}},
                },
                "example": {"acl": "PUBLIC_READ"},
            }
        },
    },
)
LISTING = _operation(
    "listFiles",
    "The files of a namespace, newest first",
    _answer(
        "A page of files; `cursor` asks for the next one and is null at the end.",
        {"message": "Successfully listed files", "files": [_SAMPLE], "cursor": None},
        {"files": {"type": "array", "items": _FILE}, "cursor": {"type": ["string", "null"]}},
    ),
    _NAMESPACE,
    {
        "name": "limit",
        "in": "query",
        "required": False,
        "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50},
    },
    {"name": "cursor", "in": "query", "required": False, "schema": _TEXT},
)
TOKEN = _operation(
    "generateToken",
    "A token for a client's key and secret",
    {
        200: {
            "description": "The token, good for `ttlSeconds`.",
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["data", "errors"],
                        "properties": {
                            "data": {
                                "type": "object",
                                "required": ["accessToken", "ttlSeconds"],
                                "properties": {"accessToken": _TEXT, "ttlSeconds": {"type": "integer", "minimum": 1}},
                            },
                            "errors": {"type": "null"},
                        },
                    },
                    "example": {"data": {"accessToken": "eyJhbGciOiJFUzI1NiJ9...", "ttlSeconds": 300}, "errors": None},
                }
            },
        },
        401: {"description": "Key or secret are wrong."},
    },
    body={
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["key", "secret"],
                    "properties": {
                        "key": {"type": "string", "minLength": 1},
                        "secret": {"type": "string", "minLength": 1},
                        "organization": {
                            "type": "string",
                            "minLength": 1,
                            "description": "The company's number or code, for clients that serve several.",
                        },
                    },
                },
                "example": {"key": "1f0e6a9c2b7d4e58a3c1d2e4f5061728", "secret": "..."},
            }
        },
    },
    secured=False,
)
