"""Loads and their undoing, whatever the engine."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import astuple
from typing import Protocol

from loadingdock.adapters.contacts.loading.engine import Engine, Violated, attempt
from loadingdock.adapters.contacts.loading.flow import Cancelled, Disputed, Flow, Repeated
from loadingdock.adapters.contacts.loading.keys import Surveyed
from loadingdock.adapters.contacts.loading.undoing import Taken, Undoing
from loadingdock.adapters.contacts.loading.undone import recalled, remember, untouched
from loadingdock.adapters.contacts.tables.former import LOADS, form, undoing
from loadingdock.core.errors import NotFound
from loadingdock.core.loading import (
    Counts,
    Ending,
    Load,
    Observer,
    Outcome,
    Source,
    Survey,
    Undone,
    Untouched,
    checked,
)
from loadingdock.core.model.contacts import ContactTable


class Session(Engine, Protocol):
    """A connection. What is not committed when it ends is rolled back."""

    def begin(self, table: ContactTable, *, by_rows: bool = False) -> None:
        """To change it, `by_rows`: with a statement for each. Raises Conflict if it is another one by now."""
        ...

    def indexed(self) -> None:
        """The rows that a batch is about are found by indexes, whatever the engine thinks of it."""
        ...

    def has(self, company_id: int, name: str) -> bool: ...

    def commit(self) -> None: ...


class Loader(ABC):
    """A ContactLoader by SQL."""

    @abstractmethod
    def _session(self, company_id: int) -> AbstractContextManager[Session]:
        """What it raises, the core knows."""

    def survey(self, load: Load) -> Surveyed:
        return Surveyed(checked(load).key)

    def load(self, load: Load, source: Source, observer: Observer, survey: Survey | None = None) -> Outcome:
        load, table = checked(load), load.table
        seen = survey if isinstance(survey, Surveyed) else None
        if seen is not None:
            seen.complete()
        with self._session(table.company_id) as session:
            flow = _begun(session, load, Flow(session, load, observer, seen))
            if (counts := _committed(session, table, load.number)) is not None:
                return Outcome(Ending.COMMITTED, counts)
            try:
                try:
                    flow.apply(source())
                except (Repeated, Disputed):
                    session.run("ROLLBACK")
                    observer.again()
                    if load.key and seen is None:
                        seen = _surveyed(load, source, observer)
                    flow = _begun(session, load, Flow(session, load, observer, seen, wary=flow.disputable))
                    flow.apply(source())
            except Cancelled:
                return Outcome(Ending.CANCELLED, flow.counts)
            counts = flow.counts
            if load.strict and counts.rejected:
                return Outcome(Ending.REFUSED, counts)
            if load.dry_run:
                return Outcome(Ending.DRY, counts)
            _remember(session, load, flow)
            observer.settled(counts)
            session.commit()
            return Outcome(Ending.COMMITTED, counts)

    def committed(self, table: ContactTable, number: int) -> Counts | None:
        with self._session(table.company_id) as session:
            session.begin(table)  # behind whoever is about to commit it
            return _committed(session, table, number)

    def undo(self, table: ContactTable, number: int) -> Undone:
        with self._session(table.company_id) as session:
            session.begin(table)
            if (known := recalled(session, table, number)) is not None:
                return known
            sql = _undoing(session, table, number)
            conflicts = [untouched(session, table, row, "changed") for row in session.all(sql.conflicts())]
            removed, restored = session.run(sql.removing()), 0
            if sql.updated:
                try:
                    with attempt(session):
                        restored = session.run(sql.restoring())
                except Violated:
                    restored, left = _one_by_one(session, table, sql)
                    conflicts += left
            done = Undone(removed, restored, tuple(sorted(conflicts, key=lambda each: each.row)))
            _forget(session, table, number)
            remember(session, table, number, done)
            session.commit()
            return done

    def forget(self, table: ContactTable, number: int) -> None:
        with self._session(table.company_id) as session:
            session.begin(table)
            _forget(session, table, number)
            session.commit()


def _begun(session: Session, load: Load, flow: Flow) -> Flow:
    session.begin(load.table, by_rows=flow.by_rows)
    if flow.indexed:
        session.indexed()
    return flow


def _surveyed(load: Load, source: Source, observer: Observer) -> Surveyed:
    survey = Surveyed(load.key)
    for batch in source():
        if observer.cancelled():
            raise Cancelled
        survey.add(batch)
    survey.complete()
    return survey


def _committed(session: Session, table: ContactTable, number: int) -> Counts | None:
    if not session.has(table.company_id, LOADS):
        return None
    home = session.tongue.home(table.company_id, LOADS)
    found = session.all(f"SELECT counts FROM {home} WHERE number = {number:d}")  # noqa: S608 - a number
    return Counts(*json.loads(found[0][0])) if found else None


def _remember(session: Session, load: Load, flow: Flow) -> None:
    """Whole numbers and words of ours all of it."""
    table, columns = load.table, load.table.columns
    changed = json.dumps([[columns.index(column), *form(column)] for column in flow.changed])
    rows = f"{flow.above:d}, {flow.highest():d}" if load.undoable else "NULL, NULL"
    session.run(
        f"INSERT INTO {session.tongue.home(table.company_id, LOADS)}"  # noqa: S608 - names are quoted
        " (number, contact_table, counts, changed, above, upto)"
        f" VALUES ({load.number:d}, {table.number:d}, '{json.dumps(astuple(flow.counts))}', '{changed}', {rows})"
    )


def _undoing(session: Session, table: ContactTable, number: int) -> Undoing:
    home = session.tongue.home(table.company_id, LOADS)
    found = session.all(
        f"SELECT above, upto, changed FROM {home}"  # noqa: S608 - names are quoted
        f" WHERE number = {number:d} AND contact_table = {table.number:d} AND above IS NOT NULL"
    )
    if not found:
        raise NotFound("import")
    (above, upto, changed), columns = found[0], table.columns
    forms = {int(place): form_then for place, *form_then in json.loads(changed)}
    altered = any(form(columns[place]) != form_then for place, form_then in forms.items())
    return Undoing(session.tongue, table, Taken(number, int(above), int(upto), tuple(forms), altered))


def _forget(session: Session, table: ContactTable, number: int) -> None:
    def home(name: str) -> str:
        return session.tongue.home(table.company_id, name)

    session.run(f"DROP TABLE IF EXISTS {home(undoing(number))}")
    session.run(f"UPDATE {home(LOADS)} SET above = NULL, upto = NULL WHERE number = {number:d}")  # noqa: S608 - quoted


def _one_by_one(session: Session, table: ContactTable, sql: Undoing) -> tuple[int, list[Untouched]]:
    """For as long as one row makes way for another."""
    rows, restored = session.all(sql.restorable()), 0
    while rows:
        left = []
        for row in rows:
            try:
                with attempt(session):
                    restored += session.run(sql.restoring(int(row[0])))
            except Violated:
                left.append(row)
        if len(left) == len(rows):
            break
        rows = left
    return restored, [untouched(session, table, row, "not_unique") for row in rows]
