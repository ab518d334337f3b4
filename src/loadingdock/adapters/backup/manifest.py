"""What a backup says of itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from loadingdock.adapters.backup.folder import BLOBS, Damaged, write_whole
from loadingdock.adapters.blobs.keys import KEY
from loadingdock.core.errors import Conflict

MANIFEST = "manifest.json"
_FORMAT = 1
_LINE = re.compile(rf"([0-9a-f]{{64}})  {BLOBS}/({KEY.pattern})\n")
_ID = re.compile(r"[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class Manifest:
    """Sizes are bytes, `made_at` is RFC 3339 in UTC. `damaged` names the blobs that were not as received when the
    backup was made, each with what was wrong; `contacts` the files of contact tables, each with its SHA-256."""

    id: str
    installation: str | None
    program: str
    made_at: str
    database_bytes: int
    database_sha256: str
    blobs: int
    blob_bytes: int
    blobs_sha256: str
    damaged: Mapping[str, str] = field(default_factory=dict)
    contacts: Mapping[str, str] = field(default_factory=dict)
    contacts_bytes: int = 0

    @property
    def database(self) -> str:
        return database_name(self.id)

    @property
    def list(self) -> str:
        return list_name(self.id)

    def write(self, folder: Path) -> None:
        write_whole(folder / MANIFEST, json.dumps({"format": _FORMAT, **asdict(self)}, indent=2) + "\n")


def database_name(id: str) -> str:
    return f"records-{id}.sqlite3"


def list_name(id: str) -> str:
    return f"blobs-{id}.sha256"


def read(folder: Path) -> Manifest | None:
    """None if there is none. Raises Damaged for one that cannot be read, Conflict for a newer program's."""
    path = folder / MANIFEST
    try:
        value: Any = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise Damaged(f"{path} is damaged: {error}.") from error
    try:
        if value.pop("format") != _FORMAT:
            raise Conflict(f"{path} was written by a newer program: restore it with that one.")
        manifest = Manifest(**value)
        if _ID.fullmatch(manifest.id) is None:
            raise ValueError
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Damaged(f"{path} is damaged: it does not say what a backup's manifest says.") from error
    return manifest


def line(key: str, sha256: str) -> str:
    return f"{sha256}  {BLOBS}/{key}\n"


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """(key, SHA-256) of each blob in a list. Raises Damaged."""
    with path.open(encoding="ascii", errors="replace", newline="") as opened:
        for number, text in enumerate(opened, 1):
            match = _LINE.fullmatch(text)
            if match is None:
                raise Damaged(f"{path} is damaged: line {number} is no digest of a blob.")
            yield match[2], match[1]
