"""An installation moves: to another database, to another store, or both, while it can be read.

Bytes first, while everything goes on; then the records are sealed, so that no process changes any more what is on its
way; then the rest of the bytes and all rows, both compared with what they were. The old records stay sealed: nobody
writes into them by accident. A failure takes the seal away, unless the rows may have arrived. What bytes arrived stay
there, and the next run goes on with them.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from loadingdock.core.carrying import Carrier, Problem, Progress
from loadingdock.core.contactmoving import TableCarrier
from loadingdock.core.errors import Conflict
from loadingdock.core.ports.blobs import Inbox

_ROUNDS = 5  # before the seal, as long as many new files come in each
_FEW = 20


@dataclass(frozen=True, slots=True)
class Seal:
    """Why records cannot be changed. `database` and `store` are where they and the bytes go, for people; empty for
    what stays. `log_until` is the last number of the audit log that went with them; the log stays open, for what is
    read has to be written down. `moved`: everything has arrived."""

    id: str
    database: str
    store: str
    log_until: int = 0
    moved: bool = False

    @property
    def to(self) -> str:
        return " and ".join(filter(None, (self.database, self.store)))


@dataclass(frozen=True, slots=True)
class Crossed:
    """How many rows of each table arrived, and how many uploads under way have to begin again."""

    rows: Mapping[str, int]
    begun_again: int


class Rows(Protocol):
    """The rows of the database that is left and of the one that is moved to, whatever they mean. `target` is None where
    the records stay where they are."""

    source: str
    target: str | None

    async def sealed(self) -> Seal | None: ...
    async def seal(self, seal: Seal) -> Seal:
        """From its return on no change of a record is committed, by no process; every change that was, is seen. Nothing
        happens where it is sealed already. The seal that is there."""
        ...

    async def unseal(self, *, begin_again: bool) -> int:
        """Everybody may write again. With `begin_again` uploads under way lose their bytes, which lie in another
        store; how many there were."""
        ...

    async def count(self) -> Mapping[str, int]:
        """Rows by table, of the source."""
        ...

    async def under_way(self) -> int:
        """Uploads that have begun and have not ended."""
        ...

    async def check(self, id: str | None) -> None:
        """Raises Conflict where the target cannot be moved to: another program's, not empty, of another version; or
        the source cannot be left. What the move `id` has brought there may be there."""
        ...

    async def arrived(self, seal: Seal) -> bool:
        """Whether an earlier run has brought them."""
        ...

    async def cross(self, seal: Seal, *, begin_again: bool, told: Callable[[int], None]) -> Crossed:
        """All rows, or none. Every table is read back and compared. What an earlier run has brought is not brought
        again. `begin_again` as with `unseal`, at the target."""
        ...

    async def close(self, seal: Seal) -> None:
        """Remembers that everything has arrived."""
        ...

    async def follow(self, seal: Seal) -> int:
        """Brings what came into the log since, each row once; how many there were."""
        ...


@dataclass(slots=True)
class Report:
    """What was done, or with `dry_run` what would be. `done`: the installation is at its destination. Files and bytes
    are those that the records name; `already` are those that an earlier run had brought.
    `undoable` are imports that can be undone, then there."""

    source: Mapping[str, str]
    target: Mapping[str, str]
    dry_run: bool = False
    done: bool = False
    files: int = 0
    bytes: int = 0
    copied: int = 0
    copied_bytes: int = 0
    already: int = 0
    rows: Mapping[str, int] = field(default_factory=dict)
    contacts: int = 0
    undoable: int = 0
    uploads_to_begin_again: int = 0
    left_in_inbox: int = 0
    log_rows_followed: int = 0
    problems: list[Problem] = field(default_factory=list)
    problems_in_all: int = 0
    seconds: float = 0.0
    sealed_seconds: float = 0.0


class Move:
    """`carrier` is None where the bytes stay where they are, `tables` where the records do; `inbox` is the source's, if
    clients send there."""

    def __init__(
        self,
        rows: Rows,
        carrier: Carrier | None,
        tables: TableCarrier | None,
        places: tuple[str, str],
        inbox: Inbox | None,
        progress: Progress,
    ) -> None:
        self._rows = rows
        self._tables = tables
        self._carrier = carrier
        self._inbox = inbox
        self._progress = progress
        self.left_sealed = False  # by a run that was ended by an exception
        self._store, to_store = places
        self._seal = Seal(secrets.token_hex(8), rows.target or "", to_store if carrier else "")
        stays = {"database": rows.source, "store": self._store}
        moves = {"database": rows.target or rows.source, "store": to_store if carrier else self._store}
        self._report = Report(stays, moves)

    @property
    def moves(self) -> bool:
        """Whether anything lies elsewhere afterwards."""
        return bool(self._seal.to)

    async def look(self) -> Report:
        """What a run would meet, without writing anything."""
        began = time.monotonic()
        report = self._report
        report.dry_run = True
        await self._known()
        self._progress.phase = "looking"
        if self._carrier is not None:
            report.problems += await self._carrier.strangers()
            await self._carrier.look()
        if self._rows.target is not None:
            report.rows = await self._rows.count()
        if self._tables is not None:
            report.contacts, report.undoable = await self._tables.count(), await self._tables.undoable()
        await self._unfinished()
        if self._carrier is not None:
            report.uploads_to_begin_again = await self._rows.under_way()
        return self._ended(began)

    async def run(self) -> Report:
        """Raises Conflict where it cannot be begun. A report with problems and not `done`: some bytes are missing or
        are not what was received, and nothing else was changed."""
        began = time.monotonic()
        if await self._known():
            return await self._again(began)
        if self._carrier is not None and not await self._ahead(self._carrier):
            return self._ended(began)
        await self._unfinished()
        sealed_at = time.monotonic()
        self._seal = await self._rows.seal(self._seal)
        crossing = False
        try:
            whole = self._carrier is None or await self._rest(self._carrier)
            if whole:
                crossing = True
                await self._records()
        except BaseException as error:
            # A conflict was found before the commit; of what else ended it nobody knows whether it came in time.
            self.left_sealed = crossing and not isinstance(error, Conflict)
            if not self.left_sealed:
                await asyncio.shield(self._rows.unseal(begin_again=False))
            raise
        if not whole:
            await self._rows.unseal(begin_again=False)
        self._report.done = whole
        self._report.sealed_seconds = time.monotonic() - sealed_at
        return self._ended(began)

    async def abandon(self, *, force: bool) -> None:
        """Takes the seal away. Raises Conflict where there is none, and, without `force`, where everything arrived."""
        seal = await self._rows.sealed()
        if seal is None:
            raise Conflict("There is no move to abandon: this database takes changes.")
        if seal.moved and seal.database and not force:
            raise Conflict(
                f"Everything arrived at {seal.to}, and may have been changed there since. If that is to be given up,"
                " say --abandon --force."
            )
        await self._rows.unseal(begin_again=False)

    async def finish(self) -> int:
        """Lets the records be changed again after their bytes moved; how many uploads have to begin again. Raises
        Conflict unless they moved to the store that is the source now."""
        seal = await self._rows.sealed()
        if seal is None:
            raise Conflict("There is nothing to finish: this database takes changes.")
        if seal.database:
            raise Conflict(f"The records moved to {seal.database}; start the service with the settings for that.")
        if not seal.moved:
            raise Conflict("The move has not ended. Start it again with the settings it began with.")
        if seal.store != self._store:
            raise Conflict(
                f"The bytes moved to {seal.store}, but the settings name {self._store}. Set what the move said, then"
                " finish."
            )
        return await self._rows.unseal(begin_again=True)

    # --- steps -------------------------------------------------------------------------------------

    async def _known(self) -> bool:
        """Whether an earlier run has done it all. Takes up its seal if it has not."""
        there = await self._rows.sealed()
        if there is not None:
            if (there.database, there.store) != (self._seal.database, self._seal.store):
                raise Conflict(
                    f"A move to {there.to} is under way. Go on with that one, or give it up with"
                    " `loadingdock move --abandon`."
                )
            self._seal = there
            if there.moved:
                return True
        await self._rows.check(None if there is None else there.id)
        return False

    async def _ahead(self, carrier: Carrier) -> bool:
        """While everything goes on. False if something is in the way of a move."""
        self._report.problems += await carrier.unfit() or await carrier.strangers()
        if self._report.problems:
            return False
        for number in range(_ROUNDS):
            self._progress.phase = "copying" if not number else "copying what came since"
            copied = await carrier.round()
            if carrier.problems:
                return False
            if copied <= _FEW:
                break
        return True

    async def _rest(self, carrier: Carrier) -> bool:
        self._progress.phase = "sealed: the last files"
        await carrier.round()
        return not carrier.problems

    async def _records(self) -> None:
        carried = self._carrier is not None
        if self._rows.target is not None:
            self._progress.phase = "sealed: records"
            self._progress.total_rows = sum((await self._rows.count()).values())
            if self._tables is not None:
                await self._contacts(self._tables)
            crossed = await self._rows.cross(self._seal, begin_again=carried, told=self._progress.add_rows)
            self._report.rows = crossed.rows
            self._report.uploads_to_begin_again = crossed.begun_again
        elif carried:
            self._report.uploads_to_begin_again = await self._rows.under_way()
        await self._rows.close(self._seal)
        self._seal = replace(self._seal, moved=True)
        if self._carrier is not None:
            await self._carrier.end()

    async def _contacts(self, tables: TableCarrier) -> None:
        """Before the records: as long as those are not there, the tables are nobody's."""
        self._report.contacts, self._report.undoable = await tables.count(), await tables.undoable()
        self._progress.total_rows += self._report.contacts
        if not await self._rows.arrived(self._seal):
            await tables.cross(self._progress.add_rows)

    async def _again(self, began: float) -> Report:
        """Everything is there. What has been read here since went into the log here."""
        self._report.done = True
        if self._rows.target is not None:
            self._report.log_rows_followed = await self._rows.follow(self._seal)
        return self._ended(began)

    async def _unfinished(self) -> None:
        if self._carrier is not None and self._inbox is not None:
            async for _ in self._inbox.list():
                self._report.left_in_inbox += 1

    def _ended(self, began: float) -> Report:
        report = self._report
        if self._carrier is not None:
            carrier = self._carrier
            report.files, report.bytes = carrier.files, carrier.bytes
            report.copied, report.copied_bytes, report.already = carrier.copied, carrier.copied_bytes, carrier.already
            report.problems += carrier.problems
            report.problems_in_all = len(report.problems) + carrier.problems_left_out
        report.seconds = time.monotonic() - began
        return report
