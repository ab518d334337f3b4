"""What JSON schemas say, in words for the reference pages: the fields of an object, their types and limits, and an
example made of the schema's own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from loadingdock.web.openapi import Document

_DEEPEST = 4  # levels that are unfolded; what lies deeper is named


@dataclass(frozen=True, slots=True)
class Field:
    """One row of a table. `name` has the objects around it before dots; `kind` is HTML, `meaning` Markdown."""

    name: str
    required: bool
    kind: str
    meaning: str


def resolved(document: Document, found: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a reference refers to."""
    while "$ref" in found:
        target: Any = document
        for step in found["$ref"].removeprefix("#/").split("/"):
            target = target[step.replace("~1", "/").replace("~0", "~")]
        found = target
    return found


def fields(document: Document, schema: Mapping[str, Any], prefix: str = "", depth: int = 1) -> Iterator[Field]:
    """Those of an object or of a list of objects, and of the objects within."""
    schema = resolved(document, schema)
    if schema.get("type") == "array":
        yield from fields(document, schema.get("items", {}), f"{prefix}[]", depth)
        return
    for name, value in schema.get("properties", {}).items():
        full = f"{prefix}.{name}" if prefix else name
        yield Field(full, name in schema.get("required", ()), kind(document, value), meaning(document, value))
        if depth < _DEEPEST:
            yield from fields(document, _present(document, resolved(document, value)), full, depth + 1)


def _present(document: Document, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object of an `anyOf` of an object and null."""
    inner = [resolved(document, option) for option in schema.get("anyOf", ())]
    return next((option for option in inner if "properties" in option or "items" in option), schema)


def kind(document: Document, schema: Mapping[str, Any]) -> str:
    """The type, as HTML."""
    meant = resolved(document, schema)
    if "$ref" in schema and "enum" not in meant:
        return escape(schema["$ref"].rpartition("/")[2])
    if "const" in meant:
        return f"<code>{escape(json.dumps(meant['const']))}</code>"
    if "enum" in meant:
        return " | ".join(f"<code>{escape(str(value))}</code>" for value in meant["enum"])
    for key in ("anyOf", "oneOf"):
        if key in meant:
            return " | ".join(dict.fromkeys(kind(document, option) for option in meant[key]))
    name = meant.get("type", "any")
    if isinstance(name, list):
        return escape(" | ".join(name))
    if name == "array":
        return f"array of {kind(document, meant.get('items', {}))}"
    return escape(f"{name} ({meant['format']})" if "format" in meant else name)


_LIMITS = {
    "minimum": "from {}",
    "exclusiveMinimum": "over {}",
    "maximum": "up to {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "pattern": "matching `{}`",
    "default": "default `{}`",
}


def meaning(document: Document, described: Mapping[str, Any]) -> str:
    """The description and the limits, of a parameter or of a schema, as Markdown."""
    schema = described.get("schema", described)
    meant = resolved(document, schema)
    text = described.get("description") or schema.get("description") or meant.get("description") or ""
    limits = [
        words.format(_plain(option[key]))
        for option in (schema, *schema.get("anyOf", ()))
        for key, words in _LIMITS.items()
        if option.get(key) is not None
    ]
    return f"{text} ({', '.join(limits)})" if limits else text


def _plain(value: object) -> object:
    """Limits of whole numbers come as floats."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def example_of(document: Document, schema: Mapping[str, Any], depth: int = 1) -> Any:
    """A value of an object or a list as the schema's own examples have it; None for any other."""
    schema = resolved(document, schema)
    if "properties" in schema and depth <= _DEEPEST:
        return {name: _value(document, value, depth) for name, value in schema["properties"].items()}
    if schema.get("type") == "array" and depth <= _DEEPEST:
        return [_value(document, schema.get("items", {}), depth)]
    return None


def _value(document: Document, schema: Mapping[str, Any], depth: int) -> Any:
    meant = resolved(document, schema)
    for found in (schema, meant):
        if found.get("examples"):
            return found["examples"][0]
        for key in ("example", "default", "const"):
            if key in found:
                return found[key]
    if "enum" in meant:
        return meant["enum"][0]
    if "anyOf" in meant:
        return _value(document, meant["anyOf"][0], depth)
    made = example_of(document, meant, depth + 1)
    return _SIMPLE.get(meant.get("type", "")) if made is None else made


_SIMPLE = {"string": "…", "integer": 1, "number": 1.5, "boolean": False, "object": {}}
