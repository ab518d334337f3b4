"""The fields of a contact-load form: their names, their spellings and what they mean.

Each may come before or behind the file. So whatever some of them say wrong is wrong whichever others follow, and what
comes before the file is refused before its first byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from loadingdock.core.errors import InvalidInput
from loadingdock.core.loading import Operation
from loadingdock.core.model.imports import Asked
from loadingdock.web.multipart import Form

COLUMNS = ("fieldsCode", "fields")
CALLBACK = ("callback", "callbackUrl", "callbackURL", "notifyUrl")

# How the core calls a parameter, and how this wire does.
WIRE_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "quote": "delimiter",
        "header": "includeHeaders",
        "operation": "operationType",
        "encoding": "encodingType",
        "key": "keyField",
        "columns": COLUMNS[0],
        "dry_run": "dryRun",
        "name": "file",  # a file's name is its part's
    }
)

_DEFAULTS = Asked()
_SHOWN = 80  # characters of a wrong value that an error repeats
_LINES = "\r\n\0"
_BOOLEANS: Mapping[str, bool] = MappingProxyType({"true": True, "false": False})
# The vendor's older pages spell UPALL as UPDALL.
_OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {**{operation.lower(): operation for operation in Operation}, "updall": Operation.UPALL}
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """`callback_url` is empty where nobody is to be told."""

    asked: Asked
    callback_url: str


def wanted(form: Form, *, complete: bool = True) -> Wanted:
    """What the fields that have come say; of the others, the defaults. Raises InvalidInput that names the field, its
    value and what is allowed; fields of other names are passed over. Not `complete`: what a field to come can make
    right is let pass."""
    given = form.get("separator")
    separator = _separator(given)
    quote = _quote(form.get("delimiter"))
    if quote == separator and (complete or given is not None):
        raise _wrong("delimiter", "another character than the separator", quote)
    encoding = form.get("encodingType")  # whether there is such a one is up to whoever decodes
    header = _boolean(form, "includeHeaders", _DEFAULTS.header)
    columns = _names(COLUMNS[0], _one_of(form, COLUMNS))
    if columns is None and not header and complete:
        raise InvalidInput(
            f"{COLUMNS[0]}: the names of the file's columns, divided by semicolons, must be given unless includeHeaders"
            " is true.",
            field=COLUMNS[0],
        )
    callback = _one_of(form, CALLBACK)
    return Wanted(
        Asked(
            operation=_operation(form.get("operationType")),
            separator=separator,
            quote=quote,
            header=header,
            encoding=_DEFAULTS.encoding if encoding is None else encoding,
            columns=columns,
            key=_names("keyField", form.get("keyField") or None),
            strict=_boolean(form, "strict", _DEFAULTS.strict),
            dry_run=_boolean(form, "dryRun", _DEFAULTS.dry_run),
        ),
        callback or "",
    )


def _wrong(field: str, allowed: str, value: str) -> InvalidInput:
    return InvalidInput(f"{field}: {allowed}, not {value[:_SHOWN]!r}.", field=field)


def _one_of(form: Form, names: tuple[str, ...]) -> str | None:
    """The value of a field that goes by several names."""
    found = {name: value for name in names if (value := form.get(name)) is not None}
    if len(set(found.values())) > 1:
        raise InvalidInput(
            f"{' and '.join(found)} are names of one field and have different values; send one of them.", field=names[0]
        )
    return next(iter(found.values()), None)


def _separator(text: str | None) -> str:
    if text is None:
        return _DEFAULTS.separator
    if text == "\\t" or text.lower() == "tab":
        return "\t"
    if len(text) != 1 or text in _LINES:
        # `curl -F 'separator=;'` sends nothing: to curl the semicolon ends the value.
        hint = "" if text else " (curl needs a semicolon in quotes: -F 'separator=\";\"')"
        raise _wrong("separator", f"one character that ends no line, \\t or TAB{hint}", text)
    return text


def _quote(text: str | None) -> str:
    if not text:
        return ""
    if len(text) != 1 or text in _LINES:
        raise _wrong("delimiter", "one character that ends no line, or nothing", text)
    return text


def _boolean(form: Form, field: str, default: bool) -> bool:
    text = form.get(field)
    if text is None:
        return default
    value = _BOOLEANS.get(text.lower())
    if value is None:
        raise _wrong(field, "true or false", text)
    return value


def _operation(text: str | None) -> Operation:
    if text is None:
        return _DEFAULTS.operation
    operation = _OPERATIONS.get(text.lower())
    if operation is None:
        raise _wrong("operationType", f"one of {', '.join(Operation)}", text)
    return operation


def _names(field: str, text: str | None) -> tuple[str, ...] | None:
    """Names divided by semicolons. Quotes around all of them or around each do not count, nor do blanks around a name
    but those in quotes of its own."""
    if text is None:
        return None
    names = tuple(_unquoted(name) for name in _unquoted(text).split(";"))
    if not all(names):
        raise _wrong(field, "names of columns divided by semicolons, none of them empty", text)
    return names


def _unquoted(text: str) -> str:
    text = text.strip()
    inner = text[1:-1]
    return inner if text == f'"{inner}"' and '"' not in inner else text
