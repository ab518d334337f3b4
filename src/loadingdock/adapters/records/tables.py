"""What is known of contact tables."""

from __future__ import annotations

import json
from typing import Any

from loadingdock.adapters.records.executor import Part, Row
from loadingdock.adapters.records.values import list_from_json, list_to_json, micros, moment, moment_or_none
from loadingdock.core.errors import AlreadyExists
from loadingdock.core.model.contacts import Column, ContactTable, Kind, folded


class TableRows(Part):
    __slots__ = ()

    async def get(self, code: str) -> ContactTable | None:
        row = await self._db.one("table_get", company_id=self._company_id, code_folded=folded(code))
        return None if row is None else _table(row)

    async def list(self) -> tuple[ContactTable, ...]:
        return tuple(map(_table, await self._db.all("table_list", company_id=self._company_id)))

    async def add(self, table: ContactTable) -> ContactTable:
        company_id = self._own(table.company_id)
        # Looked for first: a number that nobody gets would be missing in the count.
        if await self.get(table.code) is None and await self._db.run(
            "table_add",
            company_id=company_id,
            code=table.code,
            code_folded=folded(table.code),
            created_at=micros(table.created_at),
            **_changing(table),
        ):
            added = await self.get(table.code)
            if added is not None:
                return added
        raise AlreadyExists(f"The table {table.code}")

    async def save(self, table: ContactTable, *, was: int) -> bool:
        return bool(
            await self._db.run(
                "table_save",
                company_id=self._own(table.company_id),
                number=table.number,
                was=was,
                **_changing(table),
            )
        )


def _changing(table: ContactTable) -> dict[str, Any]:
    return {
        "name": table.name,
        "columns": list_to_json(map(_column_to_json, table.columns)),
        "key": list_to_json(table.key),
        "region": table.region,
        "ignore_empty": int(table.ignore_empty),
        "changed_at": micros(table.changed_at),
        "version": table.version,
    }


def _table(row: Row) -> ContactTable:
    number, company_id, code, name, columns, key, region, ignore_empty, created_at, changed_at, version = row
    return ContactTable(
        company_id,
        number,
        code,
        name,
        tuple(map(_column_from_json, list_from_json(columns))),
        tuple(list_from_json(key)),
        region,
        bool(ignore_empty),
        moment(created_at),
        moment(changed_at),
        version,
    )


def declared(table: ContactTable) -> str:
    """All that is known of a table, as it is kept beside its rows."""
    changing = _changing(table)
    row = [table.number, table.company_id, table.code, changing["name"], changing["columns"], changing["key"]]
    row += [changing["region"], changing["ignore_empty"], micros(table.created_at), changing["changed_at"]]
    return json.dumps([*row, table.version], ensure_ascii=False)


def of_declared(text: str) -> ContactTable:
    return _table(tuple(json.loads(text)))


def _column_to_json(column: Column) -> dict[str, Any]:
    """What says something; the rest is as it is anyway."""
    said: dict[str, Any] = {
        "max": column.max,
        "precision": column.precision,
        "scale": column.scale,
        "required": column.required or None,
        "unique": column.unique or None,
        "formats": list(column.formats) or None,
        "region": column.region,
        "comma": column.comma or None,
        "zone": column.zone,
        "retired_at": micros(column.retired_at),
    }
    return {"name": column.name, "kind": column.kind.value, **{k: v for k, v in said.items() if v is not None}}


def _column_from_json(said: dict[str, Any]) -> Column:
    return Column(
        said["name"],
        Kind(said["kind"]),
        max=said.get("max"),
        precision=said.get("precision"),
        scale=said.get("scale"),
        required=said.get("required", False),
        unique=said.get("unique", False),
        formats=tuple(said.get("formats", ())),
        region=said.get("region"),
        comma=said.get("comma", False),
        zone=said.get("zone"),
        retired_at=moment_or_none(said.get("retired_at")),
    )
