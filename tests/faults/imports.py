"""Imports of 100,000 rows that are disturbed, what is seen of them meanwhile, and what must be true of their end."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property

import psycopg

from loadingdock.core.administration import operator
from loadingdock.core.imports import API
from loadingdock.core.loading import Counts, Operation
from loadingdock.core.model.companies import Company
from loadingdock.core.model.contacts import Column, ContactTable, Kind, Value
from loadingdock.core.model.files import State
from loadingdock.core.model.imports import Asked, Import, ImportState, Outcome, RowReport
from loadingdock.core.receiving import Declaration
from loadingdock.core.reported import IMPORT
from loadingdock.web.services import Services
from tests.desk import Desk
from tests.faults.check import events_of, jobs_done
from tests.faults.contactbase import OWN, ContactBase, committed
from tests.receiver import Received, Receiver

ROWS = 100_000
OLD = 10_000  # rows of the table before an UPDINS, half of which the file has too
_BAD = 100  # each hundredth record
_LOOK_S = 0.3


@dataclass(frozen=True)
class Kindred:
    """What an import does: INSALL of a file without a fault, strict; or UPDINS with a hundredth of bad rows, lenient.
    The order of ids is scattered."""

    strict: bool
    rows: int = ROWS

    @cached_property
    def ids(self) -> list[int]:
        first = 0 if self.strict else OLD // 2
        return [first + n * 7_919 % self.rows for n in range(self.rows)]

    @cached_property
    def bad(self) -> list[int]:
        """Ordinals."""
        return [] if self.strict else list(range(_BAD // 2, self.rows + 1, _BAD))

    @cached_property
    def lines(self) -> list[str]:
        return [
            f"{id},new {id},{'no number' if n % _BAD == _BAD // 2 and not self.strict else n}"
            for n, id in enumerate(self.ids, 1)
        ]

    @cached_property
    def content(self) -> bytes:
        return "\n".join(["ID,NAME,PLACE", *self.lines, ""]).encode()

    @property
    def old(self) -> list[tuple[Value, ...]]:
        return [] if self.strict else [(n, "old", 0) for n in range(OLD)]

    @cached_property
    def counts(self) -> Counts:
        if self.strict:
            return Counts(inserted=self.rows)
        taken = [id for n, id in enumerate(self.ids, 1) if n % _BAD != _BAD // 2]
        updated = sum(id < OLD for id in taken)
        return Counts(len(taken) - updated, updated, rejected=len(self.bad))

    @property
    def before(self) -> tuple[int, int]:
        """(rows, those of this file)"""
        return len(self.old), 0

    @property
    def after(self) -> tuple[int, int]:
        return len(self.old) + self.counts.inserted, self.counts.inserted + self.counts.updated

    @property
    def asked(self) -> Asked:
        operation = Operation.INSALL if self.strict else Operation.UPDINS
        return Asked(operation, header=True, strict=self.strict)


STRICT, LENIENT = Kindred(strict=True), Kindred(strict=False)


@dataclass
class Loading:
    """One import into a table of its own. `seen`: what the table held, whenever it changed."""

    desk: Desk
    base: ContactBase
    company: Company
    kindred: Kindred
    table: ContactTable
    number: int = 0
    seen: list[tuple[int, ...]] = field(default_factory=list)

    @classmethod
    def begun(cls, desk: Desk, base: ContactBase, company: Company, kindred: Kindred, *, callback: str = "") -> Loading:
        columns = [Column("ID", Kind.INTEGER), Column("NAME"), Column("PLACE", Kind.INTEGER)]
        key = [] if kindred.strict else ["ID"]  # nothing else keeps an INSALL from being applied twice

        async def make(services: Services) -> ContactTable:
            code = f"list {secrets.token_hex(4)}"
            return await services.contacts.create(operator(company), code, columns, key=key)

        table = desk.ask(make)
        desk.fill(company, table.code, kindred.old)
        loading = cls(desk, base, company, kindred, table)
        loading.number = loading.submit(callback)
        return loading

    def submit(self, callback: str = "") -> int:
        """The number of the import, which may be a further one of the same file."""

        async def act(services: Services) -> Import:
            declaration = Declaration(API, "contacts.csv", max_size=1 << 30, content_type="text/csv")
            async with services.uploads.receiving(declaration) as receiver:
                await receiver.write([self.kindred.content])
                blob = await receiver.finish()
            table = await services.imports.table(operator(self.company), self.table.code)
            return await services.imports.submit(
                operator(self.company), table, self.kindred.asked, declaration, blob, callback_url=callback
            )

        return self.desk.ask(act).number

    # --- meanwhile -------------------------------------------------------------------------------

    @property
    def now(self) -> Import:
        return self.desk.ask(lambda services: services.imports.get(operator(self.company), self.number))

    @property
    def committed(self) -> Counts | None:
        return committed(self.base, self.table, self.number)

    @property
    def held(self) -> tuple[int, ...]:
        """By the table: (rows, those of this file)"""
        return self._asked("""count(*), count(CASE WHEN "NAME" > 'new' AND "NAME" < 'old' THEN 1 END)""")

    def look(self) -> None:
        """None of its rows are there, or all of them; and once they are, they stay."""
        found = self.held
        if not self.seen or self.seen[-1] != found:
            self.seen.append(found)
        assert self.seen in ([self.kindred.before], [self.kindred.before, self.kindred.after], [self.kindred.after])

    def _asked(self, what: str) -> tuple[int, ...]:
        (row,) = self.base.ask(self.company.id, f'SELECT {what} FROM {{0}}"{self.table.code}"')
        return tuple(map(int, row))

    # --- its end ---------------------------------------------------------------------------------

    def check(self) -> None:
        self.look()
        assert self.seen[-1] == self.kindred.after
        assert self._asked('count(DISTINCT "ID")') == self.kindred.after[:1]
        ended = self.now
        assert ended.state is (ImportState.FINISHED if self.kindred.strict else ImportState.FINISHED_WITH_ERRORS)
        assert ended.counts == self.kindred.counts
        assert ended.counts.records == self.kindred.rows
        committed = self.committed
        assert committed is not None
        assert (committed.inserted, committed.updated) == (ended.counts.inserted, ended.counts.updated)
        self._check_reports(ended)
        self._check_events()

    def _check_reports(self, ended: Import) -> None:
        bad, lines = self.kindred.bad, self.kindred.lines
        rows = self._rows()
        assert [row.ordinal for row in rows] == bad[:1000]
        assert [(row.line, row.raw) for row in rows] == [(n + 1, lines[n - 1]) for n in bad[:1000]]
        files = self.desk.files(self.company)
        written = {file.id: file for file in files if file.attributes.get(IMPORT) == self.number}
        if self.kindred.strict:
            assert (ended.rejected_file, ended.report_file, written) == (None, None, {})
            return
        assert ended.rejected_file is not None
        assert ended.report_file is not None
        assert {*written} == {ended.rejected_file, ended.report_file}
        rejected = self.desk.read(self.company, written[ended.rejected_file]).decode().splitlines()
        assert [line for line in rejected[1:] if not line.startswith("#")] == [lines[n - 1] for n in bad]
        report = self.desk.read(self.company, written[ended.report_file]).splitlines()
        assert [json.loads(line)["ordinal"] for line in report] == bad

    def _rows(self) -> list[RowReport]:
        async def all_pages(services: Services) -> list[RowReport]:
            found: list[RowReport] = []
            cursor = None
            while True:
                page = await services.imports.rows(
                    operator(self.company), self.number, outcome=Outcome.REJECTED, limit=500, cursor=cursor
                )
                found += page.items
                if (cursor := page.cursor) is None:
                    return found

        return self.desk.ask(all_pages)

    def _check_events(self) -> None:
        """Its states may be told again by each attempt, its end once."""
        told = Counter(event.kind for event in events_of(self.desk, self.company) if event.subject == str(self.number))
        ends = {"import.finished", "import.finished_with_errors", "import.failed", "import.rejected"}
        end = "import.finished" if self.kindred.strict else "import.finished_with_errors"
        assert {kind: times for kind, times in told.items() if kind in ends} == {end: 1}

    def told(self, received: Iterable[Received]) -> None:
        """At least once, and always the same."""
        mine = [each for each in received if json.loads(each.body)["logID"] == self.number]
        assert mine
        assert len({(each.headers["webhook-id"], each.body) for each in mine}) == 1
        said = json.loads(mine[0].body)
        assert said["result"] == ("FINISHED" if self.kindred.strict else "FINISHED_WITH_ERRORS")
        assert said["lineCount"] == self.kindred.rows
        counts = Counts(*(said[name] for name in ("inserted", "updated", "unchanged", "skipped", "rejected")))
        assert counts == self.kindred.counts
        assert (said["rejectedFile"] is None) is self.kindred.strict


class Onlooker:
    """`with`: somebody looks at the tables again and again, and whatever was wrong is raised at the end. No job waits
    for its next attempt as long as it would."""

    def __init__(self, base: ContactBase, loadings: Iterable[Loading]) -> None:
        self._base = base
        self._loadings = tuple(loadings)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._wrong: BaseException | None = None

    def __enter__(self) -> Onlooker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        if self._wrong is not None:
            raise self._wrong

    def _look(self) -> None:
        try:
            while not self._over.wait(_LOOK_S):
                with suppress(psycopg.OperationalError):  # the database may be what is killed
                    self._base.hurry()
                    for loading in self._loadings:
                        loading.look()
        except BaseException as wrong:
            self._wrong = wrong


def check_rest(
    desk: Desk, base: ContactBase, company: Company, loadings: Iterable[Loading], receiver: Receiver
) -> None:
    """Of the company, when all of its imports have ended: nothing is left of any attempt that came to nothing."""
    jobs_done(desk, company)
    assert {file.state for file in desk.settled(company)} == {State.READY}
    known = {f"{OWN}tables", f"{OWN}loads"}
    for loading in loadings:
        loading.check()
        loading.told(receiver.received)
        known |= {loading.table.code} | (set() if loading.kindred.strict else {f"{OWN}undo_{loading.number}"})
    assert base.names(company.id) == known
    eventually_none(base)
    assert not any(file.attached for file in desk.files(company))


def eventually_none(base: ContactBase) -> None:
    """A server notices that its client is gone when it next speaks to it."""
    deadline = time.monotonic() + 30
    while base.unfinished():
        assert time.monotonic() < deadline, "tables of a dead attempt are left"
        time.sleep(0.05)
