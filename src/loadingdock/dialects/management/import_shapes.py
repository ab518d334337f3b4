"""What the management API takes and shows of imports."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from loadingdock.core.importnotes import shown
from loadingdock.core.loading import Operation
from loadingdock.core.model.companies import Company
from loadingdock.core.model.imports import Asked as Load
from loadingdock.core.model.imports import Import, ImportState, RowReport
from loadingdock.dialects.management.table_shapes import Name
from loadingdock.dialects.management.wire import Asked, Shown, Time

_MOST_COLUMNS = 2000  # that a file may have
_Count = Annotated[int, Field(ge=0, examples=[2])]


class NewImport(Asked):
    """A CSV as RFC 4180 has it, if nothing else is said."""

    table: Annotated[Name, Field(description="The table's code.", examples=["customers"])]
    file: Annotated[
        str, Field(max_length=36, description="The id of a file that any API has taken in; `.gz` and `.zst` too.")
    ]
    version: Annotated[int | None, Field(ge=1, le=2**31 - 1, description="Of the file; the latest, if not given.")] = (
        None
    )
    operation: Annotated[
        Operation,
        Field(
            description="INSALL inserts all. By the key: UPDINS inserts new contacts and updates existing ones, UPALL"
            " updates existing ones, INSNEW inserts new ones."
        ),
    ] = Operation.INSALL
    key: Annotated[
        tuple[Name, ...] | None,
        Field(max_length=_MOST_COLUMNS, description="Columns that identify a contact; the table's own if not given."),
    ] = None
    columns: Annotated[
        tuple[Name, ...] | None,
        Field(max_length=_MOST_COLUMNS, description="The file's columns in their order; its header's if not given."),
    ] = None
    header: Annotated[
        bool | None,
        Field(description="Whether the first record holds names; if not said, it does where no columns are given."),
    ] = None
    separator: Annotated[str, Field(min_length=1, max_length=1, description="Between values.", examples=[";"])] = ","
    quote: Annotated[str, Field(max_length=1, description="Around values; empty: nothing is quoted.")] = '"'
    encoding: Annotated[str, Field(max_length=40, description="By a name that Python knows.")] = "UTF-8"
    strict: Annotated[
        bool,
        Field(description="True: one wrong record, and nothing is changed. False: the others are loaded."),
    ] = True
    dry_run: Annotated[bool, Field(description="All of it but the change: exact counts, and what is wrong.")] = False
    callback: Annotated[
        str,
        Field(max_length=2048, description="A URL that is told the end.", examples=["https://a.example/hook"]),
    ] = ""

    def asked(self) -> Load:
        return Load(
            operation=self.operation,
            separator=self.separator,
            quote=self.quote,
            header=self.columns is None if self.header is None else self.header,
            encoding=self.encoding,
            columns=self.columns,
            key=self.key,
            strict=self.strict,
            dry_run=self.dry_run,
        )


class ProgressShape(Shown):
    records: Annotated[int, Field(ge=0, description="Read in this pass; a strict import reads its file twice.")]
    bytes: Annotated[int, Field(ge=0, description="Likewise, of `fileSize`.")]
    rows_per_second: Annotated[float | None, Field(description="While it runs.")]
    ends_at: Annotated[Time | None, Field(description="When it will probably have ended, while it runs.")]


class ReversalShape(Shown):
    """What an undo did."""

    at: Time
    removed: Annotated[int, Field(ge=0, description="Contacts that the import had inserted.")]
    restored: Annotated[int, Field(ge=0, description="Contacts that it had updated, as they were before it.")]
    left: Annotated[int, Field(ge=0, description="Contacts that were changed since, and stay as they are.")]


class ImportShape(Shown):
    """The vendor's FileNotify, its names as they are there; behind it what else there is to know."""

    fileName: Annotated[str, Field(examples=["s3://contactsfile/9876/contacts.csv"])]
    fileSize: Annotated[int, Field(ge=0, description="Bytes.", examples=[2_910_575])]
    logID: Annotated[int, Field(ge=1, description="The import's number, by which all paths name it.", examples=[9876])]
    result: Annotated[
        Literal["FINISHED", "FINISHED_WITH_ERRORS", "REJECTED", "FAILED"] | None,
        Field(description="Null until the end.", examples=["FINISHED"]),
    ]
    idCompany: Annotated[str, Field(examples=["acme"])]
    idWebDb: Annotated[int, Field(ge=1, description="The table's number.", examples=[987])]
    lineCount: Annotated[
        int,
        Field(ge=0, description="Records read: the sum of the five counts that follow, once it has ended."),
    ]
    movedFile: Annotated[str, Field(examples=["processed/Log9876-webdb987"])]
    inserted: _Count
    updated: _Count
    unchanged: _Count
    skipped: _Count
    rejected: _Count
    rejectedFile: Annotated[
        str | None,
        Field(
            description="Where the rejected records are, to be corrected and sent again; null if there are none.",
            examples=["/api/v1/imports/9876/rejects.csv"],
        ),
    ]
    state: ImportState
    reason: Annotated[str | None, Field(description="Why it was rejected or failed.", examples=[None])]
    warnings: Annotated[list[str], Field(examples=[[]])]
    table: Annotated[str, Field(description="The table's code.", examples=["customers"])]
    operation: Operation
    columns: Annotated[list[str], Field(description="Those that the file brings.", examples=[["EMAIL", "BORN"]])]
    key: Annotated[list[str], Field(description="Those of them that identify a contact.", examples=[["EMAIL"]])]
    strict: bool
    dry_run: bool
    file: Annotated[str, Field(description="The id of the file.", examples=["0b8b3b4c-5a5e-4a38-8f5e-8f1f6dbb0a0e"])]
    version: Annotated[int, Field(ge=1, description="Of the file.")]
    created_at: Time
    started_at: Time | None
    ended_at: Time | None
    progress: ProgressShape
    cancelling: Annotated[bool, Field(description="Its end was asked for, and comes in a second or two.")]
    reportFile: Annotated[
        str | None,
        Field(
            description="Where it is said of every record that was rejected or skipped why; null if there are none.",
            examples=["/api/v1/imports/9876/report.ndjson"],
        ),
    ]
    undo_until: Annotated[Time | None, Field(description="Null if there is nothing that could be undone.")]
    undone: ReversalShape | None

    @classmethod
    def of(cls, import_: Import, company: Company, now: datetime) -> ImportShape:
        return cls.model_validate(shown(import_, company, now))


class ProblemShape(Shown):
    column: Annotated[str | None, Field(description="Null where the record as a whole is wrong.", examples=["BORN"])]
    code: Annotated[str, Field(description="A stable word for machines.", examples=["not_a_date"])]
    reason: Annotated[str, Field(description="A sentence for people.")]


class RowShape(Shown):
    record: Annotated[
        int, Field(ge=1, description="Which of the file it is, from 1; of a contact that was left, its row's number.")
    ]
    line: Annotated[
        int, Field(ge=0, description="The line of the file with which it begins, from 1; 0 of a contact that was left.")
    ]
    problems: list[ProblemShape]
    raw: Annotated[str, Field(description="The record as the file has it.", examples=["anna@example.com;31.02.1996"])]
    cut: Annotated[bool, Field(description="`raw` is only the first of it.")]

    @classmethod
    def of(cls, row: RowReport) -> RowShape:
        problems = [ProblemShape(column=each.column, code=each.code, reason=each.reason) for each in row.problems]
        return cls(record=row.ordinal, line=row.line, problems=problems, raw=row.raw, cut=row.cut)
