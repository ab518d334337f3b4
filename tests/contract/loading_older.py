"""A company's table of loads that an earlier version has made is made what it has to be."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import psycopg

from loadingdock.core.loading import ContactLoader, Operation, Undone
from loadingdock.core.model.contacts import Column
from loadingdock.core.ports.contacts import ContactStore
from loadingdock.testing.contacts.load_material import Run, Runs, a_load
from loadingdock.testing.contacts.material import a_table, exported, filled


class OlderLoads(Runs):
    async def test_what_an_earlier_version_loaded_is_undone(
        self, contacts: ContactStore, run: Run, loader: ContactLoader, place: tuple[str, str]
    ) -> None:
        table = a_table(Column("A"), Column("B"), key=("A",))
        put = await filled(contacts, table, [("a", "old")])
        loads = [a_load(table, Operation.UPDINS, ["A", "B"], ["A"]) for _ in range(2)]
        await run(loads[0], [("a", "new"), ("b", "new")])
        await asyncio.to_thread(_made_older, *place)
        await run(loads[1], [("c", "new")])
        for load, done in zip(loads, [Undone(1, 1, ()), Undone(1, 0, ())], strict=True):
            for _ in range(2):
                assert await asyncio.to_thread(loader.undo, table, load.number) == done
        assert await exported(contacts, table) == list(put)


def _made_older(kind: str, place: str) -> None:
    if kind == "sqlite":
        with contextlib.closing(sqlite3.connect(Path(place) / "1.sqlite")) as database:
            database.execute("ALTER TABLE _dock_loads DROP COLUMN undone")
    else:
        with psycopg.connect(place) as server:
            server.execute("ALTER TABLE contacts_1._dock_loads DROP COLUMN undone")
