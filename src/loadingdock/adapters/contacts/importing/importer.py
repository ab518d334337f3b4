"""The parent's side of imports."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable
from pathlib import Path

from loadingdock.adapters.contacts.importing import messages
from loadingdock.adapters.contacts.importing.children import Child, Children, Place
from loadingdock.adapters.records.tables import declared
from loadingdock.core.loading import Ending, Load
from loadingdock.core.model.contacts import ContactTable
from loadingdock.core.model.imports import Asked, ImportState, Progress
from loadingdock.core.ports.imports import Head, Interrupted, Loaded, Reversed, Source, Watcher

_HEAD = 12 << 20  # bytes: more than the longest record
_LOOKS = 2  # at once: each takes a process
_PATIENCE_S = 5.0  # with one that is cancelled: it ends at once, unless a disk keeps it


class ChildImporter:
    """A ContactImporter. `place` is SQLite's folder as a Path, or libpq's connection string. A child that has done its
    job waits a while for the next one, so that a load comes upon the child that has looked at its file."""

    def __init__(self, place: Place) -> None:
        self._children = Children(place)
        self._looks = asyncio.Semaphore(_LOOKS)

    async def look(self, table: ContactTable, asked: Asked, name: str, head: Iterable[bytes]) -> Head:
        """`head` is all of the file, or at least 256 KiB of it, with the whole header."""
        async with self._looks, self._children.one() as child:
            first = base64.b64encode(_first(head)).decode()
            await child.give("look", table=declared(table), asked=messages.of_asked(asked), name=name, head=first)
            _, facts = await child.receive()
        return Head(tuple(facts["columns"]), tuple(facts["warnings"]))

    async def load(self, load: Load, asked: Asked, source: Source, folder: Path, watcher: Watcher) -> Loaded:
        async with self._children.one() as child:
            await child.give(
                "load",
                load=messages.of_load(load),
                asked=messages.of_asked(asked),
                path=str(source.path),
                name=source.name,
                folder=str(folder),
            )
            return await _watched(child, watcher)

    async def undo(self, table: ContactTable, number: int, folder: Path) -> Reversed:
        async with self._children.one() as child:
            await child.give("undo", table=declared(table), number=number, folder=str(folder))
            _, facts = await child.receive()
        rows, report = messages.rows_of(facts["rows"]), facts["report"]
        return Reversed(facts["removed"], facts["restored"], facts["left"], rows, report and Path(report))

    async def forget(self, table: ContactTable, number: int) -> None:
        async with self._children.one() as child:
            await child.give("forget", table=declared(table), number=number)
            await child.receive()

    async def close(self) -> None:
        """Ends what is under way: it raises Interrupted."""
        await self._children.close()


async def _watched(child: Child, watcher: Watcher) -> Loaded:
    going_on = True
    while True:
        try:
            async with asyncio.timeout(None if going_on else _PATIENCE_S):
                kind, facts = await child.receive()
        except TimeoutError as error:
            raise Interrupted("the process that loads contacts did not end when it was cancelled") from error
        match kind:
            case "began":
                await watcher.began(ImportState(facts["state"]))
            case "again":
                await watcher.again()
            case "proceeded":
                progress = Progress(facts["records"], facts["bytes"])
                going_on = await watcher.proceeded(progress, messages.counts_of(facts["counts"])) and going_on
                await child.send("heard", going_on=going_on)
            case "reported":
                await watcher.reported(messages.rows_of(facts["rows"]))
            case "settled" if going_on:  # else it was said before the child heard that it shall end
                await watcher.settled(messages.counts_of(facts["counts"]), messages.reported_of(facts["reported"]))
                await child.send("commit")
            case "done" | "cancelled":
                return Loaded(
                    Ending(facts["ending"]),
                    messages.counts_of(facts["counts"]),
                    messages.reported_of(facts["reported"]),
                    facts["known"],
                )


def _first(pieces: Iterable[bytes]) -> bytes:
    taken = bytearray()
    for piece in pieces:
        taken += piece
        if len(taken) >= _HEAD:
            break
    return bytes(taken[:_HEAD])
