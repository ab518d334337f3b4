"""The rows of both databases of a move, and what each of them knows of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from loadingdock.adapters.moving.tables import Database, Session, copy, log_end, ordered
from loadingdock.adapters.records.queries import migrations
from loadingdock.adapters.records.sealing import LOG, LOG_KEY, MARK
from loadingdock.core.errors import Conflict
from loadingdock.core.moving import Crossed, Seal

# `place` is told to whoever asks why nothing can be changed; `detail` is ours, as JSON.
_MARK = f"""
CREATE TABLE IF NOT EXISTS {MARK} (
    id TEXT NOT NULL, role TEXT NOT NULL, place TEXT NOT NULL, detail TEXT NOT NULL, PRIMARY KEY (id, role)
)
"""
_SOURCE, _TARGET = "source", "target"
# An upload whose bytes are still coming is the client's to begin again: they stay in the store that is left.
_OPEN = "staging_key IS NOT NULL AND completed_at IS NULL AND aborted_at IS NULL"
_BEGIN_AGAIN = f"UPDATE uploads SET received = 0, staging_key = NULL, held_until = NULL WHERE {_OPEN}"  # noqa: S608 - our own names
_FOLLOWED = 1000  # rows of the log at once


class DatabaseRows:
    """`Rows` over two databases; without a target the records stay."""

    def __init__(self, source: Database, target: Database | None) -> None:
        self._source = source
        self._target = target
        self.source = source.place
        self.target = None if target is None else target.place

    async def sealed(self) -> Seal | None:
        return await asyncio.to_thread(self._sealed)

    async def seal(self, seal: Seal) -> Seal:
        return await asyncio.to_thread(self._seal, seal)

    async def unseal(self, *, begin_again: bool) -> int:
        return await asyncio.to_thread(self._unseal, begin_again)

    async def count(self) -> Mapping[str, int]:
        return await asyncio.to_thread(self._count)

    async def under_way(self) -> int:
        return await asyncio.to_thread(self._under_way)

    async def check(self, id: str | None) -> None:
        await asyncio.to_thread(self._check, id)

    async def arrived(self, seal: Seal) -> bool:
        return await asyncio.to_thread(self._arrived, seal)

    async def cross(self, seal: Seal, *, begin_again: bool, told: Callable[[int], None]) -> Crossed:
        return await asyncio.to_thread(self._cross, seal, begin_again, told)

    async def close(self, seal: Seal) -> None:
        await asyncio.to_thread(self._close, seal)

    async def follow(self, seal: Seal) -> int:
        return await asyncio.to_thread(self._follow, seal)

    # --- the source --------------------------------------------------------------------------------

    def _sealed(self) -> Seal | None:
        with self._source.reading() as session:
            return _seal_of(session)

    def _seal(self, seal: Seal) -> Seal:
        with self._source.writing() as session:
            if (there := _seal_of(session)) is not None:
                return there
            session.ask(_MARK)
            session.seal(ordered(session.tables()))
            made = replace(seal, log_until=log_end(session))
            _mark(session, made.id, _SOURCE, made.to, json.dumps(asdict(made)))
            return made

    def _unseal(self, begin_again: bool) -> int:
        with self._source.writing() as session:
            session.unseal()
            session.ask(f"DELETE FROM {MARK} WHERE role = '{_SOURCE}'")  # noqa: S608 - our names
            return _begin_again(session) if begin_again else 0

    def _count(self) -> Mapping[str, int]:
        with self._source.reading() as session:
            return _counted(session)

    def _under_way(self) -> int:
        with self._source.reading() as session:
            return _number(session, f"SELECT COUNT(*) FROM uploads WHERE {_OPEN}")  # noqa: S608 - our names

    def _close(self, seal: Seal) -> None:
        with self._source.writing() as session:
            _mark(session, seal.id, _SOURCE, seal.to, json.dumps(asdict(replace(seal, moved=True))))

    # --- both --------------------------------------------------------------------------------------

    def _check(self, id: str | None) -> None:
        known = len(migrations())
        if (version := self._source.version()) != known:
            raise Conflict(
                f"{self.source} has schema version {version}, and this program knows {known}: start the service once"
                " with this program, then move."
                if version
                else f"There are no records at {self.source}; check the settings."
            )
        target = self._target
        if target is None or not (version := target.version()):
            return
        if version != known:
            raise Conflict(
                f"{target.place} has schema version {version}, not {known}; give the move an empty database."
            )
        with target.reading() as session:
            if _brought(session, id) is None and (rows := sum(_counted(session).values())):
                raise Conflict(f"{target.place} is not empty: it has {rows} rows. Give the move an empty database.")

    def _arrived(self, seal: Seal) -> bool:
        target = self._both()
        if not target.version():
            return False
        with target.reading() as session:
            return _brought(session, seal.id) is not None

    def _cross(self, seal: Seal, begin_again: bool, told: Callable[[int], None]) -> Crossed:
        """Nobody sees a row of it before the commit, and with the commit the target knows that it has them all."""
        target = self._both()
        target.migrate()
        with self._source.reading() as source, target.writing() as session:
            session.ask(_MARK)
            if (brought := _brought(session, seal.id)) is not None:
                return Crossed(brought["rows"], brought["begun_again"])
            if sum(_counted(session).values()):
                raise Conflict(f"{target.place} is not empty any more. Give the move an empty database.")
            rows = copy(source, session, seal.log_until, told)
            begun_again = _begin_again(session) if begin_again else 0
            detail = {"rows": rows, "begun_again": begun_again, "log_until": seal.log_until}
            _mark(session, seal.id, _TARGET, self.source, json.dumps(detail))
            return Crossed(rows, begun_again)

    def _follow(self, seal: Seal) -> int:
        """Under numbers that the target gives, for it has gone on counting. How far this has come is committed with the
        rows, so each of them comes once."""
        total = 0
        with self._source.reading() as source:
            (log,) = (table for table in source.tables() if table.name == LOG)
            columns = tuple(column for column in log.columns if column != LOG_KEY)
            while True:
                with self._both().writing() as target:
                    if (brought := _brought(target, seal.id)) is None:
                        raise Conflict(f"{self.target} knows nothing of this move.")
                    found = source.ask(
                        f"SELECT {LOG_KEY}, {', '.join(columns)} FROM {LOG} WHERE {LOG_KEY} > ?"  # noqa: S608 - our own names
                        f" ORDER BY {LOG_KEY} LIMIT {_FOLLOWED}",
                        brought["log_until"],
                    )
                    if not found:
                        return total
                    target.load(replace(log, columns=columns), (row[1:] for row in found))
                    detail = json.dumps({**brought, "log_until": found[-1][0]})
                    _mark(target, seal.id, _TARGET, self.source, detail)
                    total += len(found)

    def _both(self) -> Database:
        assert self._target is not None
        return self._target


def _seal_of(session: Session) -> Seal | None:
    if not session.marked():
        return None
    found = session.ask(f"SELECT detail FROM {MARK} WHERE role = ?", _SOURCE)  # noqa: S608 - our names
    return Seal(**json.loads(str(found[0][0]))) if found else None


def _brought(session: Session, id: str | None) -> dict[str, Any] | None:
    """What the target remembers of having been given everything by the move of that id."""
    if id is None or not session.marked():
        return None
    found = session.ask(f"SELECT detail FROM {MARK} WHERE id = ? AND role = ?", id, _TARGET)  # noqa: S608 - our names
    if not found:
        return None
    detail: dict[str, Any] = json.loads(str(found[0][0]))
    return detail


def _mark(session: Session, id: str, role: str, place: str, detail: str) -> None:
    session.ask(
        f"INSERT INTO {MARK} (id, role, place, detail) VALUES (?, ?, ?, ?)"  # noqa: S608 - our names
        " ON CONFLICT (id, role) DO UPDATE SET detail = excluded.detail",
        id,
        role,
        place,
        detail,
    )


def _begin_again(session: Session) -> int:
    open = _number(session, f"SELECT COUNT(*) FROM uploads WHERE {_OPEN}")  # noqa: S608 - our names
    session.ask(_BEGIN_AGAIN)
    return open


def _counted(session: Session) -> dict[str, int]:
    return {
        table.name: _number(session, f"SELECT COUNT(*) FROM {table.name}")  # noqa: S608 - the catalogue's
        for table in ordered(session.tables())
    }


def _number(session: Session, statement: str) -> int:
    ((number,),) = session.ask(statement)
    return int(number or 0)
