"""Keys that come again are found, wherever they are and whatever their type."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from loadingdock.adapters.contacts.loading.keys import Surveyed, counted
from loadingdock.core.model.contacts import Column, Kind, Value
from tests.contract.batches import Rows, batch_of

_COLUMNS = (Column("A"), Column("B", Kind.INTEGER))
_KEYS = st.tuples(st.sampled_from(["a", "b", "c", None]), st.sampled_from([0, 1, -1, -2, None]))


@given(st.lists(_KEYS, max_size=40), st.integers(1, 40))
def test_all_but_the_last_of_a_key_are_superseded(keys: list[tuple[Value, ...]], size: int) -> None:
    batches = [
        batch_of(_COLUMNS, keys[at : at + size], range(at + 1, at + 1 + len(keys[at : at + size])))
        for at in range(0, len(keys), size)
    ]
    survey = Surveyed(["A", "B"])
    met = [survey.meets(batch) for batch in batches]
    survey.complete()
    last = {key: n for n, key in enumerate(keys, 1) if None not in key}
    expected = [n for n, key in enumerate(keys, 1) if None not in key and last[key] != n]
    assert [n for batch in batches for n in batch.ordinals[survey.superseded(batch)].tolist()] == expected
    assert any(met) or not _across(keys, size)


def _across(keys: list[tuple[Value, ...]], size: int) -> bool:
    first: dict[tuple[Value, ...], int] = {}
    return any(first.setdefault(key, n // size) != n // size for n, key in enumerate(keys) if None not in key)


def test_what_is_compared_is_a_whole_number_or_a_text() -> None:
    columns = (
        Column("D", Kind.DECIMAL, precision=18, scale=2),
        Column("W", Kind.DATE),
        Column("M", Kind.DATETIME),
        Column("T", Kind.BOOLEAN),
        Column("X"),
    )
    moment = datetime(1, 1, 1, tzinfo=UTC)
    rows: list[tuple[Value, ...]] = [
        (None, None, None, None, None),
        (Decimal("-9999999999999999.99"), date(1969, 12, 31), moment, True, "x"),
        (Decimal("0.01"), date(9999, 12, 31), datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC), False, ""),
    ]
    micros = (moment - datetime(1970, 1, 1, tzinfo=UTC)).days * 86_400_000_000
    expected = [
        (-999999999999999999, -1, micros, 1, "x"),
        (1, (date(9999, 12, 31) - date(1970, 1, 1)).days, 1_000_005, 0, ""),
    ]
    whole: Rows = batch_of(columns, rows, [1, 2, 3])
    part = whole.columns.slice(1)
    assert list(zip(*(counted(column).to_pylist() for column in part.columns), strict=True)) == expected
    assert [counted(column).to_pylist()[0] for column in whole.columns.columns] == [None] * 5
