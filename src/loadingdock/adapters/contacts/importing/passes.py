"""A load from its file's first byte to the commit: what strict ones check before, and who watches the loader."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from loadingdock.adapters.contacts.importing import messages
from loadingdock.adapters.contacts.importing.link import Link
from loadingdock.adapters.contacts.importing.reports import Reports
from loadingdock.adapters.contacts.importing.rules import column_rules, dialect
from loadingdock.adapters.contacts.reading.batches import Batch
from loadingdock.adapters.contacts.reading.reader import Reader, open_records
from loadingdock.core.loading import ContactLoader, Counts, Ending, Load, Refused
from loadingdock.core.model.imports import Asked, ImportState
from loadingdock.core.ports.imports import Reported, Source

_TICK_S = 0.2  # between what is told
_TOGETHER = 50  # rows of a message


@dataclass(frozen=True, slots=True)
class Job:
    load: Load
    asked: Asked
    source: Source
    folder: Path

    def opened(self) -> Reader:
        """Raises FileRefused."""
        rules = column_rules(self.load.table, self.load)
        source = self.source
        return open_records(source.path, dialect(self.asked), rules, self.asked.columns, name=source.name)


def run(job: Job, loader: ContactLoader, link: Link) -> None:
    """Says how it ended. Raises FileRefused, and what the loader does."""
    load = job.load
    if (counts := loader.committed(load.table, load.number)) is not None:
        link.say("done", **_ended(Ending.COMMITTED, counts, Reported(None, None), known=True))
        return
    with _Told(job, link) as told:
        survey = None
        if load.strict:
            told.begin(ImportState.CHECKING)
            survey = loader.survey(load)
            for batch in told.batches():
                survey.add(batch)
                told.checked(batch)
        if told.rejected:
            told.end(Ending.REFUSED)
        else:
            told.begin(ImportState.LOADING)
            told.end(loader.load(load, told.batches, told, survey).ending)


class _Told:
    """An Observer that tells the parent. Two threads more look at it: one tells what there is now and then, and the one
    that hears the parent ends the process if it is not to go on."""

    rejected = 0
    """Records of this pass, by the reader."""

    def __init__(self, job: Job, link: Link) -> None:
        self._job = job
        self._link = link
        self._reports = Reports(job.folder, dialect(job.asked))
        self._lock = threading.Lock()
        self._reader: Reader | None = None
        self._state = ImportState.CHECKING
        self._records = 0
        self._counts = Counts()  # the loader's
        self._refused: list[Refused] = []
        self._skips: list[tuple[str, Sequence[int]]] = []
        self._heard = True
        self._silent = threading.Event()
        self._ended = False
        self._ticking = threading.Thread(target=self._tick, name="import-progress", daemon=True)

    def __enter__(self) -> _Told:
        self._link.on_heard = self._on_heard
        self._ticking.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._silent.set()
        with self._lock:
            self._ended = True
            self._reports.close()
        self._link.on_heard = None
        self._ticking.join()

    # --- passes ----------------------------------------------------------------------------------

    def begin(self, state: ImportState) -> None:
        with self._lock:
            self._anew()
            self._state = state
            self._link.say("began", state=state)

    def batches(self) -> Iterator[Batch]:
        """From the file's beginning."""
        self._reader = self._job.opened()
        return iter(self._reader)

    def checked(self, batch: Batch) -> None:
        with self._lock:
            self._add(batch)

    def end(self, ending: Ending) -> None:
        with self._lock:
            self._ended = True
            self._tell_rows()
            applied = ending in {Ending.COMMITTED, Ending.DRY}
            counts = self._totals() if applied else self._nothing()
            self._link.say("done", **_ended(ending, counts, self._reports.close()))

    # --- the loader's ----------------------------------------------------------------------------

    def cancelled(self) -> bool:
        """It is not asked: who cancels ends the process."""
        return False

    def refused(self, batch: Batch, rows: Sequence[Refused]) -> None:
        self._refused += rows

    def skipped(self, code: str, ordinals: Sequence[int]) -> None:
        self._skips.append((code, ordinals))

    def applied(self, batch: Batch, counts: Counts) -> None:
        with self._lock:
            self._counts = counts
            self._add(batch)

    def again(self) -> None:
        with self._lock:
            self._anew()
            self._reports.again()
            self._link.say("again")

    def settled(self, counts: Counts) -> None:
        with self._lock:
            self._silent.set()
            self._tell_rows()
            reported = messages.of_reported(self._reports.close())
            self._link.say("settled", counts=messages.of_counts(self._totals()), reported=reported)
        self._link.wait_for_commit()

    # --- what is told ----------------------------------------------------------------------------

    def _anew(self) -> None:
        self._records = self.rejected = 0
        self._counts = Counts()
        self._refused, self._skips = [], []

    def _add(self, batch: Batch) -> None:
        assert self._reader is not None  # it made the batch
        self._records += len(batch.columns) + len(batch.rejected)
        self.rejected += len(batch.rejected)
        self._reports.add(self._reader, batch, self._refused, self._skips)
        self._refused, self._skips = [], []

    def _totals(self) -> Counts:
        """Of every record that was read in this pass."""
        if self._state is ImportState.CHECKING:
            return self._nothing()
        return replace(self._counts, rejected=self._counts.rejected + self.rejected)

    def _nothing(self) -> Counts:
        """As nothing is applied."""
        rejected = self._counts.rejected + self.rejected
        return Counts(skipped=self._records - rejected, rejected=rejected)

    def _tell_rows(self) -> None:
        rows = self._reports.first()
        for start in range(0, len(rows), _TOGETHER):
            self._link.say("reported", rows=messages.of_rows(rows[start : start + _TOGETHER]))

    def _tick(self) -> None:
        while not self._silent.wait(_TICK_S):
            with self._lock:
                if self._silent.is_set() or self._ended:
                    return
                self._tell_rows()
                if self._heard:  # what it did not want to know yet, it need not know twice
                    self._heard = False
                    read = 0 if self._reader is None else self._reader.totals.bytes_read
                    counts = messages.of_counts(self._totals())
                    self._link.say("proceeded", records=self._records, bytes=read, counts=counts)

    def _on_heard(self, going_on: bool) -> None:
        if going_on:
            self._heard = True
            return
        with self._lock:
            if not self._ended:
                # Whatever is under way: nothing else is as fast, and a transaction that is open is rolled back by it.
                self._link.say("cancelled", **_ended(Ending.CANCELLED, self._nothing(), self._reports.close()))
                os._exit(0)


def _ended(ending: Ending, counts: Counts, reported: Reported, *, known: bool = False) -> dict[str, Any]:
    return {
        "ending": ending,
        "counts": messages.of_counts(counts),
        "reported": messages.of_reported(reported),
        "known": known,
    }
