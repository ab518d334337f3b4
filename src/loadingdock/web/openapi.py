"""A wire's OpenAPI document, completed with what its routes need not repeat: where it is served, how one
authenticates, and the wire's real answer to every error that an operation can run into.

The answers are not described by hand: the wire's own `render` is asked for each of them, so that the document says
what clients will see.
"""

from __future__ import annotations

import copy
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request

from loadingdock.core import errors
from loadingdock.core.errors import DockError
from loadingdock.web.context import Context, attach
from loadingdock.web.dialect import Dialect
from loadingdock.web.errors import InternalError, MethodNotAllowed
from loadingdock.web.problems import SAMPLES

Document = dict[str, Any]

METHODS = ("get", "head", "post", "put", "patch", "delete", "options")

# The schemes that wires share, by the name under which an operation's `security` asks for them.
SECURITY_SCHEMES: Mapping[str, Mapping[str, str]] = {
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "The login is `username@companycode`; the company code is what follows the last `@`.",
    },
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A token of this service's token endpoint, or of an issuer that the operator trusts.",
    },
    "api-key": {
        "type": "apiKey",
        "in": "header",
        "name": "api-key",
        "description": "A key of the company, as `loadingdock key add` or an administrator made it.",
    },
}

_ALWAYS = (errors.InvalidInput, errors.RateLimited, errors.Unavailable, InternalError)
_SECURED = (errors.Unauthenticated, errors.Forbidden)
_ADDRESSED = (errors.NotFound,)
_WITH_BODY = (
    errors.TooLarge,
    errors.TooSlow,
    errors.TypeRefused,
    errors.QuotaExceeded,
    errors.StorageFull,
)
_NEVER_SHOWN = (MethodNotAllowed, errors.ClientGone)  # no operation answers these


@dataclass(frozen=True)
class Answer:
    """How the wire answers one error."""

    error: DockError
    status: int
    media_type: str
    body: Any


def describe(dialect: Dialect, app: FastAPI, public_url: str) -> Document:
    """The whole document of the wire."""
    document = copy.deepcopy(app.openapi())
    document["servers"] = [{"url": public_url}]
    components = document.setdefault("components", {})
    _drop_framework_errors(document)
    answers = tuple(_answers(dialect, app))
    own = tuple(type(error) for error in dialect.errors)
    schemas = components.setdefault("schemas", {})
    for path, method, operation in operations(document):
        _add_errors(operation, method, answers, _causes(operation, path, own), schemas)
    wanted = {name for _, _, operation in operations(document) for need in security(operation) for name in need}
    schemes = components.setdefault("securitySchemes", {})
    for name in sorted(wanted - schemes.keys()):
        schemes[name] = dict(SECURITY_SCHEMES[name])
    return document


def operations(document: Document) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(path, method in lower case, operation) of every one."""
    for path, item in document.get("paths", {}).items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def security(operation: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The alternatives of which a request needs one; none: it needs no credentials."""
    found: Sequence[Mapping[str, Any]] = operation.get("security", ())
    return found


def _drop_framework_errors(document: Document) -> None:
    """FastAPI describes a 422 of its own shape, which no wire here ever answers."""
    for _, _, operation in operations(document):
        responses = operation["responses"]
        content = responses.get("422", {}).get("content", {})
        if "HTTPValidationError" in json.dumps(content):
            del responses["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"].get("schemas", {}).pop(name, None)


def _answers(dialect: Dialect, app: FastAPI) -> Iterator[Answer]:
    for error in (*SAMPLES, *dialect.errors):
        if isinstance(error, _NEVER_SHOWN):
            continue
        scope = {
            "type": "http",
            "method": "GET",
            "path": dialect.prefixes[0] or "/",
            "query_string": b"",
            "headers": [],
            "app": app,
        }
        attach(scope, Context(trace_id="0af7651916cd43dd8448eb211c80319c", address=None, api=dialect.name))
        response = dialect.render(error, Request(scope))
        media_type = response.headers.get("content-type", "").partition(";")[0]
        text = bytes(response.body).decode()
        yield Answer(error, response.status_code, media_type, json.loads(text) if media_type.endswith("json") else text)


def _causes(operation: dict[str, Any], path: str, own: Sequence[type[DockError]]) -> Sequence[type[DockError]]:
    """What the operation can run into whatever it does."""
    return (
        *_ALWAYS,
        *(_SECURED if security(operation) else ()),
        *(_ADDRESSED if "{" in path else ()),
        *((*_WITH_BODY, *own) if "requestBody" in operation else ()),
    )


def _add_errors(
    operation: dict[str, Any],
    method: str,
    answers: Sequence[Answer],
    causes: Sequence[type[DockError]],
    schemas: dict[str, Any],
) -> None:
    """The answers to these causes, besides what the operation declares; and the bodies of what it declares without."""
    responses = operation["responses"]
    if method == "head":
        for response in responses.values():
            response.pop("content", None)
    expected = {answer.status for answer in answers if type(answer.error) in causes}
    declared = {int(status) for status in responses if status.isdecimal() and int(status) >= 400}
    for status in sorted(expected | declared):
        response = responses.setdefault(str(status), {})
        response.setdefault("description", _phrase(status))
        shown = [answer for answer in answers if answer.status == status]
        if "content" in response or "$ref" in response or not shown or method == "head":
            continue
        # Of a status that only comes from what all operations share, only those causes are shown.
        likely = [a for a in shown if type(a.error) in causes] if status not in declared else []
        response["content"] = _content(likely or shown, shown, schemas)
    operation["responses"] = dict(sorted(responses.items()))


def _content(examples: Sequence[Answer], all_of_status: Sequence[Answer], schemas: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    by_media: dict[str, list[Answer]] = defaultdict(list)
    for answer in all_of_status:
        by_media[answer.media_type].append(answer)
    for media_type, answers in by_media.items():
        shown: dict[str, Any] = {}
        for example in examples:
            if example.media_type == media_type:
                shown.setdefault(example.error.code, {"value": example.body})
        name = f"Error{answers[0].status}" if len(by_media) == 1 else f"Error{answers[0].status}-{len(content) + 1}"
        schemas.setdefault(name, schema_of([answer.body for answer in answers]))
        content[media_type] = {
            "schema": {"$ref": f"#/components/schemas/{name}"},
            "examples": shown,
        }
    return content


def schema_of(values: Iterable[Any]) -> dict[str, Any]:
    """The schema that all of these JSON values keep: keys that only some have are optional."""
    values = list(values)
    kinds = sorted({_KINDS[type(value)] for value in values})
    if kinds == ["null"]:
        return {}  # what it is where it is not null cannot be seen from these
    schema: dict[str, Any] = {"type": kinds[0] if len(kinds) == 1 else kinds}
    if objects := [value for value in values if isinstance(value, dict)]:
        keys = dict.fromkeys(key for value in objects for key in value)
        schema["properties"] = {key: schema_of(value[key] for value in objects if key in value) for key in keys}
        schema["required"] = [key for key in keys if all(key in value for value in objects)]
    if items := [item for value in values if isinstance(value, list) for item in value]:
        schema["items"] = schema_of(items)
    return schema


_KINDS = {
    dict: "object",
    list: "array",
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
