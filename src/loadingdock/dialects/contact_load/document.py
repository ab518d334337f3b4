"""What the OpenAPI document says of contact-load. Answers to errors are added from `wire.render`."""

from __future__ import annotations

from typing import Any

from loadingdock.core.loading import Operation

DESCRIPTION = """\
Speaks "API REST - Contact bulk load (1.0)". A CSV file is taken in, kept for 30 days, or as long as the company's
setting `retention.contact-load` says, and imported into a contact table. The answer comes once the file is durable and
its parameters are checked; `logID` is the import's number, under which `/api/v1/imports` tells how it goes on.

The user needs the permission `contacts:load`. Errors have the shape
`{"status": false, "tableCode": "...", "error": {"code": "...", "message": "...", "field": "..."}}`; `field` is the form
field that is wrong, or null, and `tableCode` is what the path has. Every response carries the header `X-Request-Id`.
"""

_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_REQUEST_ID = {"type": "string", "format": "uuid"}
_FIELDS: dict[str, dict[str, Any]] = {
    "separator": {
        "type": "string",
        "minLength": 1,
        "default": ",",
        "description": "The character between values; also `\\t`, or the word `TAB`.",
    },
    "delimiter": {
        "type": "string",
        "maxLength": 1,
        "default": "",
        "description": "The quote character around a value, doubled where it stands for itself. Empty: nothing is"
        " quoted.",
    },
    "includeHeaders": {
        "type": "boolean",
        "default": False,
        "description": "Whether the first record holds the names of columns.",
    },
    "operationType": {
        "type": "string",
        "enum": [operation.value for operation in Operation],
        "default": Operation.INSALL.value,
        "description": "`INSALL` inserts all, `UPDINS` inserts new ones and updates existing ones, `UPALL` (or"
        " `UPDALL`) updates existing ones, `INSNEW` inserts new ones. `keyField` decides which exist.",
    },
    "encodingType": {
        "type": "string",
        "default": "UTF-8",
        "description": "A name that Python knows, such as windows-1252. A byte order mark is honoured.",
    },
    "keyField": {
        "type": "string",
        "description": "The columns that identify a contact, divided by semicolons. Needed for all but `INSALL`,"
        " unless the table declares its own key.",
    },
    "fieldsCode": {
        "type": "string",
        "minLength": 1,
        "description": "The names of the file's columns in its order, divided by semicolons, in quotes or not; `fields`"
        " too. Needed unless `includeHeaders` is true; with it, these names count and the header's do not.",
    },
    "strict": {
        "type": "boolean",
        "default": True,
        "description": "Whether one bad record leaves everything unchanged; otherwise the good ones are applied.",
    },
    "file": {
        "type": "string",
        "format": "binary",
        "description": "The CSV, with its file name; compressed where that ends with `.gz` or `.zst`.",
    },
    "callback": {
        "type": "string",
        "default": "",
        "description": "A URL that is told of the import's end, by FileNotify; `callbackUrl`, `callbackURL` and"
        " `notifyUrl` too.",
    },
    "dryRun": {
        "type": "boolean",
        "default": False,
        "description": "Everything is done, counted and reported, and then nothing is changed.",
    },
}
_NOTIFY: dict[str, Any] = {
    "fileName": "s3://contactsfile/9876/Contacts.csv",
    "fileSize": 2910575,
    "logID": 9876,
    "result": "FINISHED",
    "idCompany": "CompanyCode",
    "idWebDb": 987,
    "lineCount": 7832,
    "movedFile": "processed/Log9876-webdb987",
    "inserted": 7000,
    "updated": 800,
    "unchanged": 30,
    "skipped": 2,
    "rejected": 0,
    "rejectedFile": None,
}
_COUNTS = ("fileSize", "logID", "idWebDb", "lineCount", "inserted", "updated", "unchanged", "skipped", "rejected")

LOAD: dict[str, Any] = {
    "operation_id": "loadContacts",
    "summary": "Import contacts from a file to the specified contact list",
    "description": "The fields may come in any order, before and behind the file; those of other names are passed over."
    " A field that comes twice is refused.",
    "openapi_extra": {
        "security": [{"basic": []}],
        "parameters": [
            {
                "name": "tableCode",
                "in": "path",
                "required": True,
                "description": "The table's code, whatever its case.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 63},
                "example": "customers",
            }
        ],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {"type": "object", "required": ["file"], "properties": _FIELDS},
                }
            },
        },
        "callbacks": {
            "FileNotify": {
                "{$request.body#/callback}": {
                    "post": {
                        "summary": "The import has ended",
                        "description": "Signed as Standard Webhooks says, and repeated for three days until it is"
                        " answered with a 2xx.",
                        "requestBody": {
                            "content": {
                                "application/json": {
                                    "schema": {
                                        "type": "object",
                                        "required": list(_NOTIFY),
                                        "properties": {
                                            **dict.fromkeys(_NOTIFY, _TEXT),
                                            **dict.fromkeys(_COUNTS, _COUNT),
                                            "result": {
                                                "type": "string",
                                                "enum": ["FINISHED", "FINISHED_WITH_ERRORS", "REJECTED", "FAILED"],
                                            },
                                            "rejectedFile": {"type": ["string", "null"], "format": "uri"},
                                        },
                                    },
                                    "example": _NOTIFY,
                                }
                            }
                        },
                        "responses": {"2XX": {"description": "It has arrived."}},
                    }
                }
            }
        },
    },
    "responses": {
        200: {
            "description": "The file is durable, its parameters are right, and the import is on its way.",
            "headers": {"X-Request-Id": {"schema": _REQUEST_ID, "description": "The request's id, always."}},
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": [
                            *("fields", "fileName", "idCompany", "includeHeaders", "separator", "status", "tableCode"),
                            "logID",
                        ],
                        "properties": {
                            "fields": {"type": "array", "items": _TEXT, "description": "In the file's order."},
                            "fileName": _TEXT,
                            "idCompany": _TEXT,
                            "includeHeaders": {"type": "boolean"},
                            "separator": {"type": "string", "minLength": 1, "maxLength": 1},
                            "status": {"type": "boolean", "const": True},
                            "tableCode": _TEXT,
                            "logID": {"type": "integer", "minimum": 1, "description": "The import's number."},
                            "warnings": {
                                "type": "array",
                                "items": _TEXT,
                                "minItems": 1,
                                "description": "Sentences on what is odd about the file; absent where nothing is.",
                            },
                        },
                    },
                    "example": {
                        "fields": ["TEST_NAME", "TEST_LASTNAME", "TEST_PHONE", "TEST_EMAIL"],
                        "fileName": "testFile.csv",
                        "idCompany": "YourCompanyCode",
                        "includeHeaders": False,
                        "separator": ",",
                        "status": True,
                        "tableCode": "TestTableCode",
                        "logID": 9876,
                    },
                }
            },
        },
        415: {"description": "The body is encoded (Content-Encoding); send it as it is."},
    },
}
