"""What is deleted for good is nowhere kept, also not for an undo."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import psycopg

from loadingdock.core.loading import ContactLoader, Operation
from loadingdock.core.model.contacts import Column
from loadingdock.core.ports.contacts import ContactStore
from loadingdock.testing.contacts.load_material import Run, Runs, a_load
from loadingdock.testing.contacts.material import a_table, exported, filled


class DeletedContacts(Runs):
    async def test_of_a_deleted_contact_no_undo_keeps_anything(
        self, contacts: ContactStore, run: Run, loader: ContactLoader, place: tuple[str, str]
    ) -> None:
        table = a_table(Column("A"), Column("B"), key=("A",))
        await filled(contacts, table, [("anna", "before one"), ("bert", "before")])
        loads = [a_load(table, Operation.UPALL, ["A", "B"], ["A"]) for _ in range(2)]
        await run(loads[0], [("anna", "before two"), ("bert", "since")])
        await run(loads[1], [("anna", "since")])
        kept = await asyncio.to_thread(_kept, *place)
        assert {"before one", "before two", "before"} <= kept
        rows = {contact.values[0]: contact.row for contact in await exported(contacts, table)}
        await contacts.delete(table, rows["anna"])
        assert {text for text in await asyncio.to_thread(_kept, *place) if "before" in text} == {"before"}
        undone = await asyncio.to_thread(loader.undo, table, loads[0].number)
        assert (undone.restored, [(each.row, each.why) for each in undone.conflicts]) == (1, [(rows["anna"], "gone")])


def _kept(kind: str, place: str) -> set[str]:
    """Every text in every undo table."""
    if kind == "sqlite":
        found: set[str] = set()
        for path in Path(place).glob("*.sqlite"):
            with contextlib.closing(sqlite3.connect(path)) as database:
                names = database.execute(
                    "SELECT name FROM sqlite_master WHERE name LIKE '\\_dock\\_undo\\_%' ESCAPE '\\'"
                )
                for (name,) in names.fetchall():
                    found.update(
                        map(str, (each for row in database.execute(f'SELECT * FROM "{name}"') for each in row))
                    )
        return found
    with psycopg.connect(place) as server:
        tables = server.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE relname LIKE '\\_dock\\_undo\\_%'"
        ).fetchall()
        return {str(each) for (name,) in tables for row in server.execute(f"SELECT * FROM {name}") for each in row}
