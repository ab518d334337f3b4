"""Imports: a file of contacts on its way into a table, and what became of each of its records."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from loadingdock.core.loading import Counts, Operation


class ImportState(StrEnum):
    WAITING = "waiting"
    """For its file to be looked into, or for those that came before it into the same table."""
    CHECKING = "checking"
    """Strict: every record is looked at before the first is applied."""
    LOADING = "loading"
    UNDOING = "undoing"
    FINISHED = "finished"
    FINISHED_WITH_ERRORS = "finished_with_errors"
    """Lenient, and some records were rejected."""
    REJECTED = "rejected"
    """Strict, and some records were rejected, or the file as a whole could not be read: nothing was changed."""
    FAILED = "failed"
    """The file was infected, refused or gone, or it is our own fault: nothing was changed."""
    CANCELLED = "cancelled"
    UNDONE = "undone"


ENDED = frozenset(
    {
        ImportState.FINISHED,
        ImportState.FINISHED_WITH_ERRORS,
        ImportState.REJECTED,
        ImportState.FAILED,
        ImportState.CANCELLED,
        ImportState.UNDONE,
    }
)
APPLIED = frozenset({ImportState.FINISHED, ImportState.FINISHED_WITH_ERRORS})
"""What an undo can begin with."""


def finished(counts: Counts) -> ImportState:
    """Of an import that came to its end."""
    return ImportState.FINISHED_WITH_ERRORS if counts.rejected else ImportState.FINISHED


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client asks of an import. `columns` are the names given for the file's columns, by position; None: its
    header's. `key` None: the table's own. `separator` and `quote` are one character each; no quote: nothing is quoted.
    `encoding` is a name that Python knows."""

    operation: Operation = Operation.INSALL
    separator: str = ","
    quote: str = ""
    header: bool = False
    encoding: str = "UTF-8"
    columns: tuple[str, ...] | None = None
    key: tuple[str, ...] | None = None
    strict: bool = True
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """Records and bytes (as stored) read in this pass, which began at `since`. A strict import reads its file twice,
    first to check it."""

    records: int = 0
    bytes: int = 0
    since: datetime | None = None


class Outcome(StrEnum):
    REJECTED = "rejected"
    SKIPPED = "skipped"
    LEFT = "left"
    """By an undo: the contact is not what the import made of it."""


@dataclass(frozen=True, slots=True)
class RowProblem:
    """`column` is None where the whole record is wrong. `reason`: a sentence."""

    column: str | None
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class RowReport:
    """What became of one record. `ordinal` counts records from 1, `line` physical lines from 1; of a contact that an
    undo left, `ordinal` is its row's number and `line` 0. `raw`: the record as text, `cut` if it is only the first of
    it."""

    outcome: Outcome
    ordinal: int
    line: int
    problems: tuple[RowProblem, ...]
    raw: str = ""
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Reversal:
    """What an undo did: inserted contacts `removed`, updated ones `restored`, and how many were `left` as they are:
    `report_file`, the id of a file, names them."""

    at: datetime
    removed: int
    restored: int
    left: int
    report_file: str | None = None


@dataclass(frozen=True, slots=True)
class Import:
    """`number` counts up per installation. `turn` is its place in the table's queue, None once it is out of it.
    `attempt` counts how often it was begun. `columns` are those that the file brings. `cancelling`: somebody asked for
    its end. The `rejected_file` is a CSV to be corrected and sent again, the `report_file` says of every record that
    was rejected or skipped why: ids of files. `undo_until`: what the rows were is kept until then."""

    number: int
    company_id: int
    table_number: int
    table_code: str
    asked: Asked
    file_id: str
    file_version: int
    file_name: str
    file_size: int
    created_at: datetime
    created_by: str
    state: ImportState = ImportState.WAITING
    turn: int | None = None
    attempt: int = 0
    callback_url: str | None = field(default=None, repr=False)
    columns: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    progress: Progress = Progress()
    counts: Counts = field(default_factory=Counts)
    cancelling: bool = False
    reason: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    rejected_file: str | None = None
    report_file: str | None = None
    undo_until: datetime | None = None
    undone: Reversal | None = None

    @property
    def ended(self) -> bool:
        return self.state in ENDED
