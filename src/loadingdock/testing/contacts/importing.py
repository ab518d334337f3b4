"""What every ContactImporter has to keep.

A test module subclasses `ImportingContract` and gives the fixtures `contacts`, a ContactStore, and `importer`, a
ContactImporter for the same tables; both may live as long as the module, whose tests share one event loop.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from loadingdock.core.errors import Conflict, InvalidInput, NotFound
from loadingdock.core.loading import DUPLICATE, EXISTS, NOT_UNIQUE, UNKNOWN, Counts, Ending, Operation
from loadingdock.core.model.contacts import Column, Kind
from loadingdock.core.model.imports import Asked, ImportState, Outcome
from loadingdock.core.ports.contacts import ContactStore
from loadingdock.core.ports.imports import Reported
from loadingdock.testing.contacts.import_endings import EndingsContract
from loadingdock.testing.contacts.import_looking import LookingContract
from loadingdock.testing.contacts.import_material import Imports, Watching, lines, report_of
from loadingdock.testing.contacts.import_model import ImportModelContract
from loadingdock.testing.contacts.material import a_table, change, exported, filled

LENIENT = Asked(Operation.UPDINS, columns=("ID", "NAME", "CODE"), strict=False)


@pytest.mark.asyncio(loop_scope="module")
class ImportingContract(LookingContract, EndingsContract, ImportModelContract):
    async def test_every_record_is_accounted_for(self, contacts: ContactStore, imports: Imports) -> None:
        table = a_table(Column("ID", Kind.INTEGER), Column("NAME"), Column("CODE", unique=True), key=("ID",))
        await filled(contacts, table, [(1, "one", "a"), (2, "two", "b"), (3, "three", "c")])
        watching = Watching()
        file = "1,changed,a\n2,two,b\nx,bad,\n\n4,new,d\n5,taken,c\n6,first,\n7,few\n6,second,e\n8,both,\n,nobody,\n"
        loaded = await imports.run(table, file, LENIENT, watching)
        counts = Counts(inserted=4, updated=1, unchanged=1, skipped=1, rejected=3)
        assert (loaded.ending, loaded.counts, loaded.known) == (Ending.COMMITTED, counts, False)
        assert watching.settlement == (counts, loaded.reported)
        assert watching.states == [ImportState.LOADING]
        assert watching.problems() == {
            3: [("ID", "not_an_integer")],
            5: [("CODE", NOT_UNIQUE)],
            6: [(None, DUPLICATE)],
            7: [(None, "too_few_fields")],
        }
        assert [(row.outcome, row.line, row.raw, row.cut) for row in watching.rows] == [
            (Outcome.REJECTED, 3, "x,bad,", False),
            (Outcome.REJECTED, 6, "5,taken,c", False),
            (Outcome.SKIPPED, 7, "6,first,", False),
            (Outcome.REJECTED, 8, "7,few", False),
        ]
        assert all(each.reason.endswith(".") for row in watching.rows for each in row.problems)
        assert [
            (each["outcome"], each["line"], each["ordinal"], each["errors"][0]["code"])
            for each in report_of(loaded.reported.report)
        ] == [(row.outcome, row.line, row.ordinal, row.problems[0].code) for row in watching.rows]
        assert {contact.values for contact in await exported(contacts, table)} == {
            (1, "changed", "a"),
            (2, "two", "b"),
            (3, "three", "c"),
            (4, "new", "d"),
            (6, "second", "e"),
            (8, "both", None),
            (None, "nobody", None),
        }

    async def test_rejected_records_are_sent_again(self, contacts: ContactStore, imports: Imports) -> None:
        table = a_table(Column("ID", Kind.INTEGER), Column("BORN", Kind.DATE), Column("CODE", unique=True), key=("ID",))
        await filled(contacts, table, [(1, None, "taken")])
        asked = Asked(Operation.UPDINS, separator=";", quote='"', header=True, encoding="windows-1252", strict=False)
        file = 'code;id;born\r\n"ä";2;1999-02-29\r\n"taken";3;\r\n"ß";"4";\r\n"x""y";5'
        loaded = await imports.run(table, imports.file(file.encode("windows-1252")), asked)
        assert loaded.counts == Counts(inserted=1, rejected=3)
        assert loaded.reported.rejects is not None
        rejects = loaded.reported.rejects.read_bytes()
        watching = Watching()
        again = await imports.run(table, imports.file(rejects), asked, watching)
        assert again.counts == Counts(rejected=3)
        assert [row.raw for row in watching.rows] == ['"ä";2;1999-02-29', '"taken";3;', '"x""y";5']
        corrected = rejects.replace(b"02-29", b"02-28").replace(b'\n"taken"', b'\n"free"').replace(b";5", b";5;")
        assert (await imports.run(table, imports.file(corrected), asked)).counts == Counts(inserted=3)
        assert {contact.values[2] for contact in await exported(contacts, table)} == {"taken", "ß", "ä", "free", 'x"y'}

    async def test_the_first_thousand_are_told_and_all_are_written(
        self, contacts: ContactStore, imports: Imports
    ) -> None:
        table = a_table(Column("ID", Kind.INTEGER), Column("NAME"), key=("ID",))
        await filled(contacts, table, [(n, "old") for n in range(3_000)])
        watching = Watching()
        asked = Asked(Operation.INSNEW, columns=("ID", "NAME"), strict=False)
        file = lines((n if n % 2 else "x", "new") for n in range(3_002))
        loaded = await imports.run(table, file, asked, watching)
        assert loaded.counts == Counts(inserted=1, skipped=1_500, rejected=1_501)
        skipped = [row.ordinal for row in watching.rows if row.outcome is Outcome.SKIPPED]
        rejected = [row.ordinal for row in watching.rows if row.outcome is Outcome.REJECTED]
        assert skipped == [n + 1 for n in range(1, 2_001, 2)]
        assert rejected == [n + 1 for n in range(0, 2_000, 2)]
        assert [each["ordinal"] for each in report_of(loaded.reported.report)] == list(range(1, 3_002))

    async def test_skipped_records_have_their_reasons(self, contacts: ContactStore, imports: Imports) -> None:
        table = a_table(Column("ID", Kind.INTEGER), Column("NAME"), key=("ID",))
        await filled(contacts, table, [(1, "one")])
        for operation, code, file in (
            (Operation.INSNEW, EXISTS, "1,x\n2,x\n"),
            (Operation.UPALL, UNKNOWN, "2,y\n3,y\n"),
        ):
            watching = Watching()
            asked = Asked(operation, columns=("ID", "NAME"), key=("id",))
            loaded = await imports.run(table, file, asked, watching)
            assert loaded.counts.skipped == 1
            assert loaded.reported.rejects is None
            assert [each[0][1] for each in watching.problems().values()] == [code]

    @pytest.mark.slow
    async def test_a_key_that_comes_again_far_away_begins_it_anew(
        self, contacts: ContactStore, imports: Imports
    ) -> None:
        table = a_table(Column("ID", Kind.INTEGER), Column("NAME"), key=("ID",))
        await contacts.create(table)
        watching = Watching()
        rows: list[tuple[object, str]] = [(n, "x") for n in range(40_000)]
        rows[5] = "x", "bad"
        rows[-1] = 7, "last"
        asked = Asked(Operation.UPDINS, columns=("ID", "NAME"), strict=False)
        loaded = await imports.run(table, lines(rows), asked, watching)
        assert loaded.counts == Counts(inserted=39_998, skipped=1, rejected=1)
        assert watching.began_anew == 1
        assert [row.ordinal for row in watching.rows] == [6, 8]
        assert [each["ordinal"] for each in report_of(loaded.reported.report)] == [6, 8]

    async def test_what_was_committed_is_known(self, contacts: ContactStore, imports: Imports) -> None:
        table = a_table(Column("ID", Kind.INTEGER))
        await contacts.create(table)
        asked = Asked(columns=("ID",), strict=False)
        source = imports.file("1\nx\n2\n")
        first = await imports.run(table, source, asked, number=1)
        watching = Watching()
        again = await imports.run(table, source, asked, watching, number=1)
        assert (again.ending, again.counts, again.known) == (Ending.COMMITTED, Counts(inserted=2), True)
        assert first.counts == Counts(inserted=2, rejected=1)
        assert again.reported == Reported(None, None)
        assert (watching.states, watching.rows, watching.settlement) == ([], [], None)
        assert len(await exported(contacts, table)) == 2

    async def test_a_table_that_was_altered_is_a_conflict(self, contacts: ContactStore, imports: Imports) -> None:
        table = a_table(Column("ID", Kind.INTEGER))
        await contacts.create(table)
        await change(contacts, table, added=(Column("MORE"),))
        with pytest.raises(Conflict, match="just been altered"):
            await imports.run(table, "1\n", Asked(columns=("ID",)))

    async def test_it_is_undone_once(self, contacts: ContactStore, imports: Imports) -> None:
        table = a_table(Column("ID", Kind.INTEGER), Column("NAME"), Column("MORE"), key=("ID", "NAME"))
        put = await filled(contacts, table, [(1, "a", "old"), (2, "b", "old")])
        asked = Asked(Operation.UPDINS, columns=("ID", "NAME", "MORE"))
        await imports.run(table, "1,a,new\n2,b,new\n3,c,new\n4,d,new\n", asked, number=7)
        await imports.run(table, "2,b,since\n", asked, number=8)
        await contacts.delete(table, put[0].row)
        undone = await imports.importer.undo(table, 7, imports.fresh())
        assert (undone.removed, undone.restored, undone.left) == (2, 0, 2)
        assert [(row.outcome, row.ordinal, row.line, row.raw, row.problems[0].code) for row in undone.rows] == [
            (Outcome.LEFT, put[0].row, 0, "", "gone"),
            (Outcome.LEFT, put[1].row, 0, "2, b", "changed"),
        ]
        assert [(each["outcome"], each["row"], each["key"]) for each in report_of(undone.report)] == [
            ("left", put[0].row, {}),
            ("left", put[1].row, {"ID": "2", "NAME": "b"}),
        ]
        again = await imports.importer.undo(table, 7, imports.fresh())
        assert replace(again, report=undone.report) == undone
        assert report_of(again.report) == report_of(undone.report)
        await imports.importer.forget(table, 8)
        with pytest.raises(NotFound):
            await imports.importer.undo(table, 8, imports.fresh())

    async def test_an_undo_that_leaves_nothing_reports_nothing(self, contacts: ContactStore, imports: Imports) -> None:
        table = a_table(Column("ID", Kind.INTEGER))
        await contacts.create(table)
        await imports.run(table, "1\n2\n", Asked(columns=("ID",)), number=9)
        undone = await imports.importer.undo(table, 9, imports.fresh())
        assert (undone.removed, undone.left, undone.rows, undone.report) == (2, 0, (), None)
        assert await exported(contacts, table) == []

    @pytest.mark.parametrize("ending", [".gz", ".zst"])
    async def test_compressed_files_are_loaded(
        self, contacts: ContactStore, imports: Imports, packed: dict[str, bytes], ending: str
    ) -> None:
        """`packed`: fifty thousand lines of numbers, by the name's ending."""
        table = a_table(Column("ID", Kind.INTEGER))
        await contacts.create(table)
        asked = Asked(columns=("ID",))
        source = imports.file(packed[ending], f"numbers.csv{ending}")
        watching = Watching()
        loaded = await imports.run(table, source, asked, watching)
        assert loaded.counts == Counts(inserted=50_000)
        assert all(progress.bytes <= len(packed[ending]) for progress, _ in watching.proceeds)
        half = imports.file(packed[ending][: len(packed[ending]) // 2], f"numbers.csv{ending}")
        for strict in (True, False):
            with pytest.raises(InvalidInput) as raised:
                await imports.run(table, half, Asked(columns=("ID",), strict=strict))
            assert raised.value.field == "file"
        assert len(await exported(contacts, table)) == 50_000
