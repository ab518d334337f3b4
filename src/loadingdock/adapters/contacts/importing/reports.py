"""What became of records: all of it in files, and the first of each outcome for whoever watches."""

from __future__ import annotations

import codecs
import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from loadingdock.adapters.contacts.reading.batches import Batch
from loadingdock.adapters.contacts.reading.dialect import Dialect
from loadingdock.adapters.contacts.reading.outcome import RejectedRow, RowError
from loadingdock.adapters.contacts.reading.reader import Reader
from loadingdock.adapters.contacts.reading.rejects import RejectsCsv, RejectsJson
from loadingdock.core.loading import DUPLICATE, EXISTS, UNKNOWN, Refused
from loadingdock.core.model.imports import Outcome, RowProblem, RowReport
from loadingdock.core.ports.imports import Reported

FIRST = 1_000  # rows of each outcome
_RAW = 16 << 10  # bytes of a record as text
_REASONS = {
    DUPLICATE: "A later record of the file has the same key.",
    EXISTS: "The table has a contact of this key already.",
    UNKNOWN: "The table has no contact of this key.",
}

Skips = Iterable[tuple[str, Sequence[int]]]
"""Codes, and the ordinals of the records."""


class Reports:
    """Of one load, batch by batch. Files in `folder` are there once they have something to say."""

    def __init__(self, folder: Path, dialect: Dialect) -> None:
        self._folder = folder
        self._dialect = dialect
        self._rejects: _RejectsFile | None = None
        self._report: _ReportFile | None = None
        self._told: Counter[Outcome] = Counter()
        self._first: list[RowReport] = []

    def add(self, reader: Reader, batch: Batch, refused: Iterable[Refused] = (), skips: Skips = ()) -> None:
        """In the file's order. `refused` and `skips` are what the loader said of this batch's records."""
        rejected = batch.rejected + [
            RejectedRow(
                row.ordinal,
                int(batch.lines[row.place]),
                batch.raw(row.place),
                (RowError(row.column, row.code, row.reason),),
            )
            for row in refused
        ]
        rejected.sort(key=lambda row: row.ordinal)
        skipped = _Skipped(batch, skips)
        if not (rejected or skipped.ordinals):
            return
        first = [_rejected(row, reader.encoding) for row in rejected[: self._room(Outcome.REJECTED)]]
        first += skipped.first(self._room(Outcome.SKIPPED), reader.encoding)
        self._told.update(row.outcome for row in first)
        self._first += sorted(first, key=lambda row: row.ordinal)
        if rejected:
            self._rejects = self._rejects or _RejectsFile(self._folder / "rejects.csv", self._dialect, reader)
            self._rejects.write(rejected)
        self._report = self._report or _ReportFile(self._folder / "report.ndjson", reader)
        self._report.write(rejected, skipped)

    def _room(self, outcome: Outcome) -> int:
        return FIRST - self._told[outcome]

    def first(self) -> list[RowReport]:
        """Those that were not had before."""
        first, self._first = self._first, []
        return first

    def again(self) -> None:
        """Nothing of it is true."""
        for path in (_closed(self._rejects), _closed(self._report)):
            if path is not None:
                path.unlink()
        self._rejects = self._report = None
        self._told.clear()
        self._first.clear()

    def close(self) -> Reported:
        return Reported(_closed(self._rejects), _closed(self._report))


class _Skipped:
    """Of one batch, by their ordinals."""

    def __init__(self, batch: Batch, skips: Skips) -> None:
        self._batch = batch
        found = sorted((ordinal, code) for code, ordinals in skips for ordinal in ordinals)
        self.ordinals = [ordinal for ordinal, _ in found]
        self._codes = [code for _, code in found]
        self._places = np.searchsorted(batch.ordinals, np.array(self.ordinals, np.int64))
        self._lines = batch.lines[self._places].tolist()

    def first(self, most: int, encoding: str) -> list[RowReport]:
        rows = []
        for at, place in enumerate(self._places[:most].tolist()):
            code = self._codes[at]
            raw, cut = shown(self._batch.raw(place), encoding)
            problem = RowProblem(None, code, _REASONS[code])
            rows.append(RowReport(Outcome.SKIPPED, self.ordinals[at], self._lines[at], (problem,), raw, cut))
        return rows

    def written(self, start: int, end: int) -> bytes:
        """Lines of JSON. There may be as many as records, and they differ in two numbers."""
        return b"".join(
            b'{"outcome": "skipped", "line": %d, "ordinal": %d, %b}\n' % (line, ordinal, _WRITTEN[code])
            for line, ordinal, code in zip(
                self._lines[start:end], self.ordinals[start:end], self._codes[start:end], strict=True
            )
        )


_WRITTEN = {
    code: json.dumps({"errors": [{"column": None, "code": code, "reason": reason}]})[1:-1].encode()
    for code, reason in _REASONS.items()
}


class _RejectsFile:
    def __init__(self, path: Path, dialect: Dialect, reader: Reader) -> None:
        self.path = path
        self._file = path.open("wb")
        self._records = RejectsCsv(self._file, dialect, reader.encoding, reader.bom, reader.header)

    def write(self, rejected: Iterable[RejectedRow]) -> None:
        for row in rejected:
            self._records.add(row)

    def close(self) -> None:
        if not self._file.closed:
            self._records.close()
            self._file.close()


class _ReportFile:
    def __init__(self, path: Path, reader: Reader) -> None:
        self.path = path
        self._file = path.open("wb")
        self._records = RejectsJson(self._file, reader.encoding)

    def write(self, rejected: Iterable[RejectedRow], skipped: _Skipped) -> None:
        start = 0
        for row in rejected:
            end = bisect_left(skipped.ordinals, row.ordinal, start)
            self._file.write(skipped.written(start, end))
            self._records.add(row)
            start = end
        self._file.write(skipped.written(start, len(skipped.ordinals)))

    def close(self) -> None:
        self._file.close()


def _closed(file: _RejectsFile | _ReportFile | None) -> Path | None:
    if file is None:
        return None
    file.close()
    return file.path


def _rejected(row: RejectedRow, encoding: str) -> RowReport:
    raw, cut = shown(row.raw, encoding)
    problems = tuple(RowProblem(each.column, each.code, each.reason) for each in row.errors)
    return RowReport(Outcome.REJECTED, row.ordinal, row.line, problems, raw, cut or not row.whole)


def shown(raw: bytes, encoding: str) -> tuple[str, bool]:
    """A record's first 16 KiB as text that any database takes, and whether that is not all of it: what is no character,
    and NUL, as `\\xff`."""
    cut = len(raw) > _RAW
    decoder = codecs.getincrementaldecoder(encoding)("backslashreplace")
    text = decoder.decode(raw[:_RAW], final=not cut).replace("\0", "\\x00")
    data = text.encode("utf-8", "backslashreplace")
    return data[:_RAW].decode(errors="ignore"), cut or len(data) > _RAW
