"""Between the model of imports and its columns."""

from __future__ import annotations

import json
from typing import Any

from loadingdock.adapters.records.executor import Row
from loadingdock.adapters.records.values import (
    from_json,
    list_from_json,
    list_to_json,
    micros,
    moment,
    moment_or_none,
    to_json,
)
from loadingdock.core.loading import Counts, Operation
from loadingdock.core.model.imports import (
    Asked,
    Import,
    ImportState,
    Outcome,
    Progress,
    Reversal,
    RowProblem,
    RowReport,
)

# A byte that cannot be decoded may have become what is no valid Unicode.
_ANY_TEXT = "surrogatepass"


def changing(one: Import) -> dict[str, Any]:
    return {
        "state": one.state.value,
        "attempt": one.attempt,
        "columns": list_to_json(one.columns),
        "warnings": list_to_json(one.warnings),
        **counted(one.counts),
        "cancelling": int(one.cancelling),
        "reason": one.reason,
        "started_at": micros(one.started_at),
        "ended_at": micros(one.ended_at),
        "rejected_file": one.rejected_file,
        "report_file": one.report_file,
        "undo_until": micros(one.undo_until),
        "undone": None if one.undone is None else to_json(_reversal_to_json(one.undone)),
    }


def counted(counts: Counts) -> dict[str, int]:
    return {
        "inserted": counts.inserted,
        "updated": counts.updated,
        "unchanged": counts.unchanged,
        "skipped": counts.skipped,
        "rejected": counts.rejected,
    }


def progressed(progress: Progress) -> dict[str, int | None]:
    return {"records": progress.records, "bytes": progress.bytes, "since": micros(progress.since)}


def import_of(row: Row) -> Import:
    (
        number,
        company_id,
        table_number,
        table_code,
        asked,
        file_id,
        file_version,
        file_name,
        file_size,
        created_at,
        created_by,
        state,
        turn,
        attempt,
        callback_url,
        columns,
        warnings,
        records,
        bytes,
        since,
        *counts,
        cancelling,
        reason,
        started_at,
        ended_at,
        rejected_file,
        report_file,
        undo_until,
        undone,
    ) = row
    return Import(
        number,
        company_id,
        table_number,
        table_code,
        _asked_from_json(asked),
        file_id,
        file_version,
        file_name,
        file_size,
        moment(created_at),
        created_by,
        ImportState(state),
        turn,
        attempt,
        callback_url,
        tuple(list_from_json(columns)),
        tuple(list_from_json(warnings)),
        Progress(records, bytes, moment_or_none(since)),
        Counts(*counts),
        bool(cancelling),
        reason,
        moment_or_none(started_at),
        moment_or_none(ended_at),
        rejected_file,
        report_file,
        moment_or_none(undo_until),
        _reversal_from_json(undone),
    )


def reported(row: RowReport) -> dict[str, Any]:
    return {
        "outcome": row.outcome.value,
        "ordinal": row.ordinal,
        "line": row.line,
        # In ASCII, because a reason may quote a byte that cannot be decoded.
        "problems": json.dumps([[problem.column, problem.code, problem.reason] for problem in row.problems]),
        "raw": row.raw.encode("utf-8", _ANY_TEXT),
        "cut": int(row.cut),
    }


def report_of(row: Row) -> RowReport:
    outcome, ordinal, line, problems, raw, cut = row
    return RowReport(
        Outcome(outcome),
        ordinal,
        line,
        tuple(RowProblem(*problem) for problem in list_from_json(problems)),
        bytes(raw).decode("utf-8", _ANY_TEXT),
        bool(cut),
    )


def asked(asked: Asked) -> str | None:
    return to_json(
        {
            "operation": asked.operation.value,
            "separator": asked.separator,
            "quote": asked.quote,
            "header": asked.header,
            "encoding": asked.encoding,
            "columns": asked.columns,
            "key": asked.key,
            "strict": asked.strict,
            "dry_run": asked.dry_run,
        }
    )


def _asked_from_json(text: str) -> Asked:
    said = dict(from_json(text))
    columns, key = said.pop("columns"), said.pop("key")
    return Asked(
        operation=Operation(said.pop("operation")),
        columns=None if columns is None else tuple(columns),
        key=None if key is None else tuple(key),
        **said,
    )


def _reversal_to_json(done: Reversal) -> dict[str, Any]:
    return {
        "at": micros(done.at),
        "removed": done.removed,
        "restored": done.restored,
        "left": done.left,
        "report_file": done.report_file,
    }


def _reversal_from_json(text: str | None) -> Reversal | None:
    if text is None:
        return None
    said = dict(from_json(text))
    return Reversal(moment(said.pop("at")), **said)
