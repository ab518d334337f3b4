"""Bytes as they are kept, and what is claimed of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from loadingdock.core.model.nothing import nothing


@dataclass(frozen=True, slots=True)
class Digest:
    """A digest claimed by a client. `algorithm` is hashlib's name: sha256, sha512, md5; `value` the raw bytes."""

    algorithm: str
    value: bytes


@dataclass(frozen=True, slots=True)
class BlobRef:
    key: str
    size: int
    sha256: str
    digests: Mapping[str, bytes] = field(default_factory=nothing, compare=False)  # the further algorithms asked for
