"""What a file's beginning says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from loadingdock.core.errors import InvalidInput
from loadingdock.core.model.contacts import Column, Kind
from loadingdock.core.model.imports import Asked
from loadingdock.core.ports.imports import Head
from loadingdock.testing.contacts.import_material import Importing, Imports
from loadingdock.testing.contacts.material import a_table

TABLE = a_table(Column("ID", Kind.INTEGER), Column("NAME"), key=("ID",))
HEADED = Asked(header=True)


class LookingContract(Importing):
    async def test_it_says_what_columns_there_are(self, imports: Imports) -> None:
        look = imports.importer.look
        assert await look(TABLE, HEADED, "x.csv", [b"na", b"me,id\n1,"]) == Head(("NAME", "ID"), ())
        given = replace(HEADED, columns=("id", "name"))
        found = await look(TABLE, given, "x.csv", [b"ID,OTHER\n"])
        assert found.columns == ("ID", "NAME")
        assert len(found.warnings) == 1
        assert "OTHER" in found.warnings[0]
        found = await look(TABLE, replace(HEADED, separator="|"), "x.csv", ["ID|NAME\n".encode("utf-16")])
        assert found.columns == ("ID", "NAME")
        assert "byte order mark" in found.warnings[0]
        assert await look(TABLE, Asked(columns=("NAME",)), "x.csv", []) == Head(("NAME",), ())

    @pytest.mark.parametrize(
        ("asked", "head", "field"),
        [
            (Asked(separator="", columns=("ID",)), b"", "separator"),
            (Asked(separator="\n", columns=("ID",)), b"", "separator"),
            (Asked(quote="''", columns=("ID",)), b"", "quote"),
            (Asked(quote=",", columns=("ID",)), b"", "quote"),
            (Asked(encoding="klingon", columns=("ID",)), b"", "encoding"),
            (Asked(columns=("ID", "OTHER")), b"", "columns"),
            (Asked(columns=("ID", "id")), b"", "columns"),
            (Asked(), b"ID\n", "columns"),
            (HEADED, b"", "file"),
            (HEADED, b"ID,OTHER\n", "file"),
            (HEADED, b"ID,\xff\n", "file"),
        ],
    )
    async def test_what_cannot_be_read_is_refused_by_its_name(
        self, imports: Imports, asked: Asked, head: bytes, field: str
    ) -> None:
        with pytest.raises(InvalidInput) as raised:
            await imports.importer.look(TABLE, asked, "x.csv", [head])
        assert raised.value.field == field

    @pytest.mark.parametrize("ending", [".gz", ".zst"])
    async def test_the_beginning_of_a_compressed_file_will_do(
        self, imports: Imports, packed: dict[str, bytes], ending: str
    ) -> None:
        """`packed`: fifty thousand lines of numbers, by the name's ending."""
        data = packed[ending]
        look = imports.importer.look
        with pytest.raises(InvalidInput, match="no column '0'") as raised:  # which is its first line
            await look(TABLE, HEADED, f"X.CSV{ending.upper()}", [data[: len(data) * 9 // 10]])
        assert raised.value.field == "file"
        assert (await look(TABLE, Asked(columns=("ID",)), f"x{ending}", [data[: len(data) * 9 // 10]])).columns == (
            "ID",
        )
        with pytest.raises(InvalidInput, match="unpacked") as raised:
            await look(TABLE, HEADED, f"x{ending}", [b"ID\n1\n"])
        assert raised.value.field == "file"
