"""Whatever may be a name is one, and nothing else: on any engine."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadingdock.core.contactchanges import ColumnChange
from loadingdock.core.errors import InvalidInput
from loadingdock.core.model.contacts import Column, Kind
from loadingdock.core.ports.contacts import ContactStore
from loadingdock.testing.contacts.making import HOSTILE
from loadingdock.testing.contacts.material import ROWS, a_table, change, exported, filled, found

_numbers = itertools.count()
NAMES = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(min_size=1, max_size=20),
    st.text(alphabet="\"';\\`[](){}%$:?-/* \tABab", min_size=1, max_size=60),
)


@pytest.mark.security(31)
class HostileNames:
    @settings(  # the suites of both engines may run in one process, each for itself
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors], deadline=None
    )
    @given(code=NAMES, names=st.lists(NAMES, min_size=2, max_size=4), text=st.text(max_size=20))
    async def test_names_are_inert(self, contacts: ContactStore, code: str, names: list[str], text: str) -> None:
        company = next(_numbers) + 1
        victim = a_table(code="victim", company=company)
        try:
            columns = [
                Column(names[0]),
                Column(names[1], unique=True),
                *(Column(name, Kind.DATE) for name in names[2:]),
            ]
            table = a_table(*columns, code=code, company=company, key=(names[0],))
        except InvalidInput:
            return
        await filled(contacts, victim)
        text = text.replace("\0", "")
        rest = [None] * (len(names) - 2)
        if table.code == victim.code:
            return
        put = await filled(contacts, table, [(names[0].replace("\0", ""), text, *rest), (None, None, *rest)])
        assert await exported(contacts, table) == list(put)
        for name in names:
            assert await found(contacts, table, f"{name} is null", by_key=True)
        assert await contacts.find(table, [put[0].values[0]]) == put[0]
        columns_changed = {names[0]: ColumnChange(name=names[1]), names[1]: ColumnChange(name=names[0])}
        table = await change(contacts, table, columns=columns_changed, added=(Column("added"),))
        assert [contact.values[:2] for contact in await exported(contacts, table)] == [row.values[:2] for row in put]
        assert await contacts.delete(table, 1)
        assert len(await exported(contacts, victim)) == len(ROWS)
        assert await contacts.examine(company, [victim, table]) == ()
