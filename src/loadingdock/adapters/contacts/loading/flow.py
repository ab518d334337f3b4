"""A load, batch by batch, whatever the engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from loadingdock.adapters.contacts.loading.ahead import ahead
from loadingdock.adapters.contacts.loading.engine import Engine, Violated, attempt
from loadingdock.adapters.contacts.loading.keys import Surveyed, ordered
from loadingdock.adapters.contacts.loading.statements import STAGE, WORK, Loading, Unique, uniques
from loadingdock.core.loading import (
    AMBIGUOUS,
    DUPLICATE,
    EXISTS,
    NOT_UNIQUE,
    REQUIRED,
    UNKNOWN,
    Batch,
    Counts,
    Load,
    Observer,
    Operation,
    Refused,
)
from loadingdock.core.model.contacts import Column


class Cancelled(Exception):
    """As the observer wished."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A batch without the records that later ones replace, sorted, and `made` for the table itself, if `straight`, or
    for the stage. `last` is the number of its last row, where rows bring theirs."""

    batch: Batch
    columns: Any
    ordinals: Any
    superseded: list[int]
    straight: bool
    last: int | None
    made: Any


class Disputed(Exception):
    """A unique value is in the way, and there is no way back to where its batch began."""


class Repeated(Exception):
    """A key of an earlier batch comes again: that batch should have left it out."""


class Flow:
    """`counts` are those so far; rows that were put in have numbers `above` that one. Without a `survey` it is hoped
    that no key comes again in another batch; unless `wary`, that no unique value is in the way."""

    counts: Counts
    above: int

    def __init__(
        self, engine: Engine, load: Load, observer: Observer, survey: Surveyed | None, *, wary: bool = False
    ) -> None:
        self.counts = Counts()
        self.above = 0
        self._engine, self._load, self._observer = engine, load, observer
        self._hoping = survey is None and bool(load.key)
        self._survey = Surveyed(load.key) if self._hoping else survey
        self._sql = Loading(engine.tongue, engine.words, load)
        # What is looked at before it is applied, because something was wrong already: it is rarely the only one.
        self._wary = wary
        self._unindexed = False
        self._next: int | None = None  # the number of the next row that brings its own
        indexes = [[column.name for column in unique] for unique in uniques(load.table)]
        self._order = list(load.key) or next((each for each in indexes if {*each} <= {*load.columns}), [])

    @property
    def disputable(self) -> bool:
        return bool(self._sql.uniques) and not self._engine.words.returns

    @property
    def by_rows(self) -> bool:
        """Each is updated by a statement of its own."""
        return bool(self._load.key) and self._straight

    @property
    def indexed(self) -> bool:
        return self._sql.indexed

    @property
    def changed(self) -> Sequence[Column]:
        return self._sql.changed

    def highest(self) -> int:
        return int(self._engine.all(self._sql.highest())[0][0])

    def apply(self, batches: Iterable[Batch]) -> None:
        """Raises Cancelled, Disputed, and Repeated where there was no survey."""
        self.above = self.highest()
        for statement in self._sql.making():
            self._engine.run(statement)
        if self._straight and not self._load.key:
            self._next = self._engine.next_row(self._load.table)
        with ahead(map(self._ready, batches)) as ready:
            for each in ready:
                if self._observer.cancelled():
                    raise Cancelled
                if len(each.batch.columns):
                    self._batch(each)
                self._observer.applied(each.batch, self.counts)
        if self._unindexed:
            if self._observer.cancelled():  # for the last time: this cannot be interrupted
                raise Cancelled
            with self._attempted():
                for statement in self._sql.indexing():
                    self._engine.run(statement)

    @property
    def _straight(self) -> bool:
        """Into the table at once: for as long as nothing is against it."""
        if self._wary or self._sql.absent:
            return False
        return not self._load.key or (self._sql.upsertable and not self._engine.words.merges)

    def _ready(self, batch: Batch) -> Ready:
        """What needs no database, in a thread beside it."""
        columns, ordinals = batch.columns.select(list(self._load.columns)), np.asarray(batch.ordinals)
        superseded: list[int] = []
        if self._hoping and self._survey is not None and self._survey.meets(batch):
            raise Repeated
        if self._survey is not None and (replaced := self._survey.superseded(batch)).size:
            superseded = ordinals[replaced].tolist()
            rest = np.delete(np.arange(ordinals.size), replaced)
            columns, ordinals = columns.take(pa.array(rest)), ordinals[rest]
        if self._order:
            order = ordered(columns, self._order)
            columns, ordinals = columns.take(order), ordinals[order.to_numpy()]
        straight, last, rows = self._straight, None, columns
        if not straight:
            rows = _numbered(columns, ordinals)
        elif self._next is not None:
            first, self._next = self._next, self._next + len(columns)
            rows, last = _numbered(columns, np.arange(first, self._next)), self._next - 1
        return Ready(batch, columns, ordinals, superseded, straight, last, self._engine.made(rows))

    def _batch(self, ready: Ready) -> None:
        self._skip(DUPLICATE, ready.superseded)
        if self._outgrown:
            for statement in self._sql.unindexing():
                self._engine.run(statement)
            self._unindexed = True
        if not (self._straight and self._filled(ready)):
            self._staged(ready)

    @property
    def _outgrown(self) -> bool:
        """As much was put in as there was: to make the indexes once costs less than to keep them up to date."""
        if self._unindexed or self._load.key or not (self._straight and self.disputable):
            return False
        return self.counts.inserted >= max(self.above, 1)

    @contextmanager
    def _attempted(self) -> Iterator[None]:
        """Raises Violated if nothing of it was done, and else Disputed."""
        if not self._engine.words.returns:
            try:
                yield
            except Violated as error:
                raise Disputed from error
            return
        try:
            with attempt(self._engine):
                yield
        except Violated:
            self._wary = True
            raise

    def _filled(self, ready: Ready) -> bool:
        engine, sql = self._engine, self._sql
        records, highest = len(ready.columns), self.highest() if self._load.key else 0
        try:
            with self._attempted():
                if self._load.key:
                    written = engine.fill(sql.upserted, ready.made, sql.upserting())
                else:
                    engine.fill(sql.direct if ready.last is None else sql.bringing, ready.made)
        except Violated:
            return False
        if not self._load.key:
            if ready.last is not None:
                engine.brought(self._load.table, ready.last)
            self._count(inserted=records)
            return True
        inserted = int(engine.all(sql.since(highest))[0][0])
        updated = (written - inserted) // (2 if sql.keeps else 1)
        self._count(inserted=inserted, updated=updated, unchanged=records - inserted - updated)
        return True

    def _staged(self, ready: Ready) -> None:
        engine, sql = self._engine, self._sql
        engine.run(sql.emptying(STAGE))
        numbered = engine.made(_numbered(ready.columns, ready.ordinals)) if ready.straight else ready.made
        engine.fill(sql.staging, numbered)
        if sql.upsertable and engine.words.merges and not sql.absent:
            inserted, updated = map(int, engine.all(sql.merging())[0])
            self._count(inserted=inserted, updated=updated, unchanged=len(ready.columns) - inserted - updated)
            return
        engine.run(sql.emptying(WORK))
        engine.run(sql.working())
        refused = [*self._ambiguous(), *self._by_operation()]
        # Whether a value is free by then is not to depend on the order of rows.
        freeing = bool(sql.changed and sql.uniques and engine.all(sql.freeing()))
        if not (self._wary or freeing):
            with suppress(Violated), self._attempted():
                done = self._change()
        if self._wary or freeing:
            refused += self._violations()
            done = self._change()
        inserted, updated = done
        self._count(inserted=inserted, updated=updated, unchanged=int(engine.all(sql.unchanged)[0][0]))
        self._refuse(ready.batch, refused)

    def _change(self) -> tuple[int, int]:
        engine, sql, updated, inserted = self._engine, self._sql, 0, 0
        if sql.changed:
            if sql.keeps and engine.words.merges:
                engine.run(sql.keeping())
            updated = engine.run(sql.updating())
        if self._load.operation is not Operation.UPALL:
            inserted = engine.run(sql.inserting())
        return inserted, updated

    # --- records that are not applied ------------------------------------------------------------

    def _ambiguous(self) -> Iterator[tuple[int, str, str, str]]:
        if self._sql.indexed or not self._load.key:
            return
        found = self._engine.all(self._sql.ambiguous)
        named = " and ".join(self._load.key)
        for n, times in found:
            yield n, self._load.key[0], AMBIGUOUS, f"{times} contacts have this {named}."
        self._leave_out([n for n, _ in found])

    def _by_operation(self) -> Iterator[tuple[int, str, str, str]]:
        """What the operation leaves aside, and new contacts that would lack something."""
        operation, sql = self._load.operation, self._sql
        if operation in {Operation.INSNEW, Operation.UPALL}:
            aside = [n for (n,) in self._engine.all(sql.known if operation is Operation.INSNEW else sql.new)]
            self._skip(EXISTS if operation is Operation.INSNEW else UNKNOWN, aside)
            self._leave_out(aside)
        if operation is Operation.UPALL:
            return
        for column in (*sql.absent[:1], *sql.optional):
            absent = column in sql.absent
            lacking = [n for (n,) in self._engine.all(sql.new if absent else sql.lacking(column))]
            reason = f"A new contact needs a value for {column.name}, which the file does not bring."
            for n in lacking:
                yield n, column.name, REQUIRED, reason if absent else f"A new contact needs a value for {column.name}."
            self._leave_out(lacking)

    def _violations(self) -> list[tuple[int, str, str, str]]:
        found: dict[int, tuple[int, str, str, str]] = {}
        for unique in self._sql.uniques:
            for n, row in self._engine.all(self._sql.taken(unique)):
                # Of one that this load has put in, the number means nothing to anybody, if it is put back.
                holder = "An earlier record of the file" if row > self.above else f"The contact of row {row}"
                reason = f"{holder} has this {_named(unique)} already."
                found.setdefault(n, (n, unique[0].name, NOT_UNIQUE, reason))
        brought: dict[int, list[tuple[Unique, tuple[Any, ...]]]] = {}
        for unique in self._sql.uniques:
            for n, _, *values in self._engine.all(self._sql.repeated(unique)):
                if n not in found:
                    brought.setdefault(n, []).append((unique, tuple(values)))
        taken: dict[tuple[Unique, tuple[Any, ...]], int] = {}
        for n in sorted(brought):
            if earlier := next((each for each in brought[n] if each in taken), None):
                reason = f"Record {taken[earlier]} of the file has this {_named(earlier[0])} already."
                found[n] = n, earlier[0][0].name, NOT_UNIQUE, reason
            else:
                taken.update((each, n) for each in brought[n])
        self._leave_out(list(found))
        return list(found.values())

    def _leave_out(self, ordinals: Sequence[int]) -> None:
        if ordinals:
            self._engine.run(self._sql.leaving_out(ordinals))

    def _skip(self, code: str, ordinals: Sequence[int]) -> None:
        if ordinals:
            self._observer.skipped(code, ordinals)
            self._count(skipped=len(ordinals))

    def _refuse(self, batch: Batch, refused: list[tuple[int, str, str, str]]) -> None:
        if refused:
            refused.sort()
            places = np.searchsorted(batch.ordinals, [n for n, *_ in refused]).tolist()
            self._observer.refused(batch, [Refused(at, *each) for at, each in zip(places, refused, strict=True)])
            self._count(rejected=len(refused))

    def _count(self, **more: int) -> None:
        new = Counts(**more)
        self.counts = Counts(*(a + b for a, b in zip(astuple(self.counts), astuple(new), strict=True)))


def _numbered(columns: Any, ordinals: Any) -> Any:
    return pa.RecordBatch.from_arrays([pa.array(ordinals), *columns.columns], ["n", *columns.schema.names])


def _named(unique: Unique) -> str:
    return " and ".join(column.name for column in unique)
