"""What is said of an import: the vendor's message FileNotify, and all there is to know for scripts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from loadingdock.core.model.companies import Company, CompanySetting
from loadingdock.core.model.imports import Import, ImportState, RowReport, finished
from loadingdock.core.settings import repository

REPOSITORY: CompanySetting[str] = CompanySetting(
    "contact-load.repository",
    "contactsfile",
    "the repository that stands in the fileName of contact-load's callbacks",
    repository,
)
RESULTS: Mapping[ImportState, str] = MappingProxyType(
    {
        ImportState.FINISHED: "FINISHED",
        ImportState.FINISHED_WITH_ERRORS: "FINISHED_WITH_ERRORS",
        ImportState.REJECTED: "REJECTED",
        ImportState.FAILED: "FAILED",
        ImportState.CANCELLED: "FAILED",
    }
)
"""Of FileNotify. What is undone had finished before."""


def notification(of: Import, company: Company, rejected_file: str | None) -> dict[str, Any]:
    """FileNotify (DANAconnect, Contact bulk load 1.0), its keys in their order, and ours behind them. `rejected_file`:
    where the rejected records can be fetched. `fileName` and `movedFile` hold the import's number, by which
    `/api/v1/imports/{number}/source` has the file."""
    return {
        "fileName": f"s3://{company.get(REPOSITORY)}/{of.number}/{of.file_name}",
        "fileSize": of.file_size,
        "logID": of.number,
        "result": _result(of),
        "idCompany": company.code,
        "idWebDb": of.table_number,
        "lineCount": of.counts.records if of.ended_at else of.progress.records,
        "movedFile": f"processed/Log{of.number}-webdb{of.table_number}",
        **asdict(of.counts),
        "rejectedFile": rejected_file,
    }


def _result(of: Import) -> str | None:
    if of.state in {ImportState.UNDOING, ImportState.UNDONE}:
        return RESULTS[finished(of.counts)]
    return RESULTS.get(of.state)


@dataclass(frozen=True, slots=True)
class Pace:
    """`rows_per_second` of the pass under way, and when the import will probably have ended."""

    rows_per_second: float | None
    ends_at: datetime | None


def pace(of: Import, now: datetime) -> Pace:
    since = of.progress.since
    if of.state not in {ImportState.CHECKING, ImportState.LOADING} or since is None or not of.progress.bytes:
        return Pace(None, None)
    took = max((now - since).total_seconds(), 0.001)
    left = took * max(0, of.file_size - of.progress.bytes) / of.progress.bytes
    if of.state is ImportState.CHECKING:
        left += took + left  # the load behind it takes about as long
    return Pace(round(of.progress.records / took, 1), now + timedelta(seconds=left))


def shown(of: Import, company: Company, now: datetime) -> dict[str, Any]:
    """For scripts: what the command line and the management API both say of an import."""
    asked, rate = of.asked, pace(of, now)
    progress = replace(of.progress, records=of.counts.records) if of.ended_at else of.progress
    place = f"/api/v1/imports/{of.number}"
    return {
        **notification(of, company, f"{place}/rejects.csv" if of.rejected_file else None),
        "state": of.state.value,
        "reason": of.reason,
        "warnings": list(of.warnings),
        "table": of.table_code,
        "operation": asked.operation.value,
        "columns": list(of.columns),
        "key": list(asked.key or ()),
        "strict": asked.strict,
        "dry_run": asked.dry_run,
        "file": of.file_id,
        "version": of.file_version,
        "created_at": of.created_at,
        "started_at": of.started_at,
        "ended_at": of.ended_at,
        "progress": {
            "records": progress.records,
            "bytes": progress.bytes,
            "rows_per_second": rate.rows_per_second,
            "ends_at": rate.ends_at,
        },
        "cancelling": of.cancelling and not of.ended,
        "reportFile": f"{place}/report.ndjson" if of.report_file else None,
        "undo_until": of.undo_until,
        "undone": None
        if of.undone is None
        else {
            "at": of.undone.at,
            "removed": of.undone.removed,
            "restored": of.undone.restored,
            "left": of.undone.left,
            "leftFile": f"{place}/left.ndjson" if of.undone.report_file else None,
        },
    }


def rejects(rows: tuple[RowReport, ...]) -> list[dict[str, Any]]:
    """One for each thing that is wrong."""
    return [
        {
            "line": row.line,
            "column": problem.column,
            "code": problem.code,
            "reason": problem.reason,
            "raw": row.raw,
        }
        for row in rows
        for problem in row.problems
    ]
