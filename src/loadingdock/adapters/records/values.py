"""Between the model's values and the columns': times, JSON, sets of words, names."""

from __future__ import annotations

import json
import secrets
import time
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, overload

from loadingdock.core.model.nothing import NOTHING

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The encoder's own encode: json.dumps makes a new encoder for any option that is not its default.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def micros_of(time: timedelta) -> int:
    """Whole microseconds; float seconds would round from the year 2242 on."""
    return (time.days * 86_400 + time.seconds) * 1_000_000 + time.microseconds


@overload
def micros(at: datetime) -> int: ...
@overload
def micros(at: datetime | None) -> int | None: ...
def micros(at: datetime | None) -> int | None:
    return None if at is None else micros_of(at - _EPOCH)


def moment(value: int) -> datetime:
    return _EPOCH + timedelta(0, 0, value)


def moment_or_none(value: int | None) -> datetime | None:
    return None if value is None else _EPOCH + timedelta(0, 0, value)


def new_id() -> str:
    """32 hex digits that begin with the time in milliseconds, as UUIDs of version 7 do: ids made one after the other
    then lie on one page of an index, not each on a page of its own to be written for it."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


def to_json(value: Mapping[str, Any]) -> str | None:
    return _encode(dict(value)) if value else None


def from_json(text: str | None) -> Mapping[str, Any]:
    if text is None:
        return NOTHING
    value: dict[str, Any] = json.loads(text)
    return value


def list_to_json(values: Iterable[Any]) -> str | None:
    return _encode(items) if (items := list(values)) else None


def list_from_json(text: str | None) -> list[Any]:
    values: list[Any] = [] if text is None else json.loads(text)
    return values


def words(values: Iterable[str]) -> str:
    return " ".join(sorted(values))


def word_set(text: str) -> frozenset[str]:
    return frozenset(text.split())


def nfc(name: str) -> str:
    """The form in which names are compared."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def folded(name: str) -> str:
    """The form in which names are searched, whatever their case."""
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", nfc(name).casefold())


_BIGGEST = 2**63 - 1


def storable(number: int) -> bool:
    """Whether a column can hold it: a larger number from outside names nothing."""
    return -_BIGGEST <= number <= _BIGGEST
