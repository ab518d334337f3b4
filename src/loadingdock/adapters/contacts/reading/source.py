"""The bytes of a file, unpacked if its name says so, and how many of them were read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from loadingdock.adapters.contacts.reading.dialect import MIB, Limits
from loadingdock.adapters.contacts.reading.outcome import FileRefused, Totals
from loadingdock.adapters.streams import BadStream, Decompressor, all_of, gunzip, unzstd

_UNPACKERS: dict[str, Callable[[], Decompressor]] = {".gz": gunzip, ".zst": unzstd}
_FED = 65_536
_UNSUSPECTED = 32 * MIB  # of content, before the ratio is looked at: a small file may well be one line again and again
# Each stream costs 20 microseconds, and one with nothing in it has 8 bytes. Who appends a record at a time has some
# small ones; those of bgzip, pigz and pzstd have kilobytes.
_STREAMS, _STREAM = 10_000, 256


def contents(source: Path | Iterable[bytes], name: str, totals: Totals, limits: Limits) -> Iterator[bytes]:
    """Pieces of the content. Compression is known by `name`'s ending. Raises FileRefused."""
    stored = _counted(_of(source) if isinstance(source, Path) else source, totals)
    new = _UNPACKERS.get(Path(name.lower()).suffix)
    return stored if new is None else _unpacked(stored, new, limits)


def _of(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        while piece := file.read(MIB):
            yield piece


def _counted(pieces: Iterable[bytes], totals: Totals) -> Iterator[bytes]:
    for piece in pieces:
        totals.bytes_read += len(piece)
        if piece:
            yield piece


def _unpacked(stored: Iterator[bytes], new: Callable[[], Decompressor], limits: Limits) -> Iterator[bytes]:
    fed = size = streams = 0

    def packed() -> Iterator[bytes]:
        # In small pieces, so that little was fed when much has come out of it, and the ratio is true.
        nonlocal fed
        for piece in stored:
            for at in range(0, len(piece), _FED):
                part = piece[at : at + _FED]
                fed += len(part)
                yield part

    def began() -> Decompressor:
        nonlocal streams
        streams += 1
        if streams > _STREAMS + fed // _STREAM:
            raise BadStream(f"it is made of more than {streams - 1} small streams")
        return new()

    try:
        for piece in all_of(packed(), began):
            size += len(piece)
            if size > limits.expanded or (size > _UNSUSPECTED and size > limits.ratio * fed):
                raise FileRefused(
                    "too_compressed",
                    f"The file unpacks to more than {limits.ratio} times its size or {limits.expanded} bytes;"
                    " send it uncompressed or in parts.",
                    "file",
                )
            yield piece
    except BadStream as error:
        raise FileRefused(
            "not_decompressible", f"The file cannot be unpacked: {error}; compress it anew.", "file"
        ) from error
