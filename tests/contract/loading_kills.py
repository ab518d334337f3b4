"""A load that is killed anywhere is there whole or not at all, and the next attempt makes it whole, once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from loadingdock.core.loading import Counts, Ending, Operation, Outcome
from loadingdock.core.model.contacts import Value
from loadingdock.core.ports.contacts import ContactStore
from loadingdock.testing.contacts.load_material import Told
from loadingdock.testing.contacts.material import exported, filled
from tests.contract.loading_child import ROWS, loader, source, the_load, the_table

_BEFORE: list[tuple[Value, ...]] = [(n, "old") for n in range(0, ROWS, 2)]
_ROOT = Path(__file__).parents[2]


class KilledLoads:
    """Subclasses give `place`: the engine and where it has the fixture `contacts`' tables."""

    @pytest.mark.slow
    @pytest.mark.parametrize("operation", [Operation.INSNEW, Operation.UPDINS])
    @pytest.mark.parametrize("words", [1, 4, 7, 8])
    async def test_killed_anywhere_it_is_whole_or_nothing(
        self, contacts: ContactStore, place: tuple[str, str], operation: Operation, words: int
    ) -> None:
        """After so many of the child's words; the seventh is said just before the commit, the eighth after it."""
        table = the_table()
        before = [contact.values for contact in await filled(contacts, table, _BEFORE)]
        await asyncio.to_thread(_killed, [*place, operation], words)
        half = ROWS // 2
        counts = Counts(half, half) if operation is Operation.UPDINS else Counts(inserted=half, skipped=half)
        found = {contact.values for contact in await exported(contacts, table)}
        done = await asyncio.to_thread(loader(*place).committed, table, the_load(operation).number)
        assert done in ({counts} if words == 8 else {None, counts})
        if done is None:
            assert found == {*before}
        again = await asyncio.to_thread(loader(*place).load, the_load(operation), source, Told())
        assert again == Outcome(Ending.COMMITTED, counts)
        rows = await exported(contacts, table)
        assert [len(rows), len({contact.values[0] for contact in rows})] == [ROWS, ROWS]
        assert sum(str(contact.values[1]).startswith("new") for contact in rows) == counts.inserted + counts.updated
        assert done is None or found == {contact.values for contact in rows}


def _killed(arguments: list[str], words: int) -> None:
    command = [sys.executable, "-m", "tests.contract.loading_child", *arguments]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        said = [child.stdout.readline().strip() for _ in range(words)]
        child.kill()
    assert said == ["batch"] * min(words, 6) + ["settled", "committed"][: max(0, words - 6)]
