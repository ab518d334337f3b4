"""The namespaces of a company: what may be kept in each, how large, and who may read it from the start.

`rewards` is always there, for images, unless the company's setting says something else of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from loadingdock.core import types
from loadingdock.core.errors import NotFound, TypeRefused
from loadingdock.core.model.companies import Company, CompanySetting
from loadingdock.core.model.files import Acl, Namespace
from loadingdock.core.settings import size

IMAGES = ("png", "jpg", "jpeg", "gif", "webp", "avif", "bmp", "tif", "tiff", "svg", "ico", "heic", "heif")

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)  # as permissions write it: files:write/NAME
_EXTENSION = re.compile(r"[a-z0-9]{1,16}", re.ASCII)
_KEYS = ("name", "types", "extensions", "max_size", "acl")
_EXAMPLE = '[{"name": "invoices", "types": ["application/pdf"], "max_size": "10MiB", "acl": "PRIVATE"}]'


def parse(text: str) -> list[dict[str, Any]]:
    """The setting's JSON list, checked. A namespace with `extensions` and without `types` takes the types that these
    extensions stand for; with neither it takes any file."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ValueError(f"This is not JSON ({error}); write {_EXAMPLE}") from None
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise ValueError(f"Namespaces are a list of objects, such as {_EXAMPLE}")
    parsed = [_parse_one(item) for item in found]
    names = [item["name"] for item in parsed]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"The namespace {min(repeated)!r} comes twice.")
    return parsed


def _parse_one(item: Mapping[str, Any]) -> dict[str, Any]:
    if unknown := sorted(set(item) - set(_KEYS)):
        raise ValueError(f"A namespace has no {unknown[0]!r}; it has {', '.join(_KEYS)}.")
    name = item.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no namespace: up to 63 lower-case letters, digits, _ and -.")
    extensions = [text.lower().removeprefix(".") for text in _texts(item, "extensions")]
    for extension in extensions:
        if not _EXTENSION.fullmatch(extension):
            raise ValueError(f"{extension!r} is no file extension; write png, pdf and the like.")
    allowed = [types.canonical(text) for text in _texts(item, "types")]
    if types.UNKNOWN in allowed:
        raise ValueError(f"The types of {name!r} are MIME types such as image/png; leave them out to allow any.")
    largest = item.get("max_size")
    if isinstance(largest, str):
        largest = size(largest)
    if largest is not None and (isinstance(largest, bool) or not isinstance(largest, int) or largest < 1):
        raise ValueError(f"The max_size of {name!r} is a number of bytes, or a text such as 10MiB.")
    acl = item.get("acl", Acl.PRIVATE.value)
    if acl not in [known.value for known in Acl]:
        raise ValueError(f"The acl of {name!r} is {' or '.join(Acl)}, not {acl!r}.")
    return {"name": name, "types": allowed, "extensions": extensions, "max_size": largest, "acl": acl}


def _texts(item: Mapping[str, Any], key: str) -> list[str]:
    value = item.get(key, [])
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise ValueError(f"{key} is a list of texts.")
    return value


NAMESPACES: CompanySetting[list[dict[str, Any]]] = CompanySetting(
    "file-service.namespaces",
    [],
    f"namespaces besides or instead of rewards, as JSON: {_EXAMPLE}",
    parse,
    json.dumps,
)


def namespace_of(company: Company, name: str) -> Namespace:
    """Raises NotFound for one that the company does not have."""
    for item in company.get(NAMESPACES):
        if item["name"] == name:
            return _namespace(item)
    if name == _REWARDS.name:
        return _REWARDS
    raise NotFound("namespace")


def check_extension(namespace: Namespace, name: str) -> None:
    """Raises TypeRefused for a name whose extension the namespace does not take."""
    extension = types.extension(name)
    if namespace.extensions and extension not in namespace.extensions:
        seen = f"not .{extension}" if extension else "and this name has none"
        raise TypeRefused(
            f"The namespace {namespace.name} takes the extensions {', '.join(namespace.extensions)}, {seen}.",
            declared=types.type_of_name(name),
            allowed=namespace.allowed_types or None,
        )


def _namespace(item: Mapping[str, Any]) -> Namespace:
    return Namespace(
        name=item["name"],
        allowed_types=tuple(item["types"]) or _types_of(item["extensions"]),
        extensions=tuple(item["extensions"]),
        max_size=item["max_size"],
        acl=Acl(item["acl"]),
    )


def _types_of(extensions: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({type for extension in extensions for type in types.types_of_extension(extension)}))


_REWARDS = Namespace("rewards", _types_of(IMAGES), IMAGES)
