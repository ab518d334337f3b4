"""Whatever may be the name of a table or a column is one in a load too, and nothing else: on any engine."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from loadingdock.core.errors import InvalidInput
from loadingdock.core.loading import Counts, Operation
from loadingdock.core.model.contacts import Column, Kind
from loadingdock.core.model.imports import Asked
from loadingdock.core.ports.contacts import ContactStore
from loadingdock.testing.contacts.import_material import Importing, Imports
from loadingdock.testing.contacts.material import ROWS, a_table, exported, filled
from tests.contract.hostile_names import NAMES

_companies = itertools.count(500_000)


def _quoted(*values: str) -> str:
    return ",".join('"' + value.replace('"', '""') + '"' for value in values) + "\n"


@pytest.mark.security(31)
class HostileImports(Importing):
    @settings(  # the suites of both engines may run in one process, each for itself
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
        deadline=None,
    )
    @given(
        code=NAMES,
        names=st.lists(NAMES, min_size=2, max_size=2),
        operation=st.sampled_from([Operation.UPDINS, Operation.UPALL, Operation.INSNEW]),
        headed=st.booleans(),
    )
    # Words of SQL, if they are not quoted.
    @example(code="null", names=["TRUE", "FALSE"], operation=Operation.UPDINS, headed=True)
    async def test_names_are_inert_in_a_load(
        self, contacts: ContactStore, imports: Imports, code: str, names: list[str], operation: Operation, headed: bool
    ) -> None:
        company = next(_companies)
        victim = a_table(code="victim", company=company)
        try:
            columns = (Column(names[0]), Column(names[1]), Column("CODE", Kind.INTEGER, unique=True))
            table = a_table(*columns, code=code, company=company, key=(names[0],))
        except InvalidInput:
            return
        if table.code == victim.code:
            return
        await filled(contacts, victim)
        text = names[0].replace("\0", "").replace("\r", "").replace("\n", "") + "x"
        before = await filled(contacts, table, [(text, "old", 1), ("other", "old", 2)])
        given_names = tuple(column.name for column in table.columns)
        header = _quoted(*given_names) if headed and not any("\r" in name or "\n" in name for name in names) else ""
        asked = Asked(operation, quote='"', header=bool(header), columns=None if header else given_names, strict=False)
        rows = _quoted(text, "new", "1") + _quoted("third", "new", "2") + _quoted("fourth", "new", "4")
        loaded = await imports.run(table, header + rows, asked, number=company)
        new, taken = (0, 0) if operation is Operation.UPALL else (1, 1)
        updated = int(operation is not Operation.INSNEW)
        assert loaded.counts == Counts(new, updated, skipped=3 - new - updated - taken, rejected=taken)
        assert len(await exported(contacts, table)) == 2 + new
        undone = await imports.importer.undo(table, company, imports.fresh())
        assert (undone.removed, undone.restored, undone.left) == (new, updated, 0)
        assert await exported(contacts, table) == list(before)
        assert len(await exported(contacts, victim)) == len(ROWS)
        assert await contacts.examine(company, [victim, table]) == ()
