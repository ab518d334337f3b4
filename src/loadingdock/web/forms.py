"""Bodies that are small enough to be read whole: URL-encoded forms and JSON objects."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from loadingdock.core.errors import InvalidInput, TooLarge, TooMany
from loadingdock.web.body import Body
from loadingdock.web.multipart import DEFAULT_LIMITS, Form, FormLimits


async def receive_urlencoded(body: Body, limits: FormLimits = DEFAULT_LIMITS) -> Form:
    """An application/x-www-form-urlencoded body, within the limits of multipart fields."""
    raw = await body.read(limits.fields)
    if raw.count(b"&") >= limits.parts:
        raise TooMany("Form fields", limit=limits.parts)
    try:
        pairs = parse_qsl(raw.decode("utf-8"), keep_blank_values=True, errors="strict")
    except ValueError as error:
        raise InvalidInput("The form is not UTF-8.") from error
    for name, value in pairs:
        if len(value) > limits.field:
            raise TooLarge(f"The field {name[:80]!r}", limit=limits.field)
    return Form(pairs)


async def receive_json(body: Body, limit: int = 1 << 20) -> dict[str, Any]:
    """A JSON object (RFC 8259) of at most `limit` bytes. InvalidInput for anything else, and for what readers of
    JSON disagree about: a key that comes twice, NaN, a lone surrogate, numbers and depths without measure."""
    raw = await body.read(limit)
    try:
        text = raw.decode("utf-8-sig")
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise InvalidInput("The JSON is nested too deeply.") from error
    except json.JSONDecodeError as error:
        raise InvalidInput(
            f"The body is not JSON: {error.msg} in line {error.lineno}, column {error.colno}."
        ) from error
    except UnicodeError as error:
        raise InvalidInput("The JSON is not valid UTF-8.") from error
    except ValueError as error:  # an integer of more digits than Python converts
        raise InvalidInput("The JSON holds a number that is too long.") from error
    if not isinstance(value, dict):
        raise InvalidInput("The body must be a JSON object.")
    return value


def _object(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise InvalidInput(f"The key {key[:80]!r} comes twice in one object.", field=key)
        found[key] = value
    return found


def _constant(name: str) -> NoReturn:
    raise InvalidInput(f"{name} is not JSON.")
