"""The digests of a blob, computed while its bytes pass."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from types import MappingProxyType

from loadingdock.core.model.blobs import BlobRef


class Hashes:
    """SHA-256 and whatever else was asked for, by hashlib's names. `size`: how many bytes went in."""

    def __init__(self, names: Iterable[str]) -> None:
        self.size = 0
        self._sha256 = hashlib.sha256()
        self._more = {name: hashlib.new(name, usedforsecurity=False) for name in names if name != "sha256"}

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._more)

    def update(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            self.size += len(piece)
            self._sha256.update(piece)
            for one in self._more.values():
                one.update(piece)

    def copy(self) -> Hashes:
        made = Hashes(())
        made.size = self.size
        made._sha256 = self._sha256.copy()
        made._more = {name: one.copy() for name, one in self._more.items()}
        return made

    def ref(self, key: str, size: int) -> BlobRef:
        more = {name: one.digest() for name, one in self._more.items()}
        return BlobRef(key=key, size=size, sha256=self._sha256.hexdigest(), digests=MappingProxyType(more))
