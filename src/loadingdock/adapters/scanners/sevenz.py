"""Looking into 7z archives by py7zr, which pushes what it unpacks."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import BinaryIO, Protocol


class BadArchive(Exception):
    """Damaged, or made with a method that py7zr does not know."""


class Encrypted(Exception):
    pass


class Sink(Protocol):
    """Takes the bytes of one entry, then is told of its end."""

    def write(self, piece: bytes) -> None: ...
    def done(self) -> None: ...


def unpack(file: BinaryIO, *, refuse: Callable[[str, bool], bool], start: Callable[[str], Sink]) -> None:
    """Every file of the archive goes to a sink of its own, one after the other.

    `refuse(name, link)` is asked of every entry first, and what it refuses is not unpacked. Raises BadArchive,
    Encrypted, and whatever `refuse` or a sink raises.
    """
    import py7zr  # for the first archive: it takes as long as everything else that a child loads
    from py7zr.exceptions import ArchiveError, PasswordRequired

    stopped: list[Exception] = []

    def refused(name: str, link: bool) -> bool:
        try:
            return refuse(name, link)
        except Exception as error:
            stopped.append(error)
            raise

    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    try:
        with py7zr.SevenZipFile(file, "r") as archive:
            if archive.afterheader + archive.sig_header.nextheaderofs + archive.sig_header.nextheadersize != size:
                raise BadArchive("something follows its end")
            if archive.needs_password():
                raise Encrypted("it needs a password")
            wanted = [
                entry.filename
                for entry in archive.files
                if not refused(entry.filename, entry.is_symlink or entry.is_junction or entry.is_socket)
            ]
            archive.extract(targets=wanted, factory=_Factory(start, stopped))
    except PasswordRequired as error:
        raise Encrypted("it needs a password") from error
    except (Encrypted, BadArchive):
        raise
    except Exception as error:
        if stopped:
            raise stopped[0] from None
        if isinstance(error, MemoryError):
            raise
        # Hostile headers make py7zr raise ArchiveError, and a good many of the built-in errors as well.
        kind = "its data are damaged" if isinstance(error, ArchiveError) else "it cannot be read"
        raise BadArchive(f"{kind} ({type(error).__name__})") from error


class _Factory:
    """What py7zr's WriterFactory does."""

    def __init__(self, start: Callable[[str], Sink], stopped: list[Exception]) -> None:
        self._start = start
        self._stopped = stopped

    def create(self, filename: str) -> _Product:
        return _Product(self._start(filename), self._stopped)


class _Product:
    """What py7zr's Py7zIO does. Notes what its sink raised, to tell it from what py7zr raises itself."""

    def __init__(self, sink: Sink, stopped: list[Exception]) -> None:
        self._sink = sink
        self._stopped = stopped
        self._size = 0

    def write(self, s: bytes | bytearray) -> int:
        self._size += len(s)
        try:
            self._sink.write(bytes(s))
        except Exception as error:
            self._stopped.append(error)
            raise
        return len(s)

    def close(self) -> None:
        try:
            self._sink.done()
        except Exception as error:
            self._stopped.append(error)
            raise

    def read(self, size: int | None = None) -> bytes:
        return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        return 0

    def flush(self) -> None:
        """Nothing is kept back."""

    def size(self) -> int:
        return self._size
